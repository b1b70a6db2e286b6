"""Runs a command as a whole process and says what it took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """What one run of a command took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: str | None = None) -> Taken:
    """Run `command` to its end; anything but exit status 0 is an error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        # wait4 gives the figures of this one child; getrusage would give the highest of all children so far.
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {child.returncode}\n{err.read().decode()[-2000:]}")
        scale = 1024 if sys.platform == "linux" else 1024 * 1024
        return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale, out.read().decode())


def median(runs: Sequence[Taken]) -> Taken:
    """The run in the middle of several, by CPU time."""
    return sorted(runs, key=lambda taken: taken.cpu_s)[len(runs) // 2]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(text(title, head, rows), end="")


def text(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under its title."""
    rule = ["---" if not index else "---:" for index, _ in enumerate(head)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]
    return "\n".join([f"\n### {title}\n", *lines, ""])


def spread(values: Sequence[float]) -> str:
    """Median with the lowest and highest beside it."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"
