"""What somebody writes by hand: one process, the fastest library for each format, chunks of exact tokens as JSON lines.

`python -m benchmarks.documents.by_hand LISTING ROOT OUT [--markdown]`; it knows nothing of this project. Sentences are
packed greedily up to 800 tokens with up to 150 tokens of overlap. Nothing is checked: no limits, no bombs, no changed
files, no encodings but UTF-8, no secrets, no provenance, and the first bad file ends it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

MAX_TOKENS, OVERLAP = 800, 150
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
TOKENIZER = "o200k_base"
_BATCH = 1 << 18
KEEP_MARKDOWN = "--markdown" in sys.argv


def text_file(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        while block := file.read(_BATCH):
            yield block + file.readline()


def html(path: Path) -> Iterator[str]:
    if KEEP_MARKDOWN:
        import html_to_markdown

        found = html_to_markdown.convert(path.read_text(encoding="utf-8"))
        yield found if isinstance(found, str) else found.content
        return
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(path.read_bytes())
    for node in tree.css("script, style, nav, footer"):
        node.decompose()
    yield tree.body.text(separator="\n")


def csv_file(path: Path) -> Iterator[str]:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from table(csv.reader(file))


def xlsx(path: Path) -> Iterator[str]:
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(str(path))
    for name in book.sheet_names:
        yield f"## {name}\n"
        yield from table(map(str, row) for row in book.get_sheet_by_name(name).to_python())


def parquet(path: Path) -> Iterator[str]:
    from pyarrow import parquet as pq

    file = pq.ParquetFile(path)
    yield from table([file.schema_arrow.names])
    for batch in file.iter_batches(batch_size=5000):
        columns = [map(str, column.to_pylist()) for column in batch.columns]
        yield from table(zip(*columns, strict=True))


def table(rows: object) -> Iterator[str]:
    lines, chars = [], 0
    for row in rows:  # type: ignore[attr-defined]
        line = "| " + " | ".join(row) + " |\n"
        lines.append(line)
        chars += len(line)
        if chars > _BATCH:
            yield "".join(lines)
            lines, chars = [], 0
    yield "".join(lines)


def pdf(path: Path) -> Iterator[str]:
    from pdf_oxide import PdfDocument

    document = PdfDocument(str(path))
    for page in range(document.page_count()):
        yield document.extract_text(page) + "\n\n"


def docx(path: Path) -> Iterator[str]:
    import docx as word

    parts = []
    for block in word.Document(str(path)).iter_inner_content():
        if hasattr(block, "rows"):
            parts += [" | ".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            parts.append(block.text)
    yield "\n".join(parts)


def pptx(path: Path) -> Iterator[str]:
    import pptx as powerpoint

    parts = []
    for slide in powerpoint.Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                parts.append(shape.text_frame.text)
            elif shape.has_table:
                parts += [" | ".join(cell.text for cell in row.cells) for row in shape.table.rows]
        if slide.has_notes_slide:
            parts.append(slide.notes_slide.notes_text_frame.text)
    yield "\n".join(parts)


def eml(path: Path) -> Iterator[str]:
    from email import message_from_bytes, policy

    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    yield f"Subject: {message['Subject']}\nFrom: {message['From']}\nTo: {message['To']}\n\n"
    body = message.get_body(preferencelist=("plain", "html"))
    yield body.get_content() if body else ""


Reader = Callable[[Path], Iterator[str]]
READERS: Mapping[str, Reader] = {
    "txt": text_file,
    "md": text_file,
    "json": text_file,
    "jsonl": text_file,
    "html": html,
    "csv": csv_file,
    "xlsx": xlsx,
    "parquet": parquet,
    "pdf": pdf,
    "docx": docx,
    "pptx": pptx,
    "eml": eml,
}


def packed(pieces: Iterator[str]) -> Iterator[tuple[str, int]]:
    """Chunks with their tokens."""
    from toktok import batch_count

    held: list[tuple[str, int]] = []
    total = 0
    for piece in pieces:
        sentences = [each for each in _SENTENCE.split(piece) if each]
        counts = batch_count(sentences, TOKENIZER, 1)
        for sentence, count in zip(sentences, counts, strict=True):
            for part, size in [(sentence, count)] if count < MAX_TOKENS else _split(sentence):
                if total + size + 1 > MAX_TOKENS:
                    yield "\n".join([each for each, _ in held]), total
                    held, total = _end(held)
                held.append((part, size + 1))
                total += size + 1
    if held:
        yield "\n".join([each for each, _ in held]), total


def _end(held: list[tuple[str, int]]) -> tuple[list[tuple[str, int]], int]:
    """The last sentences, as many as the overlap holds."""
    total, first = 0, len(held)
    while first and total + held[first - 1][1] <= OVERLAP:
        first -= 1
        total += held[first][1]
    return held[first:], total


def _split(sentence: str) -> Iterator[tuple[str, int]]:
    """A sentence that is too long, cut where the tokens end."""
    from toktok import truncate

    while sentence:
        kept, total = truncate(sentence, OVERLAP, TOKENIZER)
        kept = kept or sentence[:1]
        yield kept, min(total, OVERLAP)
        sentence = sentence[len(kept) :]


def main(listing: str, root: str, out: str, readers: Mapping[str, Reader] = READERS) -> None:
    """Chunks of every file of the listing, as JSON lines in `out`."""
    from orjson import OPT_APPEND_NEWLINE, dumps

    with open(out, "wb") as lines:
        for name in json.loads(Path(listing).read_text()):
            reader = readers[name.rpartition(".")[2]]
            for index, (text, tokens) in enumerate(packed(reader(Path(root, name)))):
                row = {"source": name, "index": index, "tokens": tokens, "text": text}
                lines.write(dumps(row, option=OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if not word.startswith("--")])
