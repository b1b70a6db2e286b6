"""Markdown keeps its form and gives the title."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fmf.config.models import ProcessingConfig, TextConfig
from fmf.processing.loaders import markdown, text
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of


def load(data: str, loader=markdown, name: str = "docs/note.md", **settings):
    with source_of(data.encode(), name) as source:
        loaded = loader.load(source, ProcessingConfig(text=TextConfig(**settings)))
        return "".join(loaded.pieces), loaded


class TestMarkdownSitsTheExam(LoaderExam):
    words: ClassVar = {"a.md": ["# Brakes", "Grüße", "```"]}

    def make_loader(self):
        return markdown.load

    def make_files(self):
        return {"a.md": "# Brakes\r\n\r\n* Grüße  \r\n\r\n```\r\ncode\r\n\r\n\r\n```\r\n".encode()}

    def make_large_file(self):
        return "large.md", b"words and words\n" * 500_000


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("# Hello *world* #\n\ntext", "Hello *world*"),
        ("intro\n\n## Second level\n", "Second level"),
        ("Underlined\n==========\n\ntext", "Underlined"),
        ('---\ntitle: "From the front"\ndate: 1\n---\n# Heading\n', "From the front"),
        ("---\ndate: 1\n---\n# Heading\n", "Heading"),
        ("```\n# comment\n```\n\n# Real\n", "Real"),
        ("#nospace\n\nnothing", "note.md"),
        ("# " + "x" * 999, "x" * 300),
    ],
)
def test_the_title(data, title):
    assert load(data)[1].title == title


def test_structure_survives():
    data = "# T\n\n- a\n  - b\n\n1. one\n\n| h |\n| --- |\n| c |\n\n```py\nif x:\n\n\n\n    y  \n```\n"
    content, loaded = load(data)
    assert content == data
    assert loaded.markdown


def test_without_preservation_it_is_text():
    content, loaded = load("# T\n\n```\na\n\n\n\nb\n```\n", preserve_markdown=False)
    assert content == "# T\n\n```\na\n\nb\n```\n"
    assert not loaded.markdown


def test_without_normalization_only_line_ends_change():
    assert load("a  \r\n\r\n\r\n\r\nb ", normalize_whitespace=False)[0] == "a  \n\n\n\nb "
    assert load("a  \r\n\r\n\r\n\r\nb ", loader=text, normalize_whitespace=False)[0] == "a  \n\n\n\nb "


def test_plain_text_is_called_like_its_file():
    content, loaded = load("Some text.\n", loader=text, name="docs/x.txt")
    assert (content, loaded.title, loaded.metadata) == ("Some text.\n", "x.txt", {})


@pytest.mark.parametrize(
    "text", ["# a" + " " * 200_000 + "b", "# a " + "# " * 100_000, "t" + " " * 200_000 + "\n===", "title: '" + "x" * 10]
)
def test_titles_are_found_in_a_time_that_grows_with_the_text(text):
    assert markdown._title(text + "\n\nmore") is not None or text.startswith("title")


@pytest.mark.parametrize(
    ("text", "title"),
    [("# A ##", "A"), ("# A#", "A#"), ("# A # b #", "A # b"), ("---\ntitle: 'A b'\n---\n", "A b"), ("A  \n===", "A")],
)
def test_what_closes_a_heading_is_no_part_of_its_title(text, title):
    assert markdown._title(text + "\n") == title
