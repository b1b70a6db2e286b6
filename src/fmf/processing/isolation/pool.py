"""Reading processes for whoever needs one: forked when asked for, used again, replaced when they are worn or broken."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.isolation import messages, wire
from fmf.processing.source import MEGABYTE
from fmf_core.fingerprints import Fingerprints
from fmf_core.forks import in_forked_child
from fmf_core.redact import fingerprints

MOST_JOBS: Final = 1_000
MOST_BYTES: Final = 512 * MEGABYTE
"""After so many files, or bytes of them, a process is replaced."""
_WORN_BYTES: Final = 256 * MEGABYTE
_BUFFER_BYTES: Final = 1 << 20
_PATIENCE_S: Final = 30.0
"""So long is the nursery waited for, which has much to load at first; then another one takes its place."""
_FAREWELL_S: Final = 5.0
"""So long it may take to end, when nothing is left to do; then it is ended."""
_PAUSE_S: Final = 10.0
"""So long no other one is tried when two in a row could not begin."""
_KEPT: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TESSDATA_PREFIX", "LD_LIBRARY_PATH", "SystemRoot")
_KEPT_BEGINNINGS: Final = ("LC_", "COVERAGE", "COV_CORE")
_FRUGAL: Final = {"MALLOC_MMAP_THRESHOLD_": str(MEGABYTE // 2), "MALLOC_TRIM_THRESHOLD_": str(4 * MEGABYTE)}
"""Has glibc hand large blocks back when they are free; by itself it would keep 64 MB of a large file for good."""
_MODULE: Final = "fmf.processing.isolation.nursery"

AVAILABLE: Final = hasattr(os, "fork") and hasattr(socket, "send_fds")
"""Whether this system can read files in processes of their own."""


class Worker:
    """A reading process, used by one thread at a time.

    Args:
        pid: its number.
        channel: the socket to it.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.settings: ProcessingConfig | None = None
        self.secrets = Fingerprints()
        self.status: int | None = None
        self.jobs = 0
        self.read_bytes = 0
        self.peak_bytes = 0

    @property
    def is_worn(self) -> bool:
        """Whether another one should take its place."""
        worked = self.jobs >= MOST_JOBS or self.read_bytes >= MOST_BYTES
        return worked or self.peak_bytes > _WORN_BYTES

    def begin(self, settings: ProcessingConfig, job: bytes, file: int) -> None:
        """Have it read `file` with these settings, and blank the secrets that are known by now.

        Raises:
            BrokenOffError: it is gone.
        """
        if self.settings != settings:
            messages.send(self.channel, wire.SETTINGS, settings.model_dump_json().encode())
            self.settings = settings
        known = fingerprints()
        if known != self.secrets:
            messages.send(self.channel, wire.SECRETS, wire.fingerprints_to(known))
            self.secrets = known
        self.jobs += 1
        messages.send(self.channel, wire.JOB, job, [file])

    def kill(self) -> None:
        """End it now, with everything that it has started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end."""
        self.channel.close()


class Nursery:
    """The process that forks workers; started when the first one is needed, and again if it is gone."""

    def __init__(self) -> None:
        self._begin()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        """Begin without one: that of the parent process is the parent's, and so are its workers."""
        for worker in self._idle:
            worker.close()
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.returncode = 0  # it is not for this process to wait for it
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: list[Worker] = []
        self._fruitless_until = 0.0
        self._warm: dict[str, None] = {}

    def take(self, warm: Sequence[str] = ()) -> Worker:
        """A worker for the caller alone.

        Args:
            warm: what it will need: names of loaders, and `tokens:` with the name of a vocabulary.

        Raises:
            BrokenOffError: none can be started.
        """
        with self._lock:
            self._warm |= dict.fromkeys(warm)
            if self._idle:
                return self._idle.pop()
            wanted = " ".join(self._warm)
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            with theirs:
                return Worker(self._fork(theirs, wanted), ours)
        except BaseException:
            ours.close()
            raise

    def give_back(self, worker: Worker) -> None:
        """Keep `worker` for the next caller, unless it is worn."""
        if worker.is_worn:
            worker.kill()  # and what a loader may have left running
            self.ended(worker)
            return
        with self._lock:
            self._idle.append(worker)

    def ended(self, worker: Worker) -> int:
        """How `worker` ended, as `os.wait` tells it, or -1; one that has not is ended."""
        worker.close()
        if worker.status is None:
            worker.status = self._wait(worker.pid)
        return worker.status

    def _wait(self, pid: int) -> int:
        with self._lock:
            if self._channel is None:
                return -1
            try:
                messages.send(self._channel, wire.ENDED, str(pid).encode())
                return int(messages.receive(self._channel)[1])
            except (messages.BrokenOffError, TimeoutError):
                self._lost()
        return -1

    def close(self) -> None:
        """End all that is idle, and the nursery with what it still has."""
        with self._lock:
            idle, self._idle = self._idle, []
            for worker in idle:
                worker.close()
            channel, self._channel = self._channel, None
            process, self._process = self._process, None
        if channel is not None:
            channel.close()
        if process is not None:
            try:
                process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                # Somebody has halted it, and it may be so with what it has started.
                for worker in idle:
                    worker.kill()
                process.kill()
                process.wait()

    def _fork(self, theirs: socket.socket, warm: str) -> int:
        with self._lock:
            for _ in range(2 if time.monotonic() >= self._fruitless_until else 0):
                channel = self._started()
                try:
                    messages.send(channel, wire.FORK, warm.encode(), [theirs.fileno()])
                    return int(messages.receive(channel)[1])
                except (messages.BrokenOffError, TimeoutError):
                    # The system may have ended it for want of memory; another one may fare better.
                    self._lost()
            if time.monotonic() >= self._fruitless_until:
                self._fruitless_until = time.monotonic() + _PAUSE_S
        raise messages.BrokenOffError("the process that starts reading processes does not answer")

    def _started(self) -> socket.socket:
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())]
            quiet = subprocess.DEVNULL
            atexit.register(self.close)
            self._process = subprocess.Popen(  # noqa: S603 - this program
                command, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=[theirs.fileno()], env=_environment()
            )
        ours.settimeout(_PATIENCE_S)
        self._channel = ours
        return ours

    def _lost(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


nursery: Final = Nursery()
"""The nursery of this process."""


def _environment() -> dict[str, str]:
    """What a process needs to find its modules; nothing of it is a secret."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)}
    places = [os.path.abspath(place) for place in sys.path if place]  # noqa: PTH100 - as the import system does
    return kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places)), "OMP_THREAD_LIMIT": "1"} | _FRUGAL
