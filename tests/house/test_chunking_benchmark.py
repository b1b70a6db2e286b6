"""The benchmark of chunkers works: ours are measured, a table is made of it, the page is renewed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.chunking")


def test_every_row_of_ours_is_measured_and_the_page_renewed(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "page.md"
    copy.write_text((ROOT / "docs" / "documents-benchmarks.md").read_text())
    monkeypatch.setattr(benchmark, "PAGE", copy)
    monkeypatch.setattr(benchmark, "QUICK", benchmark.Size(2, 0.01, 0.05, (0.01, 0.02)))
    benchmark.main(["--quick", "--write", "--only=no chunker of others"])
    told = capsys.readouterr()
    assert "NOT MEASURED" not in told.err
    lines = [line for line in told.out.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(lines) == 1 + sum(chunker.environment is None for chunker in benchmark.CHUNKERS)
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        assert all(float(cell.split(" ")[0]) > 0 for cell in cells[2:])
    assert told.out.strip() in copy.read_text()


def test_a_chunker_that_fails_is_a_row_that_says_so(benchmark: Any, tmp_path: Path) -> None:
    peers = importlib.import_module("benchmarks.peers.chunkers")
    row = benchmark.Row(peers.Chunker("missing", peers.EXACT, dict, environment=None))
    (tmp_path / "documents.json").write_text('["text"]')
    benchmark.run([row], benchmark.QUICK, tmp_path / "documents.json")
    assert row.why_not
    assert row.cells([1.0])[0] == "missing (**not measured**)"


def test_every_chunker_of_others_is_pinned(benchmark: Any) -> None:
    environments = importlib.import_module("benchmarks.peers.environments")
    for chunker in benchmark.CHUNKERS:
        if chunker.environment:
            assert environments.version(chunker.environment, chunker.distribution)
