"""Bedrock's runtime on loopback: answers boto3 by script, with real event-stream frames; faults included.

    with BedrockServer() as server:                             # answers "Scripted reply" to everything
        model = BedrockChatModel(endpoint_url=server.url, region="us-east-1", aws_access_key_id=..., ...)
    with BedrockServer([Reply(error="ThrottlingException", status=429), Reply(text="second try")]) as server: ...
    with BedrockServer(lambda request: Reply(text=request.prompt.upper())) as server: ...

A list is used up in order, then `default` answers. Every connection has a thread of its own; `server.requests` shows
every request with its body and headers. Only signed requests, or those with a key, are answered.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from chatmodels.testing import allow_model_requests

USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
EVENTS = "application/vnd.amazon.eventstream"


def frame(name: str, payload: object, kind: str = "event", *, damaged: bool = False) -> bytes:
    """One message of an event stream: an `event`, or an `exception`."""
    head = b""
    type_key = ":exception-type" if kind == "exception" else ":event-type"
    for key, value in ((type_key, name), (":content-type", "application/json"), (":message-type", kind)):
        head += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + head + body
    return message + struct.pack(">I", zlib.crc32(message) ^ int(damaged))


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str = "Scripted reply"
    """The answer; streamed in words when the request asks for a stream."""
    stop: str = "end_turn"
    usage: Mapping[str, Any] | None = field(default_factory=lambda: USAGE)
    """`None` leaves the token counts out."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Tool calls: `toolUseId`, `name`, `input`."""
    status: int = 200
    error: str | None = None
    """The name of an error to answer with."""
    message: str = "scripted"
    """What the error says."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | Mapping[str, Any] | None = None
    """Instead of a well-formed answer: sent as it is (a mapping as JSON)."""
    events: tuple[bytes | tuple[str, object], ...] | None = None
    """Instead of a well-formed stream: its frames (bytes go out as they are, pairs as events)."""
    latency_s: float = 0.0
    """Seconds before the first byte."""
    pace_s: float = 0.0
    """Seconds between the frames of a stream, or between the bytes of a dripping body."""
    cut_after: int | None = None
    """Close the connection after that many bytes of a body, or that many frames of a stream."""
    fault: tuple[int, str] | None = None
    """In a stream: after that many frames an exception of that name."""
    hang: bool = False
    """Accept the request and never answer."""
    drop: bool = False
    """Close the connection without an answer."""
    drip: bool = False
    """Send the body byte by byte, `pace_s` apart."""


@dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    number: int
    closed_early: bool = False
    """Whether the client went away before the reply was over."""

    @property
    def model(self) -> str:
        return urllib.parse.unquote(self.path.split("/")[2])

    @property
    def operation(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_chat(self) -> bool:
        return self.path.startswith("/model/")

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON."""
        return json.loads(self.raw or b"{}")

    @property
    def prompt(self) -> str:
        """The text of the last turn of a user, or the prompt."""
        if "prompt" in self.body:
            return self.body["prompt"]
        content = [turn["content"] for turn in self.body["messages"] if turn["role"] == "user"][-1]
        return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


Answer = Reply | str
Script = Callable[[Request], Answer] | Iterable[Answer] | None


