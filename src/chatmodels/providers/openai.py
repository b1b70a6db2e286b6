"""OpenAI and every server that speaks its chat-completions protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from pydantic import SecretStr

from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.guard import check_allowed
from chatmodels.iface import ChatModel
from chatmodels.providers.openai_errors import Call, refused
from chatmodels.providers.openai_wire import StreamDecoder, decode, encode, parse_body
from chatmodels.transport.address import Target
from chatmodels.transport.events import EventLines
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import OpenReply, Outgoing, Reply, Timeouts, Transport, TransportFault, late
from chatmodels.types import DEFAULT_MODEL, ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code
from fmf_core.portal import run_sync
from fmf_core.redact import add_secret

if TYPE_CHECKING:
    import openai

BASE_URL = "https://api.openai.com/v1"
PATH = "/chat/completions"
OK = 200
NO_KEY = "none"
"""What goes out as key to a server of one's own when no key is set: such servers want the header, not its value."""
HEALTH_TIMEOUT_S = 5.0


class OpenAIChatModel(ChatModel):
    """A chat model behind the chat-completions protocol.

    Args:
        model: asked when a request names none.
        api_key: the key; without it `OPENAI_API_KEY` is read for every request.
        base_url: the server, with its `/v1`; without it `OPENAI_BASE_URL`, then OpenAI's own.
        timeout_s: seconds for one attempt, from its start to its last byte.
        connect_timeout_s: seconds for name look-up, connection and TLS.
        first_byte_timeout_s: seconds from the sent request to the first byte of the reply; `None` is no such limit.
        between_bytes_timeout_s: the longest silence within a reply, in seconds; `None` is no such limit.
        client: an `openai.AsyncOpenAI` of your own, which then carries the requests and decides where they go; of the
            settings here, only `model` and `timeout_s` count then. It is neither retried nor closed here.
        organization: sent to OpenAI as the organisation to bill; without it `OPENAI_ORG_ID`.
        project: sent to OpenAI as the project to bill; without it `OPENAI_PROJECT_ID`.
        default_headers: sent with every request.
        ca_bundle: a file of certificates to trust instead of those of the system (or of `SSL_CERT_FILE`).

    Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. No request is repeated and no redirect is
    followed here: whoever calls owns the retries.
    """

    provider_name = "openai"

    def __init__(
        self,
        *,
        model: str | None = None,
        api_key: SecretStr | str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        connect_timeout_s: float | None = 10.0,
        first_byte_timeout_s: float | None = None,
        between_bytes_timeout_s: float | None = None,
        client: openai.AsyncOpenAI | None = None,
        organization: str | None = None,
        project: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        self.model = model or DEFAULT_MODEL
        self.timeout_s = timeout_s
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._base_url = base_url
        self._organization = organization
        self._project = project
        self._headers = dict(default_headers or {})
        self._known: tuple[object, Target | None] = (None, None)
        timeouts = Timeouts(timeout_s, connect_timeout_s, first_byte_timeout_s, between_bytes_timeout_s)
        self._own_client = client is not None
        self._transport = (
            _transport(client, timeouts) if client else HttpTransport(self._target, timeouts, ca_bundle=ca_bundle)
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self._base_url!r})"

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` with one HTTP request.

        Raises:
            ChatModelError: the provider refused, could not be reached in time, or sent something that is no answer.
        """
        call = self._call("complete", request)
        check_allowed(self.provider_name, self.model)
        started = perf_counter()
        with _translated(call):
            reply = await self._transport.send(Outgoing(PATH, encode(call.request)))
        latency_ms = (perf_counter() - started) * 1000.0
        return _answered(reply, call).model_copy(update={"latency_ms": latency_ms})

    async def stream_async(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` piece by piece; closing the iterator early releases the connection.

        Raises:
            ChatModelError: as `complete_async`, and when the stream ends before the answer does.
        """
        call = self._call("stream", request)
        check_allowed(self.provider_name, self.model)
        with _translated(call):
            async with self._transport.open(Outgoing(PATH, encode(call.request, stream=True))) as reply:
                if reply.status == OK and "event-stream" in reply.headers.get("content-type", ""):
                    async with aclosing(_decoded(reply, StreamDecoder(call))) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                whole = Reply(reply.status, reply.headers, b"".join([piece async for piece in reply.pieces()]))
        # The server does not stream: its whole answer is the only piece.
        response = _answered(whole, call)
        if response.content:
            yield ChatChunk(text=response.content)
        yield ChatChunk(
            text="", finish_reason=response.finish_reason, usage=response.usage, tool_calls=response.tool_calls
        )

    def get_model_info(self) -> ModelInfo:
        """Name, provider and capabilities; the protocol does not tell a model's limits."""
        capabilities = ("chat", "stream", "tools", "json", "json_schema", "images", "seed")
        return ModelInfo(name=self.model, provider=self.provider_name, capabilities=capabilities)

    def check_health(self) -> HealthStatus:
        """Whether the server answers and takes the key: asks for its list of models, which costs no tokens."""
        return run_sync(self._health())

    async def initialize(self) -> None:
        """Check key and address, so that a mistake in them is found before the first request.

        Raises:
            ProviderAuthError: no key is set, and no server of one's own.
        """
        if not self._own_client:
            with _translated(self._call("connect", ChatRequest(prompt="connect", model=self.model))):
                _ = self._target().origin

    async def cleanup(self) -> None:
        """Close the connections of every event loop that used this model."""
        await self._transport.close()

    async def _health(self) -> HealthStatus:
        call = self._call("health", ChatRequest(prompt="health", model=self.model))
        try:
            with _translated(call):
                reply = await _in_time(self._transport.send(Outgoing("/models")), HEALTH_TIMEOUT_S)
            if reply.status != OK:
                raise refused(reply, call)
        except ChatModelError as error:
            if error.code is Code.NOT_FOUND:
                return HealthStatus(status="healthy", detail="reachable, but lists no models")
            return HealthStatus(status="unhealthy", detail=str(error))
        return HealthStatus(status="healthy")

    def _call(self, verb: str, request: ChatRequest) -> Call:
        return Call(self.provider_name, f"{self.provider_name}.{verb}", request.filled({"model": self.model}))

    def _target(self) -> Target:
        """Key and address as they hold now: arguments, then the environment."""
        environ = os.environ
        settings = (
            self._api_key.get_secret_value() if self._api_key else environ.get("OPENAI_API_KEY", ""),
            self._base_url or environ.get("OPENAI_BASE_URL") or None,
            self._organization or environ.get("OPENAI_ORG_ID"),
            self._project or environ.get("OPENAI_PROJECT_ID"),
        )
        known, target = self._known
        if target is None or settings != known:
            target = self._made_target(*settings)
            self._known = (settings, target)
        return target

    def _made_target(self, key: str, base_url: str | None, organization: str | None, project: str | None) -> Target:
        if key:
            add_secret(key)
            if not (key.isascii() and key.isprintable()):
                raise self._no_key(
                    "the API key holds a line break or a character that no key has",
                    "look at OPENAI_API_KEY (or api_key): it is one line of ASCII letters, digits and signs",
                )
        elif base_url is None:
            raise self._no_key(
                f"model {self.model!r}: no API key is set",
                "set OPENAI_API_KEY, pass api_key, or name a server of your own in base_url (OPENAI_BASE_URL)",
            )
        headers = {"authorization": f"Bearer {key or NO_KEY}"}
        if organization:
            headers["openai-organization"] = organization
        if project:
            headers["openai-project"] = project
        given = {name.lower(): value for name, value in self._headers.items()}
        return Target(base_url or BASE_URL, {**headers, **given})

    def _no_key(self, message: str, hint: str) -> ProviderAuthError:
        fields = {"provider": self.provider_name, "model": self.model}
        return ProviderAuthError(message, op=f"{self.provider_name}.connect", hint=hint, fields=fields)


def _transport(client: openai.AsyncOpenAI, timeouts: Timeouts) -> Transport:
    from chatmodels.providers.openai_sdk import SdkTransport

    return SdkTransport(client, timeouts)


def _answered(reply: Reply, call: Call) -> ChatResponse:
    if reply.status != OK:
        raise refused(reply, call)
    return decode(parse_body(reply.body, reply.headers.get("content-type", ""), call), call)


async def _in_time(work: Awaitable[Reply], limit_s: float) -> Reply:
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError as error:
        raise late(limit_s) from error


async def _decoded(reply: OpenReply, decoder: StreamDecoder) -> AsyncGenerator[ChatChunk, None]:
    lines = EventLines()
    async for piece in reply.pieces():
        for data in lines.feed(piece):
            chunk = decoder.feed_event(data)
            if chunk is not None:
                yield chunk
    for data in lines.close():
        chunk = decoder.feed_event(data)
        if chunk is not None:
            yield chunk
    yield decoder.finish()


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    try:
        yield
    except TransportFault as fault:
        raise call.error(fault.message, fault.code, hint=fault.hint) from fault
