"""No loader harms the run: its file fails or is read, the next file is read as ever, and no process stays behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bad_input import crashing
from bad_input.case import Case, case, ok
from bad_input.test_table import assert_as_expected
from bad_input.trial import Trials
from fmf.processing.loaders.base import loaders

GOOD = case("a good file", "a.txt", b"plum", ok("plum"))


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    published = loaders._published
    loaders._published = None
    with crashing.installed(tmp_path_factory.mktemp("installed")):
        yield Trials(tmp_path_factory.mktemp("crashing"))
    loaders._published = published


@pytest.mark.parametrize("hostile", crashing.CASES, ids=lambda each: each.name)
def test_a_hostile_loader_harms_its_own_file_at_most(hostile: Case, trials: Trials, capfd) -> None:
    assert_as_expected(trials.outcome_of(hostile), hostile.expected)
    assert_as_expected(trials.outcome_of(GOOD), GOOD.expected)
    assert capfd.readouterr() == ("", "")


def test_every_hostile_loader_has_its_case() -> None:
    assert sorted(each.file.removeprefix(f"a.{crashing.PREFIX}") for each in crashing.CASES) == sorted(
        crashing.loaders()
    )


def test_no_process_stays_behind(trials: Trials) -> None:
    crashing.nursery.close()
    until = time.monotonic() + 20
    while (left := _children_of_nobody()) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []


def _children_of_nobody() -> list[str]:
    """Processes of this test's loaders that are still there: they have its plugins in their environment or name."""
    mark = str(crashing.PLUGINS).encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int(place.name) != os.getpid() and mark in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
