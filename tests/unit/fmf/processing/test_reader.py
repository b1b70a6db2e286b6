"""Every resource ends in exactly one state, with its reason."""

from __future__ import annotations

import hashlib
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.connectors.local import LocalConnector
from fmf.errors import ConfigError, ConnectorError, ProcessingError
from fmf.processing import reader as reader_module
from fmf.processing import settled
from fmf.processing.loaders.base import Loaded, loaders
from fmf.processing.reader import Reader, check_settings
from fmf.types import Chunk, Document
from fmf_core.errors import Code
from fmf_core.redact import add_secret
from unit.fmf.processing.loaders.mails import attached, folder, mail, multipart
from unit.fmf.processing.memory import MemoryConnector

SMALL = {"text": {"chunking": {"max_tokens": 20, "overlap": 5}}}


def read(data: bytes, name: str = "docs/a.md", *, want_text: bool = False, **settings) -> list[Document | Chunk]:
    connector = MemoryConnector({name: data})
    return list(Reader(connector, ProcessingConfig(**settings)).read(connector.ref(name), want_text=want_text))


def final(data: bytes, name: str = "docs/a.md", **settings) -> Document:
    *_, document = read(data, name, **settings)
    assert isinstance(document, Document)
    return document


def test_a_document_opens_gives_its_chunks_and_ends():
    data = "# Title\n\n" + "A sentence with some words in it. " * 20
    first, *chunks, last = read(data.encode(), **SMALL)
    sha256 = hashlib.sha256(data.encode()).hexdigest()
    assert (first.status, first.title, first.bytes, first.hash) == ("open", "Title", len(data), f"sha256:{sha256}")
    assert first.media_type == "text/markdown"
    assert first.doc_id == hashlib.sha256(f"docs/a.md\0{sha256}".encode()).hexdigest()[:24]
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.chunk_id for chunk in chunks] == [f"{first.doc_id}-{index:06d}" for index in range(len(chunks))]
    assert {(chunk.doc_id, chunk.source_uri) for chunk in chunks} == {(first.doc_id, "memory://docs/a.md")}
    assert (last.status, last.chunks, last.text_chars, last.reason) == ("ok", len(chunks), len(data) - 1, None)
    assert all(chunk.text == last.text[chunk.start : chunk.end] for chunk in chunks)
    assert last.metadata == {"source_path": "docs/a.md"}


def test_a_registered_secret_is_blanked_before_the_text_is_cut():
    add_secret("correct-horse-battery-staple")
    data = "some words before it " * 3 + "correct-horse-battery-staple" + " and some words after it" * 3
    _, *chunks, last = read(data.encode(), text={"chunking": {"max_tokens": 8, "overlap": 0}})
    assert last.text == data.replace("correct-horse-battery-staple", "[REDACTED]")
    assert all(chunk.text == last.text[chunk.start : chunk.end] for chunk in chunks)
    assert "horse" not in "".join(chunk.text for chunk in chunks)


def test_the_same_file_has_the_same_ids_wherever_it_is_read():
    first, second = (read(b"Some text. " * 50, **SMALL) for _ in range(2))
    assert first == second
    assert final(b"x", "b.md").doc_id != final(b"x", "c.md").doc_id
    assert final(b"x").doc_id != final(b"y").doc_id


@pytest.mark.parametrize(
    ("name", "data", "status", "reason"),
    [
        ("a.txt", b"", "skipped", "the file is empty"),
        ("a.pdf", b"", "skipped", "the file is empty"),
        ("a.xyz", b"what", "skipped", ".xyz are not known"),
        ("noext", b"\0\1\2", "skipped", "its bytes are binary"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "skipped", "processing.images.ocr.enabled is off"),
        ("a.pdf", b"%PDF-1.7", "failed", "a.pdf is cut off"),
        ("a.docx", b"PK", "failed", "damaged or not a docx file"),
        ("a.txt", b"%PDF-1.7", "failed", "a.txt is cut off"),
        ("a.txt", b"text\0more", "failed", "is binary"),
        ("a.md", b"\xff\xfe\x00", "failed", "no valid utf-16-le"),
        ("a.txt", b" \n\t\n", "failed", "5 bytes and no text".replace("5", "4")),
        ("a.csv", b",,\n,,\n", "failed", "and no text"),
        ("a.json", b'{"a": 1}', "ok", None),
    ],
)
def test_each_state_says_why(name, data, status, reason):
    document = final(data, name)
    assert document.status == status
    assert (reason is None and document.reason is None) or reason in document.reason
    assert (document.error is not None) == (status == "failed")
    assert document.text is None or status == "ok"
    if status == "failed":
        assert isinstance(document.error, ProcessingError)
        assert document.error.hint


