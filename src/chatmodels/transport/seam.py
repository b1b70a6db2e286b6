"""What a provider asks of a transport and what it gets back; a transport of your own fills the same seam."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fmf_core.errors import Code
from fmf_core.redact import redact

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""A reply beyond this size is no answer of a model; it is refused before it fills the memory."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of one exchange, in seconds; `None` is no limit of its own."""

    total_s: float | None = 60.0
    """From the start, connecting included, to the last byte; reading held for a slow consumer does not count."""
    connect_s: float | None = 10.0
    """For name look-up, connection and TLS."""
    first_byte_s: float | None = None
    """From the sent request to the first byte of the reply."""
    between_bytes_s: float | None = None
    """The longest silence within a reply."""


class Outgoing(NamedTuple):
    """One request on its way."""

    path: str
    """Below the base URL, with its leading slash."""
    body: Mapping[str, Any] | None = None
    """Sent as JSON; without it the request is a GET."""


class Reply(NamedTuple):
    """A whole reply, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class OpenReply(Protocol):
    """A reply whose body is still on its way."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body, decompressed, as it arrives."""
        ...


class Transport(Protocol):
    """Carries requests to one server. Nothing is repeated and no redirect is followed here."""

    async def send(self, outgoing: Outgoing) -> Reply:
        """The whole reply to `outgoing`.

        Raises:
            TransportFault: there is no whole reply.
        """
        ...

    def open(self, outgoing: Outgoing) -> AbstractAsyncContextManager[OpenReply]:
        """The reply to `outgoing` from its headers on; leaving the context early gives the connection up.

        Raises:
            TransportFault: there is no reply; `pieces` raises it when the reply breaks off.
        """
        ...

    async def close(self) -> None:
        """Close what is open; the transport may be used again afterwards."""
        ...


class TransportFault(Exception):  # noqa: N818 - it never leaves the chat layer: a provider makes the error of it
    """Why there is no reply, for the provider to turn into its own error.

    In a `hint`, `{address_names}` stands for the setting with the server's address, which only the provider can name.
    """

    def __init__(self, message: str, code: Code, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class UnsentFault(TransportFault):
    """Why a request was not even tried: something on this side is wrong, or the server does not prove who it is.

    That a server cannot be reached is no such fault: it was tried, and what came of it says something of the server.
    """


class UnreachedFault(TransportFault):
    """Why no connection could be made: it was tried, but no request has left."""


def late(limit_s: float, what: str = "no complete answer", setting: str = "timeout_s") -> TransportFault:
    """The fault of an exchange that took longer than `limit_s`, the value of a provider's `setting`."""
    return TransportFault(f"{what} within {limit_s:g} s", Code.TIMEOUT, f"raise {setting}, or ask for less")


def too_large() -> TransportFault:
    """The fault of a reply that is no answer of a model."""
    return TransportFault(f"the reply is larger than {MAX_REPLY_BYTES} bytes", Code.BAD_REPLY)


def unwritable(error: Exception) -> UnsentFault:
    """The fault of a request that cannot be written as JSON."""
    hint = "look at extra_params"
    if "surrogate" in str(error):
        hint = 'a text holds half of a character: clean it with text.encode("utf-8", "replace").decode()'
    return UnsentFault(f"the request cannot be written as JSON: {redact(str(error))}", Code.INVALID, hint)
