"""The benchmark of engines works: processes measure engines and loggers, tables are made of it, the page is renewed."""

from __future__ import annotations

import importlib
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.engine")


@pytest.fixture
def small(benchmark: Any) -> Any:
    return benchmark.Size(rounds=2, seconds=0.001, levels=(1, 2, 3), in_flight=5, lines=20)


def row_of(text: str, title: str, name: str) -> list[str]:
    """The cells behind the name in the table called `title`."""
    table = text.partition(f"### {title}\n")[2].partition("\n### ")[0]
    line = next(line for line in table.splitlines() if line.startswith((f"| {name} |", f"| **{name}** |")))
    return [cell.strip() for cell in line.strip("| ").split("|")][1:]


def test_every_row_of_ours_is_measured_and_told(
    benchmark: Any, small: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loggers = [logger for logger in benchmark.LOGGERS if logger.environment is None]
    monkeypatch.setattr(benchmark, "LOGGERS", loggers)
    monkeypatch.setattr(benchmark, "QUICK", small)
    benchmark.main(["--quick", "--only=no engine of others"])
    told = capsys.readouterr()
    names = [engine.name for engine in benchmark.ENGINES if engine.environment is None]
    assert "NOT MEASURED" not in told.err, told.out
    assert benchmark.FLOOR in names
    assert benchmark.WITH_MODEL in names
    for name in names:
        assert all(float(cell) >= 0 for cell in row_of(told.out, "A step", name))
        in_flight, traced, resident = row_of(told.out, "Memory of a workflow in flight", name)
        assert (in_flight, resident) == ("5", "-")
        assert float(traced) > 0
    assert row_of(told.out, "A step", benchmark.FLOOR)[-1] == "1.0"
    assert float(row_of(told.out, "A JSON log line at INFO", benchmark.OURS)[0]) > 0
    assert {"reached", "**not reached**"} >= {
        row_of(told.out, "What is to be reached", title)[-1]
        for title in (f"{benchmark.OURS}: us CPU a step @2", "us a JSON log line at INFO")
    }


def test_ratios_and_growth_are_made_within_a_round(benchmark: Any) -> None:
    rows = {name: benchmark.Row(engine) for engine in benchmark.ENGINES if (name := engine.name)}
    rows[benchmark.FLOOR].cells = {"cpu 1": [1.0, 2.0, 1.0], "cpu 100": [1.0, 2.0, 1.0], "cpu 1000": [1.0, 2.0, 1.0]}
    rows[benchmark.OURS].cells = {"cpu 1": [2.0, 4.0, 2.0], "cpu 100": [2.2, 4.4, 2.2], "cpu 1000": [3.4, 6.8, 3.4]}
    with ExitStack() as stack:
        run = benchmark.Run([], benchmark.Size(), stack)
        run.rows = list(rows.values())
        text = benchmark.Tables(run).text(1.0)
    assert row_of(text, "A step", benchmark.OURS)[-1] == "2.2"
    growth = row_of(text, "Growth with the number of workflows at once", benchmark.OURS)
    assert growth == ["+10%", "+55%", "1.0", "1.2", "2.4", "+20%", "100%", "+100%"]
    assert row_of(text, "What is to be reached", f"{benchmark.OURS}: us CPU a step @100") == ["5.0", "2.2", "reached"]
    assert row_of(text, "What is to be reached", f"{benchmark.OURS}: overhead 1 -> 100")[-1] == "**not reached**"


def test_an_engine_that_cannot_be_measured_is_a_row_that_says_so(
    benchmark: Any, small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engines = [engine for engine in benchmark.ENGINES if engine.name in (benchmark.FLOOR, "LangGraph")]
    environments = importlib.import_module("benchmarks.peers.environments")

    def refused(name: str) -> str:
        raise environments.UnusableError(f"no package index for {name}")

    monkeypatch.setattr(environments, "python_of", refused)
    with ExitStack() as stack:
        run = benchmark.Run(engines, small, stack)
        run.memory()
        run.speed()
    assert [row.why_not for row in run.rows] == ["", "no package index for langgraph"]
    assert len(run.rows[0].cells["cpu 3"]) == small.rounds


def test_a_workflow_that_gives_a_wrong_answer_is_not_measured(benchmark: Any) -> None:
    worker = importlib.import_module("benchmarks.peers.engine_worker")
    portal = importlib.import_module("fmf_core.portal")

    async def run(text: str) -> str:
        return text

    wrong = worker.EngineWorker(worker.Engine("wrong", lambda: run))
    with pytest.raises(ValueError, match="a wrong answer"):
        portal.run_sync(wrong.do({"do": "speed", "at_once": 1, "seconds": 0.01}))


def test_a_log_line_that_lacks_a_field_is_noticed(benchmark: Any) -> None:
    loggers = importlib.import_module("benchmarks.peers.loggers")
    with pytest.raises(ValueError, match="a wrong line"):
        loggers.check('{"event": "step.completed", "level": "info", "timestamp": "2026-01-01T00:00:00Z"}')


def test_the_page_of_engines_can_be_renewed(benchmark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = benchmark.PAGE.read_text(encoding="utf-8")
    copy = tmp_path / "engine-benchmarks.md"
    copy.write_text(before, encoding="utf-8")
    monkeypatch.setattr(benchmark, "PAGE", copy)
    benchmark.write("NEW FIGURES")
    benchmark.write("NEW FIGURES")
    once = copy.read_text(encoding="utf-8")
    assert once.count("NEW FIGURES") == 1
    assert once.splitlines()[0] == before.splitlines()[0]


def test_engines_and_loggers_are_pinned(benchmark: Any) -> None:
    environments = importlib.import_module("benchmarks.peers.environments")
    for peer in (*benchmark.ENGINES, *benchmark.LOGGERS):
        if peer.environment:
            pins = (ROOT / "benchmarks" / "peers" / f"{peer.environment}.txt").read_text().splitlines()
            assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), peer.environment
            assert environments.version(peer.environment, peer.distribution)
