"""Loaders that do what no loader may do, one for each ending; published by entry points like those of any plugin."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from fmf.processing.loaders.base import Loaded

FOR_EVER_S = 3_600


def _text(pieces: Any, **more: Any) -> Loaded:
    return Loaded(pieces, title="hostile", **more)


def segfault(source: Any, settings: Any) -> Loaded:
    ctypes.string_at(0)
    return _text(iter(["plum"]))


def segfaultlate(source: Any, settings: Any) -> Loaded:
    def pieces() -> Iterator[str]:
        yield "plum " * 5_000
        ctypes.string_at(0)

    return _text(pieces())


def abort(source: Any, settings: Any) -> Loaded:
    os.abort()


def exits(source: Any, settings: Any) -> Loaded:
    os._exit(0)


def exitsthree(source: Any, settings: Any) -> Loaded:
    os._exit(3)


def systemexit(source: Any, settings: Any) -> Loaded:
    sys.exit("I leave")


def interrupt(source: Any, settings: Any) -> Loaded:
    raise KeyboardInterrupt


def killed(source: Any, settings: Any) -> Loaded:
    os.kill(os.getpid(), signal.SIGKILL)
    return _text(iter(["plum"]))


def sleeps(source: Any, settings: Any) -> Loaded:
    time.sleep(FOR_EVER_S)
    return _text(iter(["plum"]))


def spins(source: Any, settings: Any) -> Loaded:
    while True:
        pass


def deaf(source: Any, settings: Any) -> Loaded:
    """Hangs where no signal of Python's is heard."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(FOR_EVER_S)
    return _text(iter(["plum"]))


def eats(source: Any, settings: Any) -> Loaded:
    held = []
    while True:
        held.append(bytearray(16 << 20))


def eatsoutside(source: Any, settings: Any) -> Loaded:
    """Takes memory that Python does not see."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    while (place := library.malloc(16 << 20)) is not None:
        ctypes.memset(place, 1, 16 << 20)
    raise MemoryError("nothing is left")


def endless(source: Any, settings: Any) -> Loaded:
    def pieces() -> Iterator[str]:
        while True:
            yield "plums and pears " * 1_000

    return _text(pieces())


def recursion(source: Any, settings: Any) -> Loaded:
    return recursion(source, settings)


def overflows(source: Any, settings: Any) -> Loaded:
    """Runs out of stack in C."""
    sys.setrecursionlimit(10_000_000)
    value: list[Any] = []
    for _ in range(300_000):
        value = [value]
    repr(value)
    return _text(iter(["plum"]))


def prints(source: Any, settings: Any) -> Loaded:
    print("d" * 10_000)
    sys.stderr.write("x" * 10_000)
    os.write(1, b"{}\n" * 10_000)
    os.write(2, b"\0\0\0\4" * 10_000)
    return _text(iter(["plum"]))


def forks(source: Any, settings: Any) -> Loaded:
    if os.fork() == 0:
        time.sleep(FOR_EVER_S)
    return _text(iter(["plum"]))


def forkreturns(source: Any, settings: Any) -> Loaded:
    os.fork()
    return _text(iter(["plum"]))


def starts(source: Any, settings: Any) -> Loaded:
    subprocess.Popen(["sleep", str(FOR_EVER_S)])
    return _text(iter(["plum"]))


def threads(source: Any, settings: Any) -> Loaded:
    threading.Thread(target=time.sleep, args=[FOR_EVER_S]).start()
    return _text(iter(["plum"]))


def closes(source: Any, settings: Any) -> Loaded:
    os.closerange(0, 256)
    return _text(iter(["plum"]))


def moves(source: Any, settings: Any) -> Loaded:
    os.chdir("/")
    os.environ.clear()
    sys.path.clear()
    return _text(iter(["plum"]))


def nothing(source: Any, settings: Any) -> Any:
    return None


def number(source: Any, settings: Any) -> Loaded:
    return _text(iter([7]))


def surrogate(source: Any, settings: Any) -> Loaded:
    return _text(iter(["plum \ud800"]))


def shouts(source: Any, settings: Any) -> Loaded:
    raise ValueError("one\ntwo\x1b[31m\0" + "x" * 1_000_000)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickling")


def unspeakable(source: Any, settings: Any) -> Loaded:
    raise Unspeakable


def stops(source: Any, settings: Any) -> Loaded:
    raise StopIteration


def breaks(source: Any, settings: Any) -> Loaded:
    def pieces() -> Iterator[str]:
        yield "plum " * 5_000
        raise OSError(5, "the disk is gone")

    return _text(pieces())


def metadata(source: Any, settings: Any) -> Loaded:
    return _text(iter(["plum"]), metadata={"object": object(), "nan": float("nan"), 7: b"bytes", "deep": _deep(3_000)})


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def large(source: Any, settings: Any) -> Loaded:
    return _text(iter(["plum"]), metadata={"all": "x" * 20_000_000})


def lies(source: Any, settings: Any) -> Loaded:
    """Speaks to whoever it finds on the descriptors that it has inherited."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, json.dumps({"status": "ok"}).encode() * 10)
        except OSError:
            continue
    return _text(iter(["plum"]))
