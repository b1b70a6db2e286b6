"""What the listings of a connector left out, counted by reason; many threads may list at once."""

from __future__ import annotations

from fmf_core.forks import Lock


class Notices(dict[str, int]):
    """How many by reason."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def count(self, reason: str, times: int = 1) -> None:
        """Count `reason`; nothing where `times` is 0."""
        if times:
            with self._lock():
                self[reason] = self.get(reason, 0) + times
