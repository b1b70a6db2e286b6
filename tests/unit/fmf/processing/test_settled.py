"""Documents that end badly say so in one line that a person can read and act on."""

from __future__ import annotations

import errno
import tempfile

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.settled import begun, given_up
from fmf.processing.wanted import unknown
from fmf.types import ResourceRef
from fmf_core.errors import Code

OPEN = begun(ResourceRef("a.x", "memory://a.x", "a.x"), ProcessingConfig())


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("kind", [ValueError, ProcessingError])
def test_a_reason_is_one_short_printable_line_whatever_a_parser_said(kind):
    document = given_up(OPEN, kind("one\ntwo\x1b[31m\0 " + "x" * 100_000))
    assert document.reason.isprintable()
    assert "one two [31m xxx" in document.reason
    assert len(document.reason) < 600
    assert document.error.message == document.reason


def test_what_nobody_foresaw_has_a_hint_even_where_the_error_has_no_words():
    document = given_up(OPEN, Wordless())
    assert document.reason == "memory://a.x cannot be read: Wordless: it says nothing"
    assert "exclude the file" in document.error.hint


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tiny', '/tmp']"),
    ],
)
def test_a_full_folder_for_temporary_files_is_named(monkeypatch, tmp_path, error):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    document = given_up(OPEN, error)
    assert document.reason == f"memory://a.x cannot be read: the folder for temporary files, {str(tmp_path)!r}, is full"
    assert document.error.code is Code.UNAVAILABLE
    assert "TMPDIR" in document.error.hint


def test_the_ending_of_a_packed_file_is_told_with_what_is_inside():
    assert unknown("NEWS.weird.gz", b"\x1f\x8b\0") == "files with the ending .weird.gz are not known"
    assert unknown("news.gz", b"\x1f\x8b\0") == "its name without .gz has no ending, and its bytes are binary"
    assert unknown("news.iso", b"\0") == "files with the ending .iso are not known"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a.zip", "zip://::file:///"),
        ("A.ZIP", "zip://::"),
        ("a.tar.gz", "tar://::"),
        ("a.tgz", "tar://::"),
        ("a.7z", ""),
    ],
)
def test_archives_are_told_to_be_archives_and_what_to_do_with_them(name, address):
    reason = unknown(name, b"PK\x03\x04")
    assert "archives are not entered: unpack it" in reason
    assert ("fsspec" in reason) == bool(address)
    assert address in reason
