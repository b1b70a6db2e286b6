"""From drafts to files: one function a format, whose bytes depend on the draft and on the installed libraries alone."""

from __future__ import annotations

import csv
import html
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.documents.drafts import Draft
from benchmarks.documents.pdf import write_pdf
from benchmarks.documents.prose import COLUMNS

_THEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="/static/site.css"><style>body {{ margin: 0 auto; max-width: 60rem; font: 16px sans-serif }}
nav ul {{ display: flex; list-style: none }} table td {{ border: 1px solid #ccc; padding: 0 4px }}</style>
<script>window.layer = window.layer || []; (function () {{ layer.push({{"page": "{title}"}}); }})();</script>
</head><body><header><nav><ul><li><a href="/">Start</a></li><li><a href="/products">Products</a></li>
<li><a href="/contact">Contact</a></li></ul></nav></header><main><article>
"""
_PAGE_END = """</article></main><footer><p>All rights reserved.</p><a href="/imprint">Imprint</a></footer></body></html>
"""


def _markdown(draft: Draft) -> Iterator[str]:
    for block in draft.blocks():
        if block.kind == "heading":
            yield f"{'#' * block.level} {block.texts[0]}\n\n"
        elif block.kind == "list":
            yield "".join(f"* {item}\n" for item in block.texts) + "\n"
        elif block.kind == "table":
            lines = [f"| {' | '.join(row)} |" for row in block.rows()]
            yield "\n".join([lines[0], "| --- " * block.level + "|", *lines[1:], "", ""])
        else:
            yield f"{block.texts[0]}\n\n"


def _text(draft: Draft) -> Iterator[str]:
    for block in draft.blocks():
        if block.kind == "table":
            yield "".join("\t".join(row) + "\n" for row in block.rows()) + "\n"
        else:
            yield "\n".join(block.texts) + "\n\n"


def _html(draft: Draft) -> Iterator[str]:
    for index, block in enumerate(draft.blocks()):
        texts = [html.escape(text) for text in block.texts]
        if not index:
            yield _PAGE.format(title=texts[0])
        if block.kind == "heading":
            yield f'<h{block.level} id="s{index}" class="heading">{texts[0]}</h{block.level}>\n'
        elif block.kind == "list":
            yield "<ul>" + "".join(f"<li>{item}</li>\n" for item in texts) + "</ul>\n"
        elif block.kind == "table":
            yield (
                "<table>"
                + "".join(
                    "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
                    for row in block.rows()
                )
                + "</table>\n"
            )
        else:
            yield f'<p class="text">{texts[0]}</p>\n'
    yield _PAGE_END


def _lines(text: Callable[[Draft], Iterator[str]]) -> Callable[[Draft, Path], None]:
    def write(draft: Draft, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(text(draft))

    return write


def _records(draft: Draft) -> Iterator[str]:
    for order, day, customer, city, product, quantity, price, comment in draft.rows():
        record = {
            "order": order,
            "date": day.isoformat(),
            "customer": {"name": customer, "city": city},
            "lines": [{"product": product, "quantity": quantity, "price": price}],
            "comment": comment,
        }
        yield json.dumps(record, ensure_ascii=False)


def _jsonl(draft: Draft) -> Iterator[str]:
    return (record + "\n" for record in _records(draft))


def _json(draft: Draft) -> Iterator[str]:
    separator = "[\n  "
    for record in _records(draft):
        yield separator + record
        separator = ",\n  "
    yield "\n]\n"


def _csv(draft: Draft, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(draft.rows())


def _xlsx(draft: Draft, path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        book.set_properties({"title": "Orders", "author": "Order office", "created": _THEN.replace(tzinfo=None)})
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet = book.add_worksheet("Orders")
        sheet.write_row(0, 0, COLUMNS)
        for number, row in enumerate(draft.rows(), start=1):
            sheet.write_string(number, 0, row[0])
            sheet.write_datetime(number, 1, datetime.combine(row[1], datetime.min.time()), days)
            for column in (2, 3, 4):
                sheet.write_string(number, column, str(row[column]))
            sheet.write_number(number, 5, row[5])
            sheet.write_number(number, 6, row[6])
            if row[7]:
                sheet.write_string(number, 7, row[7])
        second = book.add_worksheet("Notes")
        second.write_string(0, 0, "The prices are net of tax.")


def _parquet(draft: Draft, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(zip(*draft.rows(), strict=True))
    table = pa.table(dict(zip(COLUMNS, map(list, columns), strict=True)))
    parquet.write_table(table, path, compression="zstd", row_group_size=20_000)


def _docx(draft: Draft, path: Path) -> None:
    import docx

    document, made = docx.Document(), io.BytesIO()
    pictures = _pictures(draft)
    for block in draft.blocks():
        if block.kind == "heading":
            document.add_heading(block.texts[0], block.level)
            if block.level == 2 and (picture := next(pictures, None)):
                document.add_picture(io.BytesIO(picture), width=docx.shared.Cm(8))
        elif block.kind == "table":
            rows = block.rows()
            table = document.add_table(len(rows), block.level)
            for cell, text in zip((cell for row in table.rows for cell in row.cells), block.texts, strict=True):
                cell.text = text
        else:
            style = "List Bullet" if block.kind == "list" else None
            for text in block.texts:
                document.add_paragraph(text, style)
    for picture in pictures:
        document.add_picture(io.BytesIO(picture), width=docx.shared.Cm(8))
    _facts(document.core_properties, next(draft.blocks()).texts[0])
    document.save(made)
    _as_of_then(made, path)


def _pptx(draft: Draft, path: Path) -> None:
    import pptx

    deck, made = pptx.Presentation(), io.BytesIO()
    pictures = _pictures(draft)
    lines = None
    room = 0
    for block in draft.blocks():
        if block.kind == "heading" or room <= 0:
            slide = deck.slides.add_slide(deck.slide_layouts[1])
            lines, room = slide.placeholders[1].text_frame, 900
            if picture := next(pictures, None):
                slide.shapes.add_picture(io.BytesIO(picture), 0, 0, width=pptx.util.Cm(4))
        room -= sum(map(len, block.texts))
        if block.kind == "heading":
            slide.shapes.title.text = block.texts[0]
        elif block.kind == "table":
            rows = block.rows()
            width = pptx.util.Cm(16)
            table = slide.shapes.add_table(len(rows), block.level, width, width, width, width).table
            for cell, text in zip(table.iter_cells(), block.texts, strict=True):
                cell.text = text
        elif block.kind == "paragraph" and len(block.texts[0]) > 400:
            slide.notes_slide.notes_text_frame.text += "\n" + block.texts[0]
        else:
            for text in block.texts:
                lines.add_paragraph().text = text
    _facts(deck.core_properties, next(draft.blocks()).texts[0])
    deck.save(made)
    _as_of_then(made, path)


def _pictures(draft: Draft) -> Iterator[bytes]:
    """Pictures of up to 150 kB, as many as the draft wants."""
    prose, left = draft.prose(), draft.picture
    while left > 2000:
        size = min(left, 150_000)
        yield prose.picture(size)
        left -= size


def _facts(properties: object, title: str) -> None:
    facts = {"title": title, "author": "Order office", "created": _THEN, "modified": _THEN, "last_modified_by": ""}
    for name, value in facts.items():
        setattr(properties, name, value.replace(tzinfo=None) if isinstance(value, datetime) else value)


def _as_of_then(made: io.BytesIO, path: Path) -> None:
    """Write the archive with one date on all of its members."""
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            kept = zipfile.ZipInfo(member.filename, _THEN.timetuple()[:6])
            kept.compress_type = zipfile.ZIP_STORED if member.filename.endswith(".png") else zipfile.ZIP_DEFLATED
            new.writestr(kept, old.read(member))


def _eml(draft: Draft, path: Path) -> None:
    from email import policy
    from email.message import EmailMessage
    from email.utils import format_datetime

    prose = draft.prose()
    message = EmailMessage(policy=policy.SMTP.clone(max_line_length=120))
    sender, receiver = prose.pick("m"), prose.pick("m")
    message["From"] = f"{sender} <orders@example.com>"
    message["To"] = f"{receiver} <office@example.org>"
    message["Date"] = format_datetime(_THEN)
    message["Message-ID"] = f"<{prose.code()}@example.com>"
    message["Subject"] = next(draft.blocks()).texts[0]
    message.set_content("".join(_text(draft)), cte="quoted-printable")
    message.add_alternative("".join(_html(draft)), subtype="html", cte="quoted-printable")
    for number, picture in enumerate(_pictures(draft)):
        message.add_attachment(picture, "image", "png", filename=f"picture-{number}.png")
    for number, part in enumerate(each for each in message.walk() if each.is_multipart()):
        part.set_boundary(f"=_boundary_{number}_of_this_message")
    path.write_bytes(message.as_bytes())


WRITERS: Mapping[str, Callable[[Draft, Path], None]] = {
    "txt": _lines(_text),
    "md": _lines(_markdown),
    "html": _lines(_html),
    "csv": _csv,
    "json": _lines(_json),
    "jsonl": _lines(_jsonl),
    "xlsx": _xlsx,
    "parquet": _parquet,
    "pdf": write_pdf,
    "docx": _docx,
    "pptx": _pptx,
    "eml": _eml,
}
"""By the ending of the name."""
