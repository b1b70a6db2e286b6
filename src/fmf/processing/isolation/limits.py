"""What a process that reads a stranger's file may use of the machine."""

from __future__ import annotations

import os
from contextlib import suppress


def limit_process() -> None:
    """Leave no core file behind, and let an interrupt be the business of the process that asked."""
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(more_bytes: int) -> None:
    """Let this process have at most `more_bytes` more memory than it has now."""
    import resource

    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _data_bytes() + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _data_bytes() -> int:
    """The private memory that counts against the limit."""
    # Not by Path: this is done for every file that is read.
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[5]) * os.sysconf("SC_PAGESIZE")
    return 1 << 28
