"""Ctrl-C and SIGTERM while a run goes on: the first one asks it to stop, the second one gives up on it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fmf.chains.stop import Stop, StopReason

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping(stop: Stop) -> Iterator[None]:
    """Let SIGINT and SIGTERM request `stop` within the block; a further one raises KeyboardInterrupt."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        if stop.requested:
            raise KeyboardInterrupt
        stop.request(StopReason.INTERRUPTED)

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
