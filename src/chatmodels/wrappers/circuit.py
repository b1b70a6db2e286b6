"""Whether a server is asked at all: a circuit that opens after failures in a row; pure, told the time."""

from __future__ import annotations

from typing import NamedTuple


class Pass(NamedTuple):
    """Leave to ask, to be given back with the outcome."""

    turn: int
    is_probe: bool


class Circuit:
    """Closed, it lets everybody pass; open, nobody; then one probe, whose outcome closes or opens it again.

    Outcomes count in the order in which they come. Those of calls that began before the circuit last changed are old
    news and do not count. A probe whose outcome never comes is given up after `open_s`, and another one may go.

    Args:
        failures: how many failures in a row open the circuit.
        open_s: seconds that it stays open.
    """

    __slots__ = ("_in_a_row", "_opened_at", "_probe_since", "_turn", "failures", "open_s")

    def __init__(self, failures: int, open_s: float) -> None:
        self.failures = failures
        self.open_s = open_s
        self._in_a_row = 0
        self._turn = 0
        self._opened_at: float | None = None
        self._probe_since: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether everybody may pass."""
        return self._opened_at is None

    def enter(self, now: float) -> Pass | None:
        """Leave to ask now, or `None` while the circuit is open or its probe is under way."""
        if self.is_closed:
            return Pass(self._turn, is_probe=False)
        if self.wait(now) > 0:
            return None
        self._probe_since = now
        self._turn += 1
        return Pass(self._turn, is_probe=True)

    def wait(self, now: float) -> float:
        """Seconds until the next probe may go; 0 or less when it may go now, or when the circuit is closed."""
        if self._opened_at is None:
            return 0.0
        since = self._opened_at if self._probe_since is None else self._probe_since
        return since + self.open_s - now

    @property
    def probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probe_since is not None

    def settle(self, leave: Pass, good: bool | None, now: float) -> bool:
        """Count an outcome; `None` says nothing of the server. Returns whether the circuit changed by it."""
        if leave.turn != self._turn:
            return False
        if leave.is_probe:
            return self._settle_probe(good, now)
        if good is not None:
            self._in_a_row = 0 if good else self._in_a_row + 1
        if self._in_a_row < self.failures:
            return False
        self._open(now)
        return True

    def _settle_probe(self, good: bool | None, now: float) -> bool:
        if self._probe_since is None:
            return False
        if good is False:
            self._open(now)
        elif good:
            self._opened_at = self._probe_since = None
            self._in_a_row = 0
            self._turn += 1
        else:
            self._probe_since = None  # open still, and free for the next probe
        return True

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._probe_since = None
        self._in_a_row = 0
        self._turn += 1
