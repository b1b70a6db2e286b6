"""The file descriptors that connections may use, shared by the pools of all event loops, and the queue for them."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from fmf_core.forks import Lock, in_forked_child
from fmf_core.open_files import OUT_OF_FILES, can_open

if TYPE_CHECKING:
    from chatmodels.transport.address import Origin
    from chatmodels.transport.connection import Connection

KEPT = 32
"""Descriptors that are left to everything else: files, name look-ups, databases, event loops."""
MOST_KEPT = 4
"""Of a small limit one part in this many is left to everything else."""
STALLED_S = 1.0
"""After this time in which nothing came free, half of what is left to everything else may be used."""
PROBE_S = 0.25
"""How often who waits looks by itself, in seconds: nobody says when other code closes a file."""
FAIR_S = 1.0
"""How long who waits first lets those go before who can use the very connection that came free, in seconds."""


resource: Any = import_module("resource") if find_spec("resource") else None
"""Where the system says how many files may be open; Windows has no such limit."""


class Holder(Protocol):
    """The connections of one event loop."""

    @property
    def holds(self) -> bool:
        """Whether any are open."""
        ...

    def make_room(self) -> bool:
        """Close one that nobody uses; whether there was one."""
        ...


class QueuedCall:
    """One call that waits for a descriptor, or for a connection to its server."""

    __slots__ = ("future", "holder", "loop", "origin", "since")

    def __init__(self, loop: asyncio.AbstractEventLoop, holder: Holder, origin: Origin, since: float) -> None:
        self.loop = loop
        self.holder = holder
        self.origin = origin
        self.since = since
        """When it began to wait, in seconds of `time.monotonic()`."""
        self.future: asyncio.Future[Connection | None] = loop.create_future()

    def call(self) -> bool:
        """Have it try, from any thread; whether it still can."""
        if self.future.done():
            return False
        try:
            self.loop.call_soon_threadsafe(self.give, None)
        except RuntimeError:  # its loop was closed
            return False
        return True

    def give(self, connection: Connection | None) -> None:
        """Let it go on; to be called on its loop."""
        if not self.future.done():
            self.future.set_result(connection)


class Descriptors:
    """Whether another connection may be opened, and who is next when none may."""

    def __init__(self) -> None:
        self._lock = Lock(reentrant=True)
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        self.waiting: deque[QueuedCall] = deque()
        """Who waits, the first one first."""
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._opening = 0
        self._freed = 0.0

    def add(self, holder: Holder) -> None:
        """Count what `holder` holds as connections of ours."""
        with self._lock():
            self._holders.add(holder)

    def enter(self) -> bool:
        """Begin to open a connection, if there is room; whoever may ends it with `leave`.

        One is always allowed: the system may have a descriptor yet, and without a connection nothing ever comes free.
        """
        most = _most()
        with self._lock():
            if most is not None and self._in_use() >= most - self._kept(most) and self.are_ours:
                return False
            self._opening += 1
            return True

    def leave(self) -> None:
        """End what `enter` began: the connection stands, or will never do."""
        with self._lock():
            self._opening = max(0, self._opening - 1)

    def wait(self, waiting: QueuedCall, *, again: bool) -> None:
        """Put a call into the queue; `again`: it has waited before, and takes its old place."""
        with self._lock():
            later = (place for place, other in enumerate(self.waiting) if other.since > waiting.since)
            self.waiting.insert(next(later, len(self.waiting)) if again else len(self.waiting), waiting)
            holders = list(self._holders)
        for holder in holders:
            if holder.make_room():
                break

    def forget(self, waiting: QueuedCall) -> None:
        """Take a call out of the queue."""
        with self._lock(), suppress(ValueError):
            self.waiting.remove(waiting)

    def call_next(self, *, freed: bool = False) -> None:
        """Let the first one try; `freed`: something came free."""
        while self.waiting:
            with self._lock():
                first = self.waiting.popleft() if self.waiting else None
                if freed:
                    self._freed = time.monotonic()
            if first is not None and first.call():
                return

    def call_one_of(self, holder: Holder) -> bool:
        """Let the first one of `holder` try; whether there is any."""
        with self._lock():
            found = next((waiting for waiting in self.waiting if waiting.holder is holder), None)
            if found is not None:
                self.waiting.remove(found)
        return found is not None and (found.call() or self.call_one_of(holder))

    def heir(self, holder: Holder, origin: Origin) -> QueuedCall | None:
        """Who gets a connection of `holder` to `origin`; nobody when others have waited too long for one of theirs."""
        now = time.monotonic()
        with self._lock():
            if not self.waiting:
                return None
            self._freed = now
            patient = now - self.waiting[0].since < FAIR_S
            for place, waiting in enumerate(self.waiting):
                if waiting.holder is holder and waiting.origin == origin and not waiting.future.done():
                    del self.waiting[place]
                    return waiting
                if not patient and not waiting.future.done():
                    return None
            return None

    def stalled_s(self, since: float) -> float:
        """For how many seconds nothing has come free, at most from `since` on."""
        return time.monotonic() - max(since, self._freed)

    def _kept(self, most: int) -> int:
        kept = min(KEPT, most // MOST_KEPT)
        stalled = self.waiting and self.stalled_s(self.waiting[0].since) > STALLED_S
        return kept // 2 if stalled else kept

    def _in_use(self) -> int:
        try:
            # The lowest number that is free tells how many are taken, by whomever.
            number = os.open(os.devnull, os.O_RDONLY)
        except OSError as error:
            return 1 << 30 if error.errno in OUT_OF_FILES else 0
        os.close(number)
        # Those that are being opened may not have theirs yet.
        return number + self._opening

    @property
    def are_ours(self) -> bool:
        """Whether connections of ours are open or being opened."""
        with self._lock():
            return self._opening > 0 or any(holder.holds for holder in self._holders)


def lacks_descriptors(error: BaseException) -> bool:
    """Whether `error` may come from there being no more file descriptors."""
    if not isinstance(error, OSError):
        return False
    if error.errno in OUT_OF_FILES or any(f"[Errno {number}]" in str(error) for number in OUT_OF_FILES):
        return True
    # Name look-ups and OpenSSL open files and do not say why they could not; a refused connection says so.
    return type(error) is not OSError and not isinstance(error, ConnectionError | TimeoutError) and not can_open()


def come_from_lack(error: BaseException) -> bool:
    """Whether `error` of somebody else's client goes back to there being no more file descriptors."""
    seen: list[BaseException] = []
    found: list[Any] = [error]
    while found:
        one = found.pop()
        if not isinstance(one, BaseException) or one in seen:
            continue
        if lacks_descriptors(one) or any(f"[Errno {number}]" in str(one) for number in OUT_OF_FILES):
            return True
        seen.append(one)
        found += [one.__cause__, one.__context__, *one.args, getattr(one, "reason", None)]
        found += getattr(one, "exceptions", ())
    return False


def _most() -> int | None:
    """How many descriptors the process may have now; `None` where that has no limit."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


descriptors = Descriptors()
"""The ones of this process."""
