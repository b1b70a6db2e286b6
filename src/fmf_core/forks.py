"""What a forked child must not take over from its parent begins anew there: one hook for the whole house."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

_functions: list[Callable[[], object]] = []
_methods: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def in_forked_child(renew: Callable[[], object]) -> None:
    """Call `renew` in every forked child, before anything else runs there.

    Threads, and whatever waits for them, do not survive a fork, and a lock that one of them held stays locked in the
    child for ever. Connections belong to the parent.

    Args:
        renew: a function; or a method, one for each object, which is kept alive no longer for that.
    """
    if isinstance(renew, MethodType):
        _methods[renew.__self__] = renew.__func__
    else:
        _functions.append(renew)


def _renew_all() -> None:
    for function in _functions:
        function()
    for thing, method in list(_methods.items()):
        method(thing)


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_renew_all)
