"""The process of one engine: CPU of a step, memory of a workflow in flight; or of one logger: CPU of a line."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.peers import inside, loggers
from benchmarks.peers.engines import ANSWER, ENGINES, STEPS, TEXT, Engine, Nowhere, Run, gate
from benchmarks.peers.inside import cpu_s, rss_mb
from benchmarks.peers.loggers import LOGGERS, Logger

WARM_UP = 50
WARM_UP_S = 0.2
"""What warming up takes at most, one wave aside."""
PARKING_TIMEOUT_S = 60.0
LEAST_FOR_RSS = 500
"""Resident memory comes in pages and arenas: with fewer workflows its growth says nothing about one of them."""


def main(kind: str, name: str) -> None:
    """Serve the engine or the logger called `name`."""
    if kind == "logger":
        inside.serve(LogWorker(next(logger for logger in LOGGERS if logger.name == name)).do)
    else:
        inside.serve(EngineWorker(next(engine for engine in ENGINES if engine.name == name)).do)


class EngineWorker:
    """Measures one engine.

    Args:
        engine: it is made when it is first asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._run: Run | None = None

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """What `order["do"]` finds out."""
        if self._run is None:
            self._run = self._engine.make()
        answer = await self._run(TEXT)
        if answer != ANSWER:
            raise ValueError(f"a wrong answer: {answer!r}")
        kind = order.pop("do")
        return await (speed if kind == "speed" else memory)(self._run, **order)


async def speed(run: Run, *, at_once: int, seconds: float, count: int | None = None) -> dict[str, Any]:
    """CPU and wall of one step, in microseconds, over `count` workflows, or about `seconds` of them."""
    warm = time.perf_counter() + WARM_UP_S
    for _ in range(0, WARM_UP, at_once):
        if time.perf_counter() < warm:
            await waves(run, min(at_once, WARM_UP), 1)
    if count is None:
        probe = max(at_once, 2)
        taken = await _taken(run, at_once, probe)
        count = max(1, int(seconds * probe / taken["wall_s"]) // at_once) * at_once
    taken = await _taken(run, at_once, count)
    return {**{kind: taken[f"{kind}_s"] / count / STEPS * 1e6 for kind in ("cpu", "wall")}, "count": count}


async def waves(run: Run, at_once: int, count: int) -> None:
    """`count` workflows, `at_once` of them begun together, each in a task of its own, and awaited together."""
    for _ in range(max(1, count // at_once)):
        await asyncio.gather(*[run(TEXT) for _ in range(at_once)])


async def _taken(run: Run, at_once: int, count: int) -> dict[str, float]:
    gc.collect()
    started, cpu = time.perf_counter(), cpu_s()
    await waves(run, at_once, count)
    return {"cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - started}


async def memory(run: Run, *, in_flight: int) -> dict[str, Any]:
    """Bytes of one workflow of `in_flight` that all wait in the model: resident ones, and those of Python objects."""
    await waves(run, 20, 20)
    resident = None
    if in_flight >= LEAST_FOR_RSS:
        resident = await _parked(run, in_flight, lambda: rss_mb() * 1e6)
    tracemalloc.start()
    await waves(run, 5, 5)
    traced = await _parked(run, in_flight, lambda: float(tracemalloc.get_traced_memory()[0]))
    tracemalloc.stop()
    return {"traced": traced, "resident": resident, "in_flight": in_flight}


async def _parked(run: Run, in_flight: int, sample: Callable[[], float]) -> float:
    gate.shut()
    gc.collect()
    before = sample()
    tasks = [asyncio.ensure_future(run(TEXT)) for _ in range(in_flight)]
    end = time.monotonic() + PARKING_TIMEOUT_S
    while gate.waiting < in_flight and time.monotonic() < end:
        await asyncio.sleep(0.001)
    gc.collect()
    used, waiting = sample() - before, gate.waiting
    gate.open()
    await asyncio.gather(*tasks)
    if waiting < in_flight:
        raise RuntimeError(f"only {waiting} of {in_flight} came as far as the model")
    return used / in_flight


class LogWorker:
    """Measures one logger.

    Args:
        logger: it is made when it is first asked for.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._stream = Nowhere()
        self._write: loggers.Write | None = None

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """CPU of one line, in microseconds, over `order["lines"]` lines."""
        if self._write is None:
            self._write = self._logger.make(self._stream)
        write, lines = self._write, order["lines"]
        for _ in range(max(1, lines // 10)):
            write()
        loggers.check(self._stream.last)
        gc.collect()
        cpu = cpu_s()
        for _ in range(lines):
            write()
        return {"us": (cpu_s() - cpu) / lines * 1e6}


if __name__ == "__main__":
    main(*sys.argv[1].split(":", 1))
