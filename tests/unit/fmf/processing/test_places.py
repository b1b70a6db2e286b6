from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.base import Mark
from fmf.processing.places import MOST_PARTS, Places


def told(*pieces, markdown=False):
    places, text = Places(markdown=markdown), ""
    for piece in pieces:
        if isinstance(piece, Mark):
            places.mark(piece)
        else:
            places.feed(piece)
            text += piece
    return places, text


def test_a_stretch_says_on_which_pages_it_begins_and_ends():
    places, text = told(Mark("page", 1), "one\n", Mark("page", 2), "two\n", Mark("page", 3), "three")
    assert places.of(0, 3) == {"page": 1}
    assert places.of(1, 6) == {"page": 1, "last_page": 2}
    assert places.of(1, len(text)) == {"page": 1, "last_page": 3}
    assert places.of(8, len(text)) == {"page": 3}


def test_rows_are_counted_as_in_the_source():
    places, text = told(
        Mark("sheet", 1, "Prices"),
        "## Prices\n\n| a |\n| --- |\n",
        Mark("rows", number=2),
        "| 1 |\n| 2 |\n",
        Mark("rows", number=7),
        "| 6 |\n",
    )
    assert places.of(0, text.index("| 1")) == {"sheet": "Prices"}
    assert places.of(text.index("| 1"), text.index("| 1") + 5) == {"sheet": "Prices", "row": 2}
    assert places.of(text.index("| 2"), text.index("| 2") + 5) == {"sheet": "Prices", "row": 3}
    assert places.of(text.index("| 2"), len(text)) == {"sheet": "Prices", "row": 3, "last_row": 7}


def test_a_mark_ends_what_stands_in_the_one_before():
    places, text = told(
        Mark("slide", 1), "a", Mark("part", name="notes"), "b", Mark("slide", 2), "c", Mark("part", name="notes"), "d"
    )
    assert [places.of(at, at + 1) for at in range(len(text))] == [
        {"slide": 1},
        {"slide": 1, "part": "notes"},
        {"slide": 2},
        {"slide": 2, "part": "notes"},
    ]


def test_headings_stand_above_what_follows_until_one_of_their_level():
    text = "intro\n# A\none\n## B\ntwo\n```\n# no heading\n```\n## C ##\nthree\n# D\nfour\n"
    places, _ = told(text, markdown=True)
    words = ("intro", "one", "two", "heading", "three", "four")
    above = {word: places.of(text.index(word), text.index(word) + 3).get("heading") for word in words}
    assert above["intro"] is None
    assert above["one"] == ["A"]
    assert above["two"] == ["A", "B"]
    assert above["heading"] == ["A", "B"]
    assert above["three"] == ["A", "C"]
    assert above["four"] == ["D"]


def test_headings_that_are_open_stand_above_what_comes_later_however_far_was_asked_before():
    places, text = told("# Book\n\n## One\n\ntext\n\n", markdown=True)
    assert places.of(len(text) - 6, len(text)) == {"heading": ["Book", "One"]}
    places.feed("## Two\n\nmore\n")
    assert places.of(len(text) + 8, len(text) + 13) == {"heading": ["Book", "Two"]}
    titles = [(part["title"], part["start"], part["end"]) for part in places.finish()]
    assert titles == [("Book", 0, len(text) + 13), ("One", 8, len(text)), ("Two", len(text), len(text) + 13)]


def test_the_structure_tells_each_part_with_its_place():
    text = "# A\n\n| x |\n| - |\n| 1 |\n\nend\n## B\nmore"
    places, _ = told(Mark("page", 1), text, markdown=True)
    structure = places.finish()
    assert [(part["kind"], text[part["start"] : part["end"]]) for part in structure] == [
        ("page", text),
        ("heading", text),
        ("table", "| x |\n| - |\n| 1 |\n"),
        ("heading", "## B\nmore"),
    ]
    assert [part.get("title") for part in structure] == [None, "A", None, "B"]


def test_a_very_long_structure_is_cut_and_says_so():
    places, _ = told("# x\n" * (MOST_PARTS + 10), markdown=True)
    assert len(places.finish()) == MOST_PARTS
    assert places.left_out == 10


LINES = st.lists(
    st.sampled_from(["# A\n", "## B\n", "text\n", "| a | b |\n", "```\n", "\n", " - x\n", "# no end"]), max_size=30
)


@given(LINES, st.lists(st.integers(0, 200), max_size=12))
def test_the_pieces_in_which_a_text_comes_do_not_matter(lines, cuts):
    text = "".join(lines)
    borders = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    whole, _ = told(text, markdown=True)
    cut, _ = told(*(text[a:b] for a, b in itertools.pairwise(borders)), markdown=True)
    assert whole.finish() == cut.finish()


ROWS = st.lists(st.text("ab", min_size=1, max_size=3), max_size=4).map(lambda rows: "".join(f"{row}\n" for row in rows))


@given(st.lists(st.tuples(st.booleans(), ROWS), max_size=20), st.data())
def test_the_row_of_a_place_is_that_of_its_line(parts, data):
    pieces, rows, row = [], [], 0
    for jumps, text in parts:
        lines = text.count("\n")
        if jumps or not pieces:
            row += 10
            pieces.append(Mark("rows", number=row))
            at_line = row
        pieces.append(text)
        for character in text:
            rows.append(at_line)
            at_line += character == "\n"
        row += lines + 1
    places, text = told(*pieces)
    start = 0
    while start < len(text):
        end = data.draw(st.integers(start + 1, len(text)))
        place = places.of(start, end)
        assert place["row"] == rows[start]
        assert place.get("last_row", place["row"]) == rows[end - 1]
        start = data.draw(st.integers(start + 1, end))


