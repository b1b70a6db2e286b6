"""Answers kept in this process: the newest and most used ones, within a number and a size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import time
from typing import NamedTuple

from chatmodels.pieces import unshared
from chatmodels.types import ChatResponse
from fmf_core.errors import ConfigurationError
from fmf_core.forks import Lock

ENTRY_BYTES = 1500
"""What an answer takes besides its text, roughly."""


class MemoryCache:
    """Keeps answers in memory; those that were not used for the longest time make room.

    Args:
        max_entries: how many answers are kept at most.
        max_bytes: how much memory they take at most, roughly.
        max_age_s: seconds after which an answer is no longer given; `None` keeps it until it makes room.
        clock: the time in seconds.

    Raises:
        ConfigurationError: a bound is not above 0.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64_000_000,
        max_age_s: float | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        check_bounds(max_entries=max_entries, max_bytes=max_bytes, max_age_s=max_age_s)
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str) -> ChatResponse | None:
        """The answer that was put under `key`."""
        with self._lock():
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self.max_age_s is not None and self._clock() - entry.made > self.max_age_s:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return unshared(entry.response)

    async def put(self, key: str, response: ChatResponse) -> None:
        """Keep `response` under `key`."""
        size = ENTRY_BYTES + len(response.content) + sum(len(str(call.arguments)) for call in response.tool_calls)
        with self._lock():
            self._drop(key)
            self._entries[key] = _Entry(unshared(response), self._clock(), size)
            self._bytes += size
            while len(self._entries) > self.max_entries or self._bytes > self.max_bytes:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


class _Entry(NamedTuple):
    response: ChatResponse
    made: float
    size: int


def check_bounds(**bounds: float | None) -> None:
    """Refuse a bound that would keep nothing.

    Raises:
        ConfigurationError: names the bound and its value.
    """
    for name, bound in bounds.items():
        if bound is not None and not bound > 0:
            raise ConfigurationError(f"{name} of a response cache must be above 0, got {bound!r}", op="cache.create")
