"""PDF files made by hand: pages of text at given places, or of one picture, with all that a test may want to break."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

WIDTH, HEIGHT = 595, 842


@dataclass(frozen=True)
class Line:
    """A line of text on a page, in points from its lower left corner."""

    text: str
    x: float = 72
    y: float = 760
    size: float = 11


def lines(text: str, *, x: float = 72, top: float = 760, leading: float = 14, size: float = 11) -> list[Line]:
    """The lines of `text`, one below the other."""
    return [Line(line, x, top - leading * number, size) for number, line in enumerate(text.split("\n")) if line]


def pdf(
    pages: Sequence[str | Sequence[Line] | Image.Image],
    *,
    info: Mapping[str, str] | None = None,
    rotate: int = 0,
) -> bytes:
    """A PDF with one page for each text, list of lines, or picture that fills the page."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects: list[bytes] = [b"", b"", font]
    kids = []
    for page in pages:
        picture = isinstance(page, Image.Image)
        if picture:
            objects.append(_picture(page))
            resources = f"/XObject << /Im {len(objects)} 0 R >>"
            content = f"q {WIDTH} 0 0 {HEIGHT} 0 0 cm /Im Do Q".encode()
        else:
            resources = "/Font << /F1 3 0 R >>"
            content = b"\n".join(_show(line) for line in (lines(page) if isinstance(page, str) else page))
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Rotate {rotate} "
            f"/Resources << {resources} >> /Contents {len(objects)} 0 R >>".encode()
        )
        kids.append(len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>".encode()
    if info:
        objects.append(b"<< " + b" ".join(b"/%s (%s)" % (k.encode(), _escaped(v)) for k, v in info.items()) + b" >>")
    return _file(objects, has_info=bool(info))


def scanned(*pictures: Image.Image) -> bytes:
    """A PDF of pictures alone, each as large as its page."""
    return pdf(pictures)


def _show(line: Line) -> bytes:
    return b"BT /F1 %g Tf 1 0 0 1 %g %g Tm (%s) Tj ET" % (line.size, line.x, line.y, _escaped(line.text))


def _escaped(text: str) -> bytes:
    data = text.encode("cp1252")
    for sign in (b"\\", b"(", b")"):
        data = data.replace(sign, b"\\" + sign)
    return data


def _picture(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.convert("L").save(held, "JPEG", quality=90)
    data = held.getvalue()
    return (
        b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream" % (image.width, image.height, len(data), data)
    )


def _file(objects: Sequence[bytes], *, has_info: bool) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    info = b" /Info %d 0 R" % len(objects) if has_info else b""
    out += b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, info, start)
    return bytes(out)
