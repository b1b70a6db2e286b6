"""A PDF that is cut off is noticed, one that is merely odd is not."""

from __future__ import annotations

import re

import pytest

from fmf.errors import ProcessingError
from fmf.processing.pdf.whole import check_whole
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.pdf_files import pdf

WHOLE = pdf(["One page with some words on it.", "And another one."])


def check(data: bytes) -> None:
    with source_of(data, "a.pdf") as source:
        check_whole(source)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        b"\n\njunk in front\n" + WHOLE,
        WHOLE + b"\0" * 3000,
        WHOLE + b"<html>what a server put behind it</html>" * 500,
        WHOLE.removesuffix(b"%%EOF\n"),
        WHOLE.removesuffix(b"OF\n"),
        WHOLE + b"9 0 obj\n<< >>\nendobj\nxref\n0 0\ntrailer\n<< >>\nstartxref\n9\n%%EOF",
    ],
    ids=["whole", "junk before", "zeros behind", "junk behind", "no end mark", "half an end mark", "an update"],
)
def test_whole_files_pass(data):
    check(data)


@pytest.mark.parametrize("part", [0.05, 0.4, 0.7, 0.9, 0.97])
def test_a_file_that_breaks_off_is_cut_off(part):
    with pytest.raises(ProcessingError, match=r"a\.pdf is cut off: it does not end with %%EOF after"):
        check(WHOLE[: int(len(WHOLE) * part)])


def test_an_update_that_breaks_off_is_cut_off():
    with pytest.raises(ProcessingError, match="cut off"):
        check(WHOLE + b"9 0 obj\n<< /Type /Page >>\nendobj\n" + b"% filler\n" * 2000)


def test_a_first_end_mark_of_a_file_made_for_the_web_is_no_end():
    linear = b"<< /Linearized 1 /L %d /H [ 1 2 ] /O 5 /E 9 /N 1 /T 8 >>"
    start = b"%PDF-1.4\n1 0 obj\n" + linear % 90_000 + b"\nendobj\nstartxref\n0\n%%EOF\n"
    with pytest.raises(ProcessingError, match="its first object promises 90,000 bytes, and there are"):
        check(start)
    check(start.replace(b"90000", b"00100") + b"startxref\n0\n%%EOF")


def test_what_is_no_pdf_is_called_so():
    with pytest.raises(ProcessingError, match=re.escape("a.pdf is no PDF: there is no %PDF- in its first 1024 bytes")):
        check(b"<html></html>")
