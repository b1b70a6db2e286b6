"""When the next request to an endpoint may start, learnt from all its replies: pure decisions, told the time."""

from __future__ import annotations

from math import inf

from chatmodels.config import Concurrency
from chatmodels.pacing.crew import Crew
from chatmodels.pacing.learnt_concurrency import LearntConcurrency
from chatmodels.pacing.learnt_rate import LearntRate
from chatmodels.types import RateLimitStatus

FIRST_BURST = 8
"""How many requests an endpoint gets at once before its first answer; the others follow `FIRST_GAP_S` apart."""
FIRST_GAP_S = 0.004
LOW = 0.1
"""Below this share of a limit, what is left is spread over the time until the limit is whole again."""
LONGEST_PAUSE_S = 60.0
"""The longest pause that an endpoint can ask for, in seconds: a longer one is no matter of pace."""
DOUBTFUL_ZEROS = 2
"""An endpoint that has nothing left again and again right after its own reset does not count what we do."""


class Throttle:
    """Decides over the starts of one endpoint: a window of requests in flight, a rate once one is refused, and pauses.

    Every request that `start` lets go is ended by exactly one of `succeeded`, `refused`, `overloaded`, `passed`
    and `released`.

    Args:
        concurrency: how many requests may be under way.
        has_server: whether a server is known to answer. Without one, nobody is slowed down until something is refused
            or fails, unless `concurrency.start` was given.
    """

    __slots__ = (
        "_answered",
        "_gap_s",
        "_next",
        "_paused_until",
        "_spread_until",
        "_tokens",
        "_zeros",
        "rate",
        "window",
    )

    def __init__(self, concurrency: Concurrency, *, has_server: bool = True) -> None:
        is_open = not has_server and "start" not in concurrency.model_fields_set
        self.window = LearntConcurrency(concurrency.start, concurrency.max, is_open=is_open)
        self.rate = LearntRate()
        self._answered = False
        self._paused_until = -inf
        self._gap_s = 0.0
        self._spread_until = -inf
        self._next = -inf
        self._tokens = 0.0
        self._zeros = 0

    def delay(self, now: float) -> float:
        """Seconds until the next start; 0 or less when it may be now, and infinite when a request must end first."""
        if self.window.is_full(now):
            return inf
        return max(self.rate.delay(now), self._next - now, self._paused_until - now)

    def start(self, now: float, crew: Crew | None = None) -> None:
        """Let a request go at `now`, one of `crew`."""
        window = self.window
        window.in_flight += 1
        if window.in_flight > window.size:
            window.lent(now)
        if crew is not None:
            crew.count += 1
        self.rate.start(now)
        if self._gap_s:
            self._next = max(self._next, now) + self._gap_s
            if now >= self._spread_until:
                self._gap_s = 0.0
        elif not self._answered and window.in_flight >= FIRST_BURST and not window.is_open:
            # Nobody knows this endpoint yet: a small limit need not be hit with all at once.
            self._next = now + FIRST_GAP_S

    def succeeded(self, started: float, now: float, took_s: float | None, crew: Crew | None = None) -> None:
        """End a request that was answered; `took_s` as in `LearntConcurrency.succeeded`."""
        if not self._answered:
            self._answered = True
            self._next = -inf
        window = self.window
        window.succeeded(started, now, took_s)
        self._end(crew)
        self.rate.succeeded(started, now)

    def refused(self, started: float, now: float, retry_after: float | None, crew: Crew | None = None) -> None:
        """End a request that was one too many; `retry_after` is how long the endpoint wants to be left alone."""
        self._end(crew)
        self.window.is_guess = False
        if retry_after is None or retry_after <= LONGEST_PAUSE_S:
            pause_s = max(0.0, self._paused_until - now, retry_after or 0.0)
            self.rate.refused(started, now, pause_s, self.window.in_flight)
            if self.rate.rate is not None:
                # Without a limit to be kept by all, only who was refused waits.
                self._pause(now, retry_after)

    def overloaded(self, started: float, now: float, retry_after: float | None, crew: Crew | None = None) -> None:
        """End a request that failed as requests do when a server has too much to do, or is not there."""
        self.window.failed(started, now)
        self._end(crew)
        self._pause(now, retry_after)

    def passed(self, started: float, now: float, crew: Crew | None = None) -> None:
        """End a request that failed for reasons of its own: it was no longer one too many."""
        self._end(crew)
        self.rate.succeeded(started, now)

    def released(self, crew: Crew | None = None) -> None:
        """End a request that says nothing about the endpoint's load."""
        self._end(crew)

    def take_back(self, crew: Crew) -> None:
        """Take the places of `crew`, which nobody will give back; who does it all the same gives back nothing."""
        for _ in range(crew.count):
            self.window.end()
        crew.count, crew.lost = 0, crew.lost + crew.count

    def _end(self, crew: Crew | None) -> None:
        self.window.end()
        if crew is None:
            return
        if crew.lost:
            crew.lost -= 1
            self.window.in_flight += 1
        else:
            crew.count -= 1

    def told(self, limits: RateLimitStatus, started: float, now: float, tokens: int) -> None:
        """Heed what a reply said of the caller's limits.

        Args:
            limits: what it said.
            started: when its request started.
            now: the time.
            tokens: how many tokens the request took; 0 where that is unknown.
        """
        if tokens:
            self._tokens += (tokens - self._tokens) / 8 if self._tokens else tokens
        self._gap_s = 0.0
        left, whole_in_s = limits.remaining_requests, limits.reset_requests_s
        if left is not None and whole_in_s:
            self._heed((limits.limit_requests, left, whole_in_s), 1.0, started, now)
        left, whole_in_s = limits.remaining_tokens, limits.reset_tokens_s
        if left is not None and whole_in_s:
            self._heed((limits.limit_tokens, left, whole_in_s), self._tokens or 1.0, started, now)
        if self._next > now:
            self._next = min(self._next, now + self._gap_s)

    def _heed(self, told: tuple[int | None, int, float], each: float, started: float, now: float) -> None:
        """Heed one limit, its rest and the seconds until it is whole again; a request takes `each` of it."""
        limit, left, whole_in_s = told
        if left == 0:
            self._heed_zero(limit, started, now, whole_in_s)
            return
        self._zeros = 0
        if left < (LOW * limit if limit else FIRST_BURST * each):
            reset_s = min(whole_in_s, LONGEST_PAUSE_S)
            self._gap_s = max(self._gap_s, reset_s * each / max(left, each))
            self._spread_until = max(self._spread_until, now + reset_s)

    def _heed_zero(self, limit: int | None, started: float, now: float, reset_s: float) -> None:
        if started >= self._paused_until and limit != 1:
            self._zeros += 1
        if self._zeros <= DOUBTFUL_ZEROS:
            self._pause(now, reset_s)

    def _pause(self, now: float, seconds: float | None) -> None:
        if seconds and seconds <= LONGEST_PAUSE_S:
            self._paused_until = max(self._paused_until, now + seconds)
