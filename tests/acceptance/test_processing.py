from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import unicodedata
from datetime import date
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toktok

from acceptance.outside import CHUNK_KEYS, DOC_KEYS, ERROR_KEYS, Project, Said, assert_keys, chain_yaml, fmf_yaml
from peers.scripted_server import ScriptedServer
from unit.fmf.processing.pdf_files import pdf
from unit.fmf.processing.rendered import drawn, saved

MARKDOWN = """\
# Brakes

Some *words* before a list:

* one
  * nested, with `code`
* two

1. first
2. second

```python
def stop(car):
    if car.fast:

        car.brake()
```

## Table

| part | state |
| --- | --- |
| pad | worn |

Last words.
"""
CSV = (
    '\ufeffName;Comment;Score\r\nAnn;"It stopped\r\nin the rain";4\r\nBob;a | b;5\r\n"Carl; the ""third""";plain;6\r\n'
)
UTF16 = "Grüße aus Łódź: 日本語のテキスト"
LATIN = "Die Größe der Bremsbeläge wurde überprüft; das Ergebnis war für alle Räder in Ordnung. Café, naïve, señor."
GOOD = {
    "brakes.md": MARKDOWN.encode(),
    "comments.csv": CSV.encode(),
    "wide.txt": UTF16.encode("utf-16"),
    "latin.txt": LATIN.encode("latin-1"),
    "plain.txt": b"Plain words.\n",
}
# The capabilities that let root read everything: without them a file of mode 0 is unreadable for root too.
ORDINARY = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2): ctypes.CDLL(None).prctl(24, capability)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


