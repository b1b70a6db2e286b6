"""The two tools that go further than the table: they tell what they found, and notice what is wrong."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from bad_input.seeds import SEEDS

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_census_of_good_and_bad_files_finds_each_in_one_state(tmp_path: Path) -> None:
    for ending in ("txt", "md", "html", "csv", "docx", "xlsx", "pdf", "eml", "zip", "png"):
        (tmp_path / f"good.{ending}").write_bytes(SEEDS[ending]())
    (tmp_path / "bad\n.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "replaced.txt").write_text("plum \ufffd")
    done = tool("census", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 files" in done.stdout
    assert "9 ok, 2 skipped, 1 failed" in done.stdout
    assert "0 things are wrong" in done.stdout


def test_a_census_notices_what_is_wrong(tmp_path: Path) -> None:
    census = runpy.run_path(str(ROOT / "tools" / "census.py"))
    (tmp_path / "a.txt").write_text("plum")
    rest = {"text": None, "bytes": 4, "metadata": {}}
    rows = [
        {**rest, "resource_id": "a.txt", "status": "ok", "text": "pl\ufffdm", "reason": None},
        {**rest, "resource_id": "b.txt", "status": "open", "reason": "one\ntwo"},
        {**rest, "resource_id": "c.txt", "status": "failed", "reason": "c.txt cannot be read: KeyError: 'x'"},
    ]
    lines = (json.dumps({**row, "source_uri": (tmp_path / "a.txt").as_uri()}) + "\n" for row in [*rows, rows[0]])
    (tmp_path / "docs.jsonl").write_text("".join(lines))
    found = census["Census"](tmp_path)
    documents = census["_documents"](tmp_path, found)
    census["_count"](
        found, documents, ["a.txt", "b.txt", "c.txt", "d.txt"], {"docs": "2", "skipped": "0", "failed": "1"}
    )
    told = " ".join(found.wrong)
    for sign in (
        "twice",
        "replacement character",
        "in no state",
        "state 'open'",
        "no line",
        "nobody foresaw",
        "told 2",
    ):
        assert sign in told


def test_one_long_line_is_read_whole_and_at_its_places() -> None:
    done = tool("census", "--one-line", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of them wrong" in done.stdout


def test_the_fuzzer_tells_what_became_of_its_files() -> None:
    done = tool("fuzz_loaders", "--count", "12", "--ending", "txt", "--ending", "csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 files" in done.stdout
    assert "| csv |" in done.stdout


@pytest.mark.parametrize("ending", ["pdf", "docx"])
def test_the_fuzzer_shows_the_file_that_a_number_stands_for(ending: str) -> None:
    from bad_input.mutate import damaged

    command = [sys.executable, str(ROOT / "tools" / "fuzz_loaders.py"), "--show", ending, "5"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == damaged(ending, 5)
