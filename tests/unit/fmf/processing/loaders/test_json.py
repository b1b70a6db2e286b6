"""JSON stays text and is checked; of JSON lines every line is a row."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.processing.loaders import json as loader
from fmf.processing.loaders.base import Mark
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of


def load(data: str | bytes, read=loader.load):
    data = data.encode() if isinstance(data, str) else data
    with source_of(data, "a.json") as source:
        loaded = read(source, ProcessingConfig())
        return list(loaded.pieces), loaded.metadata


class TestJsonSitsTheExam(LoaderExam):
    words: ClassVar = {"a.json": ["Grüße", "rain"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.json": '{"a": "Grüße",\n "b": ["rain"]}'.encode(), "b.json": '{"a": 1}'.encode("utf-16")}

    def make_large_file(self):
        return "large.json", b"[" + b'{"some": "words"},\n' * 300_000 + b"0]"


class TestJsonLinesSitTheExam(LoaderExam):
    words: ClassVar = {"a.jsonl": ['{"a": 1}', "Grüße"]}

    def make_loader(self):
        return loader.load_lines

    def make_files(self):
        return {"a.jsonl": '{"a": 1}\n\n{"a": "Grüße"}\r\n'.encode()}

    def make_large_file(self):
        return "large.jsonl", b'{"some": "words"}\n' * 300_000


def test_valid_json_is_noted_and_stays_as_it_was_written():
    pieces, metadata = load('{"a":  1}\n')
    assert "".join(pieces) == '{"a":  1}\n'
    assert metadata == {"valid_json": True}


def test_invalid_json_stays_text_with_the_place_of_the_fault():
    pieces, metadata = load('{"a": 1,\n "b": }\n')
    assert "".join(pieces) == '{"a": 1,\n "b": }\n'
    assert metadata["valid_json"] is False
    assert "line 2, column 7" in metadata["json_error"]


def test_deep_nesting_is_no_crash():
    pieces, metadata = load("[" * 100_000)
    assert len("".join(pieces)) == 100_000
    assert metadata["valid_json"] is False


def test_large_files_are_not_checked(monkeypatch):
    monkeypatch.setattr(loader, "LARGEST_CHECKED", 5)
    assert load('{"a": 1') == (['{"a": 1'], {})


def test_lines_are_rows_with_their_numbers():
    pieces, metadata = load('{"a": 1}\n\n\n[2]\n"\u2028"\n', loader.load_lines)
    assert pieces == [Mark("rows", 1), '{"a": 1}\n', Mark("rows", 4), '[2]\n"\u2028"\n']
    assert metadata == {"rows": 3}


def test_lines_that_are_no_json_are_counted():
    _, metadata = load("{}\n{oops\n{}\nnull null\n", loader.load_lines)
    assert metadata == {"rows": 4, "invalid_lines": 2, "first_invalid_lines": [2, 4]}


@given(st.lists(st.text(alphabet="ab{}\n \r", max_size=5)))
def test_every_line_with_text_is_kept_under_its_number(lines):
    pieces, _ = load("\n".join(lines), loader.load_lines)
    expected = "\n".join(lines).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = {}
    number = 0
    for piece in pieces:
        if isinstance(piece, Mark):
            number = piece.number
        else:
            for line in piece.split("\n")[:-1]:
                found[number] = line
                number += 1
    assert found == {number: line for number, line in enumerate(expected, 1) if line.strip()}
