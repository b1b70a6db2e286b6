"""Ctrl-C, SIGTERM and SIGHUP: in a run the first asks it to stop and the second gives up; elsewhere they interrupt."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmf.chains.stop import Stop

INTERRUPTED = 130
"""The exit status of a program that was interrupted."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask the program to end: SIGHUP comes when the terminal is closed."""

_NOTE = b"\nstopping: calls in flight may finish; a second Ctrl-C gives up on them\n"


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does; for the program's own process."""
    # The first to be registered is the last to be called: from there on Python's own handlers are gone.
    atexit.register(_set_all, signal.SIG_IGN)
    _set_all(_interrupt)


def end_on_signals() -> None:
    """Let the signals end the process at once with `INTERRUPTED`; for the time after everything has been told."""
    _set_all(_end)


def _set_all(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if _heard(number):
                signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as above
    os._exit(INTERRUPTED)


def _heard(number: int) -> bool:
    """Whether whoever started the program lets it hear this signal: nohup and `&` of a script do not."""
    return signal.getsignal(number) is not signal.SIG_IGN


@contextmanager
def stopping(stop: Stop, *, said: bool = False) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP request `stop` within the block; a further one raises KeyboardInterrupt.

    Args:
        stop: hears of the first signal.
        said: whether the user is told on stderr that it was heard.
    """
    from fmf.chains.stop import StopReason

    reason = StopReason.INTERRUPTED

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        if stop.requested:
            raise KeyboardInterrupt
        stop.request(reason)
        if said:
            # Not print: the signal may have come in the middle of one, and its lock is not to be had twice.
            with suppress(OSError):
                os.write(2, _NOTE)

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may have handlers; whoever runs a command elsewhere has handlers of his own.
        yield
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS if _heard(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
