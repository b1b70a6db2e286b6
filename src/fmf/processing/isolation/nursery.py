"""The process from which reading processes are forked: it has loaded what they all need, and reads nothing itself.

Run as a program (`python -m fmf.processing.isolation.nursery DESCRIPTOR`) it serves on that socket until it is closed.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Final

from fmf.processing.cutting import tokens
from fmf.processing.isolation import messages, wire
from fmf.processing.isolation.limits import limit_process
from fmf.processing.isolation.worker import rehearse, serve
from fmf.processing.loaders.base import loaders

_PATIENCE_S: Final = 2.0
_STEP_S: Final = 0.005


def main(channel: socket.socket) -> None:
    """Fork a worker for each socket that comes, and tell how workers ended, until nobody asks any more."""
    limit_process()
    children: set[int] = set()
    warm: set[str] = set()
    try:
        while True:
            kind, body, files = messages.receive(channel)
            if kind == wire.FORK:
                _warm(body.decode(), warm)
                pid = _fork(channel, files[0])
                children.add(pid)
                os.close(files[0])
                messages.send(channel, wire.FORKED, str(pid).encode())
            elif kind == wire.ENDED:
                pid = int(body)
                messages.send(channel, wire.ENDED, str(_status(pid)).encode())
                children.discard(pid)
    except messages.BrokenOffError:
        pass
    finally:
        for pid in children:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _warm(wanted: str, warm: set[str]) -> None:
    """Load once what every worker would load anew: the vocabulary, and the loaders of the kinds that occur."""
    for name in wanted.split():
        if name in warm:
            continue
        warm.add(name)
        with suppress(Exception):  # the worker that needs it says what is wrong
            if name.startswith("tokens:"):
                tokens.count_one("a", name.removeprefix("tokens:"))
                rehearse()
            else:
                loaders.get(name)


def _fork(channel: socket.socket, file: int) -> int:
    gc.freeze()  # pages that nobody writes to stay shared
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        channel.close()
        os.setsid()
        serve(socket.socket(fileno=file))
        status = 0
    finally:
        os._exit(status)


def _status(pid: int) -> int:
    """The wait status of a worker that has ended or is about to; -1 where that is not known."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except OSError:
            return -1
        if ended:
            return status
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            until += _PATIENCE_S
        time.sleep(_STEP_S)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    # Not through the interpreter's end: it would take longer than the work, and there is nothing to put away.
    os._exit(0)
