"""Run a coroutine as a user's own program does: on a new event loop of the calling thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns."""
    with asyncio.Runner() as runner:
        return runner.run(work)
