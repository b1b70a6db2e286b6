"""Every broken and every hostile file ends as the table says, and keeps every promise that holds for all documents."""

from __future__ import annotations

from collections import Counter

import pytest

from bad_input.case import Case, Expected, Outcome
from bad_input.table import cases
from bad_input.trial import Trials

CASES = cases()


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_file_ends_as_the_table_says(case: Case, trials: Trials) -> None:
    assert_as_expected(trials.outcome_of(case), case.expected)


def assert_as_expected(outcome: Outcome, expected: Expected) -> None:
    assert (outcome.status, outcome.faults) == (expected.status, ()), outcome
    for said in expected.says:
        assert said.lower() in f"{outcome.reason} {outcome.hint}".lower()
    for held in expected.has:
        assert held in outcome.text
    for leaked in expected.lacks:
        assert leaked not in outcome.text + outcome.reason
    assert outcome.chars <= expected.most_chars
    assert "\ufffd" not in outcome.text or "\ufffd" in "".join(expected.has)
    if outcome.status == "failed":
        assert outcome.hint, outcome.reason


def test_the_table_is_large_and_no_case_stands_in_it_twice() -> None:
    assert len(CASES) >= 300
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    assert {case.expected.status for case in CASES} == {"ok", "skipped", "failed"}
