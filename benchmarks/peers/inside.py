"""What the process of a peer does: it answers orders that come on its standard input, one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any


def serve(do: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Answer every order with what `do` finds out; what a peer prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            order = json.loads(line)
            try:
                found = runner.run(_one(do, order))
            except Exception as error:
                found = {"error": f"{type(error).__name__}: {error}"[:300]}
            answers.write(json.dumps(found) + "\n")
        answers.flush()
        if os.getpgrp() == os.getpid():  # some peers leave servers behind, and nobody is there to end them
            os.killpg(0, signal.SIGKILL)
        os._exit(0)  # some leave threads behind


async def _one(do: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], order: dict[str, Any]) -> dict[str, Any]:
    return await do(order)


def cpu_s() -> float:
    """CPU of this process so far, all its threads included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_mb() -> float:
    """Resident memory of this process; where the system does not tell, the most there has been."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform == "linux" else 1e6)