def test_marks_of_headings_count_where_the_text_is_no_markdown():
    places, _ = told(Mark("heading", 1, "A"), "a\n", Mark("heading", 2, "B"), "b\n")
    assert places.of(0, 1) == {"heading": ["A"]}
    assert places.of(2, 3) == {"heading": ["A", "B"]}


@pytest.mark.parametrize("markdown", [True, False])
def test_a_text_without_marks_has_no_places(markdown):
    places, text = told("plain text\n" * 10, markdown=markdown)
    assert places.of(0, len(text)) == {}
    assert places.finish() == []


def test_a_table_lends_its_rows_to_what_stands_above_it_in_its_part_and_to_nothing_else():
    pieces = (
        "body\n\n",
        Mark("part", 1, "a.csv"),
        "a.csv:\n| x |\n",
        Mark("rows", number=2),
        "| 1 |\n",
        "| 2 |\n",
        "\n",
        Mark("part", 2, "b"),
        "\n",
        "end",
    )
    text = told(*pieces)[1]
    places = {
        (start, end): told(*pieces)[0].of(text.index(start), text.index(end) + len(end))
        for start in ("body", "a.csv", "| 1", "end")
        for end in ("body", "a.csv:", "| 1 |", "| 2 |", "end")
        if text.index(start) <= text.index(end)
    }
    assert places == {
        ("body", "body"): {},
        ("body", "a.csv:"): {"last_part": "a.csv"},
        ("body", "| 1 |"): {"last_part": "a.csv", "last_row": 2},
        ("body", "| 2 |"): {"last_part": "a.csv", "last_row": 3},
        ("body", "end"): {"last_part": "b"},
        ("a.csv", "a.csv:"): {"part": "a.csv"},
        ("a.csv", "| 1 |"): {"part": "a.csv", "row": 2},
        ("a.csv", "| 2 |"): {"part": "a.csv", "row": 2, "last_row": 3},
        ("a.csv", "end"): {"part": "a.csv", "row": 2, "last_part": "b"},
        ("| 1", "| 1 |"): {"part": "a.csv", "row": 2},
        ("| 1", "| 2 |"): {"part": "a.csv", "row": 2, "last_row": 3},
        ("| 1", "end"): {"part": "a.csv", "row": 2, "last_part": "b"},
        ("end", "end"): {"part": "b"},
    }


def test_what_lies_between_start_and_end_is_not_told():
    pieces = (
        "mail\n",
        Mark("part", 1, "p.xlsx"),
        Mark("sheet", 1, "S"),
        Mark("rows", number=1),
        "| a |\n",
        Mark("sheet", 2, "T"),
        "T\n",
        Mark("rows", number=1),
        "| b |\n",
        Mark("part", 2, "f.pdf"),
        Mark("page", 1),
        "one\n",
        Mark("page", 2),
        "two",
    )
    text = told(*pieces)[1]
    assert told(*pieces)[0].of(0, len(text)) == {"last_part": "f.pdf", "last_page": 2}
    sheets = (text.index("| a"), text.index("| b |") + 5)
    assert told(*pieces)[0].of(*sheets) == {
        "part": "p.xlsx",
        "sheet": "S",
        "row": 1,
        "last_sheet": "T",
        "last_row": 1,
    }


@pytest.mark.parametrize("mark", [Mark("slide", 2), Mark("sheet", 2, "b"), Mark("part", 2, "b")])
def test_headings_tables_and_code_end_with_a_part(mark):
    first = "# A\n\n## B\n\none\n| x |\n```\n| no table |\n# no heading"
    places, text = told(first, mark, "two\n\n## C\n\nthree\n| y |\n", markdown=True)
    words = ("one", "two", "three")
    headings = [places.of(text.index(word), text.index(word) + 3).get("heading") for word in words]
    assert headings == [["A", "B"], None, ["C"]]
    structure = [(part["kind"], text[part["start"] : part["end"]]) for part in places.finish()]
    assert structure == [
        ("heading", first),
        ("heading", first[5:]),
        ("table", "| x |\n"),
        (mark.kind, "two\n\n## C\n\nthree\n| y |\n"),
        ("heading", "## C\n\nthree\n| y |\n"),
        ("table", "| y |\n"),
    ]


def test_a_heading_without_a_line_end_and_a_table_end_with_their_part():
    places, text = told("| x |\n", Mark("part", 1), "| y |\n# A", Mark("part", 2), "b", markdown=True)
    assert places.of(len(text) - 4, len(text) - 1) == {"part": 1, "heading": ["A"]}
    assert places.of(len(text) - 1, len(text)) == {"part": 2}
    tables = [text[part["start"] : part["end"]] for part in places.finish() if part["kind"] == "table"]
    assert tables == ["| x |\n", "| y |\n"]


def test_a_part_within_another_keeps_its_headings_and_gives_way_to_it_again():
    notes = Mark("part", name="notes", within=True)
    pieces = ("# A\n", "a", notes, "b", Mark("slide", 2), "c", notes, "d", Mark("part", 2, "other"), "e")
    places, text = told(Mark("part", 1, "t.pptx"), Mark("slide", 1), *pieces, markdown=True)
    assert [places.of(at, at + 1) for at in range(text.index("\n") + 1, len(text))] == [
        {"part": "t.pptx", "slide": 1, "heading": ["A"]},
        {"part": "notes", "slide": 1, "heading": ["A"]},
        {"part": "t.pptx", "slide": 2},
        {"part": "notes", "slide": 2},
        {"part": "other"},
    ]
