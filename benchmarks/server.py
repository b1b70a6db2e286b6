"""A model server for benchmarks: answers every chat request after a fixed time, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import deque
from contextlib import suppress

TEXT = "A short answer. " * 20
"""What every call is answered with."""
EVENTS = 200
"""Pieces of a streamed answer."""
WORDS = tuple(f" word{number}" for number in range(EVENTS))
STREAMED = "".join(WORDS)
"""What every stream says."""
LIMITS = (
    b"x-request-id: req_bench\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\n"
)
"""Headers of the kind that real providers send."""


def _reply() -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "bench",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 400, "completion_tokens": 80, "total_tokens": 480},
        }
    ).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n" % (LIMITS, len(body))
    return head + body


def _stream() -> bytes:
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": word}, None) for word in WORDS]
    events = [
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "bench",
         "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in [*deltas, ({}, "stop")]
    ]  # fmt: skip
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%bcontent-length: %d\r\n\r\n" % (LIMITS, len(body))
    return head + body


REPLY = _reply()
STREAM = _stream()


class Server:
    """`with Server(latency_ms=50) as base_url:`."""

    def __init__(self, latency_ms: float) -> None:
        self.latency_ms = latency_ms

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "benchmarks.server", str(self.latency_ms)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        return f"http://127.0.0.1:{self.process.stdout.readline().strip()}/v1"

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def cpu_s(self) -> float | None:
        """CPU of the server so far; `None` where the system does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
                user, system = stat.read().rpartition(")")[2].split()[11:13]
        except OSError:
            return None
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Answers(asyncio.Protocol):
    """One connection: reads requests, and has each of them answered when its time has come.

    Args:
        later: answers after the latency; `None` answers at once.
    """

    asked = 0
    """How many chat requests came so far, over all connections; any GET is answered with it."""

    def __init__(self, later: Later | None) -> None:
        self._later = later
        self._read = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read = read = self._read + data if self._read else data
        while (end := read.find(b"\r\n\r\n") + 4) > 3:
            stop = _end_of_body(read, end)
            if stop is None:
                break
            head, body, read = read[:4], read[end:stop], read[stop:]
            if head == b"GET ":
                self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n%10d" % Answers.asked)
                continue
            Answers.asked += 1
            answer = STREAM if b'"stream":true' in body or b'"stream": true' in body else REPLY
            if self._later is None:
                self.transport.write(answer)
            else:
                self._later.add(self.transport, answer)
        self._read = read


def _end_of_body(read: bytes, start: int) -> int | None:
    """Where the body of the first request ends; `None` when not all of it is there."""
    head = read[:start].lower()
    if (at := head.find(b"content-length:")) >= 0:
        end = start + int(head[at + 15 : head.find(b"\r\n", at)])
    elif b"transfer-encoding: chunked" in head:
        end = read.find(b"0\r\n\r\n", start) + 5
        end = end if end > 4 else len(read) + 1
    else:
        end = start
    return end if end <= len(read) else None


class Later:
    """Sends answers after a fixed time: they are due in the order of their requests, so one timer is enough."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        self._due: deque[tuple[float, asyncio.Transport, bytes]] = deque()

    def add(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Answer over `transport` when it is time."""
        due = self._loop.time() + self._latency_s
        if not self._due:
            self._loop.call_at(due, self._send)
        self._due.append((due, transport, answer))

    def _send(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            _, transport, answer = self._due.popleft()
            if not transport.is_closing():
                transport.write(answer)
        if self._due:
            self._loop.call_at(self._due[0][0], self._send)


def raise_file_limit() -> None:
    """Let this process have as many connections as the system allows."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(latency_s: float) -> None:
    """Listen on a free port of the loopback address and print it; end with whoever started this."""
    raise_file_limit()
    later = Later(latency_s) if latency_s else None
    server = await asyncio.get_running_loop().create_server(lambda: Answers(later), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
