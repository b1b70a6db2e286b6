"""State that all callers of one model at one address share, whichever model object they use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from inspect import getattr_static
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet, WeakValueDictionary

from chatmodels.config import ENDPOINT_HOLDS_S
from chatmodels.iface import ChatModel
from chatmodels.wrappers.base import WrappedModel
from fmf_core.forks import in_forked_child

T = TypeVar("T")

KEPT_S = 600.0
"""For how many seconds after its last use a state is kept when no model object uses it any longer."""
MOST_KEPT = 256
"""How many states one table keeps that nobody may use any longer; the one unused for the longest time goes first."""
MOST_NAMES = 1000
"""For how many models one wrapper looks states up; names that come from outside must not fill the memory."""


class StateTable(Generic[T]):
    """States, one for each kind of call: by provider, endpoint, credentials, model and settings.

    A state lives as long as a wrapper uses it, and `KEPT_S` after its last use, so that a program that makes a model
    for every call learns as well. The key holds the number `credentials_id`, which must not be the `id` of an object:
    the state outlives the model, and another object may get the same one. A model without an address, such as one
    inside this process, shares with nobody but itself. A forked child begins with an empty table.

    Args:
        make: makes the state of an endpoint that nobody has used yet, from the settings.
        make_serverless: makes the state of a model whose class knows of no server; default is `make`.
        clock: the time in seconds.
    """

    def __init__(
        self,
        make: Callable[[Any], T],
        *,
        make_serverless: Callable[[Any], T] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._make = make
        self._make_serverless = make_serverless or make
        self._clock = clock
        self._lookups: WeakSet[StateLookup[T]] = WeakSet()
        self.forget()
        _tables.add(self)
        in_forked_child(self.forget)

    def __len__(self) -> int:
        return len(self._states)

    def forget(self) -> None:
        """Begin anew."""
        self._lock = threading.RLock()
        self._states: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._recent: OrderedDict[Hashable, _Used[T]] = OrderedDict()
        for lookup in tuple(self._lookups):
            lookup.forget()

    def lookup(self, settings: Hashable) -> StateLookup[T]:
        """What one wrapper looks its states up with; those with other `settings` have states of their own."""
        made = StateLookup(self, settings)
        self._lookups.add(made)
        return made

    def of(self, model: ChatModel, name: str, settings: Hashable) -> T:
        """The state of the model `name` where `model` asks for it.

        Args:
            model: who asks; its `provider_name`, `endpoint` and `credentials_id` count.
            name: the model that the request names.
            settings: users with other settings have a state of their own.
        """
        if model.endpoint is None:
            return (self._make if _has_server(model) else self._make_serverless)(settings)
        key = (model.provider_name, model.endpoint, model.credentials_id, name, settings)
        with self._lock:
            found = self._states.get(key)
            if found is None:
                found = self._states[key] = self._make(settings)
            now = self._clock()
            self._recent[key] = _Used(found, now)
            self._recent.move_to_end(key)
            self._drop_old(now)
            return found

    def _drop_old(self, now: float) -> None:
        while self._recent:
            key, used = next(iter(self._recent.items()))
            if len(self._recent) <= MOST_KEPT and now - used.at <= KEPT_S:
                return
            del self._recent[key]


class _Used(NamedTuple, Generic[T]):
    state: T
    at: float


class StateLookup(Generic[T]):
    """The states that one wrapper has found in a table: by the address and the model of each request.

    Addresses come from settings and from the environment, and asking for one costs more than all the rest: it is asked
    for once a second.
    """

    def __init__(self, table: StateTable[T], settings: Hashable) -> None:
        self._table = table
        self._settings = settings
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._lone: dict[str, T] = {}
        self._held: dict[tuple[object, ...], T] = {}
        self._now: dict[str, T] = {}
        self._look_at = 0.0

    def of(self, model: ChatModel, name: str) -> T:
        """The state that holds for a request to `name` through `model` now."""
        if monotonic() < self._look_at:
            found = self._now.get(name)
            if found is not None:
                return found
        return self._look_up(model, name)

    def _look_up(self, model: ChatModel, name: str) -> T:
        now = monotonic()
        if now >= self._look_at:
            self._now, self._look_at = {}, now + ENDPOINT_HOLDS_S
        if len(self._held) + len(self._lone) >= MOST_NAMES:
            self._held, self._lone, self._now = {}, {}, {}
        if model.endpoint is None:
            found = self._lone.get(name)
            if found is None:
                found = self._lone[name] = self._table.of(model, name, self._settings)
        else:
            # The table is asked every time, so that it knows what is in use.
            found = self._table.of(model, name, self._settings)
            self._held[model.endpoint, model.credentials_id, name] = found
        self._now[name] = found
        return found


def _has_server(model: ChatModel) -> bool:
    """Whether the class of the model inside knows of a server, even where its address cannot be told yet."""
    inside = model.unwrapped if isinstance(model, WrappedModel) else model
    return getattr_static(inside, "endpoint", None) is not None


def forget_all() -> None:
    """Forget all that was learnt of any endpoint in this process."""
    for table in tuple(_tables):
        table.forget()


_tables: WeakSet[StateTable[Any]] = WeakSet()
