"""Any text is cut into tags and text, in one pass, however it is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.web import tags as module
from fmf.processing.loaders.web.tags import Tag, Tags, characters


def cut(text: str, size: int = 1 << 20) -> tuple[list[Tag | str], str]:
    tags = Tags()
    parts: list[Tag | str] = []
    for part in tags.read(text[at : at + size] for at in range(0, len(text), size)):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return parts, tags.unclosed


def words(text: str) -> str:
    return "".join(part for part in cut(text)[0] if isinstance(part, str))


def test_tags_text_and_attributes():
    parts, unclosed = cut("<P Class=\"a &amp; b\" hidden x='1' y=2>Fish &amp; chips</P >")
    assert [part if isinstance(part, str) else (part.name, part.closes) for part in parts] == [
        ("p", False),
        "Fish & chips",
        ("p", True),
    ]
    assert parts[0].attributes() == {"class": "a & b", "hidden": "", "x": "1", "y": "2"}
    assert unclosed == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b and c <3", "a < b and c <3"),
        ("a<!-- <p> -->b", "ab"),
        ("a<!-->b", "ab"),
        ("a<!doctype html>b<?php echo ?>c</>d", "abcd"),
        ("a<![CDATA[<b> & c]]>d", "a<b> & cd"),
        ('<a title="x > y">b</a>', "b"),
        ("it's <b>5 o'clock</b>", "it's 5 o'clock"),
        ("<textarea><b>&amp;</textarea>c", "<b>&c"),
        ("<script>if (a</b) '</scripty>'</SCRIPT>c", "if (a</b) '</scripty>'c"),
        ("<script/>b", "b"),
        ("&eacute;&#233;&#xE9;&notit;&copy", "éé\u00e9¬it;©"),
        ("x&#0;&#xD800;&#x110000;&#99999999999999;y", "xy"),
        ("<", "<"),
        ("a</", "a"),
    ],
)
def test_text_is_what_a_browser_takes_for_text(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected", "unclosed"),
    [
        ('<p>a</p><div title="never closed <p>b</p>', "ab", ""),
        ("<p>a</p><script>never", "anever", "script"),
        ("<p>a</p><!-- never", "a", "comment"),
        ("<title>never</p>", "never</p>", "title"),
        ("<p>a<b", "a", ""),
    ],
)
def test_what_never_ends_does_not_take_the_text_with_it(text, expected, unclosed):
    parts, told = cut(text)
    assert "".join(part for part in parts if isinstance(part, str)) == expected
    assert told == unclosed


def test_a_tag_without_end_is_not_held_for_ever(monkeypatch):
    monkeypatch.setattr(module, "_LONGEST", 1000)
    parts, _ = cut('a<p title="' + "never closed <b>x</b> " * 500 + "z", 64)
    assert isinstance(parts[-1], str)
    assert parts[-1].endswith("z")


MARKUP = st.text(alphabet="<>/!-=\"'& abp[]C;#1\n", max_size=80)


@given(MARKUP, st.integers(1, 9))
def test_it_does_not_matter_where_the_pieces_are_cut(text, size):
    assert cut(text, size) == cut(text)


@given(st.text(max_size=80))
def test_any_text_is_read_to_its_end(text):
    cut(text)


@given(st.text(alphabet="abc é中 \n", max_size=50))
def test_plain_text_comes_back(text):
    assert words(text) == text


def test_references_to_no_character_are_left_out():
    assert characters("a&#0;b&amp;&#55296;") == "ab&"
    assert characters("plain") == "plain"
