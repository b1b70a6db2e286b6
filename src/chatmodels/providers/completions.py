"""A wire format of OpenAI over a transport: asking whole and in pieces, signing in, health, and errors of the house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress
from time import perf_counter
from typing import ClassVar, Protocol

from chatmodels.capabilities import expected_capabilities, listed
from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.guard import check_allowed
from chatmodels.iface import ChatModel
from chatmodels.pieces import pieces_of
from chatmodels.providers.call import Call
from chatmodels.providers.openai_errors import http_error
from chatmodels.providers.rate_headers import rate_limit_status
from chatmodels.providers.token_counts import charged
from chatmodels.providers.wire import Decoder, Wire, parse_body
from chatmodels.transport.address import Target
from chatmodels.transport.events import EventLines
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import (
    OpenReply,
    Outgoing,
    Reply,
    Timeouts,
    Transport,
    TransportFault,
    UnreachedFault,
    UnsentFault,
    late,
)
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code
from fmf_core.portal import run_sync
from fmf_core.redact import add_secret, without_secrets

OK = 200
UNAUTHORIZED = 401
HEALTH_TIMEOUT_S = 5.0
END_WAIT_S = 0.1
"""How long a stream whose answer is whole may take to end, so that its connection can be kept."""


class SignIn(Protocol):
    """Gets the credentials that a request needs, before the request is made."""

    async def ready(self, call: Call, timeout_s: float | None) -> None:
        """See to it that `target` finds credentials that hold.

        Raises:
            ProviderAuthError: there are none.
        """
        ...

    def rejected(self, error: ChatModelError) -> ChatModelError:
        """Take note that the server did not take them; the error to raise."""
        ...


class OpenAIWireModel(ChatModel):
    """A chat model behind a wire format of OpenAI; a vendor's class says where it is and who asks.

    Args:
        model: asked when a request names none.
        timeouts: the limits of one attempt.
        ca_bundle: a file of certificates to trust instead of those of the system.
        transport: carries the requests; without it kept-alive connections to what `target` gives.
        wire: how requests are written and replies are read.
        sign_in: asked before every request, for credentials that must be fetched.
    """

    key_names: ClassVar[str]
    """Where a key may be given, as hints say it."""
    address_names: ClassVar[str]
    """Where the address may be given, as hints say it."""

    def __init__(
        self,
        model: str,
        timeouts: Timeouts,
        *,
        ca_bundle: str | None = None,
        transport: Transport | None = None,
        wire: Wire,
        sign_in: SignIn | None = None,
    ) -> None:
        self.model = model
        self._wire = wire
        self.api_type = wire.api_type
        self._sign_in = sign_in
        self.timeout_s = timeouts.total_s
        self._transport = transport or HttpTransport(self.target, timeouts, ca_bundle=ca_bundle)
        self._finds_target = transport is None
        self._known: tuple[object, Target | None] = (None, None)

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]
        """The server's address, as it holds now; `None` where it cannot be told."""
        if not self._finds_target:
            return None
        try:
            return self.target().address
        except (ChatModelError, TransportFault):
            return None

    def target(self) -> Target:
        """The server and what every request to it says, as they hold now.

        Raises:
            ProviderAuthError: there is no key, or one that cannot be sent.
        """
        raise AssertionError

    def path_of(self, request: ChatRequest) -> str:  # noqa: ARG002 - it is the same for all requests here
        """Where `request` is sent, below the server's address."""
        return self._wire.path

    @property
    def models_path(self) -> str:
        """Where the server lists its models, below its address."""
        return "/models"

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` with one HTTP request.

        Raises:
            ChatModelError: the provider refused, could not be reached in time, or sent something that is no answer.
        """
        call = self._call("complete", request)
        check_allowed(self.provider_name, call.request.model)
        started = perf_counter()
        with _Translated(call):
            if self._sign_in is not None:
                await self._sign_in.ready(call, self.timeout_s)
            reply = await self._transport.send(Outgoing(self.path_of(call.request), self._wire.encode(call)))
        latency_ms = (perf_counter() - started) * 1000.0
        facts = {"latency_ms": latency_ms, "rate_limit": rate_limit_status(reply.headers)}
        return self._answered(reply, call).model_copy(update=facts)

    async def stream_async(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` piece by piece; closing the iterator early releases the connection.

        Raises:
            ChatModelError: as `complete_async`, and when the stream ends before the answer does.
        """
        call = self._call("stream", request)
        check_allowed(self.provider_name, call.request.model)
        decoder = self._wire.decoder(call)
        with _Translated(call, decoder):
            if self._sign_in is not None:
                await self._sign_in.ready(call, self.timeout_s)
            outgoing = Outgoing(self.path_of(call.request), self._wire.encode(call, stream=True))
            async with self._transport.open(outgoing) as reply:
                if reply.status == OK and "event-stream" in reply.headers.get("content-type", ""):
                    async with aclosing(_decoded(reply, decoder)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                whole = Reply(reply.status, reply.headers, b"".join([piece async for piece in reply.pieces()]))
        # The server does not stream: its whole answer is the only piece.
        for chunk in pieces_of(self._answered(whole, call)):
            yield chunk

    def get_model_info(self) -> ModelInfo:
        """Name, provider and capabilities; the protocol does not tell a model's limits."""
        return ModelInfo(name=self.model, provider=self.provider_name, capabilities=self._capabilities())

    def _capabilities(self) -> tuple[str, ...]:
        """What the table says of the model, and of an unknown one what may be tried."""
        return listed(set(expected_capabilities(self.provider_name, self.model)) - self._wire.lacks)

    def check_health(self) -> HealthStatus:
        """Whether the server answers and takes the key: asks for its list of models, which costs no tokens."""
        return run_sync(self._health())

    def check_ready(self) -> None:
        """Look whether there is a key that can be sent, and an address.

        Raises:
            ProviderAuthError: no key is set, and no server of one's own.
            ChatModelError: the address is missing, or is none.
        """
        if self._finds_target:
            with _Translated(self._call("connect", ChatRequest(prompt="connect", model=self.model))):
                _ = self.target().origin

    async def initialize(self) -> None:
        """Sign in, and check key and address, so that a mistake in them is found before the first request.

        Raises:
            ProviderAuthError: no key is set, and no server of one's own.
        """
        if self._sign_in is not None:
            call = self._call("connect", ChatRequest(prompt="connect", model=self.model))
            check_allowed(self.provider_name, self.model)
            with _Translated(call):
                await self._sign_in.ready(call, self.timeout_s)
        self.check_ready()

    async def cleanup(self) -> None:
        """Close the connections of every event loop that used this model."""
        await self._transport.close()

    async def _health(self) -> HealthStatus:
        call = self._call("health", ChatRequest(prompt="health", model=self.model))
        try:
            with _Translated(call):
                check_allowed(self.provider_name, self.model)
                if self._sign_in is not None:
                    await self._sign_in.ready(call, HEALTH_TIMEOUT_S)
                reply = await _in_time(self._transport.send(Outgoing(self.models_path)), HEALTH_TIMEOUT_S)
            if reply.status != OK:
                raise self._http_error(reply, call)
        except ChatModelError as error:
            if error.code is Code.NOT_FOUND:
                return HealthStatus(status="healthy", detail="reachable, but lists no models")
            return HealthStatus(status="unhealthy", detail=str(error))
        return HealthStatus(status="healthy")

    def _answered(self, reply: Reply, call: Call) -> ChatResponse:
        if reply.status != OK:
            raise self._http_error(reply, call)
        payload = parse_body(reply.body, reply.headers.get("content-type", ""), call)
        try:
            return self._wire.decode(payload, call)
        except ChatModelError as error:
            charged(error, self._wire.counts(payload.get("usage")), call)
            raise

    def _http_error(self, reply: Reply, call: Call) -> ChatModelError:
        error = http_error(reply, call)
        return self._sign_in.rejected(error) if self._sign_in is not None and reply.status == UNAUTHORIZED else error

    def _call(self, verb: str, request: ChatRequest) -> Call:
        names = (self.key_names, self.address_names)
        request = request.filled({"model": self.model})
        return Call(self.provider_name, f"{self.provider_name}.{verb}", request, *names)

    def _kept(self, settings: tuple[object, ...]) -> Target | None:
        """The target that was made of the same `settings` last time."""
        return self._known[1] if self._known[0] == settings else None

    def _keep(self, settings: tuple[object, ...], target: Target) -> Target:
        self._known = (settings, target)
        return target

    def _checked_key(self, key: str) -> str:
        """`key`, from now on blanked wherever it would show."""
        add_secret(key)
        if not (key.isascii() and key.isprintable()):
            raise self._no_key(
                "the API key holds a line break or a character that no key has",
                f"look at {self.key_names}: it is one line of ASCII letters, digits and signs",
            )
        return key

    def _no_key(self, message: str, hint: str) -> ProviderAuthError:
        fields = {"provider": self.provider_name, "model": self.model}
        error = ProviderAuthError(message, op=f"{self.provider_name}.connect", hint=hint, fields=fields)
        error.was_asked = False
        return error


def lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers with their names in lower case, so that a caller's own replaces ours."""
    return {name.lower(): value for name, value in (headers or {}).items()}


async def _in_time(work: Awaitable[Reply], limit_s: float) -> Reply:
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError as error:
        raise late(limit_s) from error


async def _decoded(reply: OpenReply, decoder: Decoder) -> AsyncGenerator[ChatChunk, None]:
    lines, feed_event, pieces = EventLines(), decoder.feed_event, reply.pieces()
    async for piece in pieces:
        for data in lines.feed(piece):
            chunk = feed_event(data)
            if chunk is not None:
                yield chunk
        if decoder.ended:
            await _let_end(pieces)
            break
    for data in lines.close():
        chunk = feed_event(data)
        if chunk is not None:
            yield chunk
    yield decoder.finish().model_copy(update={"rate_limit": rate_limit_status(reply.headers)})


async def _let_end(pieces: AsyncIterator[bytes]) -> None:
    """Wait a moment for the end of a body of which nothing more is wanted, and whose fault nobody cares about."""
    with suppress(TimeoutError, TransportFault):
        async with asyncio.timeout(END_WAIT_S):
            async for _ in pieces:
                pass


class _Translated:
    """Turns the faults of the transport into errors of `call`; they tell what `decoder` knows to be charged already."""

    __slots__ = ("_call", "_decoder")

    def __init__(self, call: Call, decoder: Decoder | None = None) -> None:
        self._call = call
        self._decoder = decoder

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, fault: BaseException | None, __: object) -> None:
        if isinstance(fault, TransportFault):
            error = self._call.error(fault.message, fault.code, hint=fault.hint)
            error.was_asked = not isinstance(fault, UnsentFault)
            error.was_sent = not isinstance(fault, UnsentFault | UnreachedFault)
            if self._decoder is not None:
                self._decoder.charge(error)
            try:
                raise error from without_secrets(fault)
            finally:
                del error  # it knows this frame
        if self._decoder is not None and isinstance(fault, ChatModelError):
            self._decoder.charge(fault)
