"""Retrying without owning the call: the policy is data, the waits are pure, the caller keeps its own call."""

from __future__ import annotations

from collections.abc import Callable

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

    def pause_after(self, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait before the next attempt, or `None` when `error` is final.

        Final is: not retryable, the last attempt, or a service that asks for a longer wait than `max_wait_s`.
        """
        if not isinstance(error, FrameworkError) or not error.retryable or attempt >= self.max_attempts:
            return None
        asked = error.retry_after or 0.0
        if asked > self.max_wait_s:
            return None
        return max(asked, self.wait(attempt))


def _chance() -> float:
    # Imported here: it brings hashlib and OpenSSL along, which most programs that import this never need.
    import random

    return random.random()  # noqa: S311 - spreads waits, hides nothing
