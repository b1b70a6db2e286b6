"""Want of memory: which errors come from it, whatever they are called, and what to do."""

from __future__ import annotations

import errno
from typing import Final

MORE_MEMORY: Final = (
    "allow this program more memory and threads (ulimit -v, -d and -u, the limits of its container), "
    "or end what else runs here"
)
"""The hint for such an error."""
_WORDS: Final = ("can't start new thread", "cannot allocate memory", "failed to map segment")


def wants_memory(error: BaseException) -> bool:
    """Whether `error` says that the system has no more memory, or no room for another thread."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and any(word in str(error).lower() for word in _WORDS)
