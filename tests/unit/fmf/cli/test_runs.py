from __future__ import annotations

import json

import pytest

from fmf.artefacts.index import update_index
from fmf.ledger.run_ledger import RunLedger
from fmf_core.portal import run_sync

FIRST, LAST = "20261121T094500123Z-00000a", "20261122T094500123Z-00000b"


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "fmf.yaml").write_text("artefacts_dir: out\n")
    root = tmp_path / "out"
    root.mkdir()
    facts = {"chain": "c", "connector": "docs", "started_at": "2026-11-21T09:45:00.123Z"}
    facts["items"] = {"total": 3, "ok": 2, "failed": 1}
    update_index(root, FIRST, {"status": "partial", **facts})
    update_index(root, LAST, {"status": "running", "chain": None})
    (root / FIRST).mkdir()
    (root / FIRST / "run.yaml").write_text(f"run_id: {FIRST}\nstatus: partial\ncounts: {{chunks: 3}}\n")
    return root


def test_runs_are_listed_newest_first(runs, fmf):
    result = fmf("runs", "ls")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [LAST, FIRST]
    assert lines[1] == [FIRST, "partial", "docs", "c", "2026-11-21T09:45:00.123Z", "2", "1"]
    told = json.loads(fmf("runs", "ls", "--json").stdout)
    assert [entry["run_id"] for entry in told["runs"]] == [LAST, FIRST]


def test_no_runs(fmf):
    result = fmf("runs", "ls")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no run is recorded" in result.stderr


def test_one_run(runs, fmf):
    result = fmf("runs", "show", FIRST)
    assert result.stdout == (runs / FIRST / "run.yaml").read_text()
    told = json.loads(fmf("runs", "show", "20261121", "--json").stdout)
    assert told["counts"] == {"chunks": 3}
    assert told["run_dir"] == str(runs / FIRST)


def test_a_run_that_is_not_over(runs, fmf):
    result = fmf("runs", "show", "last")
    assert result.exit_code == 0
    assert "status: running" in result.stdout
    assert "still going on" in result.stderr
    assert json.loads(fmf("runs", "show", "last", "--json").stdout)["status"] == "running"


def test_an_unknown_run_names_the_latest(runs, fmf):
    result = fmf("runs", "show", "nope")
    assert result.exit_code == 2
    assert LAST in result.stderr


def test_a_run_that_was_killed_is_interrupted(runs, fmf):
    (runs / LAST).mkdir()
    ledger = RunLedger.begin(runs / LAST, {})
    assert json.loads(fmf("runs", "ls", "--json").stdout)["runs"][0]["status"] == "running"
    run_sync(ledger.close())
    assert json.loads(fmf("runs", "ls", "--json").stdout)["runs"][0]["status"] == "interrupted"
    assert f"fmf run --resume {LAST}" in fmf("runs", "show", "last").stderr


def test_old_runs_are_removed_when_asked(runs, fmf):
    result = fmf("runs", "prune", "--keep", "1", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "")
    (runs / LAST).mkdir()
    (runs / LAST / "run.yaml").write_text("status: completed\n")
    assert fmf("runs", "prune", "--keep", "1", "--dry-run").stdout == f"would be removed {FIRST}\n"
    assert json.loads(fmf("runs", "prune", "--keep", "1", "--json").stdout)["removed"] == [FIRST]
    assert [entry.name for entry in runs.iterdir() if entry.is_dir()] == [LAST]


def test_how_many_runs_stay_is_said_or_configured(runs, fmf):
    assert fmf("runs", "prune").exit_code == 2
    assert "artefacts_retain_last" in fmf("runs", "prune").stderr
    assert fmf("runs", "prune", "--set", "artefacts_retain_last=1").exit_code == 0
    assert fmf("runs", "prune", "--keep", "0").exit_code == 2


def test_what_is_wrong_with_a_run_is_told_and_the_status_says_so(runs, fmf):
    result = fmf("runs", "verify", FIRST)
    assert result.exit_code == 1
    assert "wrong record: schema_version: Field required (run.yaml)" in result.stdout.splitlines()
    told = json.loads(fmf("runs", "verify", FIRST, "--json").stdout)
    assert (told["run_id"], told["ok"]) == (FIRST, False)
    assert [check["name"] for check in told["checks"] if not check["ok"]] == ["record"]
    assert fmf("runs", "verify", "nope").exit_code == 2
