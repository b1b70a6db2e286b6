"""Pages keep their headings, lists, tables and links; what is not to be read stays out; nothing is lost in silence."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.web import html as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import source_of

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Fruit &amp; more</title>
<meta name="description" content="All about plums"><style>p { color: red }</style><script>alert("no")</script></head>
<body><nav><a href="/home">Home</a></nav><h1>Plums</h1><p>A <b>plum</b> is a <a href="https://example.org/f">fruit</a>,
caf&eacute; &#8364;5.<br>Second line.</p><ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
<ol start="3"><li>third</li></ol><dl><dt>Term</dt><dd>Meaning</dd></dl>
<table><caption>Prices</caption><tr><th>Kind</th><th>Price</th></tr><tr><td>a|b</td><td>1<br>2</td></tr></table>
<pre><code class="language-python">if plum:
    eat()</code></pre><img src="data:image/png;base64,iVBORw0KGgo=" alt="a ripe plum"><img src="p.png" alt="two plums">
<noscript>Switch on scripts</noscript><template>draft</template><p hidden>secret</p><p style="display:none">unseen</p>
<details><summary>More</summary>Details</details><p>10<sup>3</sup></p></body></html>"""


def load(page: str | bytes, name: str = "a.html", **text: bool):
    data = page.encode() if isinstance(page, str) else page
    with source_of(data, name) as source:
        loaded = loader.load(source, ProcessingConfig(text=text))
        return "".join(loaded.pieces), loaded


class TestExam(LoaderExam):
    words: ClassVar = {
        "page.html": ["# Plums", "[fruit](https://example.org/f)", "- one\n  - inner", "| Kind | Price |", "two plums"],
        "old.htm": ["Größe", "Äpfel"],
        "strict.xhtml": ["a plum", "x < y"],
    }

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {
            "page.html": PAGE.encode(),
            "old.htm": "<html><meta charset=iso-8859-1><p>Größe</p><p>Äpfel".encode("latin-1"),
            "strict.xhtml": b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body><p>a plum</p>"
            b"<p><![CDATA[x < y]]></p></body></html>",
        }

    def make_large_file(self):
        return "large.html", b"<p>some words in a paragraph</p>" * 20_000


def test_structure_is_markdown():
    text, loaded = load(PAGE)
    assert loaded.markdown
    assert text.startswith("[Home](/home)\n\n# Plums\n")
    assert "A **plum** is a [fruit](https://example.org/f),\ncafé €5.  \nSecond line." in text
    assert "- one\n  - inner\n- two\n" in text
    assert "3. third" in text
    assert "Term\n\nMeaning" in text
    assert "| Kind | Price |\n| --- | --- |\n| a\\|b | 1<br>2 |\n" in text
    assert "```python\nif plum:\n    eat()\n```" in text
    assert "10^3^" in text
    assert "Details" in text


@pytest.mark.parametrize("kept", [True, False])
def test_only_what_is_shown_is_text(kept):
    text, _ = load(PAGE, preserve_markdown=kept)
    for out in ("alert", "color", "Switch on", "draft", "secret", "unseen", "base64", "All about", "Fruit &"):
        assert out not in text
    for held in ("a ripe plum", "two plums", "Prices", "café €5", "Home"):
        assert held in text


def test_the_head_is_metadata():
    _, loaded = load(PAGE)
    assert loaded.title == "Fruit & more"
    assert loaded.metadata == {"language": "en", "description": "All about plums"}
    assert load("<p>text", name="docs/b.html")[1].title == "b.html"


def test_plain_text_on_demand():
    text, loaded = load(PAGE, preserve_markdown=False)
    assert not loaded.markdown
    assert "Kind\tPrice\na|b\t1\n2\n" in text
    assert "**" not in text


@pytest.mark.parametrize(
    ("page", "encoding"),
    [
        ("<meta charset=windows-1251><p>Съешь ещё", "cp1251"),
        ("<meta http-equiv=content-type content='text/html; charset=shift_jis'><p>東京", "cp932"),
        ("<?xml version='1.0' encoding='koi8-r'?><html><p>Зима", "koi8-r"),
        ("<meta charset=euc-kr><p>서울", "cp949"),
    ],
)
def test_declared_encodings_are_read(page, encoding):
    text, loaded = load(page.encode(encoding), preserve_markdown=True)
    assert text.strip() == page.rpartition(">")[2]
    assert loaded.metadata["encoding"] == encoding


