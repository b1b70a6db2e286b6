"""OpenAI and every server that speaks its chat-completions protocol."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import openai
from pydantic import SecretStr

from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.guard import check_allowed
from chatmodels.iface import ChatModel
from chatmodels.providers.openai_errors import Call, reported
from chatmodels.providers.openai_wire import (
    MAX_REPLY_BYTES,
    EventLines,
    StreamDecoder,
    decode,
    encode,
    parse_body,
)
from chatmodels.types import DEFAULT_MODEL, ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code, FrameworkError
from fmf_core.portal import run_sync
from fmf_core.redact import add_secret, redact

NO_KEY = "none"
"""What goes out as key to a server of one's own when no key is set: such servers want the header, not its value."""

_Settings = tuple[str, str | None]

HEALTH_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0

# Vendor exceptions by class name, searched along each exception's class order: the SDK's transport comes from one of
# two distributions, and its exceptions escape while a body is read.
ERROR_MAP: Mapping[str, Code] = {
    "APITimeoutError": Code.TIMEOUT,
    "TimeoutError": Code.TIMEOUT,
    "TimeoutException": Code.TIMEOUT,
    "UnsupportedProtocol": Code.INVALID,
    "LocalProtocolError": Code.INVALID,
    "InvalidURL": Code.INVALID,
    "TooManyRedirects": Code.BAD_REPLY,
    "DecodingError": Code.BAD_REPLY,
    "APIResponseValidationError": Code.BAD_REPLY,
    "TransportError": Code.UNAVAILABLE,
    "OSError": Code.UNAVAILABLE,
    "APIConnectionError": Code.UNAVAILABLE,
}


