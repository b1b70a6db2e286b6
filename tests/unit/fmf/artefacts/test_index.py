from __future__ import annotations

import builtins
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fmf.artefacts import index
from fmf.artefacts.index import read_index, update_index
from fmf.errors import ConfigError

FIRST, SECOND = "20261121T094500123Z-000001", "20261121T094500123Z-000002"


def test_entries_are_merged_and_sorted(tmp_path):
    update_index(tmp_path, SECOND, {"status": "running", "chain": "c"})
    update_index(tmp_path, FIRST, {"status": "completed"})
    update_index(tmp_path, SECOND, {"status": "failed"})
    assert read_index(tmp_path) == [
        {"run_id": FIRST, "status": "completed"},
        {"run_id": SECOND, "status": "failed", "chain": "c"},
    ]
    stored = json.loads((tmp_path / "index.json").read_text())
    assert stored["schema_version"] == 1
    assert [entry["run_id"] for entry in stored["runs"]] == [FIRST, SECOND]


def test_no_folder_no_runs(tmp_path):
    assert read_index(tmp_path / "none") == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"runs": 3}', b'{"runs": [1, {"x": 1}]}'])
def test_a_damaged_index_hides_no_run(tmp_path, damage):
    (tmp_path / "index.json").write_bytes(damage)
    (tmp_path / FIRST).mkdir()
    (tmp_path / "notes").mkdir()
    assert [entry["run_id"] for entry in read_index(tmp_path)] == [FIRST]


def _write(arguments):
    root, number = arguments
    update_index(root, f"20261121T094500{number:03d}Z-000000", {"status": "completed"})


def test_many_threads_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_write, [(tmp_path, number) for number in range(40)]))
    assert len(read_index(tmp_path)) == 40


def test_many_processes_lose_nothing(tmp_path):
    code = """
import sys
from pathlib import Path
from fmf.artefacts.index import update_index
for number in range(int(sys.argv[2]), 30, 3):
    update_index(Path(sys.argv[1]), f"20261121T094500{number:03d}Z-000000", {"status": "completed"})
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(first)]) for first in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(read_index(tmp_path)) == 30


@pytest.fixture
def without_fcntl(monkeypatch):
    real = builtins.__import__

    def missing(name, *more, **kwargs):
        if name == "fcntl":
            raise ImportError(name)
        return real(name, *more, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)


def test_a_system_without_fcntl(tmp_path, without_fcntl):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_write, [(tmp_path, number) for number in range(12)]))
    assert len(read_index(tmp_path)) == 12
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["index.json"]


def test_a_lock_left_behind_is_named(tmp_path, without_fcntl, monkeypatch):
    monkeypatch.setattr(index, "_LOCK_WAIT_S", 0.05)
    (tmp_path / ".index.held").touch()
    with pytest.raises(ConfigError, match=r"\.index\.held"):
        update_index(tmp_path, FIRST, {})
