"""A model server with a hidden, changing limit of requests a second, in a process of its own; it counts its answers."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence

RATES = (20, 5, 40)
"""Requests a second, phase after phase."""
LATENCY_S = 0.1
BURST = 5
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "An answer."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
    }
)
REFUSAL = json.dumps({"error": {"message": "too many requests", "type": "requests", "code": "rate_limit_exceeded"}})


class Quota:
    """A bucket that holds `BURST` requests, windows of one second, or one server of five that has no quota at all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._level = float(BURST)
        self._at = 0.0
        self._window = -1
        self._taken = 0
        self._requests = 0

    def wait(self, now: float, rate: float) -> float:
        """Take a request at `now`: 0, or the seconds until there is one again."""
        if self.kind == "fifth":
            self._requests += 1
            return 0.0 if self._requests % 5 else 1.0
        if self.kind == "window":
            if int(now) != self._window:
                self._window, self._taken = int(now), 0
            self._taken += 1
            return 0.0 if self._taken <= rate else self._window + 1 - now
        self._level = min(BURST, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / rate
        self._level -= 1
        return 0.0


class Counter:
    """Lets requests pass or not, from the first one on, and counts them by phase."""

    def __init__(self, kind: str, phase_s: float) -> None:
        self._quota = Quota(kind)
        self._phase_s = phase_s
        self._began = 0.0
        self.counts = [[0, 0] for _ in RATES]
        """Answered and refused ones."""

    def wait(self) -> float:
        """As `Quota.wait`, now; after the last phase nothing is counted."""
        self._began = self._began or time.monotonic()
        now = time.monotonic() - self._began
        phase = int(now / self._phase_s)
        if phase >= len(RATES):
            return 1.0
        wait = self._quota.wait(now, RATES[phase])
        self.counts[phase][wait > 0] += 1
        return wait


def reply(status: str, body: bytes, more: str = "") -> bytes:
    """A whole reply."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: Counter, *, tells: bool) -> None:
    """Answer the requests of one connection, one after the other; a GET gets the counts."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(reply("200 OK", json.dumps(counter.counts).encode()))
                continue
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            wait = counter.wait()
            if wait:
                more = f"retry-after: {math.ceil(wait)}\r\n" if tells else ""
                writer.write(reply("429 Too Many Requests", REFUSAL.encode(), more))
                continue
            await asyncio.sleep(LATENCY_S)
            writer.write(reply("200 OK", ANSWER.encode()))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(kind: str, phase_s: float, *, tells: bool) -> None:
    """Listen on a free port of the loopback address and print it."""
    counter = Counter(kind, phase_s)
    server = await asyncio.start_server(lambda r, w: answer(r, w, counter, tells=tells), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class QuotaServer:
    """`with QuotaServer("bucket", 20.0, tells=False) as base_url:`.

    Args:
        kind: `bucket`, `window` or `fifth`, which knows no rate.
        phase_s: how long each of `RATES` holds, in seconds.
        tells: whether refusals say when to come again.
    """

    def __init__(self, kind: str, phase_s: float, *, tells: bool) -> None:
        self._words: Sequence[str] = [kind, str(phase_s), str(int(tells))]

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "benchmarks.quota_server", *self._words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        return f"http://127.0.0.1:{self._process.stdout.readline().strip()}/v1"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), tells=sys.argv[3] == "1"))
