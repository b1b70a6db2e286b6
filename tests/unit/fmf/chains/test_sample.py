from __future__ import annotations

import pytest

from fmf.chains.sample import SampleRow, sample_rows
from fmf.config.processing import ProcessingConfig
from fmf.errors import ConfigError, NothingMatchedError, ProcessingError


@pytest.fixture
def rows(tmp_path):
    """The rows of a sample with the given name and content."""

    def read(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(sample_rows(str(path), ProcessingConfig()))

    return read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "text,label\nübel,bad\n\nfine,good\n"),
        ("s.csv", "text;label\r\nübel;bad\r\n\r\nfine;good\r\n".encode("utf-16")),
        ("s.tsv", "text\tlabel\nübel\tbad\n\nfine\tgood"),
        ("s.jsonl", '{"text": "übel", "label": "bad"}\n\n{"text": "fine", "label": "good"}'),
    ],
)
def test_every_form_of_table_gives_its_rows_by_column(rows, name, content):
    expected = [
        SampleRow(2, {"text": "übel", "label": "bad"}),
        SampleRow(4, {"text": "fine", "label": "good"}),
    ]
    if name.endswith(".jsonl"):  # which has no header
        expected = [SampleRow(row.number - 1, row.values) for row in expected]
    assert rows(name, content) == expected


def test_json_lines_keep_their_values(rows):
    assert rows("s.ndjson", '{"a": [1, true], "b": null}\n')[0].values == {"a": [1, True], "b": None}


@pytest.mark.parametrize(
    ("name", "content", "error", "part"),
    [
        ("s.csv", "text,label\n", NothingMatchedError, "no rows"),
        ("s.jsonl", "\n\n", NothingMatchedError, "no rows"),
        ("s.md", "# Hello", ConfigError, "no table"),
        ("s.json", "[1]", ConfigError, "no table"),
        ("s.jsonl", '{"a": 1}\n{"a": \n', ProcessingError, "line 2"),
        ("s.jsonl", "[1]\n", ProcessingError, "line 1"),
        ("s.jsonl", "[" * 100_000, ProcessingError, "too deep"),
        ("s.jsonl", "x" * 10_000_001, ProcessingError, "10,000,000"),
    ],
)
def test_what_is_no_sample_is_one_clear_error(rows, name, content, error, part):
    with pytest.raises(error, match=part) as caught:
        rows(name, content)
    assert caught.value.hint


def test_an_absent_sample_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match="No such file") as caught:
        next(sample_rows(str(tmp_path / "gone.csv"), ProcessingConfig()))
    assert "--sample" in caught.value.hint
