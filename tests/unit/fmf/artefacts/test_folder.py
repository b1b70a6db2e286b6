from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from fmf.artefacts import folder as module
from fmf.artefacts.folder import artefacts_root, create_run, file_facts
from fmf.artefacts.history import read_record
from fmf.artefacts.index import read_index
from fmf.errors import ConfigError, exit_status

NOW = datetime(2026, 11, 21, 9, 45, tzinfo=UTC)


def test_two_runs_of_one_moment(tmp_path):
    first, second = create_run(tmp_path / "deep" / "er", NOW), create_run(tmp_path / "deep" / "er", NOW)
    assert first.path != second.path
    assert first.path.is_dir()
    assert second.path.is_dir()


def test_a_taken_id_is_tried_again(tmp_path, monkeypatch):
    ids = iter(["one", "one", "two"])
    monkeypatch.setattr(module, "new_run_id", lambda now: next(ids))
    assert [create_run(tmp_path).run_id, create_run(tmp_path).run_id] == ["one", "two"]


def test_no_free_id_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "new_run_id", lambda now: "one")
    create_run(tmp_path)
    with pytest.raises(ConfigError, match="no free run id"):
        create_run(tmp_path)


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="artefacts_dir") as caught:
        create_run(tmp_path / "file" / "runs")
    assert exit_status(caught.value) == 2


def test_the_root_counts_from_the_configuration(tmp_path):
    assert artefacts_root("artefacts", tmp_path) == tmp_path / "artefacts"
    assert artefacts_root(str(tmp_path / "x"), tmp_path / "y") == tmp_path / "x"
    with pytest.raises(ConfigError, match="s3://bucket"):
        artefacts_root("s3://bucket/prefix", tmp_path)


def test_the_life_of_a_run(tmp_path):
    run = create_run(tmp_path, NOW)
    run.announce({"chain": "c"})
    assert read_index(tmp_path)[0]["status"] == "running"
    writer = run.lines("docs.jsonl")
    assert run.lines("docs.jsonl") is writer
    writer.write({"a": 1})
    run.close()
    (run.path / "report.md").write_text("hello")
    outside = tmp_path / "elsewhere.md"
    outside.write_text("there")
    saved = {path: file_facts(path) for path in (run.path / "report.md", outside)}
    artefacts = run.artefacts(saved)
    assert [entry["path"] for entry in artefacts] == ["docs.jsonl", "report.md", str(outside)]
    assert artefacts[1] == {"path": "report.md", "bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    run.finish(
        {"run_id": run.run_id, "status": "completed", "started_at": "2026-11-21T09:45:00.000Z"}, {"status": "completed"}
    )
    assert read_record(tmp_path, run.run_id) == {
        "run_id": run.run_id,
        "status": "completed",
        "started_at": "2026-11-21T09:45:00.000Z",
    }
    entry = read_index(tmp_path)[0]
    assert entry["status"] == "completed"
    assert entry["chain"] == "c"
    assert entry["path"] == run.run_id
