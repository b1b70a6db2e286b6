"""The benchmark of runs works: ours and a script answer the same files, and a killed run is resumed and counted."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(ROOT)
    return importlib.import_module("benchmarks.runs")


def test_contenders_that_work_and_that_do_not_have_a_line_each(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise benchmark.environments.UnusableError("no | network")

    monkeypatch.setattr(benchmark.environments, "python_of", none)
    chosen = [one for one in benchmark.CONTENDERS if one.name in ("fmf run", "script with aiohttp")]
    monkeypatch.setattr(benchmark, "CONTENDERS", chosen)
    lines = benchmark.contenders(benchmark.Size(files=3, rounds=1)).splitlines()
    ours = next(line for line in lines if line.startswith("| **fmf run** |"))
    assert float(ours.split("|")[5].replace(",", "")) > 10
    assert any("script with aiohttp" in line and "(**not measured**: no / network)" in line for line in lines)
    assert "at best 1,280 a second" in lines[1]


def test_a_killed_run_is_resumed_and_what_was_asked_twice_is_counted(benchmark: Any) -> None:
    lines = benchmark.sizes(benchmark.Size(items=(300,), killed_at=0.05)).splitlines()
    _, items, answered, begun, twice, _, _ = (cell.strip() for cell in lines[-1].split("|"))
    assert items == "300"
    assert 15 <= int(answered) <= 300
    assert float(begun) > 0
    assert 0 <= int(twice) <= int(answered)
