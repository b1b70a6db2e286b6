"""Pages and messages are known by their first words where their name says little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.kinds.detect import detect
from fmf.processing.kinds.wording import worded_kind

MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Hello\r\n\r\nText"
SAVED = (
    b"From: <Saved by Blink>\nSnapshot-Content-Location: http://x/\nSubject: s\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/related; boundary=b\n\n"
)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<!DOCTYPE html><p>", "html"),
        (b"\xef\xbb\xbf\n  <HTML lang=de>", "html"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>", "html"),
        (b"<!-- saved from url --><html>", "html"),
        (b"<htmlish>", None),
        (b"<p>some text", None),
        (MAIL, "eml"),
        (b"Return-Path: <a@example.org>\nReceived: by x\n\tfolded: line\nFROM: a\n\n", "eml"),
        (b"From: the desk of\n\nDear reader", None),
        (b"From: a\nTo: b\nthis is no header\nSubject: c\n\n", None),
        (b"Subject: x\nTo: y\nDate: z\n\n", None),
        (b"From a@example.org Sat Nov 28 17:00:00 2026\n" + MAIL, "mbox"),
        (b"From here to 2026\nIt is a long way.", None),
        (SAVED, "mhtml"),
        (b"", None),
    ],
)
def test_words_tell(head, kind):
    assert worded_kind(head) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", "eml"), ("a", "eml"), ("a.message", "eml"), ("a.md", "markdown"), ("a.eml", "eml"), ("a.log", "text")],
)
def test_words_overrule_only_names_that_say_little(name, kind):
    assert detect(name, MAIL).name == kind


@given(st.binary(max_size=400))
def test_any_bytes_are_looked_at(head):
    assert worded_kind(head) in {None, "html", "eml", "mbox", "mhtml"}
