"""Ctrl-C and SIGTERM while a run goes on: the first one asks it to stop, the second one gives up on it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from fmf.chains.stop import Stop, StopReason

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_NOTE = b"\nstopping: calls in flight may finish; a second Ctrl-C gives up on them\n"


@contextmanager
def stopping(stop: Stop, *, said: bool = False) -> Iterator[None]:
    """Let SIGINT and SIGTERM request `stop` within the block; a further one raises KeyboardInterrupt.

    Args:
        stop: hears of the first signal.
        said: whether the user is told on stderr that it was heard.
    """

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        if stop.requested:
            raise KeyboardInterrupt
        stop.request(StopReason.INTERRUPTED)
        if said:
            # Not print: the signal may have come in the middle of one, and its lock is not to be had twice.
            with suppress(OSError):
                os.write(2, _NOTE)

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may have handlers; whoever runs a command elsewhere has handlers of his own.
        yield
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
