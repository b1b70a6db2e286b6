"""A fixed share of the spoilt files: whatever was done to a file, it ends as a document, and the run goes on."""

from __future__ import annotations

from pathlib import Path

from bad_input.fuzz import numbered, run
from bad_input.mutate import damaged
from bad_input.seeds import SEEDS

FILES = 300


def test_every_spoilt_file_ends_as_a_document(tmp_path: Path) -> None:
    report = run(numbered(FILES), tmp_path)
    assert report.faults == []
    assert sum(sum(tally.states.values()) for tally in report.tallies.values()) == FILES
    assert all(set(tally.states) <= {"ok", "skipped", "failed"} for tally in report.tallies.values())


def test_the_same_number_spoils_a_file_in_the_same_ways() -> None:
    for ending in SEEDS:
        assert damaged(ending, 7) == damaged(ending, 7)
    assert len({damaged("pdf", number) for number in range(50)}) > 40
