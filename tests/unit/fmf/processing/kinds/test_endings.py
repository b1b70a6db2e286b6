"""Names tell what is inside, also those of copies; doubtful endings do not make binary files text."""

from __future__ import annotations

import gzip

import pytest

from fmf.processing.kinds.detect import KINDS, detect
from fmf.processing.kinds.endings import DOUBTFUL, PLAIN, telling_name


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("a.log.1", "a.log"),
        ("a.log.20241128", "a.log"),
        ("a.md.bak", "a.md"),
        ("a.csv.OLD", "a.csv"),
        ("a.md~", "a.md"),
        ("a.log.1~", "a.log"),
        ("ls.1", "ls.1"),
        ("a.xyz.bak", "a.xyz.bak"),
        (".log.1", ".log.1"),
        ("version.2", "version.2"),
        ("bak", "bak"),
        ("~", "~"),
        ("", ""),
        ("a.log.123456789", "a.log.123456789"),
    ],
)
def test_the_ending_that_tells_is_found_behind_that_of_a_copy(name, telling):
    assert telling_name(name, KINDS) == telling


def test_no_ending_stands_in_the_list_twice_or_in_capitals():
    words = PLAIN.split()
    assert len(words) == len(set(words))
    assert PLAIN.islower()
    assert set(words) >= DOUBTFUL


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("access.log.3", b"GET /", "text"),
        ("notes.md.orig", b"# T", "markdown"),
        ("names.lst", b"a\nb\n", "text"),
        ("names.lst", bytes(100), None),
        ("movie.ts", b"\x47" + bytes(187), None),
        ("app.ts", b"let a = 1", "text"),
        ("a.txt", bytes(100), "text"),
        ("settings.tfvars", b"a = 1", "text"),
        ("nb.ipynb", b"{}", "notebook"),
        ("talk.srt", b"1\n", "subtitles"),
        ("book.epub", b"PK\3\4", "epub"),
        ("saved.mht", b"From: x", "mhtml"),
        ("page.htm", b"", "html"),
        ("x.log.gz", gzip.compress(b"a", mtime=0), "gzip"),
        ("x.log.1.gz", gzip.compress(b"a", mtime=0), "gzip"),
        ("x.csv.gz", gzip.compress(b"a", mtime=0), "gzip"),
        ("x.tar.gz", gzip.compress(b"a", mtime=0), None),
        ("x.png.gz", gzip.compress(b"a", mtime=0), None),
        ("x.gz.gz", gzip.compress(b"a", mtime=0), None),
        ("x.gz", gzip.compress(b"a", mtime=0), "gzip"),
        ("README.gz", gzip.compress(b"Read me.", mtime=0), "gzip"),
        ("changelog.Debian.gz", gzip.compress(b"brakes (1.0)", mtime=0), "gzip"),
        ("changelog.Debian", b"brakes (1.0)", "text"),
        ("ls.1.gz", gzip.compress(b".TH LS 1", mtime=0), "gzip"),
        ("report.gz", gzip.compress(b"%PDF-1.7", mtime=0), "gzip"),
        ("program.gz", gzip.compress(b"\x7fELF\0\0", mtime=0), None),
        ("picture.gz", gzip.compress(b"\x89PNG\r\n\x1a\n", mtime=0), None),
        ("x.gz", gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), None),
        ("x.log.gz", b"no gzip", None),
        ("x.tgz", gzip.compress(b"a", mtime=0), None),
        ("data.weird", b"text", None),
    ],
)
def test_kinds_by_name(name, head, kind):
    found = detect(name, head)
    assert (found.name if found else None) == kind
