"""Subtitles become lines with the time at which each begins."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import subtitles as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import source_of

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Good</i> morning\r\nto all.\r\n\r\n2\r\n"
    "01:02:03,004 --> 01:02:05,000 X1:1\r\n{\\an8}Größe &amp; more\r\n"
)
VTT = (
    "WEBVTT - A talk\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE a note\n\nintro\n00:01.000 --> 00:02.000 "
    "align:start\n<v.loud Ann Example>Hello</v> <00:01.500><c>there</c>\n\n00:02.000 --> 00:03.000\nHello there\n\n"
    "00:03.000 --> 00:04.000\nHello there\n\n100:00:04.000 --> 100:00:05.000\nBye\n"
)


def load(data: str | bytes):
    data = data.encode() if isinstance(data, str) else data
    with source_of(data, "a.srt") as source:
        loaded = loader.load(source, ProcessingConfig())
        return "".join(loaded.pieces), loaded


class TestExam(LoaderExam):
    words: ClassVar = {"a.srt": ["[00:00:01] Good morning to all.", "Größe & more"], "a.vtt": ["Ann Example: Hello"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.srt": SRT.encode(), "a.vtt": VTT.encode()}

    def make_large_file(self):
        return "b.srt", b"".join(
            b"%d\n00:00:%02d,000 --> 00:00:59,000\nline %d\n\n" % (n, n % 60, n) for n in range(9000)
        )


def test_cues_are_lines():
    assert load(SRT)[0] == "[00:00:01] Good morning to all.\n[01:02:03] Größe & more\n"
    text, loaded = load(VTT)
    assert text == "[00:00:01] Ann Example: Hello there\n[00:00:02] Hello there\n[100:00:04] Bye\n"
    assert not loaded.markdown


def test_older_encodings_are_read():
    text, loaded = load(SRT.removeprefix("\ufeff").replace("more", "größer").encode("cp1252"))
    assert "Größe & größer" in text
    assert loaded.metadata == {"encoding": "cp1252"}


@pytest.mark.parametrize("data", ["Only words.\n", "WEBVTT\n\n", "1\n00:00 --> 00:01\nno"])
def test_a_file_without_cues_is_refused(data):
    with pytest.raises(ProcessingError, match="there are no cues in it"):
        load(data)


@given(st.text(alphabet="01:,.->\n <v>a{}\\", max_size=80))
def test_any_text_is_lines_or_a_processing_error(data):
    try:
        load(data or " ")
    except ProcessingError:
        return
