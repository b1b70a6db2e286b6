"""Folders of hostile names, links, pipes and files that change: what is listed, and how each of it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from bad_input.case import Outcome
from bad_input.places import PLACES, Place, seen


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_hostile_folder_is_listed_and_read_as_the_table_says(place: Place, tmp_path: Path) -> None:
    found = seen(place, tmp_path)
    assert set(found.outcomes) == set(place.expected)
    assert found.notices >= place.notices
    for name, expected in place.expected.items():
        outcome = found.outcomes[name]
        assert isinstance(outcome, Outcome)
        assert (outcome.status, outcome.faults) == (expected.status, ()), outcome
        for said in expected.says:
            assert said in outcome.reason
        for held in expected.has:
            assert held in outcome.text
        for leaked in expected.lacks:
            assert leaked not in outcome.text + outcome.reason
