"""What a forked child must not take over from its parent begins anew there: one hook for all but SQLite files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import MethodType
from typing import Any
from weakref import ref

_functions: list[Callable[[], object]] = []
# By the identity of the object, which need not be hashable, and the method's function.
_methods: dict[tuple[int, Callable[[Any], object]], ref[Any]] = {}


def in_forked_child(renew: Callable[[], object]) -> None:
    """Call `renew` in every forked child, before anything else runs there.

    Threads, and whatever waits for them, do not survive a fork, and a lock that one of them held stays locked in the
    child for ever; where nothing else is to be renewed, take a `Lock`. Connections belong to the parent.

    Args:
        renew: a function; or a method, whose object is kept alive no longer for that.
    """
    if isinstance(renew, MethodType):
        key = (id(renew.__self__), renew.__func__)
        _methods[key] = ref(renew.__self__, partial(_forget, key))
    else:
        _functions.append(renew)


class Lock:
    """A lock that is free in a forked child, whoever held it in the parent: `with lock(): ...`.

    Args:
        reentrant: whether the thread that holds it may take it again, as code does that the garbage collector runs.
    """

    __slots__ = ("__weakref__", "_lock", "_make")

    def __init__(self, *, reentrant: bool = False) -> None:
        self._make: Callable[[], AbstractContextManager[bool]] = threading.RLock if reentrant else threading.Lock
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        self._lock = self._make()

    def __call__(self) -> AbstractContextManager[bool]:
        """The lock of this process.

        It is handed out bare: an interrupt between its acquisition and the end of an `__enter__` in Python would leave
        it locked for ever.
        """
        return self._lock


def _forget(key: tuple[int, Callable[[Any], object]], _: ref[Any]) -> None:
    _methods.pop(key, None)


def _renew_all() -> None:
    """Renew everything, whatever one of them raises; a failure is raised in the end, and Python prints it."""
    failures: list[Exception] = []
    # A copy in one step: the garbage collector may forget objects in the middle of a walk.
    renewals = [*_functions]
    renewals += [partial(_renew, method, found) for (_, method), found in _methods.copy().items()]
    for renew in renewals:
        try:
            renew()
        except Exception as error:  # noqa: BLE001 - the others must be renewed all the same
            failures.append(error)
    if failures:
        raise failures[0]


def _renew(method: Callable[[Any], object], found: ref[Any]) -> None:
    thing = found()
    if thing is not None:
        method(thing)


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_renew_all)
