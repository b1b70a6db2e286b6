"""The connections of one event loop: kept while they are good, opened when none is free, closed with the loop."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future

from chatmodels.transport.address import Origin
from chatmodels.transport.connection import Connection
from chatmodels.transport.dial import OUT_OF_FILES, dial, unreachable
from chatmodels.transport.seam import late
from fmf_core.portal import in_thread

KEEP_S = 4.0
"""How long an unused connection is kept: shorter than servers do, most of which close theirs after 5 s or more."""
CLOSE_TIMEOUT_S = 2.0


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
        self._dialling: set[Connection] = set()
        self._idle: dict[Origin, list[Connection]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._guard = self._closed_with_loop()
        self._followed = self._ended = False

    def take(self, origin: Origin) -> Connection | None:
        """A connection to `origin` that is free, if there is one."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            if self._loop.time() - connection.idle_since < KEEP_S and connection.quiet:
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin, connect_s: float | None) -> Connection:
        """A new connection to `origin`; when there are no file descriptors left, the first one that gets free.

        Raises:
            TransportFault: it cannot be made, or not within `connect_s` seconds.
        """
        if not self._followed:
            self._followed = True
            await anext(self._guard)
        try:
            while True:
                try:
                    return await self._made(origin, connect_s)
                except (OSError, UnicodeError) as error:
                    if getattr(error, "errno", None) not in OUT_OF_FILES or not self._open:
                        raise unreachable(origin, error) from error
                free = await self._freed(origin)
                if free is not None:
                    return free
        except BaseException:
            self._call_next()  # what this call gives up, or was about to get, is somebody else's
            raise

    async def close(self) -> None:
        """Close all connections, from any loop; nothing is left to do when their own has ended."""
        closing = self.close_soon()
        if closing is not None:
            await asyncio.wait({asyncio.wrap_future(closing)}, timeout=CLOSE_TIMEOUT_S)

    def close_soon(self) -> Future[None] | None:
        """Begin to close all connections, from any thread; `None` when there is nothing to close."""
        # After a fork the connections are the parent's.
        if self._process != os.getpid() or not self._loop.is_running():
            self.drop_closed()
            return None
        closing = self._close()
        try:
            return asyncio.run_coroutine_threadsafe(closing, self._loop)
        except RuntimeError:  # it has ended meanwhile
            closing.close()
            return None

    def drop_closed(self) -> None:
        """Close the sockets that a loop left open which is closed now."""
        if self._process == os.getpid() and self._loop.is_closed():
            for connection in list(self._open):
                connection.drop()
            self._open.clear()

    async def _close(self) -> None:
        await self._guard.aclose()

    async def _closed_with_loop(self) -> AsyncGenerator[None, None]:
        """Closes the connections when the loop shuts down its generators, as `asyncio.run` does."""
        try:
            yield
        finally:
            self._ended = True
            if self._sweep is not None:
                self._sweep.cancel()
            for connection in self._open.keys() - self._dialling:  # those are closed when their call is over
                connection.close()
            for _ in range(3):
                await asyncio.sleep(0)  # the loop closes the sockets one turn later

    async def _made(self, origin: Origin, connect_s: float | None) -> Connection:
        connection = Connection(self._loop, self._changed)
        self._open[connection] = origin
        self._dialling.add(connection)
        limit = asyncio.timeout(connect_s)
        try:
            async with limit:
                await dial(self._loop, connection, origin, await self._trusted() if origin.secure else None)
        except BaseException as error:
            self._open.pop(connection, None)
            if isinstance(error, TimeoutError) and limit.expired() and connect_s is not None:
                where = f"{origin.host}:{origin.port}"
                raise late(connect_s, f"no connection to {where}", "connect_timeout_s") from error
            raise
        finally:
            self._dialling.discard(connection)
        return connection

    async def _freed(self, origin: Origin) -> Connection | None:
        """Wait until there may be a file descriptor, or a connection to `origin`, which is taken."""
        free = self.take(origin)
        if free is not None:
            return free
        for connection in [connection for idle in self._idle.values() for connection in idle]:
            connection.close()
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        await waiter
        return self.take(origin)

    async def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = await in_thread(self._trust)
        return self._context

    def _changed(self, connection: Connection) -> None:
        """An exchange is over, or a connection is gone."""
        origin = self._open.get(connection)
        if origin is None:
            return
        if connection.lost:
            del self._open[connection]
        elif connection.usable and self._ended:
            connection.close()
        elif connection.usable:
            self._idle.setdefault(origin, []).append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(KEEP_S, self._close_unused)
        else:
            return
        self._call_next()

    def _call_next(self) -> None:
        """Let the next call try that waits for a file descriptor."""
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
