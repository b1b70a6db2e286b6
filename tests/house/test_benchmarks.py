"""The benchmark of model calls works: its server answers, our client's process measures, its page can be renewed."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.calls")


@pytest.fixture
def worker(calls: Any) -> Iterator[Any]:
    """Our client in a process of its own."""
    client = next(client for client in calls.CLIENTS if client.name == calls.OURS)
    made = calls.Worker(client)
    yield made
    made.close()


def test_the_process_of_a_client_measures_it(calls: Any, worker: Any) -> None:
    with calls.Server(0) as url:
        found = worker.ask("calls", url, at_once=4, seconds=0.01)
        assert found["us"] > 0
        assert worker.ask("calls", url, at_once=4, seconds=0.01, count=7)["calls"] == 7
        assert worker.ask("events", url, seconds=0.01)["us"] > 0
        assert worker.ask("memory", url, calls=100)["after_mb"] > 0
        layers = worker.ask("layers", url, seconds=0.01, rounds=1)["layers"]
    with calls.Server(10) as url:
        assert worker.ask("hold", url, at_once=4, seconds=0.1)["calls"] >= 4
    switched_on = {row["layer"] for row in layers if row["stack_us"] is not None}
    assert {"vendor", "translate", "retry", "limit", "measure", "preset"} <= switched_on


def test_a_client_that_cannot_be_measured_says_why(calls: Any, worker: Any) -> None:
    with pytest.raises(calls.FailedError, match="cannot be reached"):
        worker.ask("calls", "http://127.0.0.1:9/v1", at_once=1, seconds=0.01)
    worker._process.kill()
    with pytest.raises(calls.FailedError, match="has ended"):
        worker.ask("calls", "http://127.0.0.1:9/v1", at_once=1, seconds=0.01)


def test_a_wrong_answer_is_noticed(calls: Any) -> None:
    worker = importlib.import_module("benchmarks.peers.worker")

    async def ask() -> str:
        return "something else"

    with asyncio.Runner() as runner, pytest.raises(ValueError, match="a wrong answer: 'something else'"):
        runner.run(worker.checked(ask, "the answer")())


def test_the_page_can_be_renewed(calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = calls.PAGE.read_text(encoding="utf-8")
    copy = tmp_path / "benchmarks.md"
    copy.write_text(before, encoding="utf-8")
    monkeypatch.setattr(calls, "PAGE", copy)
    calls.write("NEW FIGURES")
    calls.write("NEW FIGURES")
    once = copy.read_text(encoding="utf-8")
    assert once.count("NEW FIGURES") == 1
    assert once.splitlines()[0] == before.splitlines()[0]


def test_the_peers_are_pinned(calls: Any) -> None:
    for client in calls.CLIENTS:
        if client.environment:
            pins = (ROOT / "benchmarks" / "peers" / f"{client.environment}.txt").read_text().splitlines()
            assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), client.environment
            assert calls.environments.version(client.environment, client.distribution)
