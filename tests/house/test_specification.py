"""Every part of the specification has a test that names it, and its page lists today's tests."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "requirements.py"))


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return TOOL["marked"]()


def test_every_requirement_has_a_test_and_every_mark_names_a_requirement(found: dict[str, list[str]]) -> None:
    assert TOOL["faults_of"](found) == []


def test_the_page_lists_todays_tests_and_all_of_them_passed(found: dict[str, list[str]]) -> None:
    page = TOOL["PAGE"].read_text(encoding="utf-8")
    assert TOOL["listed"](page) == TOOL["rows"](found), "run: python tools/requirements.py --write"
    table = page.partition(TOOL["BEGIN"])[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == len(TOOL["rows"](found))
    assert [row for row in rows if not row.endswith("| passed |")] == []


def test_what_is_missing_or_misspelt_is_noticed() -> None:
    faults = TOOL["faults_of"]({"specification/test_x.py::test_y": ["FR-001", "FR-999"]})
    assert not any("FR-001" in fault for fault in faults)
    assert any(fault.startswith("no test shows FR-002") for fault in faults)
    assert faults[-1] == "specification/test_x.py::test_y names 'FR-999', which is no requirement"


def test_outcomes_of_all_parameters_count_and_the_page_can_be_renewed(found: dict[str, list[str]]) -> None:
    outcome_of: Any = TOOL["outcome_of"]
    assert outcome_of(Counter(passed=3)) == "passed"
    assert outcome_of(Counter(passed=3, failed=1)) == "1 failed, 3 passed"
    page = TOOL["PAGE"].read_text(encoding="utf-8")
    renewed = TOOL["renewed"](page, TOOL["tables"](found, {}))
    assert TOOL["listed"](renewed) == TOOL["rows"](found)
    assert "did not run" in renewed
    assert "| passed |" not in renewed.partition(TOOL["BEGIN"])[2]
