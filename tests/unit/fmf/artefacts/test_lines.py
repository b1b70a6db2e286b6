from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.artefacts.lines import LineWriter, encode_line, raw_lines, read_lines
from fmf.errors import ConfigError
from fmf_core import redact as redaction
from fmf_core.errors import Code, FrameworkError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_record_is_one_line(row):
    line = encode_line(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row


def test_odd_values_do_not_lose_the_record():
    row = {"half": "a\ud800b", "money": Decimal("1.5"), "where": Path("x"), "big": 2**70, 1: {"nested": ["\udfff"]}}
    back = json.loads(encode_line(row))
    assert back["half"] == "a\ufffdb"
    assert back["money"] == "1.5"
    assert back["where"] == "x"
    assert back["big"] == str(2**70)
    assert back["1"] == {"nested": ["\ufffd"]}


def test_written_lines_are_read_back_and_hashed(tmp_path):
    path = tmp_path / "a.jsonl"
    with LineWriter(path) as writer:
        assert path.read_bytes() == b""
        for number in range(5000):
            writer.write({"number": number, "text": "x" * 100})
    assert [row["number"] for row in read_lines(path)] == list(range(5000))
    assert writer.bytes == path.stat().st_size
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    writer.close()


def test_flush_makes_lines_visible(tmp_path):
    writer = LineWriter(tmp_path / "a.jsonl")
    writer.write({"a": 1})
    writer.flush()
    assert list(read_lines(writer.path)) == [{"a": 1}]
    writer.flush()
    writer.close()


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    assert list(read_lines(path)) == [{"a": 1}]


def test_a_file_goes_on_behind_what_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"torn')
    with LineWriter(path, keep=16) as writer:
        assert (writer.size, path.stat().st_size) == (16, 16)
        writer.write({"a": 3})
        assert writer.size == 24
    assert [row["a"] for row in read_lines(path)] == [1, 2, 3]
    assert (writer.bytes, writer.sha256) == (24, hashlib.sha256(path.read_bytes()).hexdigest())
    writer = LineWriter(path)
    assert path.read_bytes() == b""
    writer.close()
    with pytest.raises(FrameworkError, match=r"has 0 bytes, and 5 were written to it"):
        LineWriter(path, keep=5)


def test_lines_tell_where_they_end(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n22\n333\n4")
    assert list(raw_lines(path)) == [(2, b"1\n"), (5, b"22\n"), (9, b"333\n")]
    assert list(raw_lines(path, 2)) == [(5, b"22\n"), (9, b"333\n")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_words():
    writer = LineWriter(Path("/dev/full"))
    writer.write({"a": 1})
    with pytest.raises(FrameworkError, match="No space left") as caught:
        writer.flush()
    assert caught.value.code is Code.UNAVAILABLE
    assert "artefacts_dir" in caught.value.hint
    with pytest.raises(FrameworkError):
        writer.close()


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FrameworkError, match="could not be written"):
        LineWriter(tmp_path / "no" / "a.jsonl")


class Narrow:
    """A file on a disk that has room for a few bytes, and then for none until somebody tidies up."""

    def __init__(self, file, room):
        self.file, self.room = file, room
        self.closed = False

    def write(self, block):
        if not self.room:
            raise OSError(28, "No space left on device")
        part = bytes(block[: self.room])
        self.room -= len(part)
        return self.file.write(part)

    def close(self):
        self.closed = True
        self.file.close()


def test_what_went_out_before_the_disk_was_full_goes_out_once(tmp_path):
    writer = LineWriter(tmp_path / "x.jsonl")
    writer._file = narrow = Narrow(writer._file, room=5)
    writer.write({"a": 1})
    writer.write({"b": 2})
    with pytest.raises(FrameworkError, match=r"x\.jsonl"):
        writer.flush()
    assert (tmp_path / "x.jsonl").read_bytes() == b'{"a":'
    narrow.room = 1000
    writer.close()
    whole = b'{"a":1}\n{"b":2}\n'
    assert (tmp_path / "x.jsonl").read_bytes() == whole
    assert (writer.bytes, writer.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize("secret", ["output", "status", "million", '": "', "1234567"])
def test_a_secret_that_looks_like_json_breaks_no_line(secret):
    redaction.add_secret(secret)
    row = {"output": f"it says {secret} here", "status": "ok", "count": 1234567, "nested": [{"output": None}]}
    line = json.loads(encode_line(row))
    assert (line["status"], line["count"], line["nested"]) == ("ok", 1234567, [{"output": None}])
    if len(secret) >= redaction.SHORTEST_SECRET:
        assert line["output"] == "it says [REDACTED] here"


def test_a_registered_secret_is_blanked_in_every_line():
    redaction.add_secret("canary-4711-value")
    line = encode_line({"output": "the key is canary-4711-value", "other": "sk-only-looks-like-a-key-000"})
    assert b"canary" not in line
    assert b"sk-only-looks-like-a-key-000" in line


def test_a_damaged_line_is_told_with_its_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n{"broken\n{"a":2}\n')
    with pytest.raises(ConfigError, match=r"line 2 of .* is damaged"):
        list(read_lines(path))
