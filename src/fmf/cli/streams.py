"""The standard streams of the program, as they may be: closed by whoever started it, or at a full disk."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class OutputError(Exception):
    """What belongs on standard output could not be written there."""


class ReaderGoneError(Exception):
    """Whoever read stdout has seen enough."""


def open_closed() -> None:
    """Put the null device in the place of standard streams that are closed.

    Before any file is opened: the first ones would get the streams' numbers, and what is written to stderr would end in
    an artefact.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole process


class _Unfailing(io.TextIOWrapper):
    """A stream for what nobody must hear: what cannot be written is lost."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def make_stderr_unfailing() -> None:
    """Let no write to stderr fail, whoever writes: click and rich do so by themselves, while a run ends."""
    kept = sys.stderr
    if isinstance(kept, io.TextIOWrapper):
        encoding, errors = kept.encoding, kept.errors
        stream = _Unfailing(kept.detach(), encoding=encoding, errors=errors, line_buffering=True)
        sys.stderr = sys.__stderr__ = stream  # type: ignore[misc]


def mute_stdout() -> None:
    """Let what is still buffered for stdout go nowhere: it must not fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def written() -> Iterator[None]:
    """Raise `OutputError` for what cannot be written to stdout, and `ReaderGoneError` when its reader has gone.

    A terminal that was closed is like a stream that was closed: what is written there goes nowhere.
    """
    try:
        yield
    except BrokenPipeError as error:
        # Not as it is: click would turn it into exit status 1, which means a defect here.
        raise ReaderGoneError from error
    except OSError as error:
        if error.errno == errno.EIO and _hung_up(sys.stdout.fileno()):
            mute_stdout()
            return
        raise OutputError(f"the result could not be written to standard output: {error.strerror or error}") from error


def _hung_up(number: int) -> bool:
    """Whether the stream is a terminal that has been closed; it answers every question with an error of its own."""
    try:
        os.get_terminal_size(number)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def tell(text: str, *, end: str = "\n") -> None:
    """Write a line to stderr; one that cannot be written changes nothing."""
    try:
        sys.stderr.write(text + end)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
