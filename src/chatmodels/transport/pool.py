"""The connections of one event loop: kept while they are good, opened when none is free, closed with the loop."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf

from chatmodels.transport.address import Origin
from chatmodels.transport.connection import Connection
from chatmodels.transport.descriptors import PROBE_S, QueuedCall, descriptors, lacks_descriptors
from chatmodels.transport.dial import dial, no_descriptors, unreachable
from chatmodels.transport.seam import Timeouts, late
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
        self._sweep: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._guard = self._closed_with_loop()
        self._followed = self._ended = False
        descriptors.add(self)

    @property
    def holds(self) -> bool:
        """Whether any connections are open."""
        return bool(self._open)

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

    async def connect(self, origin: Origin, limits: Timeouts, started: float) -> tuple[Connection, float]:
        """A new connection to `origin`; where there are no file descriptors left, the first one that gets free.

        Args:
            origin: the server.
            limits: those of the call. Waiting for a descriptor does not count, as long as any come free.
            started: the loop's time when the call began.

        Returns:
            The connection, and when the call would have begun without waiting.

        Raises:
            TransportFault: there is none in time, or it cannot be made.
        """
        if not self._followed:
            self._followed = True
            await anext(self._guard)
        first, since = not descriptors.waiting, 0.0
        while True:
            if first and descriptors.enter():
                if since:
                    descriptors.call_next()  # there may be room for more than one
                connection = await self._tried(origin, limits, started)
                if connection is not None:
                    return connection, started
            began = time.monotonic()
            since = since or began
            connection = await self._turn(origin, limits, since, again=first)
            started += time.monotonic() - began
            if connection is not None:
                return connection, started
            first = True

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
            for timer in (self._sweep, self._look):
                if timer is not None:
                    timer.cancel()
            for connection in self._open.keys() - self._dialling:  # those are closed when their call is over
                connection.close()
            for _ in range(3):
                await asyncio.sleep(0)  # the loop closes the sockets one turn later

    async def _tried(self, origin: Origin, limits: Timeouts, started: float) -> Connection | None:
        """A new connection to `origin`; `None` where there is no file descriptor for it after all."""
        enough = True
        try:
            return await self._made(origin, limits, started)
        except (OSError, UnicodeError) as error:
            if not lacks_descriptors(error):
                raise unreachable(origin, error) from error
            enough = False
            return None
        finally:
            descriptors.leave()
            if enough and descriptors.waiting:
                descriptors.call_next(freed=True)

    async def _made(self, origin: Origin, limits: Timeouts, started: float) -> Connection:
        connection = Connection(self._loop, self._changed)
        self._open[connection] = origin
        self._dialling.add(connection)
        total_at = inf if limits.total_s is None else started + limits.total_s
        connect_at = inf if limits.connect_s is None else self._loop.time() + limits.connect_s
        until = min(total_at, connect_at)
        limit = asyncio.timeout_at(None if until == inf else until)
        try:
            async with limit:
                await dial(self._loop, connection, origin, await self._trusted() if origin.secure else None)
        except BaseException as error:
            self._open.pop(connection, None)
            if isinstance(error, TimeoutError) and limit.expired():
                setting, seconds = _first_over(limits, total=total_at <= connect_at)
                raise late(seconds, f"no connection to {origin.host}:{origin.port}", setting) from error
            raise
        finally:
            self._dialling.discard(connection)
        return connection

    async def _turn(self, origin: Origin, limits: Timeouts, since: float, *, again: bool) -> Connection | None:
        """Wait until there may be a file descriptor; a connection to `origin` that came free is handed over.

        Raises:
            TransportFault: none came free to anybody for as long as the call may take.
        """
        free = self.take(origin)
        if free is not None:
            return free
        patience = (limits.total_s, limits.connect_s)[not descriptors.are_ours]
        if patience is not None and descriptors.stalled_s(since) > patience:
            descriptors.call_next()
            raise no_descriptors(origin, patience)
        waiting = QueuedCall(self._loop, self, origin, since)
        descriptors.wait(waiting, again=again)
        if self._look is None:
            self._look = self._loop.call_later(PROBE_S, self._look_again)
        try:
            connection = await waiting.future
        except BaseException:
            self._give_up(waiting)
            raise
        if connection is not None and not (connection.usable and connection.quiet):
            connection.close()
            return None
        return connection

    def _give_up(self, waiting: QueuedCall) -> None:
        """What the call gives up, or was about to get, is somebody else's."""
        descriptors.forget(waiting)
        connection = None if waiting.future.cancelled() else waiting.future.result()
        if connection is not None:
            self._changed(connection)
        descriptors.call_next()

    def _look_again(self) -> None:
        self._look = None
        if descriptors.call_one_of(self):
            self._look = self._loop.call_later(PROBE_S, self._look_again)

    def make_room(self) -> bool:
        """Close a connection that nobody uses, from any thread; whether there is one."""
        if self._loop.is_closed():
            was_open = bool(self._open)
            self.drop_closed()
            return was_open
        if not any(list(self._idle.values())) or not self._loop.is_running():
            return False
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close_one)
        return True

    def _close_one(self) -> None:
        for idle in self._idle.values():
            while idle and descriptors.waiting:
                connection = idle.pop(0)
                if connection.usable:
                    connection.close()
                    return

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
            if descriptors.waiting:
                descriptors.call_next(freed=True)
        elif not connection.usable:
            return
        elif self._ended:
            connection.close()
        elif descriptors.waiting:
            self._hand_on(connection, origin)
        else:
            self._keep(connection, origin)

    def _hand_on(self, connection: Connection, origin: Origin) -> None:
        """Give the connection, or at least its descriptor, to who waits for one."""
        heir = descriptors.heir(self, origin)
        if heir is not None:
            heir.give(connection)
        elif descriptors.waiting:
            connection.close()
        else:
            self._keep(connection, origin)

    def _keep(self, connection: Connection, origin: Origin) -> None:
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEEP_S, self._close_unused)

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


def _first_over(limits: Timeouts, *, total: bool) -> tuple[str, float]:
    """The name and the value of the limit that ended a call."""
    name, seconds = ("timeout_s", limits.total_s) if total else ("connect_timeout_s", limits.connect_s)
    return name, seconds or 0.0
