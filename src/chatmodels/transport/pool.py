"""The connections of one event loop: kept while they are good, opened when none is free, closed with the loop."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from urllib.parse import urlsplit

from chatmodels.transport.address import Origin, proxy_authorization
from chatmodels.transport.connection import Connection
from chatmodels.transport.seam import TransportFault
from fmf_core.errors import Code
from fmf_core.portal import in_thread

KEEP_S = 4.0
"""How long an unused connection is kept: shorter than servers do, most of which close theirs after 5 s or more."""
CLOSE_TIMEOUT_S = 2.0
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class Pool:
    """The connections of one loop.

    Args:
        loop: the loop.
        trust: gives the certificates to trust, in time for the first connection with TLS.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, trust: Callable[[], ssl.SSLContext]) -> None:
        self._loop = loop
        self._trust = trust
        self._context: ssl.SSLContext | None = None
        self._process = os.getpid()
        self._open: dict[Connection, Origin] = {}
        self._idle: dict[Origin, list[Connection]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._guard = self._closed_with_loop()
        self._followed = False

    def take(self, origin: Origin) -> Connection | None:
        """A connection to `origin` that is free, if there is one."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            if self._loop.time() - connection.idle_since < KEEP_S:
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin) -> Connection:
        """A new connection to `origin`; when there are no file descriptors left, the first one that gets free.

        Raises:
            TransportFault: it cannot be made.
        """
        if not self._followed:
            self._followed = True
            await anext(self._guard)
        while True:
            try:
                return await self._connected(origin)
            except (OSError, UnicodeError) as error:
                if getattr(error, "errno", None) not in _OUT_OF_FILES or not self._open:
                    raise _unreachable(origin, error) from error
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
            free = self.take(origin)
            if free is not None:
                return free

    async def close(self) -> None:
        """Close all connections, from any loop; nothing is left to do when their own has ended."""
        closing = self.close_soon()
        if closing is not None:
            await asyncio.wait({asyncio.wrap_future(closing)}, timeout=CLOSE_TIMEOUT_S)

    def close_soon(self) -> Future[None] | None:
        """Begin to close all connections, from any thread; `None` when there is nothing to close."""
        # After a fork the connections are the parent's.
        if self._process != os.getpid() or not self._loop.is_running():
            return None
        return asyncio.run_coroutine_threadsafe(self._close(), self._loop)

    async def _close(self) -> None:
        await self._guard.aclose()

    async def _closed_with_loop(self) -> AsyncGenerator[None, None]:
        """Closes the connections when the loop shuts down its generators, as `asyncio.run` does."""
        try:
            yield
        finally:
            if self._sweep is not None:
                self._sweep.cancel()
            for connection in list(self._open):
                connection.close()
            for _ in range(3):
                await asyncio.sleep(0)  # the loop closes the sockets one turn later

    async def _connected(self, origin: Origin) -> Connection:
        context = await self._trusted() if origin.secure else None
        if origin.proxy is not None:
            return await self._through_proxy(origin, origin.proxy, context)
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, self._changed),
            origin.host,
            origin.port,
            ssl=context,
            happy_eyeballs_delay=0.25,
        )
        self._open[connection] = origin
        return connection

    async def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = await in_thread(self._trust)
        return self._context

    async def _through_proxy(self, origin: Origin, proxy: str, context: ssl.SSLContext | None) -> Connection:
        parts = urlsplit(proxy)
        connection = Connection(self._loop, self._changed)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        transport: asyncio.BaseTransport = writer.transport
        try:
            if context is None:
                writer.transport.set_protocol(connection)
            else:
                await _tunnel(reader, writer, origin, proxy)
                secured = await self._loop.start_tls(writer.transport, connection, context, server_hostname=origin.host)
                assert secured is not None  # noqa: S101 - only for a transport that was closing
                transport = secured
        except BaseException:
            writer.transport.abort()
            raise
        connection.connection_made(transport)
        self._open[connection] = origin
        return connection

    def _changed(self, connection: Connection) -> None:
        """An exchange is over, or a connection is gone."""
        origin = self._open.get(connection)
        if origin is None:
            return
        if connection.lost:
            del self._open[connection]
        elif connection.usable:
            self._idle.setdefault(origin, []).append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(KEEP_S, self._close_unused)
        else:
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def _close_unused(self) -> None:
        """Close what nobody has used for a while, and look again later while anything is left."""
        limit = self._loop.time() - KEEP_S
        for origin, idle in list(self._idle.items()):
            kept = [connection for connection in idle if connection.usable and connection.idle_since > limit]
            for connection in set(idle).difference(kept):
                connection.close()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        self._sweep = self._loop.call_later(KEEP_S, self._close_unused) if self._idle else None


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: Origin, proxy: str) -> None:
    """Have the proxy open a way to `origin`."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    authority = f"{host}:{origin.port}"
    request = f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{proxy_authorization(proxy)}\r\n"
    writer.write(request.encode("ascii"))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionResetError("the proxy closed the connection") from error
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        said = b" ".join(status[1:]).decode("latin-1")
        where = urlsplit(proxy).hostname
        raise TransportFault(
            f"the proxy {where} does not let requests to {authority} through: {said}",
            Code.AUTH if said.startswith("407") else Code.UNAVAILABLE,
            "check HTTPS_PROXY and NO_PROXY",
        )


def _unreachable(origin: Origin, error: Exception) -> TransportFault:
    where = f"{origin.host}:{origin.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "name the authority's certificate in ca_bundle (or SSL_CERT_FILE)"
        return TransportFault(f"the certificate of {where} is not trusted: {error.verify_message}", Code.INVALID, hint)
    if isinstance(error, ssl.SSLError):
        return TransportFault(f"{where} does not speak TLS: {error.reason}", Code.INVALID, "is it http:// in base_url?")
    return TransportFault(
        f"{where} cannot be reached: {type(error).__name__}: {error}", Code.UNAVAILABLE, "is the server up?"
    )
