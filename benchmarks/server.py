"""A model server for benchmarks: answers every chat request after a fixed time, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "A short answer. " * 20}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 400, "completion_tokens": 80, "total_tokens": 480},
    }
).encode()
EVENTS = 200
"""Pieces of a streamed answer."""


def _stream() -> bytes:
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"content": f" word{number}"}, None) for number in range(EVENTS)
    ]
    events = [
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "bench",
         "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in [*deltas, ({}, "stop")]
    ]  # fmt: skip
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


STREAM = _stream()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)


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


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float) -> None:
    """Answer the requests of one connection, one after the other."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if latency_s:
                await asyncio.sleep(latency_s)
            writer.write(STREAM if b'"stream":true' in body.replace(b" ", b"") else HEAD + REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(latency_s: float) -> None:
    """Listen on a free port of the loopback address and print it."""
    server = await asyncio.start_server(lambda r, w: answer(r, w, latency_s), "127.0.0.1", 0, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
