"""Runs a command with all the processes it starts: wall time, CPU, and the most memory that they held together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

EVERY_S = 0.03
"""How often memory is looked at."""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class FailedError(Exception):
    """A command did not do its work; says why."""


@dataclass(frozen=True)
class Taken:
    """What one run of a command took."""

    wall_s: float
    cpu_s: float
    """Of all processes, user and system."""
    peak_mb: float | None
    """Of all processes together, what they share counted once; `None` where nobody looked."""
    output: str


def run(
    command: Sequence[str],
    *,
    folder: Path,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
    memory: bool = False,
) -> Taken:
    """Run `command` to its end in a session of its own.

    Args:
        command: what to run.
        folder: where.
        limit_s: when it is ended.
        environment: further variables.
        memory: look at its memory all the while, which takes time from it.

    Raises:
        FailedError: its exit status is not 0, it took too long, or it left processes behind whose CPU nobody counts.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _Orphans() as orphans:
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        late = threading.Event()
        timer = threading.Timer(limit_s, lambda: (late.set(), _end(child.pid)))
        timer.start()
        watch = _Watch(child.pid) if memory else None
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        if watch:
            watch.close()
        _end(child.pid)
        orphans_cpu_s = orphans.cpu_s()
        out.seek(0), err.seek(0)
        if late.is_set():
            raise FailedError(f"not done within {limit_s:g} s")
        if child.returncode:
            said = err.read().decode(errors="replace").strip() or out.read().decode(errors="replace").strip()
            raise FailedError(f"exit status {child.returncode}: {said[-600:]}")
        cpu = usage.ru_utime + usage.ru_stime + orphans_cpu_s
        if watch and watch.cpu_s > cpu * 1.1 + 0.2:
            raise FailedError(f"its processes took {watch.cpu_s:.1f} s of CPU, and only {cpu:.1f} s are told of")
        return Taken(wall, cpu, watch.peak_mb if watch else None, out.read().decode())


class _Orphans:
    """Processes whose parents ended without waiting for them: they become ours, so that their CPU is told to us."""

    PATIENCE_S = 10.0
    _SUBREAPER = 36  # of prctl(2)

    def __enter__(self) -> Self:
        self._before = set(_children())
        self._adopt(wanted=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._adopt(wanted=False)

    def cpu_s(self) -> float:
        """What they took, once all of them have ended."""
        total, until = 0.0, time.monotonic() + self.PATIENCE_S
        while left := set(_children()) - self._before:
            for pid in left:
                ended, _, usage = os.wait4(pid, os.WNOHANG)
                if ended:
                    total += usage.ru_utime + usage.ru_stime
                elif time.monotonic() > until:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        return total

    def _adopt(self, *, wanted: bool) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(self._SUBREAPER, int(wanted), 0, 0, 0)


def _children() -> list[int]:
    return [pid for pid, fields in _processes().items() if int(fields[1]) == os.getpid()]


def _processes() -> dict[int, list[str]]:
    """What `/proc/PID/stat` says of each process, from its state on."""
    found: dict[int, list[str]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            with suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text()
                found[int(entry)] = stat[stat.rindex(")") + 2 :].split()
    return found


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Watch:
    """Looks at a process and its descendants in a thread."""

    def __init__(self, pid: int) -> None:
        self.peak_mb: float | None = None
        self._pid = pid
        self._cpu: dict[tuple[int, str], float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """Of all processes, as far as was seen."""
        return sum(self._cpu.values())

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(EVERY_S):
            total = 0.0
            for pid, fields in self._members():
                self._cpu[pid, fields[19]] = (int(fields[11]) + int(fields[12])) * TICK_S
                total += _memory_mb(pid)
            if total:
                self.peak_mb = max(self.peak_mb or 0.0, total)

    def _members(self) -> list[tuple[int, list[str]]]:
        """The processes of the session and all that descend from it, with what `/proc/PID/stat` says of them."""
        found = _processes()
        inside = {self._pid} | {pid for pid, fields in found.items() if fields[3] == str(self._pid)}
        while more := {pid for pid, fields in found.items() if int(fields[1]) in inside and pid not in inside}:
            inside |= more
        return [(pid, found[pid]) for pid in inside if pid in found]


def _memory_mb(pid: int) -> float:
    """The proportional share of a process: what it shares with others is divided by their number."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024 / 1e6
    return 0.0