def names_of(records: list[dict[str, object]]) -> list[str]:
    """The file names that records are about."""
    return [str(record["source_uri"]).rpartition("/")[2] for record in records]


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """`fmf process` over good, empty, unknown, binary and unreadable files."""
    project = Project(tmp_path_factory.mktemp("mixed"))
    project.write({"fmf.yaml": fmf_yaml()})
    project.write({f"data/{name}": content for name, content in GOOD.items()})
    project.write(
        {
            "data/binary.txt": bytes(range(256)) * 20,
            "data/closed.txt": "nobody may read this",
            "data/empty.md": b"",
            "data/archive.xyz": b"\x00\x01\x02",
            "data/picture.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        }
    )
    (project.root / "data" / "closed.txt").chmod(0)
    before = (sys.executable, "-c", ORDINARY) if os.geteuid() == 0 and sys.platform == "linux" else ()
    return project.fmf("process", "--connector", "docs", before=before)


def doc_of(told: Said, name: str) -> dict[str, object]:
    """The record of one file."""
    [doc] = [doc for doc in told.run.docs if doc["source_uri"].endswith(f"/{name}")]
    return doc


# Behaviour 24, and bad files among good ones


@pytest.mark.behaviour(24)
def test_process_leaves_documents_and_chunks_with_their_provenance(mixed):
    """Behaviour 24: docs.jsonl and chunks.jsonl with source_uri and hash; every file ends in one counted state."""
    mixed.refused(10)
    run = mixed.run
    assert list(mixed.facts) == ["run_id", "run_dir", "docs", "chunks", "skipped", "failed"]
    assert run.path.name == mixed.facts["run_id"]
    assert run.path.parent.name == "artefacts"
    counted = {state: [doc for doc in run.docs if doc["status"] == state] for state in ("ok", "skipped", "failed")}
    assert {"docs": len(counted["ok"]), "skipped": len(counted["skipped"]), "failed": len(counted["failed"])} == {
        key: int(mixed.facts[key]) for key in ("docs", "skipped", "failed")
    }
    assert len(run.docs) == 10 == len({doc["source_uri"] for doc in run.docs})
    assert names_of(counted["ok"]) == sorted(GOOD)
    assert len(run.chunks) == int(mixed.facts["chunks"])
    assert_keys(run.docs, DOC_KEYS)
    assert_keys(run.chunks, CHUNK_KEYS)
    by_id = {doc["doc_id"]: doc for doc in run.docs}
    for chunk in run.chunks:
        assert chunk["source_uri"] == by_id[chunk["doc_id"]]["source_uri"]
    for name, content in GOOD.items():
        doc = doc_of(mixed, name)
        assert doc["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert doc["bytes"] == len(content)
        assert doc["source_uri"].startswith("file:///")
    assert doc_of(mixed, "brakes.md")["media_type"] == "text/markdown"
    assert doc_of(mixed, "comments.csv")["media_type"] == "text/csv"
    assert doc_of(mixed, "plain.txt")["media_type"] == "text/plain"


@pytest.mark.behaviour(24)
def test_unknown_kinds_are_listed_as_skipped(mixed):
    """Behaviour 24: an unknown type is listed as skipped, and so is an empty file (bad input)."""
    skipped = [doc for doc in mixed.run.docs if doc["status"] == "skipped"]
    assert names_of(skipped) == ["archive.xyz", "empty.md", "picture.png"]


def test_unreadable_and_binary_files_are_one_error_record_each(mixed):
    """Bad input: an unreadable and a binary file among good ones are one record each; the rest is done, exit 10."""
    mixed.refused(10)
    errors = mixed.run.errors
    assert names_of(errors) == ["binary.txt", "closed.txt"]
    assert_keys(errors, ERROR_KEYS)
    assert [error["stage"] for error in errors] == ["read", "connect"]
    for error in errors:
        assert error["message"]
        assert error["hint"]
        assert error["run_id"] == mixed.facts["run_id"]
        assert error["doc_id"] in {doc["doc_id"] for doc in mixed.run.docs if doc["status"] == "failed"}
    record = mixed.run.record
    assert record["status"] == "partial"
    assert record["errors"]["count"] == 2
    assert record["counts"]["documents"] == 10


def test_a_folder_of_bad_files_alone_ends_with_the_status_of_processing(project):
    """When every document failed the status is that of the failures' kind: 5."""
    project.write({"fmf.yaml": fmf_yaml(), "data/bad.txt": b"\x00\x01\x02\x03", "data/worse.md": bytes(range(256))})
    told = project.fmf("process", "--connector", "docs")
    told.refused(5)
    assert told.facts["failed"] == "2"
    assert told.run.record["status"] == "failed"


# Behaviours 16, 17, 21


@pytest.mark.behaviour(16)
def test_markdown_survives(mixed):
    """Behaviour 16: headings, lists, tables and code fences stand in docs.jsonl as they were written."""
    doc = doc_of(mixed, "brakes.md")
    assert doc["text"] == MARKDOWN
    assert doc["title"] == "Brakes"
    assert doc["text_chars"] == len(MARKDOWN)


@pytest.mark.behaviour(17)
def test_a_csv_becomes_a_markdown_table(mixed):
    """Behaviour 17: byte order mark, semicolons, a quoted line break, a pipe: right header, valid table."""
    doc = doc_of(mixed, "comments.csv")
    lines = doc["text"].strip().split("\n")
    assert len(lines) == 5
    rows = [split_row(line) for line in lines]
    assert rows[0] == ["Name", "Comment", "Score"]
    assert all(set(cell) <= set("-: ") and "-" in cell for cell in rows[1])
    assert rows[2][0] == "Ann"
    assert rows[2][1].startswith("It stopped")
    assert rows[2][1].endswith("in the rain")
    assert rows[3] == ["Bob", "a | b", "5"]
    assert rows[4] == ['Carl; the "third"', "plain", "6"]
    assert {len(row) for row in rows} == {3}


def split_row(line: str) -> list[str]:
    """The cells of one line of a Markdown table; an escaped pipe is part of its cell."""
    assert line.startswith("|")
    assert line.endswith("|")
    return [cell.strip().replace("\0", "|") for cell in line[1:-1].replace("\\|", "\0").split("|")]


@pytest.mark.behaviour(21)
def test_other_encodings_are_decoded(mixed):
    """Behaviour 21: UTF-16 and Latin-1 are decoded; no replacement character anywhere."""
    assert doc_of(mixed, "wide.txt")["text"].strip() == UTF16
    assert doc_of(mixed, "latin.txt")["text"].strip() == LATIN
    for name in ("docs.jsonl", "chunks.jsonl"):
        assert "\ufffd" not in (mixed.run.path / name).read_text(encoding="utf-8")


# Behaviour 22

SENTENCE = " ".join(f"word{number % 97}" for number in range(5_000)) + "."
CHINESE = "制动系统在雨天发出尖锐的声音，客户要求更换所有部件。" * 200
COMBINED = unicodedata.normalize("NFD", "Müßiggänger und Größen über alles. ") * 60 + "👩‍👩‍👧‍👦🇩🇪" * 100
HARD = {"sentence.txt": SENTENCE, "chinese.txt": CHINESE, "combined.txt": COMBINED, "brakes.md": MARKDOWN * 5}


def chunked(root: Path, seed: str, **chunking: int) -> Said:
    """`fmf process` over texts that are hard to cut."""
    project = Project(root, {"PYTHONHASHSEED": seed})
    processing = {"text": {"chunking": chunking}}
    project.write({"fmf.yaml": fmf_yaml(processing=processing)})
    project.write({f"data/{name}": text for name, text in HARD.items()})
    return project.fmf("process", "--connector", "docs").well()


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """The same texts in two places, and with an overlap that is larger than a chunk."""
    return {
        "here": chunked(tmp_path_factory.mktemp("here"), "1", max_tokens=64, overlap=16),
        "there": chunked(tmp_path_factory.mktemp("there"), "2", max_tokens=64, overlap=16),
        "overlapping": chunked(tmp_path_factory.mktemp("over"), "3", max_tokens=40, overlap=400),
    }


@pytest.mark.behaviour(22)
@pytest.mark.parametrize(("which", "max_tokens"), [("here", 64), ("overlapping", 40)])
def test_no_chunk_is_too_long_and_together_they_are_the_text(cut, which, max_tokens):
    """Behaviour 22: no chunk above max_tokens by an independent count; text == document[start:end]; nothing is lost."""
    run = cut[which].run
    texts = {doc["doc_id"]: doc["text"] for doc in run.docs}
    assert len(texts) == len(HARD)
    counts = toktok.batch_count([chunk["text"] for chunk in run.chunks], "o200k_base", 1)
    for chunk, count in zip(run.chunks, counts, strict=True):
        assert chunk["tokens"] == count <= max_tokens
        assert chunk["text"] == texts[chunk["doc_id"]][chunk["start"] : chunk["end"]]
    for doc_id, text in texts.items():
        chunks = [chunk for chunk in run.chunks if chunk["doc_id"] == doc_id]
        assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
        assert len(chunks) > 1
        covered = 0
        for chunk in chunks:
            assert not text[covered : chunk["start"]].strip(), "only white space may be left out between chunks"
            assert chunk["end"] > covered, "every chunk goes on"
            covered = chunk["end"]
        assert not text[covered:].strip()
        assert text.strip().replace(" ", "")
    originals = sorted("".join(text.split()) for text in HARD.values())
    assert sorted("".join(text.split()) for text in texts.values()) == originals


@pytest.mark.behaviour(22)
def test_ids_are_the_same_on_every_machine(cut):
    """Behaviour 22: ids are stable across runs, folders and hash seeds."""
    here, there = cut["here"].run, cut["there"].run
    assert [chunk["chunk_id"] for chunk in here.chunks] == [chunk["chunk_id"] for chunk in there.chunks]
    assert [doc["doc_id"] for doc in here.docs] == [doc["doc_id"] for doc in there.docs]
    assert len({chunk["chunk_id"] for chunk in here.chunks}) == len(here.chunks)
    assert [chunk["text"] for chunk in here.chunks] == [chunk["text"] for chunk in there.chunks]


@pytest.mark.behaviour(22)
@pytest.mark.parametrize("strategy", ["by_heading", "by_paragraph", "by_sentence", "by_row"])
def test_other_strategies_keep_the_same_promises(project, strategy):
    """Behaviour 22: by section, paragraph, sentence and row, too, chunks are exact, short enough and the whole text."""
    chunking = {"strategy": strategy, "max_tokens": 64, "overlap": 16}
    project.write({"fmf.yaml": fmf_yaml(processing={"text": {"chunking": chunking}})})
    project.write({f"data/{name}": text for name, text in HARD.items()})
    run = project.fmf("process", "--connector", "docs").well().run
    texts = {doc["doc_id"]: doc["text"] for doc in run.docs}
    counts = toktok.batch_count([chunk["text"] for chunk in run.chunks], "o200k_base", 1)
    assert max(counts) <= 64
    assert counts == [chunk["tokens"] for chunk in run.chunks]
    for doc_id, text in texts.items():
        covered = 0
        for chunk in run.chunks:
            if chunk["doc_id"] == doc_id:
                assert chunk["text"] == text[chunk["start"] : chunk["end"]]
                assert not text[covered : chunk["start"]].strip()
                covered = chunk["end"]
        assert not text[covered:].strip()


# Behaviour 15

MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"exit_code": done.returncode, "stdout": done.stdout, "maxrss": peak}))
"""


@pytest.mark.behaviour(15)
def test_a_large_file_needs_little_memory(project):
    """Behaviour 15: a file of 100 MB goes through `process` with a peak below 300 MB."""
    lines = [f"{number}: the quick brown fox jumps over the lazy dog, and nobody minds.\n" for number in range(1000)]
    block = "".join(lines).encode()
    (project.root / "data").mkdir()
    with (project.root / "data" / "large.txt").open("wb") as file:
        while file.tell() < 100_000_000:
            file.write(block)
    project.write({"fmf.yaml": fmf_yaml()})
    # Through a small process of its own: a child begins with the highest memory of the one that started it, and this
    # one may have had a language model.
    measured = project.python(MEASURED, *project.command("process", "--connector", "docs"))
    said = Said(measured["exit_code"], measured["stdout"], "").well()
    assert said.facts["docs"] == "1"
    assert int(said.facts["chunks"]) > 20_000
    peak = measured["maxrss"] * (1 if sys.platform == "darwin" else 1024)
    assert peak < 300_000_000, f"{peak / 1e6:.0f} MB"
    assert said.run.record["inputs"]["bytes"] >= 100_000_000
    for path in project.root.rglob("*.*"):
        if path.is_file():
            path.unlink()


# Behaviour 23

OCR = {"enabled": True}
PLUGIN = """\
class Loud:
    def __init__(self, settings):
        self.settings = settings

    def read(self, image):
        return f"a picture of {image.width} by {image.height} in {self.settings.lang}"