class BedrockServer:
    """A server that does what its script says; use it as a context manager."""

    def __init__(self, script: Script = None, *, default: Answer = Reply(), tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._function = script if callable(script) else None
        self._replies = [] if script is None or callable(script) else list(script)
        self._default = default
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self.requests: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def url(self) -> str:
        """What to give as `endpoint_url`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_port}"

    @property
    def chats(self) -> list[Request]:
        """The requests to models so far."""
        return [request for request in list(self.requests) if request.is_chat]

    @property
    def count(self) -> int:
        """Requests to models so far."""
        return len(self.chats)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests to models so far."""
        return [request.body for request in self.chats]

    def add(self, *replies: Answer) -> None:
        """Append to the script."""
        with self._lock:
            self._replies.extend(replies)

    def wait_for(self, condition: Callable[[BedrockServer], bool], timeout_s: float = 10.0) -> None:
        """Wait until `condition(server)` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s; {len(self.requests)} requests so far")
            time.sleep(0.005)

    def __enter__(self) -> Self:
        # Whoever starts this server wants a model to ask it, whatever ban on requests is in force.
        self._allowance = allow_model_requests()
        self._allowance.__enter__()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"peer": self}))
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self.wait_for(lambda server: server.open_connections == 0)
        self._allowance.__exit__(None, None, None)

    def rest(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        self._stopped.wait(seconds)

    def opened(self, sock: socket.socket) -> None:
        """Count a new connection."""
        with self._lock:
            self._sockets.add(sock)
            self.connections += 1
            self.open_connections += 1

    def closed(self, sock: socket.socket) -> None:
        """Count the end of one."""
        with self._lock:
            self._sockets.discard(sock)
            self.open_connections -= 1

    def take(self, request: Request) -> Reply:
        """Note `request`, and find what to do with it."""
        with self._lock:
            request.number = len(self.requests) + 1
            self.requests.append(request)
            if request.is_chat:
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
        signed = request.headers.get("authorization", "")
        if not signed.startswith(("AWS4-HMAC-SHA256 Credential=", "Bearer ")):
            return Reply(status=403, error="MissingAuthenticationTokenException", message="no signature")
        if not request.is_chat:
            return Reply(body={"asyncInvokeSummaries": []}) if not self._replies else self._next()
        answer: Answer = self._function(request) if self._function else self._next()
        return answer if isinstance(answer, Reply) else Reply(text=answer)

    def done(self, request: Request) -> None:
        """Count the end of a request."""
        with self._lock:
            if request.is_chat:
                self.in_flight -= 1

    def _next(self) -> Reply:
        with self._lock:
            answer = self._replies.pop(0) if self._replies else self._default
        return answer if isinstance(answer, Reply) else Reply(text=answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """The client went away: that is noted where it was seen."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    peer: BedrockServer

    def setup(self) -> None:
        super().setup()
        self.peer.opened(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.peer.closed(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path.partition("?")[0], headers, raw, 0)
        reply = self.peer.take(request)
        try:
            self._answer(request, reply)
        except OSError:
            request.closed_early = True
            self.close_connection = True
        finally:
            self.peer.done(request)

    def _answer(self, request: Request, reply: Reply) -> None:
        if reply.hang:
            self._watch(request)
            return
        self.peer.rest(reply.latency_s)
        if reply.drop:
            self.close_connection = True
            return
        if reply.error is not None:
            told = {"x-amzn-ErrorType": reply.error, **reply.headers}
            self._send(reply, json.dumps({"message": reply.message}).encode(), "application/json", told)
        elif reply.body is not None:
            body = reply.body if isinstance(reply.body, bytes | str) else json.dumps(reply.body)
            self._send(reply, body if isinstance(body, bytes) else body.encode(), "application/json", reply.headers)
        elif request.operation.endswith("-stream"):
            self._stream(request, reply)
        else:
            payload, headers = whole(request, reply)
            self._send(reply, json.dumps(payload).encode(), "application/json", {**headers, **reply.headers})

    def _watch(self, request: Request) -> None:
        """Say nothing until the client goes away."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            request.closed_early = not self.connection.recv(1)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"x-amzn-RequestId": f"request-{len(self.peer.requests)}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, reply: Reply, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self._head(reply.status, {"Content-Type": kind, "Content-Length": str(len(body)), **headers})
        if reply.drip:
            for position in range(len(body)):
                self.wfile.write(body[position : position + 1])
                self.peer.rest(reply.pace_s)
            return
        self.wfile.write(body[: reply.cut_after])
        if reply.cut_after is not None:
            self.close_connection = True

    def _stream(self, request: Request, reply: Reply) -> None:
        self._head(200, {"Content-Type": EVENTS, "Transfer-Encoding": "chunked", **reply.headers})
        for number, data in enumerate(self._frames(request, reply)):
            if number == reply.cut_after:
                self.close_connection = True
                return
            if number:
                self.peer.rest(reply.pace_s)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _frames(self, request: Request, reply: Reply) -> Iterator[bytes]:
        events = reply.events if reply.events is not None else tuple(pieces(request, reply))
        for number, event in enumerate(events):
            if reply.fault is not None and number == reply.fault[0]:
                yield frame(reply.fault[1], {"message": reply.message}, "exception")
                return
            yield event if isinstance(event, bytes) else frame(*event)


# ------------------------------------------------------------------------------------------ what the models would say


def family(request: Request) -> str:
    """Which family of models answers."""
    if request.operation.startswith("converse"):
        return "converse"
    found = re.search(r"anthropic|nova|llama|mistral-7b|mixtral|$", request.model)
    return found[0] if found and found[0] else "chat"


def whole(request: Request, reply: Reply) -> tuple[object, dict[str, str]]:
    """The body and the headers of a whole answer."""
    told = dict(reply.usage or {})
    counted = {
        "X-Amzn-Bedrock-Input-Token-Count": str(told.get("inputTokens", "")),
        "X-Amzn-Bedrock-Output-Token-Count": str(told.get("outputTokens", "")),
    }
    headers = {name: value for name, value in counted.items() if value}
    blocks: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    match family(request):
        case "converse" | "nova":
            blocks += [{"toolUse": dict(tool)} for tool in reply.tools]
            message = {"role": "assistant", "content": blocks}
            payload: dict[str, Any] = {"output": {"message": message}, "stopReason": reply.stop}
            payload |= {"metrics": {"latencyMs": 5}}
            return (payload if reply.usage is None else {**payload, "usage": told}), {}
        case "anthropic":
            content: list[dict[str, Any]] = [{"type": "text", **block} for block in blocks]
            content += [
                {"type": "tool_use", "id": tool["toolUseId"], "name": tool["name"], "input": tool["input"]}
                for tool in reply.tools
            ]
            payload = {"type": "message", "role": "assistant", "content": content, "stop_reason": reply.stop}
            return (payload if reply.usage is None else {**payload, "usage": _anthropic(told)}), headers
        case "llama":
            payload = {"generation": reply.text, "stop_reason": "length" if reply.stop == "max_tokens" else "stop"}
            counts = {
                "prompt_token_count": told.get("inputTokens"),
                "generation_token_count": told.get("outputTokens"),
            }
            return {**payload, **counts}, headers
        case "mistral-7b" | "mixtral":
            return {"outputs": [{"text": reply.text, "stop_reason": "stop"}]}, headers
    calls = _chat_calls(reply)
    message = {"role": "assistant", "content": reply.text, "tool_calls": calls}
    choice = {"index": 0, "message": message, "stop_reason": "tool_calls" if calls else "stop"}
    return {"choices": [choice]}, headers


def pieces(request: Request, reply: Reply) -> Iterator[tuple[str, object]]:
    """The events of a streamed answer."""
    words = re.findall(r"\S+\s*", reply.text)
    told = dict(reply.usage) if reply.usage is not None else None
    kind = family(request)
    if kind == "converse":
        yield from converse_events(words, reply, told)
        return
    metrics = {} if told is None else {"inputTokenCount": 11, "outputTokenCount": 7}
    if kind == "nova":
        for name, event in converse_events(words, reply, told):
            yield chunk({name: event})
    elif kind == "anthropic":
        usage = _anthropic(told or {})
        yield chunk({"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}})
        yield chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        for word in words:
            delta = {"type": "text_delta", "text": word}
            yield chunk({"type": "content_block_delta", "index": 0, "delta": delta})
        yield chunk({"type": "content_block_stop", "index": 0})
        for index, tool in enumerate(reply.tools, 1):
            block = {"type": "tool_use", "id": tool["toolUseId"], "name": tool["name"], "input": {}}
            yield chunk({"type": "content_block_start", "index": index, "content_block": block})
            for part in _parts(json.dumps(tool["input"])):
                delta = {"type": "input_json_delta", "partial_json": part}
                yield chunk({"type": "content_block_delta", "index": index, "delta": delta})
        delta = {"stop_reason": reply.stop}
        yield chunk({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.get("output_tokens")}})
        yield chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})
    else:
        words = words or [""]
        for number, word in enumerate(words):
            last = number == len(words) - 1
            stop = "stop" if last else None
            more = {"amazon-bedrock-invocationMetrics": metrics} if last and metrics else {}
            if kind == "llama":
                yield chunk({"generation": word, "stop_reason": stop, **more})
            elif kind in {"mistral-7b", "mixtral"}:
                yield chunk({"outputs": [{"text": word, "stop_reason": stop}], **more})
            else:
                calls = _chat_calls(reply) if last else []
                message = {"role": "assistant", "content": word, "tool_calls": calls}
                choice = {"index": 0, "message": message, "stop_reason": "tool_calls" if calls else stop}
                yield chunk({"choices": [choice], **more})


def converse_events(words: Iterable[str], reply: Reply, told: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of `converse_stream`."""
    yield "messageStart", {"role": "assistant"}
    for word in words:
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    for index, tool in enumerate(reply.tools, 1):
        start = {"toolUse": {"toolUseId": tool["toolUseId"], "name": tool["name"]}}
        yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
        for part in _parts(json.dumps(tool["input"])):
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": {"toolUse": {"input": part}}}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": reply.stop}
    if told is not None:
        yield "metadata", {"usage": told, "metrics": {"latencyMs": 5}}


def chunk(payload: object) -> tuple[str, dict[str, str]]:
    """One event of `invoke_model_with_response_stream`."""
    return "chunk", {"bytes": base64.b64encode(json.dumps(payload).encode()).decode()}


def _chat_calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": tool["toolUseId"], "function": {"name": tool["name"], "arguments": json.dumps(tool["input"])}}
        for tool in reply.tools
    ]


def _anthropic(told: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "inputTokens": "input_tokens",
        "outputTokens": "output_tokens",
        "cacheReadInputTokens": "cache_read_input_tokens",
        "cacheWriteInputTokens": "cache_creation_input_tokens",
    }
    return {theirs: told[ours] for ours, theirs in names.items() if ours in told}


def _parts(text: str, size: int = 5) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
