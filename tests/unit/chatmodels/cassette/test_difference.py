from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatmodels.cassette.difference import MOST_LINES, WIDEST, difference


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def test_a_long_text_is_compared_line_by_line() -> None:
    lines = [f"This is sentence number {number} of a long report." for number in range(200)]
    changed = [*lines[:120], "This one is new.", *lines[121:]]
    assert difference(asked("\n".join(changed)), [asked("\n".join(lines))]).splitlines() == [
        "--- nearest recorded",
        "+++ asked",
        "@@ -123,5 +123,5 @@",
        "       This is sentence number 118 of a long report.",
        "       This is sentence number 119 of a long report.",
        "-      This is sentence number 120 of a long report.",
        "+      This one is new.",
        "       This is sentence number 121 of a long report.",
        "       This is sentence number 122 of a long report.",
    ]


def test_of_a_long_line_the_place_that_differs_is_shown() -> None:
    before, after = "word " * 2000, " word" * 2000
    shown = difference(asked(f"{before}RED{after}"), [asked(f"{before}BLUE{after}")])
    removed, added = (next(line for line in shown.splitlines() if line.startswith(sign + "…")) for sign in "-+")
    assert "BLUE word" in removed
    assert "RED word" in added
    assert max(map(len, shown.splitlines())) < WIDEST + 10


def test_a_difference_of_many_lines_is_cut() -> None:
    shown = difference(asked("\n".join(map(str, range(500)))), [asked("\n".join(map(str, range(1000, 1500))))])
    assert len(shown.splitlines()) == MOST_LINES + 1
    assert shown.endswith("more lines")


def test_the_nearest_is_found_among_many_by_its_end() -> None:
    start = "You are a careful assistant. " * 3000
    recorded = [asked(f"{start} Question {number}: {chr(97 + number % 26) * 40}?") for number in range(500)]
    shown = difference(asked(f"{start} Question 77: {'z' * 40}!"), recorded)
    assert "z" * 40 + "?" in shown


def test_settings_tools_and_pictures_are_told() -> None:
    picture = {"type": "image", "data": "sha256:00", "url": None}
    one = {"model": "m", "messages": [{"role": "user", "content": [picture]}], "tools": [{"name": "t"}], "seed": None}
    other = {**one, "messages": [{"role": "user", "content": [{**picture, "data": "sha256:01"}]}], "seed": 1}
    shown = difference(other, [one])
    assert "-        data: sha256:00\n+        data: sha256:01" in shown
    assert "-seed: null\n+seed: 1" in shown


def test_without_a_recorded_one_all_is_new() -> None:
    assert "+model: m" in difference(asked("x"), [])


@given(st.text(), st.text(), st.text())
def test_any_texts_can_be_compared(one: str, other: str, both: str) -> None:
    shown = difference(asked(both + one), [asked(both + other)])
    assert bool(shown) == (one != other)