"""
PUBLISHED = "Metadata-Version: 2.1\nName: loud-ocr\nVersion: 1.0\n"


def pictures(project: Project, **ocr: object) -> Project:
    """Two pictures with text among other files, and OCR as given."""
    project.write({"fmf.yaml": fmf_yaml(processing={"images": {"ocr": {**OCR, **ocr}}})})
    return project.write(
        {
            "data/one.png": saved(drawn("The brakes squeal in the rain.")),
            "data/two.jpg": saved(drawn("Both pads had worn down."), "JPEG"),
            "data/plain.txt": "Plain words.\n",
        }
    )


@pytest.mark.behaviour(23)
def test_without_tesseract_pictures_fail_with_its_name_and_the_rest_goes_on(project):
    """Behaviour 23: OCR is on and Tesseract is not there: each picture fails with its name, other files are read."""
    pictures(project)
    project.write({"elsewhere/tesserocr.py": "raise ImportError('not here', name='tesserocr')\n"})
    told = project.fmf("process", "--connector", "docs", env={"PYTHONPATH": str(project.root / "elsewhere")})
    told.refused(10)
    assert {doc["status"] for doc in told.run.docs if doc["media_type"].startswith("image/")} == {"failed"}
    assert doc_of(told, "plain.txt")["status"] == "ok"
    assert names_of(told.run.errors) == ["one.png", "two.jpg"]
    for error in told.run.errors:
        assert "'tesseract' needs 'tesserocr'" in error["message"]
        assert "[ocr]" in error["hint"]


@pytest.mark.behaviour(23)
def test_with_tesseract_pictures_become_text(project):
    """Behaviour 23, the other half: what stands in the pictures is in docs.jsonl, and how sure the engine was."""
    told = pictures(project).fmf("process", "--connector", "docs").well()
    assert doc_of(told, "one.png")["text"] == "The brakes squeal in the rain."
    two = doc_of(told, "two.jpg")
    assert two["text"] == "Both pads had worn down."
    assert two["metadata"]["ocr_engine"] == "tesseract"
    assert two["metadata"]["confidence"] > 80


@pytest.mark.behaviour(23)
def test_an_engine_that_a_plugin_brings_is_picked(project):
    """Behaviour 23: `engine: loud` is found under the entry points of an installed distribution."""
    pictures(project, engine="loud", lang="klingon")
    project.write(
        {
            "site/loud.py": PLUGIN,
            "site/loud_ocr-1.0.dist-info/METADATA": PUBLISHED,
            "site/loud_ocr-1.0.dist-info/entry_points.txt": "[fmf.ocr]\nloud = loud:Loud\n",
        }
    )
    told = project.fmf("process", "--connector", "docs", env={"PYTHONPATH": str(project.root / "site")}).well()
    assert re.fullmatch(r"a picture of \d+ by \d+ in klingon", str(doc_of(told, "one.png")["text"]))
    assert doc_of(told, "one.png")["metadata"]["ocr_engine"] == "loud"


def test_pdfs_and_scans_are_read_with_their_pages(project):
    """A PDF with a page of text and a scanned one, one that is cut off, and one that is a scan while OCR is off."""
    mixed = pdf(["Typed brakes."]), pdf(["Typed.", drawn("A scanned page about brakes.", border=300)])
    project.write({"fmf.yaml": fmf_yaml()})
    project.write({"data/cut.pdf": mixed[0][:-60], "data/mixed.pdf": mixed[1], "data/scan.pdf": pdf([drawn("Brakes")])})
    told = project.fmf("process", "--connector", "docs")
    told.refused(10)
    assert doc_of(told, "mixed.pdf")["metadata"]["pages_without_text"] == [2]
    messages = {name: error["message"] for name, error in zip(names_of(told.run.errors), told.run.errors, strict=True)}
    assert "is cut off" in messages["cut.pdf"]
    assert "processing.images.ocr.enabled is off" in messages["scan.pdf"]
    told = project.fmf("process", "--connector", "docs", "--set", "processing.images.ocr.enabled=true")
    assert str(doc_of(told, "mixed.pdf")["text"]).startswith("Typed.\n\nA")
    assert "scanned page about brakes" in str(doc_of(told, "mixed.pdf")["text"])
    assert doc_of(told, "scan.pdf")["status"] == "ok"


# Behaviours 18, 19 and 25


def workbook(**sheets: list[list[object]]) -> bytes:
    """A workbook with these sheets, each a list of rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(rows: int) -> bytes:
    """A Parquet file with so many numbered rows, in several groups."""
    file = io.BytesIO()
    table = pa.table({"number": range(rows), "name": [f"part {number}" for number in range(rows)]})
    pq.write_table(table, file, row_group_size=300)
    return file.getvalue()