def test_a_byte_order_mark_wins_over_a_declaration():
    text, loaded = load("<meta charset=koi8-r><p>Größe".encode("utf-16"))
    assert (text, loaded.metadata["encoding"]) == ("Größe\n", "utf-16-le")
    assert load("<meta charset=utf-16><p>Größe")[0] == "Größe\n"


def test_what_is_damaged_is_read_as_lines_and_says_so():
    text, loaded = load('<p>start</p><div title="never closed <p>the text after it</p><p>and more</p>')
    assert text.split() == ["start", "the", "text", "after", "it", "and", "more"]
    assert (loaded.markdown, loaded.metadata["reduced"]) == (False, "its markup is damaged")


@pytest.mark.parametrize(
    ("page", "unclosed"), [("<p>text</p><script>var x = 1", "script"), ("<p>text</p><!-- more", "comment")]
)
def test_an_end_inside_something_is_noted(page, unclosed):
    text, loaded = load(page)
    assert (text.strip(), loaded.metadata.get("unclosed", unclosed)) == ("text", unclosed)


@pytest.mark.parametrize("opening", ["<div>", "<b><i>", "<ul><li>", "<table><tr><td>", "<blockquote>"])
def test_what_is_nested_too_deep_for_a_tree_keeps_its_text(opening):
    text, loaded = load("<p>first</p>" + opening * 30_000 + "plum")
    assert (text.split()[0], text.split()[-1]) == ("first", "plum")
    assert loaded.metadata["reduced"] == "nested too deep"


def test_what_is_too_large_for_a_tree_keeps_its_text(monkeypatch):
    monkeypatch.setattr(loader, "MOST_TAGS", 100)
    text, loaded = load("<p>a plum</p>" * 101)
    assert (text.count("a plum"), loaded.markdown, loaded.metadata["reduced"]) == (101, False, "too large")
    monkeypatch.setattr(loader, "LARGEST_TREE", 100)
    text, loaded = load("<p>a plum</p>" * 99)
    assert (text.count("a plum"), loaded.markdown, loaded.metadata["reduced"]) == (99, False, "too large")


def test_a_page_that_is_hidden_as_a_whole_is_read():
    text, loaded = load("<body style='visibility:hidden'><p>shown by script</p></body>")
    assert text.strip() == "shown by script"
    assert loaded.metadata["reduced"] == "all of it is hidden"


def test_a_page_that_the_library_cannot_read_keeps_its_text(monkeypatch):
    def panic(*_):
        raise type("PanicException", (BaseException,), {})("index out of range")

    monkeypatch.setattr(loader, "convert", panic)
    text, loaded = load("<p>plum</p>")
    assert (text.strip(), loaded.metadata["reduced"]) == ("plum", "its markup cannot be read")


def test_binary_is_refused():
    with pytest.raises(ProcessingError, match="is binary"):
        load(b"<p>a\0b")


SCRAPS = st.lists(
    st.sampled_from(
        (
            *("<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<ul><li>", "<b>", "</i>", "<pre>", "<script>"),
            *(
                "</script>",
                "<!--",
                "-->",
                "<a href='x",
                "'>",
                "&amp;",
                "&#0;",
                "<![CDATA[",
                "]]>",
                "plum",
                " ",
                "\n",
                "é",
            ),
            *("<svg>", "</", "<h1>", "<br>", "<title>", "<textarea>", "<div hidden>", "</div>", "<template>"),
            "<img alt=x src=data:,>",
        )
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(SCRAPS, st.booleans())
def test_any_markup_is_text(scraps, kept):
    text, _ = load("".join(scraps) or " ", preserve_markdown=kept)
    assert "\0" not in text
    assert "\ufffd" not in text


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_processing_error(data):
    try:
        load(data)
    except ProcessingError:
        return
