"""Requests of connectors that are made again: one owner of retries, and their count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fmf_core.errors import FrameworkError
from fmf_core.forks import Lock
from fmf_core.logs import get_logger
from fmf_core.retry import RetryPolicy

T = TypeVar("T")
log = get_logger("fmf.connectors")


class Retries:
    """Makes requests again while their errors say that waiting helps; may be used by many threads.

    Args:
        connector: the connector's name, for log lines.
        policy: how often and how patiently.
    """

    def __init__(self, connector: str, policy: RetryPolicy) -> None:
        self.count = 0
        """How many requests were made again."""
        self._connector = connector
        self._policy = policy
        self._lock = Lock()

    def call(self, request: Callable[[], T]) -> T:
        """What `request` returns, at the first attempt that does not fail.

        Raises:
            FrameworkError: waiting does not help, or the attempts are used up.
        """
        attempt = 1
        while True:
            try:
                return request()
            except FrameworkError as error:
                self.wait(attempt, error)
            attempt += 1

    def wait(self, attempt: int, error: FrameworkError) -> None:
        """Wait until the next attempt after the one of this number (from 1) failed with `error`.

        Raises:
            FrameworkError: `error` itself, where there is no next attempt.
        """
        pause = self._policy.pause_after(attempt, error)
        if pause is None:
            if attempt > 1:
                error.fields.setdefault("attempts", attempt)
            raise error
        with self._lock():
            self.count += 1
        log.info("connector.retry", connector=self._connector, attempt=attempt, code=error.code.value, pause_s=pause)
        time.sleep(pause)