THREE_SHEETS = {
    "First": [["part", "price"], ["pad", 12.5]],
    "Second": [["day"], [date(2024, 2, 15)]],
    "Third": [["worn"], [True]],
}


def tables_read(root: Path, **tables: object) -> Said:
    """`fmf process` over a workbook and a Parquet file."""
    project = Project(root)
    project.write({"fmf.yaml": fmf_yaml(processing={"tables": tables}), "data/book.xlsx": workbook(**THREE_SHEETS)})
    project.write({"data/rows.parquet": parquet(1000)})
    return project.fmf("process", "--connector", "docs").well()


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Both, as they are read by default."""
    return tables_read(tmp_path_factory.mktemp("tables"))


@pytest.mark.behaviour(18)
def test_every_sheet_of_a_workbook_is_read_with_its_name_when_asked(tables, tmp_path):
    """Behaviour 18: an xlsx with 3 sheets: all of them, their names above them when asked for, and not otherwise."""
    text = doc_of(tables, "book.xlsx")["text"]
    assert [line for line in text.splitlines() if line.startswith("#")] == ["## First", "## Second", "## Third"]
    for row in ("| pad | 12.5 |", "| 2024-02-15 |", "| true |"):
        assert row in text
    without = doc_of(tables_read(tmp_path, include_sheet_names=False, to_markdown=False), "book.xlsx")
    assert without["text"] == "part\tprice\npad\t12.5\n\nday\n2024-02-15\n\nworn\ntrue\n"


@pytest.mark.behaviour(18)
def test_chunks_of_a_workbook_know_their_sheet_and_row(tables):
    """Behaviour 18, and provenance: a chunk says on which sheet and in which rows of it it stands."""
    book = doc_of(tables, "book.xlsx")
    [chunk] = [chunk for chunk in tables.run.chunks if chunk["doc_id"] == book["doc_id"]]
    assert chunk["place"]["sheet"] == "First"
    assert chunk["place"]["last_sheet"] == "Third"
    rows = doc_of(tables, "rows.parquet")
    places = [chunk["place"] for chunk in tables.run.chunks if chunk["doc_id"] == rows["doc_id"]]
    assert len(places) > 3
    assert places[0]["row"] == 1
    assert places[-1]["last_row"] == 1000


@pytest.mark.behaviour(19)
def test_every_row_of_a_parquet_file_is_read(tables):
    """Behaviour 19: a Parquet file of 1,000 rows in several groups: all of them, in their order."""
    doc = doc_of(tables, "rows.parquet")
    lines = doc["text"].splitlines()
    assert lines == ["| number | name |", "| --- | --- |", *(f"| {number} | part {number} |" for number in range(1000))]
    assert doc["metadata"]["rows"] == 1000


def with_a_corrupt_workbook(project: Project, base_url: str, *, continue_on_error: bool) -> Said:
    """A chain over ten good files, and a workbook of which the second half is missing."""
    good = workbook(**THREE_SHEETS)
    project.write({f"data/good-{number}.xlsx": good for number in range(10)})
    project.write({"data/bad.xlsx": good[: len(good) // 2], "fmf.yaml": fmf_yaml(base_url)})
    steps = {"id": "sum", "prompt": "inline: Sum up {{ t }}", "inputs": {"t": "${chunk.text}"}, "output": "s"}
    project.write({"chain.yaml": chain_yaml(steps, continue_on_error=continue_on_error)})
    return project.fmf("run", "--chain", "chain.yaml")


@pytest.mark.behaviour(25)
def test_a_corrupt_workbook_among_good_ones_is_one_error(project):
    """Behaviour 25: ten good files and a corrupt one with `continue_on_error`: ten are done, the bad one is listed."""
    with ScriptedServer() as server:
        said = with_a_corrupt_workbook(project, server.base_url, continue_on_error=True)
        said.refused(10)
        assert server.count == 10
    assert len(said.run.of("sum")) == 10
    [error] = said.run.errors
    assert error["source_uri"].endswith("/bad.xlsx")
    assert "damaged or not an xlsx file" in error["message"]
    assert error["hint"]
    assert said.run.record["status"] == "partial"


@pytest.mark.behaviour(25)
def test_a_corrupt_workbook_ends_the_run_before_a_model_is_asked(project):
    """Behaviour 25: the same without `continue_on_error`: status 5, and nobody was asked."""
    with ScriptedServer() as server:
        said = with_a_corrupt_workbook(project, server.base_url, continue_on_error=False)
        said.refused(5)
        assert server.count == 0
