"""A packed file is read as what it is without `.gz`, within the limits."""

from __future__ import annotations

import gzip
import json
import random
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import gzip as loader
from fmf.processing.reader import Reader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import MemoryConnector, source_of
from unit.fmf.processing.office import docx, par


def load(data: bytes, name: str = "a.log.gz", **limits: float):
    with source_of(data, name) as source:
        loaded = loader.load(source, ProcessingConfig(limits=limits))
        return "".join(piece for piece in loaded.pieces if isinstance(piece, str)), loaded


class TestExam(LoaderExam):
    # Kinds that their first bytes tell: what the others are, only the name says.
    words: ClassVar = {"a.docx.gz": ["Of plums", "A plum is a fruit."], "a.rtf.gz": ["A plum is a fruit."]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {
            "a.docx.gz": gzip.compress(docx(par("Of plums") + par("A plum is a fruit.")), mtime=0),
            "a.rtf.gz": gzip.compress(b"{\\rtf1 A plum is a fruit.\\par}", mtime=0),
        }

    def make_large_file(self):
        data = b"{\\rtf1 " + b"".join(b"Plum %d is a fruit.\\par\n" % number for number in range(100_000)) + b"}"
        return "a.rtf.gz", gzip.compress(data, 1, mtime=0)


def test_the_name_without_the_ending_decides():
    text, loaded = load(gzip.compress(b"a line\n", mtime=0))
    assert (text, loaded.title, loaded.metadata["packed"]) == ("a line\n", "a.log", "gzip")
    text, loaded = load(gzip.compress(b"a,b\n1,2\n", mtime=0), "x.csv.gz")
    assert "| a | b |" in text
    assert loaded.markdown
    assert load(gzip.compress(b"# T\n", mtime=0), "x.md.1.gz.bak")[1].title == "T"


def test_several_members_are_one_file():
    assert load(gzip.compress(b"one\n", mtime=0) + gzip.compress(b"two\n", mtime=0))[0] == "one\ntwo\n"


def test_large_files_are_read_to_their_end():
    data = "".join(f"{number} bottles\n" for number in range(400_000)).encode()
    text, _ = load(gzip.compress(data, 1, mtime=0))
    assert text.encode() == data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png.gz", b"\x89PNG\r\n\x1a\n"),
        ("a.log.gz", b"\x89PNG\r\n\x1a\n"),
        ("a.log.gz.gz", gzip.compress(b"x", mtime=0)),
    ],
)
def test_what_is_not_read_when_it_is_packed_is_refused(name, data):
    with pytest.raises(ProcessingError, match="are not read when they are packed"):
        load(gzip.compress(data, mtime=0), name)


def test_a_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(ProcessingError, match="unpacks to more than 100 times its size") as caught:
        load(gzip.compress(bytes(30_000_000)))
    assert "max_archive_ratio" in caught.value.hint
    with pytest.raises(ProcessingError, match=r"has 1\.0 MB or more, and 0\.5 MB are allowed"):
        load(gzip.compress(random.Random(1).randbytes(2_000_000)), max_file_mb=0.5)


def test_damage_is_one_clear_error():
    whole = gzip.compress(bytes(range(97, 123)) * 1000)
    for data in (whole[:-9], whole[:20], whole[:30] + b"xxxx" + whole[34:], b"\x1f\x8b", whole + b"tail"):
        with pytest.raises(ProcessingError, match=r"memory://a\.log\.gz: it is damaged or not a gzip file"):
            load(data)


def test_a_reader_reads_it():
    connector = MemoryConnector(
        {"logs/a.log.gz": gzip.compress(b"a line\n", mtime=0), "a.tar.gz": gzip.compress(b"x", mtime=0)}
    )
    reader = Reader(connector, ProcessingConfig())
    document = reader.read_whole(connector.ref("logs/a.log.gz"))
    assert (document.status, document.text, document.media_type) == ("ok", "a line\n", "application/gzip")
    assert reader.read_whole(connector.ref("a.tar.gz")).status == "skipped"


def test_the_rows_of_a_packed_table_are_rows():
    connector = MemoryConnector(
        {"a.csv.gz": gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0), "a.log.gz": gzip.compress(b"a line\n", mtime=0)}
    )
    reader = Reader(connector, ProcessingConfig())
    _, rows, end = reader.rows(connector.ref("a.csv.gz"))
    assert [json.loads(line)["values"] for line in rows.lines.splitlines()] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]
    assert (end.status, end.chunks) == ("ok", 2)
    *_, end = reader.rows(connector.ref("a.log.gz"))
    assert (end.status, "text files have no rows" in end.reason) == ("skipped", True)


def test_what_is_packed_under_a_name_without_an_ending_is_read_as_the_name_is():
    connector = MemoryConnector(
        {"README.gz": gzip.compress(b"Read me.\n", mtime=0), "tool.gz": gzip.compress(bytes(9))}
    )
    readme, tool = (Reader(connector, ProcessingConfig()).read_whole(ref) for ref in connector.list())
    assert (readme.status, readme.text, readme.title) == ("ok", "Read me.\n", "README")
    assert (tool.status, tool.reason) == ("skipped", "its name without .gz has no ending, and its bytes are binary")


def test_the_settings_hold_for_what_is_inside():
    connector = MemoryConnector(
        {"a.csv.gz": gzip.compress(b"a,b\n1,2\n", mtime=0), "b.cocci.gz": gzip.compress(b"some text", mtime=0)}
    )
    settings = ProcessingConfig.model_validate({"tables": {"formats": ["xlsx"]}, "text": {"also": ["cocci"]}})
    table, text = (Reader(connector, settings).read_whole(ref) for ref in connector.list())
    assert (table.status, table.reason) == ("skipped", "csv is not among processing.tables.formats")
    assert (text.status, text.text) == ("ok", "some text")
    assert Reader(connector, ProcessingConfig()).read_whole(connector.ref("b.cocci.gz")).status == "skipped"


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_a_processing_error(data):
    try:
        load(b"\x1f\x8b\x08" + data)
    except ProcessingError:
        return
