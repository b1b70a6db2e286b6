"""Retrying without owning the call: the policy is data, the waits are pure, the caller keeps its own call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import Field

from fmf_core.errors import FrameworkError
from fmf_core.value import Value


class RetryPolicy(Value):
    """How often and how patiently a failed call is made again."""

    max_attempts: int = Field(default=3, ge=1, le=1000)
    """How many calls there may be in all; 1 never retries."""
    first_wait_s: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Longest wait before the second call, in seconds."""
    factor: float = Field(default=2.0, ge=1, allow_inf_nan=False)
    """How much longer the longest wait gets with every further call."""
    max_wait_s: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """Longest wait before any call, in seconds; a service that asks for more ends the retries."""

    def wait(self, attempt: int, random: Callable[[], float] | None = None) -> float:
        """Seconds to wait after `attempt` (from 1) failed: exponential with full jitter, never above `max_wait_s`.

        Args:
            attempt: the number of the attempt that failed.
            random: gives a number from 0 to 1; tests pass their own.
        """
        try:
            longest = self.first_wait_s * self.factor ** (attempt - 1)
        except OverflowError:
            longest = self.max_wait_s
        return min(longest, self.max_wait_s) * (random or _chance)()

    def pause_after(
        self, attempt: int, error: BaseException, random: Callable[[], float] | None = None
    ) -> float | None:
        """Seconds to wait before the next attempt, or `None` when `error` is final.

        Final is: not retryable, the last attempt, or a service that asks for a longer wait than `max_wait_s`.
        """
        if not isinstance(error, FrameworkError) or not error.retryable or attempt >= self.max_attempts:
            return None
        asked = error.retry_after or 0.0
        if asked > self.max_wait_s:
            return None
        return max(asked, self.wait(attempt, random))


def _chance() -> float:
    # Imported here: it brings hashlib and OpenSSL along, which most programs that import this never need.
    import random

    return random.random()  # noqa: S311 - spreads waits, hides nothing


class Attempt:
    """One try: a context manager that swallows a retryable error while tries are left."""

    __slots__ = ("_gives_up", "_policy", "number", "pause")

    def __init__(self, policy: RetryPolicy, number: int) -> None:
        self._policy = policy
        self.number = number
        """Which try this is, from 1."""
        self.pause: float | None = None
        """Seconds until the next try once this one failed; `None` when there is none."""
        self._gives_up = False

    def is_followed_after(self, error: BaseException) -> bool:
        """Whether another try would follow if this one failed with `error`."""
        return self._policy.pause_after(self.number, error) is not None

    def give_up(self) -> None:
        """Make this the last try, whatever the policy says."""
        self._gives_up = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        self.pause = None if self._gives_up else self._policy.pause_after(self.number, error)
        if self.pause is None and isinstance(error, FrameworkError):
            error.fields["attempts"] = self.number
        return self.pause is not None


class Attempts:
    """The tries of one call, for `async for`; see `attempts`."""

    __slots__ = ("_current", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._current: Attempt | None = None

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> Attempt:
        pause = self._pause()
        if pause is None:
            raise StopAsyncIteration
        if pause:
            await asyncio.sleep(pause)
        return self._following()

    def _pause(self) -> float | None:
        return 0.0 if self._current is None else self._current.pause

    def _following(self) -> Attempt:
        self._current = Attempt(self._policy, 1 if self._current is None else self._current.number + 1)
        return self._current


def attempts(policy: RetryPolicy) -> Attempts:
    """Give the tries of one call: `async for attempt in ...:` and inside it `with attempt:`, until one succeeds.

    Only a `FrameworkError` that is `retryable` is tried again; its `retry_after` is the least wait. The error that is
    raised in the end carries the number of tries as `fields["attempts"]`.
    """
    return Attempts(policy)
