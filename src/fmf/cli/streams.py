"""The standard streams of the program, as they may be: closed by whoever started it, or at a full disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class OutputError(Exception):
    """What belongs on standard output could not be written there."""


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


def mute_stdout() -> None:
    """Let what is still buffered for stdout go nowhere: it must not fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def written() -> Iterator[None]:
    """Raise `OutputError` for what cannot be written to stdout; a reader that has gone stays a `BrokenPipeError`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"the result could not be written to standard output: {error.strerror or error}") from error


def tell(text: str, *, end: str = "\n") -> None:
    """Write a line to stderr; one that cannot be written changes nothing."""
    try:
        sys.stderr.write(text + end)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
