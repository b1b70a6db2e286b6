"""CPU of one chat call through each client, at 1, 64 and 512 in flight, and of one streamed event."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks import measure
from benchmarks.server import EVENTS, Server

LEVELS = (1, 64, 512)
CALLS = 2000
PROMPT = "A line of a plain report about bicycles and their parts. " * 50
Ask = Callable[[], Awaitable[object]]
Stream = Callable[[], Awaitable[int]]


def ours(base_url: str, *, wrapped: bool) -> tuple[Ask, Stream]:
    """The provider alone, or with retries, measurements and presets around it."""
    from chatmodels import ChatRequest, create_chat_model
    from chatmodels.providers.openai import OpenAIChatModel

    made = create_chat_model if wrapped else lambda _, **settings: OpenAIChatModel(**settings)
    model = made("openai", base_url=base_url, api_key="key-of-nobody", model="bench")

    async def ask() -> object:
        return await model.complete_async(ChatRequest(prompt=PROMPT, temperature=0.0))

    async def stream() -> int:
        return len([chunk async for chunk in model.stream_async(ChatRequest(prompt="x"))])

    return ask, stream


def sdk(base_url: str) -> tuple[Ask, Stream]:
    """The vendor's client, its retries off."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key="key-of-nobody", max_retries=0)
    messages = [{"role": "user", "content": PROMPT}]

    async def ask() -> object:
        return await client.chat.completions.create(model="bench", messages=messages, temperature=0.0)

    async def stream() -> int:
        pieces = await client.chat.completions.create(model="bench", messages=messages, stream=True)
        return len([piece async for piece in pieces])

    return ask, stream


CLIENTS = {
    "chatmodels, provider alone": lambda url: ours(url, wrapped=False),
    "chatmodels, as create_chat_model makes it": lambda url: ours(url, wrapped=True),
    "AsyncOpenAI": sdk,
}


def cpu_s() -> float:
    """CPU of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def many(ask: Ask, at_once: int, calls: int) -> None:
    """`calls` calls, `at_once` at a time."""
    todo = iter(range(calls))

    async def worker() -> None:
        for _ in todo:
            await ask()

    await asyncio.gather(*[worker() for _ in range(at_once)])


async def one(client: Callable[[str], tuple[Ask, Stream]], base_url: str) -> list[float]:
    """Microseconds a call at each level, then a streamed event."""
    ask, stream = client(base_url)
    found = []
    for level in LEVELS:
        await many(ask, level, level)
        started = cpu_s()
        await many(ask, level, CALLS)
        found.append((cpu_s() - started) / CALLS * 1e6)
    await stream()
    started = cpu_s()
    await asyncio.gather(*[stream() for _ in range(16)])
    found.append((cpu_s() - started) / (16 * EVENTS) * 1e6)
    return found


def main(rounds: int = 3) -> None:
    """Print the table."""
    taken: dict[str, list[list[float]]] = {name: [] for name in CLIENTS}
    began = time.perf_counter()
    with Server(0) as base_url:
        for _ in range(rounds):
            for name, client in CLIENTS.items():
                taken[name].append(asyncio.run(one(client, base_url)))
    rows = [
        [name, *(f"{statistics.median(column):.0f}" for column in zip(*runs, strict=True))]
        for name, runs in taken.items()
    ]
    head = ["client", *(f"us a call @{level}" for level in LEVELS), "us a streamed event"]
    measure.table(f"CPU of the client ({time.perf_counter() - began:.0f} s in all)", head, rows)
