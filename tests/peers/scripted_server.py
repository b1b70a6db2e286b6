"""A chat-completions server on loopback that answers by script and keeps a log; faults included.

    with ScriptedServer() as server:                          # answers "Scripted reply" to everything
        model = OpenAIChatModel(base_url=server.base_url)
    with ScriptedServer([Reply(status=429, headers={"Retry-After": "0"}), Reply(text="second try")]) as server: ...
    with ScriptedServer(lambda request: Reply(text=request.prompt.upper(), latency_s=0.05)) as server: ...

A list is used up in order, then `default` answers. The server has its own thread and event loop, keep-alive and any
number of connections; `server.requests` shows every request with its body, headers and start time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from chatmodels.testing import allow_model_requests


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str | None = "Scripted reply"
    """The answer of the model; streamed in words when the request asks for a stream."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | Mapping[str, Any] | None = None
    """Instead of a well-formed answer: sent as it is (a mapping as JSON)."""
    content_type: str | None = None
    latency_s: float = 0.0
    """Seconds before the first byte."""
    pace_s: float = 0.0
    """Seconds between the pieces of a stream, or between the bytes of a dripping body."""
    deltas: tuple[str, ...] | None = None
    """The pieces of the stream; without them `text` is cut into words."""
    events: tuple[bytes | str | Mapping[str, Any], ...] | None = None
    """Instead of a well-formed stream: the data of each event (bytes go out as they are)."""
    cut_after: int | None = None
    """Close the connection after that many bytes of a body, or that many pieces of a stream."""
    hang: bool = False
    """Accept the request and never answer."""
    drop: bool = False
    """Close the connection without an answer."""
    drip: bool = False
    """Send the body byte by byte, `pace_s` apart."""
    gzip: bool = False
    """Compress the body."""
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7})
    """`None` leaves the token counts out."""
    finish_reason: str | None = "stop"
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    """The model that the answer names; without it the one of the request."""


@dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    started: float
    """`time.monotonic()` when its last byte had arrived."""
    number: int
    query: str = ""
    """What stood behind the path."""
    ended: float | None = None
    closed_early: bool = False
    """Whether the client went away before the reply was over."""

    @property
    def is_chat(self) -> bool:
        """Whether it asks for an answer."""
        return self.path.endswith(("/chat/completions", "/responses"))

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON."""
        return json.loads(self.raw or b"{}")

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        content = next((m["content"] for m in reversed(self.body["messages"]) if m["role"] == "user"), "")
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)


Answer = Reply | str
Script = Callable[[Request], Answer] | Iterable[Answer] | None


class ScriptedServer:
    """A server that does what its script says; use it as a context manager, or call `start` and `stop`."""

    def __init__(self, script: Script = None, *, default: Answer | None = None) -> None:
        self._function = script if callable(script) else None
        self._replies = [] if script is None or callable(script) else list(script)
        self._default = default if default is not None else Reply()
        self.requests: list[Request] = []
        self.connections = 0
        """Connections accepted so far."""
        self.open_connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The root of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What to give as `base_url`."""
        return f"{self.url}/v1"

    @property
    def count(self) -> int:
        """Completion requests so far."""
        return len(self.chats)

    @property
    def chats(self) -> list[Request]:
        """The completion requests so far."""
        return [request for request in list(self.requests) if request.is_chat]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the completion requests so far."""
        return [request.body for request in self.chats]

    @property
    def starts(self) -> list[float]:
        """When each completion request started, in seconds of `time.monotonic()`."""
        return [request.started for request in self.chats]

    def add(self, *replies: Answer) -> None:
        """Append to the script."""
        with self._lock:
            self._replies.extend(replies)

    def reset(self) -> None:
        """Forget the log and what is left of the script."""
        with self._lock:
            self._replies.clear()
            self.requests.clear()
            self.most_in_flight = 0

    def wait_for(self, condition: Callable[[ScriptedServer], bool], timeout_s: float = 5.0) -> None:
        """Wait until `condition(server)` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s; {len(self.requests)} requests so far")
            time.sleep(0.005)

    def start(self) -> Self:
        """Listen on a free port of the loopback interface."""
        # Whoever starts this server wants a model to ask it, whatever ban on requests is in force.
        self._allowance = allow_model_requests()
        self._allowance.__enter__()
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted server did not start")
        return self

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._loop = self._thread = None
        self._allowance.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await self._loop.create_server(lambda: _Connection(self._connected), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: _Reader, writer: asyncio.StreamWriter) -> bool:
        request = await self._read(reader)
        if request is None:
            return False
        with self._lock:
            request.number = len(self.requests)
            self.requests.append(request)
            reply = self._reply(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        watch = asyncio.ensure_future(reader.gone.wait())
        answer = asyncio.ensure_future(_Sender(writer, request, reply).send())
        try:
            await asyncio.wait({watch, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                request.closed_early = True
                return False
            return answer.result()
        except ConnectionError:
            request.closed_early = True
            return False
        finally:
            self.in_flight -= 1
            request.ended = time.monotonic()
            for task in (watch, answer):
                task.cancel()
            await asyncio.gather(watch, answer, return_exceptions=True)

    def _reply(self, request: Request) -> Reply:
        if not request.is_chat:
            models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
            return Reply(body=models) if request.path.endswith("/models") else Reply(status=404, body={"error": "none"})
        return self._scripted(request)

    def _scripted(self, request: Request) -> Reply:
        if self._function is not None:
            answer = self._function(request)
        else:
            answer = self._replies.pop(0) if self._replies else self._default
        return Reply(text=answer) if isinstance(answer, str) else answer

    async def _read(self, reader: _Reader) -> Request | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = path.partition("?")
        return Request(method, path, headers, raw, time.monotonic(), 0, query)


class _Reader(asyncio.StreamReader):
    """A reader that says when the client has closed its side."""

    def __init__(self) -> None:
        super().__init__(limit=1 << 20)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        self.gone.set()
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        self.gone.set()
        super().set_exception(exc)


class _Connection(asyncio.StreamReaderProtocol):
    def __init__(self, connected: Callable[..., Any]) -> None:
        super().__init__(_Reader(), connected)


class _Sender:
    """Sends one reply; says whether the connection may be used again."""

    def __init__(self, writer: asyncio.StreamWriter, request: Request, reply: Reply) -> None:
        self.writer = writer
        self.request = request
        self.reply = reply

    async def send(self) -> bool:
        reply = self.reply
        if reply.latency_s:
            await asyncio.sleep(reply.latency_s)
        if reply.hang:
            await asyncio.sleep(3600)
        if reply.drop:
            return False
        streams = reply.events is not None or (
            reply.status == 200 and reply.body is None and bool(self.request.body.get("stream"))
        )
        return await (self._stream() if streams else self._whole())

    async def _whole(self) -> bool:
        reply = self.reply
        body = reply.body if reply.body is not None else self._payload()
        if isinstance(body, Mapping):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        headers = {"content-type": reply.content_type or "application/json"}
        if reply.gzip:
            data = gzip.compress(data)
            headers["content-encoding"] = "gzip"
        self._head({**headers, "content-length": str(len(data)), **reply.headers})
        if reply.drip:
            for position in range(len(data)):
                await self._write(data[position : position + 1])
                await asyncio.sleep(reply.pace_s)
            return True
        await self._write(data if reply.cut_after is None else data[: reply.cut_after])
        return reply.cut_after is None

    async def _stream(self) -> bool:
        reply = self.reply
        self._head(
            {
                "content-type": reply.content_type or "text/event-stream",
                "transfer-encoding": "chunked",
                **reply.headers,
            }
        )
        for number, event in enumerate(self._events()):
            if reply.cut_after is not None and number >= reply.cut_after:
                return False
            if number and reply.pace_s:
                await asyncio.sleep(reply.pace_s)
            data = event
            if not isinstance(data, bytes):
                text = data if isinstance(data, str) else json.dumps(data)
                data = f"data: {text}\n\n".encode()
            await self._write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._write(b"0\r\n\r\n")
        return True

    def _events(self) -> Iterable[bytes | str | Mapping[str, Any]]:
        reply = self.reply
        if reply.events is not None:
            yield from reply.events
            return
        yield self._chunk({"role": "assistant", "content": ""})
        deltas = reply.deltas if reply.deltas is not None else tuple(_words(reply.text or ""))
        for delta in deltas:
            yield self._chunk({"content": delta})
        for index, call in enumerate(reply.tool_calls):
            yield self._chunk({"tool_calls": [{"index": index, **call}]})
        yield self._chunk({}, self.reply.finish_reason)
        if reply.usage is not None and (self.request.body.get("stream_options") or {}).get("include_usage"):
            yield {**self._common("chat.completion.chunk"), "choices": [], "usage": self._usage()}
        yield "[DONE]"

    def _payload(self) -> dict[str, Any]:
        reply = self.reply
        if reply.status >= 400:
            return {"error": {"message": f"scripted error {reply.status}", "type": "scripted", "code": None}}
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.tool_calls:
            message["tool_calls"] = list(reply.tool_calls)
        payload = {
            **self._common("chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        }
        return payload if reply.usage is None else {**payload, "usage": self._usage()}

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._common("chat.completion.chunk"), "choices": [choice]}

    def _common(self, kind: str) -> dict[str, Any]:
        model = self.reply.model or self.request.body.get("model", "scripted")
        return {"id": f"chatcmpl-{self.request.number}", "object": kind, "created": 1_800_000_000, "model": model}

    def _usage(self) -> dict[str, Any]:
        usage = dict(self.reply.usage or {})
        if "prompt_tokens" in usage and "completion_tokens" in usage:
            usage.setdefault("total_tokens", usage["prompt_tokens"] + usage["completion_tokens"])
        return usage

    def _head(self, headers: Mapping[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"HTTP/1.1 {self.reply.status} Scripted\r\n{lines}\r\n".encode("latin-1"))

    async def _write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


def _words(text: str) -> Iterable[str]:
    """The words of `text`, each with the space that follows it."""
    start = 0
    for position, character in enumerate(text):
        if character == " ":
            yield text[start : position + 1]
            start = position + 1
    if start < len(text):
        yield text[start:]
