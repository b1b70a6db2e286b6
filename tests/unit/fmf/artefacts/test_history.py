from __future__ import annotations

import pytest

from fmf.artefacts.folder import create_run
from fmf.artefacts.history import find_run, list_runs, read_record
from fmf.artefacts.index import update_index
from fmf.errors import ConfigError

IDS = ["20261121T094500123Z-00000a", "20261121T094500124Z-00000b", "20261122T094500123Z-00000c"]


@pytest.fixture
def root(tmp_path):
    for run_id in IDS:
        update_index(tmp_path, run_id, {"status": "completed"})
    return tmp_path


def test_newest_first(root):
    assert [entry["run_id"] for entry in list_runs(root)] == IDS[::-1]


@pytest.mark.parametrize(
    ("reference", "number"), [("last", 2), (IDS[0], 0), ("20261122", 2), ("20261121T094500124", 1)]
)
def test_found(root, reference, number):
    assert find_run(root, reference)["run_id"] == IDS[number]


def test_an_ambiguous_beginning_names_the_runs(root):
    with pytest.raises(ConfigError, match=r"2 runs begin with '20261121'.*00000a"):
        find_run(root, "20261121")


@pytest.mark.parametrize("reference", ["1999", "", "../x"])
def test_an_unknown_run_names_the_latest(root, reference):
    with pytest.raises(ConfigError, match="no run") as caught:
        find_run(root, reference)
    assert IDS[2] in caught.value.hint


def test_no_run_at_all(tmp_path):
    with pytest.raises(ConfigError) as caught:
        find_run(tmp_path, "last")
    assert "no run is recorded" in caught.value.hint


def test_records(tmp_path):
    run = create_run(tmp_path)
    assert read_record(tmp_path, run.run_id) is None
    run.finish({"status": "completed", "n": 1}, {})
    assert read_record(tmp_path, run.run_id) == {"status": "completed", "n": 1}
    (run.path / "run.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="not the record"):
        read_record(tmp_path, run.run_id)
