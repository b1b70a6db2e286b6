"""A log line for each retry, and no flood of them: what was left out is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from fmf_core.errors import FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.logs import LEVELS, get_logger

MOST_LINES = 20
"""How many retries of this process are told within one second; a server that fails may cost thousands."""

_log = get_logger("chatmodels")
_INFO = LEVELS["INFO"]


class RetryLines:
    """Says of retries, at INFO and without content, what failed and when it is tried again.

    `left_out` of a line is how many were not told before it.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._ends = float("-inf")
        self._left = 0
        self._left_out = 0

    def say(self, attempt: int, error: FrameworkError, wait_s: float, provider: str, model: str) -> None:
        """Tell that another attempt follows.

        Args:
            attempt: the number of the attempt that failed, from 1.
            error: what it failed with.
            wait_s: seconds until the next one.
            provider: who failed.
            model: the model that was asked for.
        """
        if not _log.enabled(_INFO):
            return
        with self._lock:
            now = self._clock()
            if now >= self._ends:
                self._ends, self._left = now + 1.0, MOST_LINES
            if not self._left:
                self._left_out += 1
                return
            self._left -= 1
            left_out, self._left_out = self._left_out, 0
        more = {"left_out": left_out} if left_out else {}
        code, waits = str(error.code), round(wait_s, 3)
        _log.info("llm.retry", provider=provider, model=model, attempt=attempt, code=code, wait_s=waits, **more)
