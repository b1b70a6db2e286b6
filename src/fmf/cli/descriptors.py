"""How many files and connections the process may have open, and how many calls at once that leaves room for."""

from __future__ import annotations

KEPT = 32
"""Open files that a run needs besides one connection for each call: artefacts, documents, libraries."""


def room_for_calls(wanted: int) -> int:
    """How many of `wanted` calls at once have room, once the process may open as many files as the system lets it.

    At least 1. The soft limit (`ulimit -n`) of the process is raised to the hard one.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < KEPT + wanted:
        most = KEPT + wanted if hard == resource.RLIM_INFINITY else min(hard, KEPT + wanted)
        soft = max(soft, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - KEPT))
