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


def written(text: str, codec: str) -> bytes:
    return "".join(f"\\'{byte:02x}" for byte in text.encode(codec)).encode()


def in_font(charset: bytes, text: bytes, more: bytes = b"") -> str:
    table = rb"{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f7\froman\fprq2" + charset + rb"{\*\panose 02020603}Some;}}"
    return text_of(rb"{\rtf1\ansi\ansicpg1252\deff0" + table + more + rb"\f0 a\'e9 {\f7 " + text + rb"} \'e9}").strip()


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        (204, "cp1251", "Привет, мир"),
        (128, "cp932", "あいう日本"),
        (129, "cp949", "안녕"),
        (130, "johab", "안녕"),
        (134, "gbk", "中文"),
        (136, "big5", "中文"),
        (161, "cp1253", "Ελλάδα"),
        (162, "cp1254", "ışık"),
        (163, "cp1258", "đương"),
        (177, "cp1255", "שלום"),
        (178, "cp1256", "سلام"),
        (186, "cp1257", "šūdas"),
        (222, "cp874", "ไทย"),
        (238, "cp1250", "žluť"),
        (254, "cp437", "Ångström"),
        (77, "mac_roman", "Grüße"),
        (89, "mac_cyrillic", "Привет"),
    ],
)
def test_text_is_read_by_the_character_set_of_its_font(charset, codec, text):
    assert in_font(rb"\fcharset%d" % charset, written(text, codec)) == f"aé {text} é"


def test_a_code_page_of_a_font_goes_before_its_character_set():
    assert in_font(rb"\fcharset0\cpg1251", written("мир", "cp1251")) == "aé мир é"


def test_the_default_font_holds_until_another_one_is_named_and_again_after_plain():
    table = rb"{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}"
    body = rb"\'ec{\f0 \'ec}\f0 \'ec\plain \'ec"
    assert text_of(rb"{\rtf1\ansi\deff1" + table + body + b"}").strip() == "мììм"


@pytest.mark.parametrize(("more", "text"), [(b"", "м"), (rb"{\f1\fcharset204 B;}", "ì")])
def test_a_font_called_ansi_is_of_the_documents_code_page_unless_others_are_told_apart(more, text):
    table = rb"{\fonttbl{\f0\fcharset0 A;}" + more + b"}"
    assert text_of(rb"{\rtf1\ansi\ansicpg1251" + table + rb"\f0 \'ec}").strip() == text


@pytest.mark.parametrize("words", [rb"\fcharset1", rb"\fcharset99", rb"\cpg99999", b""])
def test_a_font_of_no_known_character_set_is_of_the_documents_code_page(words):
    assert in_font(words, rb"\'e9") == "aé é é"


def test_half_of_a_character_may_look_like_a_brace_or_a_backslash():
    assert in_font(rb"\fcharset128", rb"\'83\\ \'83\{") == "aé ソ ボ é"
    assert text_of(rb"{\rtf1\ansi\uc1 \u8364\\ \{a\}}").strip() == "€ {a}"


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
