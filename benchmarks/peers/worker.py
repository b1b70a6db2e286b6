"""The process of one client: how it asks, and what that takes."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.peers import inside
from benchmarks.peers.clients import CLIENTS, Ask, Made
from benchmarks.peers.inside import cpu_s, rss_mb
from benchmarks.server import EVENTS, STREAMED, TEXT, raise_file_limit

STREAMS_AT_ONCE = 16
PROBE = 50
MOST_CALLS = 20_000
MEMORY_AT_ONCE = 64


def main(name: str) -> None:
    """Serve the client `name`."""
    raise_file_limit()
    inside.serve(Worker(next(client.make for client in CLIENTS if client.name == name)).do)


class Worker:
    """Measures one client.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[str], Made]) -> None:
        self._make = make
        self._made: dict[str, Made] = {}

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """What `order["do"]` finds out."""
        kind, base_url = order.pop("do"), order.pop("url")
        if kind == "layers":
            from benchmarks.layers import costs

            return {"layers": await costs(base_url, **order)}
        ask, stream = await self._client(base_url)
        measures: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]]
        measures = {"calls": calls, "hold": hold, "events": events, "memory": memory}
        return await measures[kind](stream if kind == "events" else ask, **order)

    async def _client(self, base_url: str) -> Made:
        if base_url not in self._made:
            ask, stream = self._make(base_url)
            await ask()  # whoever cannot say anything right says so before it is measured
            self._made[base_url] = checked(ask, TEXT), checked(stream, STREAMED)
        return self._made[base_url]


def checked(ask: Ask, wanted: str) -> Ask:
    """`ask`, which fails when the answer is not the wanted one."""

    async def check() -> str:
        said = await ask()
        if said != wanted:
            raise ValueError(f"a wrong answer: {said!r}")
        return said

    return check


async def calls(
    ask: Ask, *, at_once: int, seconds: float, count: int | None = None, least: int = PROBE
) -> dict[str, Any]:
    """CPU of one call, in microseconds, over `count` calls, or over about `seconds` of calls when there is no count."""
    await many(ask, at_once, at_once)  # opens the connections: those of the last round may have been idle for too long
    if count is None:
        probe = max(least, at_once)
        taken = await _taken(ask, at_once, probe)
        count = max(probe, min(MOST_CALLS, int(seconds * probe / taken["wall_s"])))
    taken = await _taken(ask, at_once, count)
    return {"us": taken["cpu_s"] / count * 1e6, "calls": count, **taken}


async def events(stream: Ask, **order: Any) -> dict[str, Any]:
    """CPU of one streamed event, in microseconds; see `calls`."""
    found = await calls(stream, at_once=STREAMS_AT_ONCE, least=STREAMS_AT_ONCE, **order)
    return {**found, "us": found["us"] / EVENTS}


async def hold(ask: Ask, *, at_once: int, seconds: float) -> dict[str, Any]:
    """How many calls a second come through with `at_once` of them under way for `seconds`."""
    until = done = 0.0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await ask()
            done += 1

    await many(ask, at_once, at_once)
    gc.collect()
    started, cpu = time.perf_counter(), cpu_s()
    until = started + seconds
    await asyncio.gather(*[worker() for _ in range(at_once)])
    wall_s = time.perf_counter() - started
    return {"per_s": done / wall_s, "calls": done, "wall_s": wall_s, "cpu_s": cpu_s() - cpu}


async def memory(ask: Ask, *, calls: int) -> dict[str, Any]:
    """Resident memory before and after many calls."""
    await many(ask, MEMORY_AT_ONCE, max(1000, calls // 10))
    gc.collect()
    before = rss_mb()
    await many(ask, MEMORY_AT_ONCE, calls)
    gc.collect()
    return {"before_mb": before, "after_mb": rss_mb(), "calls": calls}


async def many(ask: Ask, at_once: int, count: int) -> None:
    """`count` calls, `at_once` at a time."""
    todo = iter(range(count))

    async def worker() -> None:
        for _ in todo:
            await ask()

    await asyncio.gather(*[worker() for _ in range(at_once)])


async def _taken(ask: Ask, at_once: int, count: int) -> dict[str, float]:
    gc.collect()
    started, cpu = time.perf_counter(), cpu_s()
    await many(ask, at_once, count)
    return {"wall_s": time.perf_counter() - started, "cpu_s": cpu_s() - cpu}


if __name__ == "__main__":
    main(sys.argv[1])
