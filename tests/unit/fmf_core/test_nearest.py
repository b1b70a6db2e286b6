from __future__ import annotations

import pytest

from fmf_core.nearest import MOST_SHOWN, known_hint, nearest


@pytest.mark.parametrize(
    ("word", "meant"), [("mial", "mail"), ("MAIL", "mail"), ("Notes ", "notes"), ("zebra", None), ("", None)]
)
def test_the_nearest(word: str, meant: str | None) -> None:
    assert nearest(word, ["mail", "notes"]) == meant


def test_how_near_can_be_asked() -> None:
    assert nearest("smol", ["smollm2-135m"]) is None
    assert nearest("smol", ["smollm2-135m"], cutoff=0.4) == "smollm2-135m"


def test_a_hint_lists_what_is_known() -> None:
    assert known_hint("mial", ["mail", "notes"]) == "did you mean 'mail'? known: mail, notes"
    assert known_hint("", ["mail"], what="allowed") == "allowed: mail"
    assert known_hint("x", [], none="none; add one") == "known: none; add one"


def test_a_hint_is_no_longer_than_needed() -> None:
    hint = known_hint("x", (f"name{number}" for number in range(MOST_SHOWN + 5)))
    assert hint.endswith(f"name{MOST_SHOWN - 1} and 5 more")
