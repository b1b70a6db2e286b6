"""How a connection comes to stand: to the server or the proxy before it, through its tunnel, and with TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, cast
from urllib.parse import urlsplit

from chatmodels.transport.address import Origin, in_address, proxy_authorization
from chatmodels.transport.connection import MOST_HEAD_BYTES, Connection
from chatmodels.transport.seam import TransportFault, UnreachedFault, UnsentFault
from fmf_core.errors import Code
from fmf_core.redact import shortened

RACE_DELAY_S = 0.25
"""How long the first address of a name is tried before the next one is tried beside it."""
_HEAD_END = b"\r\n\r\n"
_OTHER_HOST = "name the host that the certificate is for in {address_names}"
_OTHER_TIME = "the server's certificate has to be renewed, or this machine's clock is wrong"
_DISTRUST = {9: _OTHER_TIME, 10: _OTHER_TIME, 62: _OTHER_HOST, 64: _OTHER_HOST}
"""What to do about OpenSSL's reasons to refuse a certificate: not yet valid, expired, another name or address."""


async def dial(
    loop: asyncio.AbstractEventLoop, connection: Connection, origin: Origin, context: ssl.SSLContext | None
) -> None:
    """Connect `connection` to `origin`, with TLS when there is a `context`.

    Raises:
        OSError: it cannot be reached, or does not prove who it is.
        UnicodeError: its name is none.
        TransportFault: the proxy does not let requests through.
    """
    host, port = origin.host, origin.port
    if origin.proxy is not None:
        way = urlsplit(origin.proxy)
        host, port = way.hostname or "", way.port or 80
    first: Connection | _Tunnel = connection if context is None else _Tunnel(loop)
    # Of the addresses of a name one may be dead. A race between addresses that is cancelled at the wrong moment leaves
    # its socket to the garbage collector, so where there is only one there is no race.
    # Loops other than asyncio's own, such as uvloop, try one address after the other.
    numeric = ":" in host or host.replace(".", "").isdigit()
    races = isinstance(loop, asyncio.BaseEventLoop) and not numeric
    race: dict[str, Any] = {"happy_eyeballs_delay": RACE_DELAY_S} if races else {}
    carrier, _ = await loop.create_connection(lambda: first, host, port, **race)
    try:
        if isinstance(first, _Tunnel) and origin.proxy is not None:
            await first.through(carrier, origin, origin.proxy)
        _still_there(carrier)
        if context is not None:
            connection.connection_made(carrier)
            secured = await loop.start_tls(carrier, connection, context, server_hostname=origin.host)
            connection.secured(cast("asyncio.Transport", secured), carrier)
    except BaseException:
        carrier.abort()
        raise


def _still_there(carrier: asyncio.Transport) -> None:
    if carrier.is_closing():
        raise ConnectionResetError("the connection was closed at once")


def unreachable(origin: Origin, error: Exception) -> TransportFault:
    """The fault of an `origin` to which no connection can be made."""
    where = f"{origin.host}:{origin.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _DISTRUST.get(error.verify_code, "name the authority's certificate in ca_bundle (or SSL_CERT_FILE)")
        return UnsentFault(f"the certificate of {where} is not trusted: {error.verify_message}", Code.INVALID, hint)
    if isinstance(error, ssl.SSLError):
        message = f"{where} does not speak TLS: {error.reason}"
        return UnsentFault(message, Code.INVALID, "is it http:// in {address_names}?")
    way = f" through the proxy {urlsplit(origin.proxy).hostname}" if origin.proxy is not None else ""
    nameless = isinstance(error, socket.gaierror | UnicodeError)
    return UnreachedFault(
        f"{where} cannot be reached{way}: {type(error).__name__}: {error}",
        Code.UNAVAILABLE,
        "is the host's name right, and is there a network?" if nameless else "is the server up?",
    )


def no_descriptors(origin: Origin, waited_s: float) -> TransportFault:
    """The fault of an `origin` to which no connection could be tried."""
    where = f"{origin.host}:{origin.port}"
    return UnsentFault(
        f"no connection to {where}: there are too many open files, and none was closed within {waited_s:g} s",
        Code.UNAVAILABLE,
        "raise the limit of open files (ulimit -n), or ask less at once",
    )


class _Tunnel(asyncio.Protocol):
    """What is at the end of a connection until TLS takes it over: reads what a proxy says."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._head: asyncio.Future[bytes] = loop.create_future()
        self._read = b""

    async def through(self, transport: asyncio.Transport, origin: Origin, proxy: str) -> None:
        """Have the proxy open a way to `origin`."""
        authority = f"{in_address(origin.host)}:{origin.port}"
        request = f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{proxy_authorization(proxy)}\r\n"
        transport.write(request.encode("ascii"))
        head = await self._head
        if not head:
            raise ConnectionResetError("the proxy closed the connection")
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if _HEAD_END not in head or len(status) < 2 or not status[1].startswith(b"2"):
            said = shortened(b" ".join(status[1:]).decode("latin-1"), 200) or "it speaks no HTTP"
            refuses_us = said.startswith("407")
            kind = UnsentFault if refuses_us else UnreachedFault
            raise kind(
                f"the proxy {urlsplit(proxy).hostname} does not let requests to {authority} through: {said}",
                Code.AUTH if refuses_us else Code.UNAVAILABLE,
                "check HTTPS_PROXY and NO_PROXY",
            )

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._head.done() and (_HEAD_END in self._read or len(self._read) > MOST_HEAD_BYTES):
            self._head.set_result(self._read)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._head.done():
            self._head.set_result(self._read)
