"""Environment variables, read as they are now, at a cost that every call can bear."""

from __future__ import annotations

import os


class Variable:
    """One variable of the environment.

    Args:
        name: its name.
    """

    __slots__ = ("_key", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = os.environ.encodekey(name)

    def read(self) -> str | None:
        """Its value now; `None` where it is not set."""
        # Asking `os.environ` for what is not there raises and catches two exceptions, which costs more than parsing a
        # short reply.
        known = getattr(os.environ, "_data", None)
        if known is not None and self._key not in known:
            return None
        return os.environ.get(self.name)
