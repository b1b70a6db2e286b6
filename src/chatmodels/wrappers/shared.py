"""State that all callers of one model at one address share, whichever model object they use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from chatmodels.iface import ChatModel

T = TypeVar("T")


class SharedState(Generic[T]):
    """A table of states, one for each kind: by provider, endpoint, credentials, model and settings, kept while in use.

    A model without an address, such as one inside this process, shares with nobody but itself.

    Args:
        make: makes the state of an endpoint that nobody has used yet, from the settings.
    """

    def __init__(self, make: Callable[[Hashable], T]) -> None:
        self._make = make
        self._renew()
        if hasattr(os, "register_at_fork"):
            # A lock that another thread held when the process was forked would stay locked in the child for ever.
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._states: WeakValueDictionary[Hashable, T] = WeakValueDictionary()

    def of(self, model: ChatModel, name: str, settings: Hashable) -> T:
        """The state of the model `name` where `model` asks for it; whoever uses it keeps a reference.

        Args:
            model: who asks; its `provider_name`, `endpoint` and `credentials_id` count.
            name: the model that the request names.
            settings: users with other settings have a state of their own.
        """
        if model.endpoint is None:
            return self._make(settings)
        key = (model.provider_name, model.endpoint, model.credentials_id, name, settings)
        with self._lock:
            found = self._states.get(key)
            if found is None:
                found = self._states[key] = self._make(settings)
            return found


class Seats(Generic[T]):
    """What one wrapper keeps of a `SharedState`: its own references, by the address and the model of each request.

    Addresses come from settings and from the environment, and asking for one costs more than all the rest: it is asked
    for once a second.
    """

    def __init__(self, shared: SharedState[T], settings: Hashable) -> None:
        self._shared = shared
        self._settings = settings
        self._process = os.getpid()
        self._kept: dict[tuple[object, ...], T] = {}
        self._now: dict[str, T] = {}
        self._look_at = 0.0

    def of(self, model: ChatModel, name: str) -> T:
        """The state that holds for a request to `name` through `model` now."""
        if monotonic() < self._look_at and self._process == os.getpid():
            found = self._now.get(name)
            if found is not None:
                return found
        return self._look_up(model, name)

    def _look_up(self, model: ChatModel, name: str) -> T:
        now = monotonic()
        if self._process != os.getpid():
            self._process, self._kept, self._look_at = os.getpid(), {}, 0.0
        if now >= self._look_at:
            self._now, self._look_at = {}, now + LOOK_AGAIN_S
        key = (model.endpoint, model.credentials_id, name)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
                self._now.clear()
            found = self._kept.setdefault(key, self._shared.of(model, name, self._settings))
        self._now[name] = found
        return found


LOOK_AGAIN_S = 1.0
"""How often the address of a model is asked for."""
MOST_KEPT = 1000
"""Of how many models one wrapper keeps states; names that come from outside must not fill the memory."""
