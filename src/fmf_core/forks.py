"""What a forked child must not take over from its parent begins anew there: one hook for the whole house."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any
from weakref import ref

_functions: list[Callable[[], object]] = []
# By the identity of the object, which need not be hashable.
_methods: dict[int, tuple[ref[Any], Callable[[Any], object]]] = {}


def in_forked_child(renew: Callable[[], object]) -> None:
    """Call `renew` in every forked child, before anything else runs there.

    Threads, and whatever waits for them, do not survive a fork, and a lock that one of them held stays locked in the
    child for ever. Connections belong to the parent.

    Args:
        renew: a function; or a method, one for each object, which is kept alive no longer for that.
    """
    if isinstance(renew, MethodType):
        key = id(renew.__self__)
        _methods[key] = (ref(renew.__self__, partial(_forget, key)), renew.__func__)
    else:
        _functions.append(renew)


def _forget(key: int, _: ref[Any]) -> None:
    _methods.pop(key, None)


def _renew_all() -> None:
    for function in _functions:
        function()
    for reference, method in list(_methods.values()):
        thing = reference()
        if thing is not None:
            method(thing)


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_renew_all)
