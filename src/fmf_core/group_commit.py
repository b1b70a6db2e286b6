"""Changes made by one thread: those that come while the disk is busy are made together, and wait for it once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar

from fmf_core.forks import in_forked_child
from fmf_core.portal import OwnThreads, deeper_context

C = TypeVar("C")
T = TypeVar("T")
MOST_TOGETHER: Final = 1000
"""How many changes are made together at most."""


class GroupCommit(Generic[C]):
    """Makes changes in the order in which they are asked for, from any thread and any event loop.

    A forked child begins without the changes of its parent.

    Args:
        commit: makes several changes, in a thread; what it raises is raised to all who wait for one of them.
        name: the name of the thread.
    """

    def __init__(self, commit: Callable[[list[C]], None], name: str) -> None:
        self._commit = commit
        self._threads = OwnThreads(1, name)
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[C, asyncio.Future[None]]] = []
        self._turn: Callable[[], None] | None = None

    async def add(self, change: C) -> None:
        """Make `change`, and return when that is done.

        When the awaiting task is cancelled, it is made all the same, unless it is told to `drop` it.

        Raises:
            RuntimeError: the thread cannot be started; nothing was done.
            Exception: what `commit` raises.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((change, done))
            idle = self._turn is None
            if idle:
                self._turn = partial(deeper_context().run, self._take_turn)
        if idle:
            self._start()
        await done

    def drop(self, change: C) -> bool:
        """Do not make `change`; false when it has begun, or is done."""
        with self._lock:
            for place, (waiting, _) in enumerate(self._waiting):
                if waiting is change:
                    del self._waiting[place]
                    return True
        return False

    async def call(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread that makes the changes, between two commits."""
        return await self._threads.start(function)

    async def finish(self, function: Callable[[], T]) -> T:
        """Call `function` in that thread once nothing waits any more; whoever calls this lets nobody add anything."""
        while True:
            with self._lock:
                is_idle = self._turn is None
            if is_idle:
                return await self.call(function)
            await self.call(_nothing)

    def _start(self) -> None:
        """Let the thread have its turn, after what others gave it to do."""
        turn = self._turn
        assert turn is not None  # noqa: S101 - whoever calls this has set it
        try:
            self._threads.submit(turn)
        except BaseException as error:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                self._turn = None
            _tell(waiting, error)
            if not isinstance(error, Exception):
                raise

    def _take_turn(self) -> None:
        with self._lock:
            together = self._waiting[:MOST_TOGETHER]
            del self._waiting[:MOST_TOGETHER]
            if not together:
                self._turn = None
                return
        error: BaseException | None = None
        try:
            self._commit([change for change, _ in together])
        except BaseException as raised:  # noqa: BLE001 - it belongs to those who wait
            error = raised
        _tell(together, error)
        # One group a turn: whoever called for the thread meanwhile does not wait for all that is still to come.
        self._start()


def _nothing() -> None:
    """Takes its turn in the thread."""


def _tell(waiting: list[tuple[C, asyncio.Future[None]]], error: BaseException | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, done in waiting:
        by_loop.setdefault(done.get_loop(), []).append(done)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, futures, error)


def _settle(futures: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for done in futures:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