def test_pictures_and_tables_follow_the_settings():
    picture = final(b"\x89PNG\r\n\x1a\n", "a.png", images={"ocr": {"enabled": True}})
    assert "a.png cannot be read as a picture" in picture.reason
    assert final(b"a,b\n", "a.csv", tables={"formats": ["xlsx"]}).status == "skipped"
    assert final(b"a,b\n1,2\n", "a.csv", tables={"to_markdown": False}).text == "a\tb\n1\t2\n"


def test_metadata_follows_the_settings():
    document = final(b"x", metadata={"include_source_path": False, "include_hash": None})
    assert document.metadata == {}
    assert document.hash is None
    assert document.doc_id == final(b"x").doc_id
    assert final("Un café, deux cafés.".encode("cp1252"), "a.txt").metadata["encoding"] == "cp1252"
    table = final(b"a;b\n1;2\n", "a.csv")
    assert table.metadata == {"source_path": "a.csv", "delimiter": ";", "columns": ["a", "b"], "rows": 1}


def test_long_texts_are_carried_only_when_wanted(monkeypatch):
    monkeypatch.setattr(reader_module, "SHORT_TEXT", 10)
    assert final(b"0123456789").text == "0123456789"
    assert final(b"0123456789x").text is None
    assert final(b"0123456789x").text_chars == 11
    *_, wanted = read(b"0123456789x", want_text=True)
    assert wanted.text == "0123456789x"


def test_whole_documents_have_text_and_no_chunks():
    connector = MemoryConnector({"a.md": b"# T\n\ntext", "b.txt": b"\0"})
    reader = Reader(connector, ProcessingConfig())
    document = reader.read_whole(connector.ref("a.md"))
    assert (document.status, document.text, document.chunks, document.title) == ("ok", "# T\n\ntext", 0, "T")
    assert reader.read_whole(connector.ref("b.txt")).status == "failed"


def test_a_resource_that_cannot_be_opened_fails_alone():
    class Connector(MemoryConnector):
        def open(self, ref):
            raise ConnectorError("gone", code=Code.NOT_FOUND)

    connector = Connector({"a.md": b"x"})
    (document,) = Reader(connector, ProcessingConfig()).read(connector.ref("a.md"))
    assert (document.status, document.reason, document.bytes) == ("failed", "gone", 1)
    assert isinstance(document.error, ConnectorError)


def test_too_large_files_name_the_setting():
    document = final(b"x" * 2000, limits={"max_file_mb": 0.001})
    assert document.status == "failed"
    assert "processing.limits.max_file_mb" in document.error.hint


def test_too_slow_files_name_the_setting_and_waiting_readers_do_not_count(monkeypatch):
    ticks = itertools.count(0, 50)
    monkeypatch.setattr(settled.time, "monotonic", lambda: float(next(ticks)))
    slow = final(b"Some text. " * 200, **SMALL)
    assert (slow.status, slow.error.code) == ("failed", Code.TIMEOUT)
    assert "max_seconds_per_file" in slow.error.hint


def test_a_failure_half_way_ends_the_document_as_failed():
    def load(source, settings):
        def pieces():
            yield "Some text. " * 50_000
            raise ProcessingError("the rest is missing", hint="restore it")

        return Loaded(pieces())

    with pytest.MonkeyPatch.context():
        loaders.add("text", load, replace=True)
        try:
            first, *chunks, last = read(b"x", "a.txt")
        finally:
            loaders.remove("text")
    assert first.status == "open"
    assert chunks
    assert (last.status, last.reason, last.text) == ("failed", "the rest is missing", None)


def test_an_unexpected_error_of_a_loader_is_the_files_own():
    loaders.add("pdf", lambda source, settings: 1 / 0, replace=True)
    try:
        document = final(b"%PDF-1.7", "a.pdf")
    finally:
        loaders.remove("pdf")
    assert document.status == "failed"
    assert document.error.code is Code.INTERNAL
    assert "ZeroDivisionError" in document.reason
    assert isinstance(document.error.__cause__, ZeroDivisionError)


