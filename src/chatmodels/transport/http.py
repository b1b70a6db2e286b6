"""The lean way to a server: kept-alive connections of our own, one task switch for a call."""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial

from chatmodels.transport.address import Target
from chatmodels.transport.connection import Connection
from chatmodels.transport.exchange import Exchange, OpenExchange, WholeExchange
from chatmodels.transport.pool import Pool
from chatmodels.transport.seam import OpenReply, Outgoing, Reply, Timeouts, UnsentFault, unwritable
from fmf_core.errors import Code
from fmf_core.forks import Lock
from fmf_core.open_files import OUT_OF_FILES


class HttpTransport:
    """Carries requests over HTTP/1.1, with a pool of connections for every event loop that uses it.

    Proxies come from the environment. Certificates are those that OpenSSL trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR`
    included), or `ca_bundle`.

    Args:
        target: gives the server and the headers as they hold now; asked for every request.
        timeouts: the limits of one exchange.
        ca_bundle: a file of certificates to trust instead.
    """

    def __init__(
        self, target: Callable[[], Target], timeouts: Timeouts | None = None, *, ca_bundle: str | None = None
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._target = target
        self._trust = cache(partial(_context, ca_bundle))
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._lock = Lock()
        # At the end of the process the loops close what is left; until then a transport that nobody has any more does.
        weakref.finalize(self, _abandon, self._pools).atexit = False

    async def send(self, outgoing: Outgoing) -> Reply:
        """The whole reply to `outgoing`; raises `TransportFault`."""
        loop = asyncio.get_running_loop()
        exchange = WholeExchange(loop)
        connection = await self._begin(loop, outgoing, exchange)
        try:
            return await exchange.reply
        finally:
            connection.give_up(exchange)

    @asynccontextmanager
    async def open(self, outgoing: Outgoing) -> AsyncIterator[OpenReply]:
        """The reply to `outgoing` from its headers on; raises `TransportFault`."""
        loop = asyncio.get_running_loop()
        exchange = OpenExchange(loop)
        connection = await self._begin(loop, outgoing, exchange)
        exchange.hold = partial(connection.hold, exchange)
        try:
            await exchange.head()
            yield exchange
        finally:
            connection.give_up(exchange)

    async def close(self) -> None:
        """Close the connections of every event loop; the transport may be used again afterwards."""
        with self._lock():
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            await pool.close()

    async def _begin(self, loop: asyncio.AbstractEventLoop, outgoing: Outgoing, exchange: Exchange) -> Connection:
        started = loop.time()
        target = self._target()
        request = _encoded(target, outgoing)
        pool = self._pools.get(loop) or self._made(loop)
        connection = pool.take(target.origin)
        if connection is None:
            connection, started = await pool.connect(target.origin, self.timeouts, started)
        connection.begin(exchange, request, self.timeouts, started)
        return connection

    def _made(self, loop: asyncio.AbstractEventLoop) -> Pool:
        with self._lock():
            for ended in [other for other in self._pools if other.is_closed()]:
                self._pools.pop(ended).drop_closed()
            return self._pools.setdefault(loop, Pool(loop, self._trust))


def _encoded(target: Target, outgoing: Outgoing) -> bytes:
    if outgoing.body is None:
        return target.head("GET", outgoing.path) + b"0\r\n\r\n"
    import orjson

    try:
        body = orjson.dumps(outgoing.body)
    except (TypeError, ValueError) as error:
        raise unwritable(error) from error
    return b"%b%d\r\n\r\n%b" % (target.head("POST", outgoing.path), len(body), body)


def _context(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
        if not (ca_bundle or context.cert_store_stats()["x509_ca"]):
            _load_again(context)
    except (OSError, ssl.SSLError) as error:
        if error.errno in OUT_OF_FILES:
            raise  # it can be read as soon as there are some again
        raise UnsentFault(
            f"the certificates in {ca_bundle!r} cannot be read: {error}", Code.INVALID, "check ca_bundle"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_again(context: ssl.SSLContext) -> None:
    """Load the system's certificates aloud: OpenSSL says nothing when it cannot open their file."""
    named = ssl.get_default_verify_paths().cafile
    if named is not None:
        os.close(os.open(named, os.O_RDONLY))
        context.load_default_certs()


def _abandon(pools: dict[asyncio.AbstractEventLoop, Pool]) -> None:
    for pool in pools.values():
        pool.close_soon()