class OpenAIChatModel(ChatModel):
    """A chat model behind the chat-completions protocol.

    Args:
        model: asked when a request names none.
        api_key: the key; without it `OPENAI_API_KEY` is read whenever a connection is set up.
        base_url: the server, with its `/v1`; without it `OPENAI_BASE_URL`, then OpenAI's own.
        timeout_s: seconds for one attempt, from its start to its last byte.
        client: an `openai.AsyncOpenAI` of your own, used instead of all settings above but the model and the time-out;
            it is neither retried nor closed here.
        organization: sent to OpenAI as the organisation to bill.
        project: sent to OpenAI as the project to bill.
        default_headers: sent with every request.

    No request is repeated here: whoever calls owns the retries.
    """

    provider_name = "openai"

    def __init__(
        self,
        *,
        model: str | None = None,
        api_key: SecretStr | str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        client: openai.AsyncOpenAI | None = None,
        organization: str | None = None,
        project: str | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model or DEFAULT_MODEL
        self.timeout_s = timeout_s
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._base_url = base_url
        self._own_client = client.with_options(max_retries=0) if client is not None else None
        self._more = {"organization": organization, "project": project, "default_headers": default_headers}
        self._clients: dict[tuple[asyncio.AbstractEventLoop, _Settings], _LoopClient] = {}
        self._lock = threading.Lock()
        # At the end of the process the loops close what is left; until then a model that nobody has any more does.
        weakref.finalize(self, _abandon, self._clients).atexit = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self._base_url!r})"

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` with one HTTP request.

        Raises:
            ChatModelError: the provider refused, could not be reached in time, or sent something that is no answer.
        """
        call = self._call("complete", request)
        body = encode(call.request)
        with _translated(call, self.timeout_s):
            async with asyncio.timeout(self.timeout_s):
                started = asyncio.get_running_loop().time()
                async with self._posted(body) as reply:
                    raw = await _whole(reply.iter_bytes(), call)
                    content_type = reply.headers.get("content-type", "")
                latency_ms = (asyncio.get_running_loop().time() - started) * 1000
        response = decode(parse_body(raw, content_type, call), call)
        return response.model_copy(update={"latency_ms": latency_ms})

    async def stream_async(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` piece by piece; closing the iterator early releases the connection.

        Raises:
            ChatModelError: as `complete_async`, and when the stream ends before the answer does.
        """
        call = self._call("stream", request)
        body = encode(call.request, stream=True)
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        with _translated(call, self.timeout_s):
            async with self._posted(body, deadline) as reply:
                content_type = reply.headers.get("content-type", "")
                async with aclosing(_until(deadline, reply.iter_bytes())) as pieces:
                    if "event-stream" in content_type:
                        async with aclosing(_decoded(pieces, StreamDecoder(call))) as chunks:
                            async for chunk in chunks:
                                yield chunk
                        return
                    raw = await _whole(pieces, call)
        # The server does not stream: its whole answer is the only piece.
        response = decode(parse_body(raw, content_type, call), call)
        if response.content:
            yield ChatChunk(text=response.content)
        yield ChatChunk(
            text="", finish_reason=response.finish_reason, usage=response.usage, tool_calls=response.tool_calls
        )

    def get_model_info(self) -> ModelInfo:
        """Name, provider and capabilities; the protocol does not tell a model's limits."""
        capabilities = ("chat", "streaming", "tools", "json_schema", "images", "seed")
        return ModelInfo(name=self.model, provider=self.provider_name, capabilities=capabilities)

    def check_health(self) -> HealthStatus:
        """Whether the server answers and takes the key: asks for its list of models, which costs no tokens."""
        return run_sync(self._health())

    async def initialize(self) -> None:
        """Set up the client and load the slow parts of the SDK, so that the first request need not wait for them.

        Raises:
            ProviderAuthError: no key is set, and no server of one's own.
        """
        client = await self._client()
        _ = client.default_headers, client.chat.completions.with_streaming_response

    async def cleanup(self) -> None:
        """Close the connections of every event loop that used this model."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            await client.close()

    async def _health(self) -> HealthStatus:
        call = self._call("health", ChatRequest(prompt="health", model=self.model))
        try:
            with _translated(call, HEALTH_TIMEOUT_S):
                async with asyncio.timeout(HEALTH_TIMEOUT_S):
                    client = await self._client()
                    await client.models.with_raw_response.list()
        except ChatModelError as error:
            if error.code is Code.NOT_FOUND:
                return HealthStatus(status="healthy", detail="reachable, but lists no models")
            return HealthStatus(status="unhealthy", detail=str(error))
        return HealthStatus(status="healthy")

    def _call(self, verb: str, request: ChatRequest) -> Call:
        return Call(self.provider_name, f"{self.provider_name}.{verb}", request.filled({"model": self.model}))

    @asynccontextmanager
    async def _posted(self, body: dict[str, Any], deadline: float | None = None) -> AsyncIterator[Any]:
        """The open reply to `body`; leaving the context releases its connection."""
        check_allowed(self.provider_name, self.model)
        client = await self._client()
        # Everything beyond the two required arguments goes as it is: `encode` owns the body, not the SDK's signatures.
        model, messages = body.pop("model"), body.pop("messages")
        opening = client.chat.completions.with_streaming_response.create(
            model=model, messages=messages, extra_body=body, timeout=self.timeout_s
        )
        async with asyncio.timeout_at(deadline):
            reply = await opening.__aenter__()
        try:
            yield reply
        finally:
            await opening.__aexit__(None, None, None)

    async def _client(self) -> openai.AsyncOpenAI:
        if self._own_client is not None:
            return self._own_client
        key = (asyncio.get_running_loop(), self._settings())
        with self._lock:
            known = self._clients.get(key)
            if known is None:
                for ended in [other for other in self._clients if other[0].is_closed()]:
                    del self._clients[ended]
                known = self._clients[key] = _LoopClient(*key, self._more)
        await known.follow_loop()
        return known.client

    def _settings(self) -> _Settings:
        """Key and address as they hold now: arguments, then the environment."""
        base_url = self._base_url or os.environ.get("OPENAI_BASE_URL") or None
        key = self._api_key.get_secret_value() if self._api_key else os.environ.get("OPENAI_API_KEY", "")
        if key:
            add_secret(key)
            if not (key.isascii() and key.isprintable()):
                raise ProviderAuthError(
                    "the API key holds a line break or a character that no key has",
                    op="openai.connect",
                    hint="look at OPENAI_API_KEY (or api_key): it is one line of ASCII letters, digits and signs",
                    fields={"provider": self.provider_name, "model": self.model},
                )
        elif base_url is None:
            raise ProviderAuthError(
                f"model {self.model!r}: no API key is set",
                op="openai.connect",
                hint="set OPENAI_API_KEY, pass api_key, or name a server of your own in base_url (OPENAI_BASE_URL)",
                fields={"provider": self.provider_name, "model": self.model},
            )
        return key or NO_KEY, base_url


class _LoopClient:
    """The SDK client of one event loop; its connections end with the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: _Settings, more: Mapping[str, Any]) -> None:
        key, base_url = settings
        # A redirect would carry the documents to wherever it points, or turn a question into a look-up.
        http_client = openai.DefaultAsyncHttpxClient(follow_redirects=False)
        self.client = openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=http_client, **more)
        self._loop = loop
        self._process = os.getpid()
        self._guard = self._closed_with_loop()
        self._followed = False

    async def follow_loop(self) -> None:
        """Have the connections closed when the running loop shuts down its generators, as `asyncio.run` does."""
        if not self._followed:
            self._followed = True
            await anext(self._guard)

    async def close(self) -> None:
        """Close the connections in the loop that opened them; nothing is left to do when that loop has ended."""
        closing = self.close_soon()
        if closing is not None:
            await asyncio.wait({asyncio.wrap_future(closing)}, timeout=CLOSE_TIMEOUT_S)

    def close_soon(self) -> Future[None] | None:
        """Begin to close the connections, from any thread; `None` when there is nothing to close."""
        # After a fork the connections are the parent's.
        if self._process != os.getpid() or not self._loop.is_running():
            return None
        return asyncio.run_coroutine_threadsafe(self._close(), self._loop)

    async def _close(self) -> None:
        await self._guard.aclose()

    async def _closed_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.client.close()