def test_abandoned_reading_closes_the_stream():
    stream = io.BytesIO(b"Some text. " * 500)

    class Connector(MemoryConnector):
        def open(self, ref):
            return stream

    connector = Connector({"a.md": stream.getvalue()})
    events = Reader(connector, ProcessingConfig(**SMALL)).read(connector.ref("a.md"))
    next(events)
    events.close()
    assert stream.closed


def test_settings_that_cannot_be_met_are_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match="unknown tokenizer"):
        check_settings(ProcessingConfig(text={"chunking": {"tokenizer": "gpt2"}}))


@given(st.binary(max_size=400), st.sampled_from(["a.txt", "a.md", "a.csv", "a.tsv", "a", "a.json", "a.bin"]))
def test_any_bytes_under_any_name_end_in_one_state(data, name):
    *before, last = read(data, name, **SMALL)
    assert last.status in {"ok", "skipped", "failed"}
    assert last.status == "ok" or last.reason
    assert [event.status for event in before if isinstance(event, Document)] in ([], ["open"])
    if last.status == "ok":
        assert all(chunk.text == last.text[chunk.start : chunk.end] for chunk in before[1:])


def test_endings_that_the_settings_name_are_text(tmp_path):
    (tmp_path / "a.cocci").write_text("text")
    (tmp_path / "b.log.1").write_text("text")
    (tmp_path / "c.other").write_text("text")
    source = LocalConnector("docs", tmp_path)
    settings = ProcessingConfig.model_validate({"text": {"also": ["cocci", ".LOG.1"]}})
    ends = [list(Reader(source, settings).read(ref))[-1] for ref in source.list()]
    assert [document.status for document in ends] == ["ok", "ok", "skipped"]
    assert "name it in processing.text.also" in ends[2].reason


def _circle():
    told = {}
    told["self"] = told
    return told


@pytest.mark.parametrize("metadata", [_circle(), {"n": 10**5000}, {"k": {1: "x"}}])
def test_metadata_that_is_no_json_fails_its_file_alone(tmp_path, metadata):
    (tmp_path / "a.odd").write_text("x")
    loaders.add("odd", lambda source, settings: Loaded(iter(["x"]), metadata=metadata))
    source = LocalConnector("docs", tmp_path)
    try:
        *_, document = Reader(source, ProcessingConfig()).read(next(source.list()))
    finally:
        loaders.remove("odd")
    assert document.status == "failed"
    assert "metadata that cannot be written as JSON" in document.reason


def test_a_loader_that_wants_to_end_the_program_fails_its_file_alone(tmp_path):
    def leave(source, settings):
        raise SystemExit(0)

    (tmp_path / "a.odd").write_text("x")
    loaders.add("odd", leave)
    source = LocalConnector("docs", tmp_path)
    try:
        *_, document = Reader(source, ProcessingConfig()).read(next(source.list()))
    finally:
        loaders.remove("odd")
    assert document.status == "failed"


TABLE = {"t.csv": (b"a,b\n1,2\n", "text/csv")}
FILES = {"alpha.md": (b"# Contract\n\nIt binds.\n", "text/markdown"), "beta.txt": (b"Beta.\n", "text/plain"), **TABLE}


def with_files() -> bytes:
    return multipart(mail("Hello.", head=""), *(attached(name, *file) for name, file in FILES.items()))


@pytest.mark.parametrize("strategy", ["by_heading", "by_paragraph", "by_sentence"])
def test_headings_rows_and_chunks_end_with_their_message_and_attachment(strategy):
    data = folder(with_files(), mail("Another matter."), b"Content-Type: application/pkcs7-mime\r\n\r\nx")
    chunks = [
        event for event in read(data, "a.mbox", text={"chunking": {"strategy": strategy}}) if isinstance(event, Chunk)
    ]
    assert {chunk.place.get("part") for chunk in chunks if "heading" in chunk.place} == {"alpha.md"}
    assert not [chunk for chunk in chunks if any(key.startswith("last_") for key in chunk.place if key != "last_row")]
    rows = {(chunk.place["row"], chunk.place.get("last_row")) for chunk in chunks if "row" in chunk.place}
    assert rows <= {(1, 2), (1, None), (2, None)}
    assert rows
    assert "Another matter." in chunks[-2].text
    assert chunks[-1].place == {"part": 3}


def test_a_chunk_of_several_parts_tells_where_it_begins_and_ends():
    [chunk] = [event for event in read(with_files(), "a.eml") if isinstance(event, Chunk)]
    assert chunk.place == {"last_part": "t.csv", "last_row": 2}
