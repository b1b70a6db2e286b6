"""Rich text becomes plain paragraphs and tables."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.office import rtf as loader
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of


def text_of(data: bytes) -> str:
    with source_of(data, "a.rtf") as source:
        return "".join(loader.load(source, ProcessingConfig()).pieces)


class TestRichTextSitsTheExam(LoaderExam):
    words: ClassVar = {"a.rtf": ["Brakes", "Grüße", "| a | b |"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        body = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Brakes\par Gr\'fc\'dfe\par "
        return {"a.rtf": body + rb"\trowd a\cell b\cell\row\pard end\par}"}

    def make_large_file(self):
        return "large.rtf", rb"{\rtf1\ansi " + rb"some words of a paragraph\par " * 20_000 + b"}"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"one\par two\line three\tab four", "one\n\ntwo\nthree\tfour\n\n"),
        (rb"\u8364?\u-10179?\u-8704?", "€😀\n\n"),
        (rb"\uc2\u8364??x{\uc0\u8364 y}\u8364??z", "€x€y€z\n\n"),
        (rb"\ansicpg1251\'ef\'f0", "пр\n\n"),
        (rb"\ansicpg932\'83\'65\'83\'58", "テス\n\n"),
        (rb"a\~b\_c\-d\{e\}\\", "a\u00a0b-cd{e}\\\n\n"),
        (rb"{\*\unknown hidden}{\info{\title T}}{\pict 0102}shown", "shown\n\n"),
        (rb'{\field{\*\fldinst HYPERLINK "x"}{\fldrslt link}}', "link\n\n"),
        (rb"\bin5 \}}}}after", "after\n\n"),
        (rb"\ldblquote q\rdblquote\endash\bullet", "\u201cq\u201d\u2013\u2022\n\n"),
        (rb"# no heading\par | no table", "\\# no heading\n\n\\| no table\n\n"),
        (
            rb"\trowd a\par a2\cell b|\cell\row\trowd c\cell d\cell\row\pard after",
            "| a<br>a2 | b\\| |\n| --- | --- |\n| c | d |\n\nafter\n\n",
        ),
    ],
)
def test_words_become_text(body, text):
    assert text_of(b"{\\rtf1\\ansi " + body + b"}") == text


def test_words_at_the_ends_of_blocks_stay_whole(monkeypatch):
    data = b"{\\rtf1\\ansi " + b"\\u8364?word\\par " * 200 + b"}"
    whole = text_of(data)
    for size in (70, 101, 333):
        monkeypatch.setattr(loader, "_LONGEST_TOKEN", size)
        assert text_of(data) == whole
    assert whole == "€word\n\n" * 200


def test_deep_groups_are_refused():
    with pytest.raises(ProcessingError, match="nested more than 500 deep"):
        text_of(b"{\\rtf1 " + b"{" * 100_000)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_one_error(data):
    text_of(b"{\\rtf1" + data).encode()
