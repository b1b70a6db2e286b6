from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmf.artefacts.index import read_index, update_index
from fmf.chains import retention
from fmf.chains.retention import prune
from fmf.ledger.hold import Hold
from fmf.ledger.run_ledger import RunLedger
from fmf_core.errors import FrameworkError
from fmf_core.portal import run_sync

IDS = [f"2026112{day}T094500123Z-00000{day}" for day in range(5)]


@pytest.fixture
def root(tmp_path):
    """Five runs, and all that is none."""
    for run_id in IDS:
        (tmp_path / run_id / "deep").mkdir(parents=True)
        (tmp_path / run_id / "run.yaml").write_text("status: completed\n")
        (tmp_path / run_id / "deep" / "file").write_text("x")
        update_index(tmp_path, run_id, {"status": "completed"})
    return tmp_path


def names(root):
    return sorted(path.name for path in root.iterdir() if not path.name.startswith((".index", "index")))


def indexed(root):
    return [entry["run_id"] for entry in json.loads((root / "index.json").read_text())["runs"]]


def test_the_latest_runs_stay_and_the_index_says_so(root):
    found = prune(root, 2)
    assert (found.removed, found.kept, found.going_on, found.failed) == (IDS[:3], IDS[3:], [], {})
    assert names(root) == indexed(root) == IDS[3:]
    assert prune(root, 2).removed == []


def test_a_dry_run_only_tells(root):
    assert prune(root, 2, dry_run=True).removed == IDS[:3]
    assert names(root) == indexed(root) == IDS


def test_what_is_no_run_is_never_touched(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "run.yaml").write_text("precious")
    (root / "20200101T000000000Z-aaaaaa").symlink_to(elsewhere)
    (root / "20200101T000000000Z-bbbbbb").mkdir()  # the name of a run, and nothing of one
    (root / "20200101T000000000Z-bbbbbb" / "notes").write_text("mine")
    (root / "20200101T000000000Z-cccccc").write_text("a file")
    (root / "20200101T000000000Z-dddddd").mkdir()
    (root / "20200101T000000000Z-dddddd" / "run.yaml").symlink_to(elsewhere / "run.yaml")
    (root / "old").mkdir()
    (root / "old" / "run.yaml").write_text("")
    (root / ".removed-old").mkdir()
    (root / IDS[0] / "link").symlink_to(elsewhere)
    foreign = set(names(root)) - set(IDS)
    assert prune(root, 1).removed == IDS[:4]
    assert set(names(root)) == {*foreign, IDS[4]}
    assert (elsewhere / "run.yaml").read_text() == "precious"
    assert len(foreign) == 6


def test_a_run_that_is_going_on_stays(root):
    ledger = RunLedger.begin(root / IDS[0], {})
    hold = Hold.take(root / IDS[1])
    try:
        found = prune(root, 1)
        assert (found.removed, found.going_on) == (IDS[2:4], IDS[:2])
        assert names(root) == [*IDS[:2], IDS[4]]
    finally:
        hold.release()
        run_sync(ledger.close())
    assert prune(root, 1).removed == IDS[:2]


def test_a_run_that_is_taken_up_meanwhile_stays(root, monkeypatch):
    monkeypatch.setattr(retention, "is_alive", lambda folder: False)
    hold = Hold.take(root / IDS[0])
    try:
        assert prune(root, 4).going_on == [IDS[0]]
        assert (root / IDS[0] / "run.yaml").exists()
    finally:
        hold.release()


def test_a_run_that_is_spared_stays(root):
    assert prune(root, 1, spare=IDS[2]).removed == [*IDS[:2], IDS[3]]


def test_what_a_prune_that_was_killed_left_is_cleared_away(root):
    (root / IDS[0]).rename(root / f".removed-{IDS[0]}")
    assert IDS[0] in indexed(root)
    assert prune(root, 4).removed == []
    assert names(root) == indexed(root) == IDS[1:]


def test_a_run_that_cannot_be_moved_is_told_and_the_others_go(root, monkeypatch):
    rename = Path.rename

    def stubborn(path, target):
        if path.name == IDS[0]:
            raise PermissionError(13, "no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    found = prune(root, 3)
    assert (list(found.failed), found.removed) == ([IDS[0]], [IDS[1]])
    assert [entry["run_id"] for entry in read_index(root)] == [IDS[0], *IDS[2:]]


def test_no_folder_is_nothing_to_do(tmp_path):
    assert prune(tmp_path / "none", 1).removed == []
    with pytest.raises(ValueError, match="at least one"):
        prune(tmp_path, 0)


def test_runs_remove_what_the_configuration_does_not_want_kept(project, chain):
    work = project({"a.md": "a"})
    work.config["artefacts_retain_last"] = 2
    ended = [work.run(chain()).report.run_id for _ in range(3)]
    assert indexed(work.root / "artefacts") == ended[1:]


def test_a_run_does_not_fail_where_old_ones_cannot_be_removed(project, chain, monkeypatch):
    def refuse(*_, **__):
        raise FrameworkError("no", op="artefacts.write")

    monkeypatch.setattr(retention, "prune", refuse)
    work = project({"a.md": "a"})
    work.config["artefacts_retain_last"] = 2
    assert work.run(chain()).status == "completed"
