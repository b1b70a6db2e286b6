from __future__ import annotations

import os
import shutil

import pytest

from faults.fault import Expected, Fault
from faults.page import PAGE
from faults.table import FAULTS
from faults.trial import KEY, Result, run
from peers.certificates import Certificates

MARGIN_S = 5.0
"""What the waits between attempts and a busy machine may add to a call."""
CASES = [
    pytest.param(fault, asked, expected, id=f"{fault.name}, {asked}")
    for fault in FAULTS
    for asked, expected in fault.cases
]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates | None:
    if shutil.which("openssl") is None and os.environ.get("CI", "").lower() not in {"1", "true"}:
        return None
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.behaviour(28)
@pytest.mark.behaviour(61)
@pytest.mark.behaviour(74)
@pytest.mark.parametrize(("fault", "asked", "expected"), CASES)
def test_a_fault(fault: Fault, asked: str, expected: Expected, certificates: Certificates | None) -> None:
    if certificates is None and fault.at.startswith("https"):
        pytest.skip("NOT RUN: there is no openssl command")
    result = run(fault, asked, certificates)
    _is_as_expected(result, expected)
    assert result.requests == (expected.attempts if expected.requests is None else expected.requests)
    assert result.requests <= fault.budget
    assert result.connections <= fault.budget + (fault.before is not None)
    assert fault.at_least_s <= result.took_s <= fault.timeout_s * expected.attempts + MARGIN_S
    assert KEY not in result.told
    assert result.elsewhere == []
    assert result.well_afterwards, result.told
    assert result.left_open == 0


def _is_as_expected(result: Result, expected: Expected) -> None:
    error = result.error
    if expected.code is None:
        assert error is None, result.told
        assert result.text == expected.text
        assert result.attempts in {None, expected.attempts}  # a stream that goes well does not tell
        return
    assert error is not None, result.text
    assert error.code is expected.code, result.told
    assert error.retryable == (expected.code in {"rate_limit", "timeout", "unavailable"})
    assert expected.says in error.message
    assert expected.hint in error.hint
    assert error.hint, f"nobody is told what to do: {error}"
    assert result.text.startswith(expected.text)
    assert bool(result.text) == bool(expected.text)
    assert result.attempts == expected.attempts
    assert (f"after {expected.attempts} attempts" in error.message) == (expected.attempts > 1)
    assert (error.fields["provider"], error.fields["model"]) == ("openai", "m")
    assert error.op.startswith("openai.")
    assert error.__cause__ is not None or expected.code in {"bad_reply", "refused", "unavailable"}


def test_the_table_is_long_and_its_names_tell_faults_apart() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) >= 45
    assert len(set(names)) == len(names)


def test_the_page_has_what_is_expected_of_every_fault() -> None:
    """The seconds are not compared."""
    told = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if len(cells) == 8:
            told[cells[0].removeprefix("| "), cells[1]] = (cells[2].split(",")[0], cells[4])
    for fault in FAULTS:
        for asked, expected in fault.cases:
            shown = told.get((fault.name, "either")) or told[fault.name, asked]
            requests = expected.attempts if expected.requests is None else expected.requests
            assert shown == ("an answer" if expected.code is None else f"`{expected.code}`", str(requests)), fault.name
