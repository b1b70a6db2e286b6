"""One small good file of every format, made in code: what damage starts from."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from bad_input.made import ole, ooxml, pdf, pictures, zips

TEXT = "A plum is a fruit. It grows on trees, and people eat it in summer. Crème brûlée is none.\n\n" * 6
MARKDOWN = f"# Fruit\n\n{TEXT}\n## Table\n\n| kind | count |\n| --- | --- |\n| plum | 7 |\n\n```python\nprint(7)\n```\n"
HTML = (
    "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Fruit</title><style>p{}</style></head><body>"
    f"<h1>Fruit</h1><p>{TEXT}</p><table><tr><th>kind</th><th>count</th></tr><tr><td>plum</td><td>7</td></tr></table>"
    "<ul><li>one<ul><li>two</li></ul></li></ul><img alt='a plum' src='x.png'><script>alert(1)</script></body></html>"
)
CSV = "kind,count,note\n" + "".join(f'plum {n},{n},"said ""well"", then\nleft"\n' for n in range(40))
RECORDS = [{"kind": f"plum {n}", "count": n, "tags": ["a", {"b": None}], "note": "crème"} for n in range(30)]
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"language_info": {"name": "python"}},
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Fruit\n", "A plum is a fruit."]},
        {
            "cell_type": "code",
            "metadata": {},
            "source": ["print(7)"],
            "execution_count": 1,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["7\n"]}],
        },
    ],
}
XML = (
    f'<?xml version="1.0"?>\n<fruits><fruit kind="plum" count="7">{TEXT}</fruit><!-- none --><![CDATA[a < b]]></fruits>'
)
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><title>Plum</title>'
    '<text x="5" y="20">A plum</text></svg>'
)
RTF = r"{\rtf1\ansi\deff0{\fonttbl{\f0 Times;}}{\b A plum} is a fruit.\par Cr\'e8me \u8364? is none.\par}"
EML = (
    "From: Ann Example <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: =?utf-8?q?Cr=C3=A8me?= and plums\r\n"
    "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="line"\r\n\r\n'
    "--line\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "A plum is a fruit =E2=82=AC.\r\n--line\r\nContent-Type: text/html\r\n\r\n<p>A <b>plum</b> is a fruit.</p>\r\n"
    "--line\r\nContent-Type: application/octet-stream; name=plum.bin\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename=plum.bin\r\n\r\nAAECAwQF\r\n--line--\r\n"
)
ODT_TYPE = "application/vnd.oasis.opendocument.text"

MHTML = (
    "From: <saved by a browser>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=line\r\n\r\n"
    f"--line\r\nContent-Type: text/html; charset=utf-8\r\nContent-Location: http://localhost/\r\n\r\n{HTML}\r\n--line--\r\n"
)


def odt(body: str, *, declared: str = "") -> bytes:
    """A document of OpenOffice whose body is the XML `body`."""
    spaces = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?>{declared}<office:document-content xmlns:office="{spaces}:office:1.0" '
        f'xmlns:text="{spaces}:text:1.0" office:version="1.2"><office:body><office:text>{body}'
        "</office:text></office:body>"
        "</office:document-content>"
    )
    return zips.archive(zips.entry("mimetype", ODT_TYPE, method=zips.STORED), zips.entry("content.xml", content))


def epub(chapter: str) -> bytes:
    """A book of one chapter."""
    container = (
        '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        "<rootfiles>"
        '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    book = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest><item id="c" '
        'href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>'
    )
    return zips.archive(
        zips.entry("mimetype", "application/epub+zip", method=zips.STORED),
        zips.entry("META-INF/container.xml", container),
        zips.entry("book.opf", book),
        zips.entry("c.xhtml", chapter),
    )


@cache
def docx() -> bytes:
    """A document with a heading, text and a table."""
    heading = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Fruit</w:t></w:r></w:p>'
    cells = "".join(f"<w:tc><w:tcPr/>{ooxml.paragraph(text)}</w:tc>" for text in ("plum", "7"))
    table = f"<w:tbl><w:tblPr/><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid><w:tr>{cells}</w:tr></w:tbl>"
    return ooxml.docx(heading + ooxml.paragraph(TEXT) * 3 + table)


@cache
def xlsx() -> bytes:
    """A workbook of two sheets with text, numbers, a date and a formula."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(["kind", "count", "when"])
    for number in range(20):
        sheet.append([f"plum {number}", number * 1.5, "2026-11-02"])
    sheet["D2"] = "=SUM(B2:B9)"
    sheet.merge_cells("A20:B21")
    book.create_sheet("Other").append(["pear", True])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@cache
def parquet() -> bytes:
    """A table of four columns."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pa.table(
        {"kind": [f"plum {n}" for n in range(50)], "count": list(range(50)), "share": [n / 7 for n in range(50)]}
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=20)
    return stream.getvalue()


def _picture(kind: str, **more: int) -> Callable[[], bytes]:
    return lambda: pictures.drawn("Invoice 42", kind, **more)


SEEDS: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "txt": TEXT.encode,
        "md": MARKDOWN.encode,
        "html": HTML.encode,
        "csv": CSV.encode,
        "tsv": CSV.replace(",", "\t").encode,
        "json": json.dumps(RECORDS, indent=1).encode,
        "jsonl": "".join(json.dumps(each) + "\n" for each in RECORDS).encode,
        "xml": XML.encode,
        "svg": SVG.encode,
        "ipynb": json.dumps(NOTEBOOK).encode,
        "xlsx": xlsx,
        "xls": lambda: ole.xls([["kind", "count"], ["plum", 7.0]]),
        "parquet": parquet,
        "pdf": lambda: pdf.pdf("A plum is a fruit.\nIt grows on trees.", "Second page"),
        "docx": docx,
        "pptx": ooxml.pptx,
        "odt": lambda: odt("<text:h>Fruit</text:h><text:p>A plum is a fruit.</text:p>"),
        "rtf": RTF.encode,
        "eml": EML.encode,
        "msg": lambda: ole.msg("Plums", "A plum is a fruit."),
        "mbox": lambda: b"From ann@example.org Mon Nov  2 10:00:00 2026\n" + EML.replace("\r\n", "\n").encode() + b"\n",
        "epub": lambda: epub(
            "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>A plum is a fruit.</p></body></html>"
        ),
        "zip": lambda: zips.zipped({"a.txt": TEXT}),
        "txt.gz": lambda: gzip.compress(TEXT.encode(), mtime=0),
        "mhtml": MHTML.encode,
        "srt": lambda: b"".join(
            b"%d\n00:00:0%d,000 --> 00:00:0%d,500\nA plum, %d.\n\n" % (n, n, n, n) for n in range(1, 9)
        ),
        "png": _picture("PNG"),
        "jpeg": _picture("JPEG"),
        "gif": _picture("GIF"),
        "tiff": _picture("TIFF", frames=2),
        "bmp": _picture("BMP"),
        "webp": _picture("WEBP"),
    }
)
"""What makes a good file, by its ending."""
