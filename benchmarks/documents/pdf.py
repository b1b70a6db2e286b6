"""PDF files as an office program leaves them: wrapped lines, headings, tables, columns, compressed pages, pictures."""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.documents.drafts import Draft

_TOP, _BOTTOM, _LEFT = 780, 60, 60
_LINE = 13
_WIDE, _NARROW = 96, 44
"""Characters of a line in one column, and in each of two."""


def write_pdf(draft: Draft, path: Path) -> None:
    """Write `draft`; every fifth one in two columns, each with its pictures spread over its pages."""
    prose = draft.prose()
    columns = 2 if prose.random.random() < 0.2 else 1
    pages = list(_pages(draft, columns))
    out = _Objects()
    catalog, tree, info, plain, bold = (out.reserve() for _ in range(5))
    for number, name in ((plain, "Helvetica"), (bold, "Helvetica-Bold")):
        out.put(number, f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>")
    kids = []
    share = draft.picture // max(1, len(pages))
    for text in pages:
        content, picture = text, ""
        if share > 500:
            height = max(1, share // 192)
            image = out.reserve()
            out.stream(
                image,
                f"/Type /XObject /Subtype /Image /Width 64 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Height {height}",
                prose.random.randbytes(192 * height),
            )
            picture = f"/XObject << /I1 {image} 0 R >>"
            content = f"q 40 0 0 40 520 790 cm /I1 Do Q\n{text}"
        page, stream = out.reserve(), out.reserve()
        out.stream(stream, "", content.encode("cp1252", "replace"))
        out.put(
            page,
            f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Contents {stream} 0 R "
            f"/Resources << /Font << /F1 {plain} 0 R /F2 {bold} 0 R >> {picture} >> >>",
        )
        kids.append(f"{page} 0 R")
    title = _escaped(next(draft.blocks()).texts[0])
    out.put(catalog, f"<< /Type /Catalog /Pages {tree} 0 R >>")
    out.put(tree, f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>")
    out.put(info, f"<< /Title ({title}) /Author (Order office) /CreationDate (D:20240506070809Z) >>")
    path.write_bytes(out.finished(catalog, info))


def _pages(draft: Draft, columns: int) -> Iterator[str]:
    """The content of one page after the other."""
    said: list[str] = []
    column, y = 0, _TOP
    for font, size, cells in _lines(draft, _WIDE if columns == 1 else _NARROW):
        if y < _BOTTOM:
            column, y = column + 1, _TOP
            if column == columns:
                yield "\n".join(said)
                said, column = [], 0
        for number, cell in enumerate(cells):
            x = _LEFT + column * 245 + number * (120 if columns == 1 else 58)
            said.append(f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ({_escaped(cell)}) Tj ET")
        y -= _LINE
    yield "\n".join(said)


def _lines(draft: Draft, width: int) -> Iterator[tuple[str, int, list[str]]]:
    """Each line with its font and the cells in it."""
    for block in draft.blocks():
        if block.kind == "table":
            yield from (("F1", 10 if width == _WIDE else 7, list(row)) for row in block.rows())
        elif block.kind == "heading":
            yield from (("F2", 12, [line]) for line in textwrap.wrap(block.texts[0], width - 14))
        else:
            for text in block.texts:
                bullet = "\u2022 " if block.kind == "list" else ""
                yield from (("F1", 10, [line]) for line in textwrap.wrap(bullet + text, width, break_on_hyphens=False))
        yield "F1", 10, []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


class _Objects:
    """The numbered objects of a file."""

    def __init__(self) -> None:
        self._objects: list[bytes] = []

    def reserve(self) -> int:
        self._objects.append(b"")
        return len(self._objects)

    def put(self, number: int, text: str) -> None:
        self._objects[number - 1] = text.encode("cp1252", "replace")

    def stream(self, number: int, about: str, data: bytes) -> None:
        packed = zlib.compress(data, 6)
        head = f"<< {about} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode()
        self._objects[number - 1] = head + packed + b"\nendstream"

    def finished(self, catalog: int, info: int) -> bytes:
        """The whole file."""
        parts, at, places = [b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"], 15, []
        for number, body in enumerate(self._objects, start=1):
            part = b"%d 0 obj\n%b\nendobj\n" % (number, body)
            places.append(at)
            parts.append(part)
            at += len(part)
        count = len(places) + 1
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        end = (
            f"xref\n0 {count}\n0000000000 65535 f \n{table}"
            f"trailer\n<< /Size {count} /Root {catalog} 0 R /Info {info} 0 R >>\nstartxref\n{at}\n%%EOF\n"
        )
        return b"".join(parts) + end.encode()
