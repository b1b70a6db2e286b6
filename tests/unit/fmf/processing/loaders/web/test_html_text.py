"""The text of a page as lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.web.html_text import PlainText, head_of, last_words


def text(page: str, size: int = 1 << 20, **options: bool) -> str:
    return "".join(PlainText(**options).write(page[at : at + size] for at in range(0, len(page), size)))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h1>A</h1><p>b  c\nd</p>e", "A\n\nb c d\n\ne\n"),
        ("a<br>b<br/>c", "a\nb\nc\n"),
        ("<p>Hel<b>lo</b>, <i>you</i></p>", "Hello, you\n\n"),
        ("<ul><li>a<li>b</ul>", "- a\n- b\n\n"),
        ("<table><tr><th>a<th>b<tr><td>1<td><p>2</p></table>x", "a\tb\n1\t2\n\nx\n"),
        ("<pre>  a\n\n\n    b</pre>", "  a\n\n\n    b\n\n"),
        ('x<img src="data:image/png;base64,AAAA" alt="a plum">y', "x a plum y\n"),
        ("<p>a</p><script>b</script><style>c</style><noscript>d</noscript><template>e</template>f", "a\n\nf\n"),
        ("<head><title>t</title></head><body>a", "a\n"),
        ("<div hidden>a<div>b</div>c</div>d", "d\n"),
        ("<div style='color: red; DISPLAY : none'>a</div>d", "d\n"),
        ("<ul><li hidden>a<li>b</ul>c", "- b\n\nc\n"),
        ("<p hidden>a<div>b</div>", "b\n"),
        ("<span class=hidden>a</span>", "a\n"),
        ("<input hidden>a", "a\n"),
        ("", "\n"),
    ],
)
def test_blocks_are_lines(page, expected):
    assert text(page).lstrip("\n") == expected.lstrip("\n")


def test_what_is_hidden_is_there_on_demand():
    assert text("<div hidden>a</div><p>b", hidden=True).split() == ["a", "b"]
    assert "x" not in text("<script>x</script>", hidden=True)


def test_the_file_may_end_in_the_middle():
    writer = PlainText()
    assert "".join(writer.write(["<p>a</p><!-- b"])).strip() == "a"
    assert writer.unclosed == "comment"


def test_depth_costs_no_memory_and_no_stack():
    assert text("<div>" * 100_000 + "plum", 4096).strip() == "plum"


def test_large_pages_come_in_pieces():
    pieces = list(PlainText().write("<p>some words</p>" * 1000 for _ in range(40)))
    assert len(pieces) > 5
    assert sum(piece.count("some words") for piece in pieces) == 40_000


def test_the_head_says_what_the_page_is():
    head = head_of(
        "<html lang=de><head><title> Obst &amp;\n Gemüse </title><meta name=Description content='Was es gibt'>"
        "<meta name=author content=Ann><meta property='og:description' content=other><title>second</title>"
        "</head><body><meta name=keywords content=late>"
    )
    assert head.title == "Obst & Gemüse"
    assert head.metadata() == {"language": "de", "author": "Ann", "description": "Was es gibt"}
    assert head_of("<p>text").title == ""
    assert head_of("").metadata() == {}


def test_the_last_words_are_those_that_are_shown():
    assert last_words("<p>one two three four</p><script>five()</script>") == ["two", "three", "four"]
    assert last_words("<p>" + "x " * 9000 + "the end</p></body></html>") == ["the", "end"]


@given(st.text(alphabet="<>/ahidenprtblsu =\"'-!", max_size=100), st.integers(1, 9))
def test_any_page_is_text_wherever_it_is_cut(page, size):
    assert text(page, size).split() == text(page).split()
