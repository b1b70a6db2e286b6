"""How much of a hidden, changing limit 64 callers get who always want more, and how often they are refused.

Besides: how many answers they get where refusals have nothing to do with the pace.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from benchmarks import measure
from benchmarks.quota_server import RATES, QuotaServer

CALLERS = 64
ATTEMPTS = 6
PHASE_S = 20.0
SERVERS = {
    "a bucket of 5": ("bucket", False),
    "windows of a second": ("window", False),
    "a bucket of 5, with Retry-After": ("bucket", True),
    "windows of a second, with Retry-After": ("window", True),
}
UNEVEN = {
    "one of five servers without quota": ("fifth", False),
    "one of five servers without quota, with Retry-After": ("fifth", True),
}
UNEVEN_S = 20.0
"""For how long these are asked, in seconds."""
Ask = Callable[[], Awaitable[object]]


def ours(base_url: str, *, adaptive: bool) -> Ask:
    """`create_chat_model`, with what it learns or with retries alone."""
    from chatmodels import create_chat_model

    model = create_chat_model(
        "openai",
        base_url=base_url,
        api_key="key-of-nobody",
        model="bench",
        retry={"max_attempts": ATTEMPTS},
        concurrency={"adaptive": adaptive},
    )
    return lambda: model.ainvoke("x")


def sdk(base_url: str) -> Ask:
    """The vendor's client with its own retries."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key="key-of-nobody", max_retries=ATTEMPTS - 1)
    messages: Any = [{"role": "user", "content": "x"}]
    return lambda: client.chat.completions.create(model="bench", messages=messages)


def until(ask: Ask, end: float) -> int:
    """Let all callers ask until `end`; gives how many calls failed in spite of their retries."""
    lost = 0

    async def caller() -> None:
        nonlocal lost
        while time.monotonic() < end:
            try:
                async with asyncio.timeout_at(end):
                    await ask()
            except TimeoutError:
                return
            except Exception:  # whatever the client raises, the call is lost
                lost += 1

    async def all_of_them() -> None:
        await asyncio.gather(*[caller() for _ in range(CALLERS)])

    asyncio.run(all_of_them())
    return lost


def botocore(base_url: str, end: float) -> int:
    """The limiter of botocore's mode `adaptive`, its own code, with its backoff, around plain requests in threads."""
    from botocore.retries import adaptive, bucket, throttling

    clock = bucket.Clock()
    limiter = adaptive.ClientRateLimiter(
        rate_adjustor=throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
        rate_clocker=adaptive.RateClocker(clock),
        token_bucket=bucket.TokenBucket(max_rate=1, clock=clock),
        throttling_detector=SimpleNamespace(is_throttling_error=lambda status: status == 429),
        clock=clock,
    )
    host = base_url.removeprefix("http://").removesuffix("/v1")
    lost: list[int] = []

    def caller() -> None:
        connection = http.client.HTTPConnection(host)
        while time.monotonic() < end:
            for attempt in range(ATTEMPTS):
                limiter.on_sending_request(None)
                if time.monotonic() >= end:
                    return
                connection.request("POST", "/v1/chat/completions", b"{}")
                reply = connection.getresponse()
                reply.read()
                limiter.on_receiving_response(status=reply.status)
                if reply.status == 200:
                    break
                time.sleep(max(0.0, min(random.random() * 2**attempt, 20, end - time.monotonic())))
            else:
                lost.append(1)

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end + 1 - time.monotonic()))
    return len(lost)


CLIENTS: dict[str, Callable[[str, float], int]] = {
    "chatmodels": lambda url, end: until(ours(url, adaptive=True), end),
    "chatmodels, backoff alone": lambda url, end: until(ours(url, adaptive=False), end),
    "AsyncOpenAI, 5 retries": lambda url, end: until(sdk(url), end),
    "botocore's adaptive mode": botocore,
}


def one(client: str, server: str, phase_s: float) -> dict[str, Any]:
    """What the server counted of one client, and how many calls the client lost."""
    kind, tells = {**SERVERS, **UNEVEN}[server]
    with QuotaServer(kind, phase_s, tells=tells) as base_url:
        lost = CLIENTS[client](base_url, time.monotonic() + phase_s * len(RATES))
        with urllib.request.urlopen(f"{base_url}/counts") as reply:
            return {"counts": json.load(reply), "lost": lost}


def row(client: str, found: dict[str, Any], phase_s: float) -> list[str]:
    """One line of the table: for each phase and in all the share of the quota and, behind it, of refusals."""
    quota = [rate * phase_s for rate in RATES]
    counts = found["counts"]
    cells = [
        f"{answered / whole:.0%} / {refused / max(1, answered + refused):.1%}"
        for (answered, refused), whole in zip(
            [*counts, [sum(column) for column in zip(*counts, strict=True)]], [*quota, sum(quota)], strict=True
        )
    ]
    return [client, *cells, str(found["lost"])]


def uneven_row(client: str, found: dict[str, Any], phase_s: float) -> list[str]:
    """One line of the table: answers a second, the share of refusals and the calls that were lost."""
    answered, refused = (sum(column) for column in zip(*found["counts"], strict=True))
    per_s = answered / (phase_s * len(RATES))
    return [client, f"{per_s:.0f}", f"{refused / max(1, answered + refused):.1%}", str(found["lost"])]


def side_by_side(client: str, servers: Iterable[str], phase_s: float) -> dict[str, Any]:
    """What each of `servers` counted, each with `client` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.adaptive", client]
    runs = {
        server: subprocess.Popen([*command, server, str(phase_s)], stdout=subprocess.PIPE, text=True)
        for server in servers
    }
    found = {}
    for server, run in runs.items():
        output, _ = run.communicate()
        if run.returncode:
            raise SystemExit(f"{client}: exit {run.returncode}")
        found[server] = json.loads(output)
    return found


def main(phase_s: float = PHASE_S) -> None:
    """Print a table for each kind of server."""
    rows: dict[str, list[Sequence[str]]] = {server: [] for server in (*SERVERS, *UNEVEN)}
    short_s = UNEVEN_S / len(RATES)
    for client in CLIENTS:
        for server, found in side_by_side(client, SERVERS, phase_s).items():
            rows[server].append(row(client, found, phase_s))
        for server in UNEVEN:  # each alone: here it is the client that may be too slow
            rows[server].append(uneven_row(client, side_by_side(client, [server], short_s)[server], short_s))
    head = ["client", *(f"{rate} a second" for rate in RATES), "in all", "calls lost"]
    for server in SERVERS:
        measure.table(f"Share of the quota / of refusals: {server}", head, rows[server])
    head = ["client", "answers a second", "refused", "calls lost"]
    for server in UNEVEN:
        measure.table(server[0].upper() + server[1:], head, rows[server])


if __name__ == "__main__":
    print(json.dumps(one(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
