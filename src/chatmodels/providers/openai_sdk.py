"""The other way to OpenAI: through an `AsyncOpenAI` of the caller's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import openai

from chatmodels.transport.descriptors import PROBE_S, come_from_lack
from chatmodels.transport.seam import (
    MAX_REPLY_BYTES,
    OpenReply,
    Outgoing,
    Reply,
    Timeouts,
    TransportFault,
    UnsentFault,
    late,
    too_large,
    unwritable,
)
from fmf_core.errors import Code, ConfigurationError
from fmf_core.redact import redact

RESPONSES_PATH = "/responses"
KNOWN_CLIENTS = (openai.AsyncOpenAI, openai.AsyncAzureOpenAI)
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


class SdkTransport:
    """Sends requests with the client; it is neither retried nor closed here.

    Args:
        client: the caller's client.
        timeouts: of these, the total counts.
    """

    def __init__(self, client: openai.AsyncOpenAI, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self._client = client.with_options(max_retries=0)

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:
        """What of the client decides the answers; `None` for one that was extended, which may do anything."""
        client = self._client
        http: Any = getattr(client, "_client", None)
        if type(client) not in KNOWN_CLIENTS or not _is_plain(http):
            return None
        own = {name: getattr(client, name, None) for name in ("organization", "project", "_api_version")}
        sent = {"headers": dict(client._custom_headers), "query": dict(client._custom_query)}  # noqa: SLF001 - without the key
        return {**own, **sent, "base_url": str(client.base_url), "http_headers": dict(http.headers)}

    async def send(self, outgoing: Outgoing) -> Reply:
        """The whole reply to `outgoing`; raises `TransportFault`."""
        async with self.open(outgoing) as reply:
            raw = bytearray()
            async for piece in reply.pieces():
                raw += piece
            return Reply(reply.status, reply.headers, bytes(raw))

    @asynccontextmanager
    async def open(self, outgoing: Outgoing) -> AsyncIterator[OpenReply]:
        """The reply to `outgoing` from its headers on; raises `TransportFault`."""
        total_s = self.timeouts.total_s
        deadline = None if total_s is None else asyncio.get_running_loop().time() + total_s
        try:
            async with asyncio.timeout_at(deadline):
                opening, reply = await self._opened(outgoing)
        except openai.APIStatusError as error:
            body = await _body_of(error)
            yield _OpenSdkReply(error.response.status_code, error.response.headers, _once(body), deadline, total_s)
            return
        except (TypeError, ValueError) as error:
            raise unwritable(error) from error
        except Exception as error:
            raise _fault(error, total_s) from error
        try:
            pieces = reply.iter_bytes()
            yield _OpenSdkReply(reply.status_code, reply.headers, pieces, deadline, total_s)
        finally:
            await opening.__aexit__(None, None, None)

    async def close(self) -> None:
        """Nothing: the client belongs to the caller."""

    async def _opened(self, outgoing: Outgoing) -> tuple[Any, Any]:
        """The call and its reply; as long as the process has too many files open, it is tried again."""
        while True:
            opening = self._opening(outgoing)
            try:
                return opening, await opening.__aenter__()
            except openai.APIConnectionError as error:
                if not come_from_lack(error):
                    raise
            await asyncio.sleep(PROBE_S)

    def _opening(self, outgoing: Outgoing) -> Any:
        if outgoing.body is None:
            return self._client.models.with_streaming_response.list(timeout=self.timeouts.total_s)
        # Everything beyond the required arguments goes as it is: our body counts, not the SDK's signatures.
        body = dict(outgoing.body)
        if outgoing.path == RESPONSES_PATH:
            return self._client.responses.with_streaming_response.create(extra_body=body, timeout=self.timeouts.total_s)
        model, messages = body.pop("model"), body.pop("messages")
        return self._client.chat.completions.with_streaming_response.create(
            model=model, messages=messages, extra_body=body, timeout=self.timeouts.total_s
        )


def check_client(client: object) -> None:
    """Refuse a client that cannot be waited for.

    Raises:
        ConfigurationError: it is no `openai.AsyncOpenAI`.
    """
    if not isinstance(client, openai.AsyncOpenAI):
        raise ConfigurationError(
            f"chat model 'openai': client is of type {type(client).__name__}",
            op="openai.create",
            hint="give an openai.AsyncOpenAI; it serves blocking calls as well",
        )


def _is_plain(http: Any) -> bool:
    """Whether the HTTP client is one that only sends what the SDK tells it to."""
    parts = (http, getattr(http, "_transport", None))
    known = all(type(part).__module__.startswith(("httpx", "openai.")) for part in parts)
    sends = type(parts[1]).__name__ == "AsyncHTTPTransport"
    return known and sends and not (http.auth or http.cookies or http.params or any(http.event_hooks.values()))


class _OpenSdkReply:
    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes],
        deadline: float | None,
        total_s: float | None,
    ) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self._body = body
        self._deadline = deadline
        self._total_s = total_s

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives; the time that its consumer takes counts, too."""
        size = 0
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    piece = await anext(self._body, None)
            except Exception as error:
                raise _fault(error, self._total_s) from error
            if piece is None:
                return
            size += len(piece)
            if size > MAX_REPLY_BYTES:
                raise too_large()
            yield piece


async def _body_of(error: openai.APIStatusError) -> bytes:
    try:
        return await error.response.aread()
    except Exception:  # noqa: BLE001 - the status alone says enough
        return b""


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _fault(error: Exception, total_s: float | None) -> TransportFault:
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    names = [kind.__name__ for kind in (*type(cause).__mro__, *type(error).__mro__)]
    code = next((ERROR_MAP[name] for name in names if name in ERROR_MAP), Code.INTERNAL)
    if code is Code.TIMEOUT and total_s is not None:
        return late(total_s)
    hint = {Code.UNAVAILABLE: "is the server up?", Code.INVALID: "check the client's base_url and key"}.get(code, "")
    # What these tell of is wrong on this side, and was found before anything was sent.
    kind = UnsentFault if code in (Code.INVALID, Code.AUTH) else TransportFault
    return kind(f"{type(cause).__name__}: {redact(str(cause)) or 'no reason given'}", code, hint)