def _abandon(clients: dict[Any, _LoopClient]) -> None:
    for client in clients.values():
        client.close_soon()


async def _whole(pieces: AsyncIterator[bytes], call: Call) -> bytes:
    raw = bytearray()
    async for piece in pieces:
        raw += piece
        if len(raw) > MAX_REPLY_BYTES:
            raise call.bad_reply(f"the reply is larger than {MAX_REPLY_BYTES} bytes", bytes(raw[:1000]))
    return bytes(raw)


async def _decoded(pieces: AsyncIterator[bytes], decoder: StreamDecoder) -> AsyncGenerator[ChatChunk, None]:
    lines = EventLines(decoder.call)
    async for piece in pieces:
        for data in lines.feed(piece):
            chunk = decoder.feed_event(data)
            if chunk is not None:
                yield chunk
    for data in lines.close():
        chunk = decoder.feed_event(data)
        if chunk is not None:
            yield chunk
    yield decoder.finish()


async def _until(deadline: float, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces that arrive until `deadline`; the time that the consumer takes between them counts too."""
    while True:
        async with asyncio.timeout_at(deadline):
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


@contextmanager
def _translated(call: Call, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except FrameworkError:
        raise
    except openai.APIStatusError as error:
        raise _status_error(error, call) from error
    except Exception as error:
        raise _other_error(error, call, timeout_s) from error


def _status_error(error: openai.APIStatusError, call: Call) -> ChatModelError:
    if 300 <= error.status_code < 400:
        target = error.response.headers.get("location", "nowhere")
        raise call.error(
            f"the server redirects to {target} (HTTP {error.status_code}), which is not followed",
            Code.INVALID,
            hint="set base_url to where the server really is",
        ) from error
    seen = error.body if error.body is not None else error.response.text
    retry_after = seconds_to_wait(error.response.headers)
    return reported(seen, call, status=error.status_code, retry_after=retry_after)


def _other_error(error: Exception, call: Call, timeout_s: float) -> ChatModelError:
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    names = [kind.__name__ for kind in (*type(cause).__mro__, *type(error).__mro__)]
    code = next((ERROR_MAP[name] for name in names if name in ERROR_MAP), Code.INTERNAL)
    if code is Code.TIMEOUT:
        return call.error(f"no complete answer within {timeout_s:g} s", code, hint="raise timeout_s, or ask for less")
    hint = {Code.UNAVAILABLE: "is the server up?", Code.INVALID: "check base_url and the key"}.get(code, "")
    return call.error(f"{type(cause).__name__}: {redact(str(cause)) or 'no reason given'}", code, hint=hint)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdecimal():
            return float(text) * unit_s
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except (ValueError, TypeError, IndexError):
        return None
