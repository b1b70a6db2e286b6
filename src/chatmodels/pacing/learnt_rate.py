"""How many requests a second an endpoint allows, learnt from what it refuses: pure arithmetic, told the time."""

from __future__ import annotations

from math import inf

WINDOW_S = 1.0
"""The time over which accepted starts are counted."""
LEAST_COUNTED = 5
"""Fewer accepted starts than this in a window say too little of the rate."""
LEAST_CUT, MOST_CUT = 0.92, 0.6
"""What a refusal leaves of the rate: after many successes, and right after the last cut."""
SUCCESSES_IN_A_ROW = 15
"""After so many successes a refusal is a touch of the limit, and not the news of a much lower one."""
BELOW = 0.95
"""Where the rate stays for a while, as a share of the rate that was refused."""
HOLD_S = 1.8
"""For how long it stays there, in seconds, before it probes whether the limit is higher now."""
HOLD_SUCCESSES = 8
"""For how many successes it stays there at least."""
HOLD_PER_PAUSE = 6.0
"""For how long it stays there as a multiple of the pause that a refusal costs."""
PROBE_FROM, PROBE_STEP, PROBE_TO = 1.1, 0.02, 1.15
"""A probe begins above the refused rate and climbs by a step a success; at its upper end, the limit has risen."""
PROBE_S = 0.5
"""How long a probe lasts at least, in seconds: limits that count by the second must have had time to refuse."""
GROWTH_S = 0.45
"""Where no limit is known, the rate grows by the factor e in this time, in seconds."""
FIRST_RATE = 10.0
"""The least rate that a first refusal leaves, in starts a second: few requests tell little of a limit."""
LONGEST_PAUSE_S = 5.0
"""The longest pause between two starts while everything is refused, in seconds."""
HOPELESS_S = 60.0
"""Who refuses everything for longer does so whatever the pace, and callers may as well be told soon."""
BELIEVED, MOST_BELIEVED = 6.0, 96.0
"""How much must speak for a limit before there is a rate: each refusal speaks for one, each answer against it."""
AGAINST = 0.4
"""How much an answer speaks against a limit, where a refusal counts 1: fewer than 2 refusals of 7 are none."""
SURPRISES = 8
"""After so many refusals at rates that should have been safe, refusals have other reasons than the pace."""
KNOWN = 3
"""How many surprises a rate makes up for that was safe for a while."""
LEAST_ANSWERED = 6
"""And when so many requests were answered before the last three refusals: fewer are when a limit has fallen."""
FORGET_S, FORGET_STARTS = 10.0, 30.0
"""A surprise so much later than the last one, in seconds and in starts at the current rate, is the first one."""
CREDIT_S = 0.05
"""How late a start may be, in seconds, without the next ones being late, too."""


class LearntRate:
    """A rate of starts: none at first, cut by refusals, and grown again by successes.

    Enough refusals set the rate to what the endpoint has just accepted. From then on starts are spaced evenly. The
    rate stays a little below the last refused one, then probes above it; once a probe passes without a refusal it grows
    exponentially until the next one. As long as everything is refused, the pauses double.

    Only what started after the last cut counts: what was on its way says nothing of the new rate.

    Some refusals have nothing to do with the pace, as when one server of many is out of quota: a few of them among many
    answers set no rate. Where they go on however low the rate is, it is given up, and more is needed for the next one.
    """

    __slots__ = (
        "_accepted",
        "_accepted_before",
        "_belief",
        "_believed",
        "_ceiling",
        "_cut_at",
        "_estimating",
        "_hold_until",
        "_in_a_row",
        "_next",
        "_probing_since",
        "_refusals",
        "_refused_since",
        "_runs",
        "_surprised_at",
        "_surprises",
        "_wanted_until",
        "_window_ends",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        """Starts a second; `None` as long as nothing was refused."""
        self._next = -inf
        self._window_ends = -inf
        self._accepted = 0
        self._accepted_before = 0
        self._ceiling = inf
        self._cut_at = -inf
        self._estimating = False
        self._in_a_row = 0
        self._refusals = 0
        self._refused_since = inf
        self._hold_until = -inf
        self._probing_since = inf
        self._wanted_until = -inf
        self._belief = 0.0
        self._believed = BELIEVED
        self._surprises = 0.0
        self._surprised_at = -inf
        self._runs = (0, 0, 0)

    def delay(self, now: float) -> float:
        """Seconds until the next start; 0 or less when it may be now."""
        delay = self._next - now
        if delay > 0 and self.rate is not None:
            # Somebody is waiting: only a rate that is used up is worth raising.
            self._wanted_until = self._next + max(1.0, 4 / self.rate)
        return delay

    def start(self, now: float) -> None:
        """Take a start at `now`."""
        if now >= self._window_ends:
            self._turn_window(now)
        self._accepted += 1
        if self.rate is not None:
            gap = 1 / self.rate
            self._next = max(self._next, now - min(gap, CREDIT_S)) + gap

    def refused(self, started: float, now: float, pause_s: float = 0.0, in_flight: int = 0) -> None:
        """Learn that the endpoint refused a request because there were too many.

        Args:
            started: when the request started.
            now: the time.
            pause_s: for how many seconds nothing starts anyway, because the endpoint said so.
            in_flight: how many other requests are under way. Refusals come sooner than answers, so most of these were
                accepted.
        """
        self._accepted = max(0, self._accepted - 1)
        accepted = self._accepted_rate(now)
        if started < self._cut_at:
            if self._estimating and self.rate is not None:
                self.rate = min(self.rate, max(accepted, FIRST_RATE))
            return
        if self.rate is None:
            # Who says when to come again means a limit, unless that was no help before.
            is_told = pause_s > 0 and self._believed == BELIEVED
            self._belief += 1.0
            if self._belief - AGAINST * in_flight < self._believed and not is_told:
                return
            self.rate = max(accepted, FIRST_RATE)
            self._estimating = True
            self._refusals = 0  # those of a rate that was given up do not count any more
            self._surprises = 0.0
        elif self._is_hopeless(self.rate, now, told=pause_s > 0):
            self.rate, self._ceiling, self._next = None, inf, -inf
            self._believed = min(2 * self._believed, MOST_BELIEVED)
            self._belief = 0.0
            return
        else:
            self._cut(self.rate, accepted)
        if not self._refusals:
            self._refused_since = now
        self._refusals += 1
        if not pause_s:
            self._next = max(self._next, now + self._pause_s(self.rate, now))
        self._hold_until = now + max(HOLD_S, HOLD_PER_PAUSE * pause_s)
        self._probing_since = inf
        self._in_a_row = 0
        self._cut_at = now

    def succeeded(self, started: float, now: float) -> None:
        """Learn that a request that started at `started` was answered."""
        if self.rate is None:
            self._belief = max(0.0, self._belief - AGAINST)
            return
        if started < self._cut_at:
            return
        self._refusals = 0
        self._in_a_row += 1
        if now < self._wanted_until:
            self.rate = self._grown(self.rate, now)

    def _is_hopeless(self, rate: float, now: float, *, told: bool) -> bool:
        """Note a refusal; whether refusals have come again and again however low the rate was.

        Args:
            rate: the rate that was refused.
            now: the time.
            told: whether the endpoint said when to come again. Everybody has waited for that, so it counts more.
        """
        if self._ceiling == inf or self._probing_since < inf:
            return False
        if now - self._surprised_at > max(FORGET_S, FORGET_STARTS / rate):
            self._surprises = 0.0
        self._surprises += 1.5 if told else 1.0
        self._surprised_at = now
        self._runs = (*self._runs[1:], self._in_a_row)
        return self._surprises >= SURPRISES and sum(self._runs) >= LEAST_ANSWERED

    def _pause_s(self, rate: float, now: float) -> float:
        if now - self._refused_since > HOPELESS_S:
            return 1 / FIRST_RATE
        return min(2.0 ** min(self._refusals, 32) / rate, LONGEST_PAUSE_S)

    def _cut(self, rate: float, accepted: float) -> None:
        self._estimating = False
        if not self._refusals:
            self._ceiling = rate
            calm = min(1.0, self._in_a_row / SUCCESSES_IN_A_ROW)
            rate *= MOST_CUT + (LEAST_CUT - MOST_CUT) * calm
        if accepted >= LEAST_COUNTED / WINDOW_S:
            rate = min(rate, BELOW * accepted)
            self._ceiling = min(self._ceiling, accepted)
        self.rate = rate

    def _grown(self, rate: float, now: float) -> float:
        if self._ceiling == inf:
            return rate + 1 / GROWTH_S
        target = self._ceiling * BELOW
        if rate < 0.98 * target:
            return rate + (target - rate) / 4
        if self._in_a_row < HOLD_SUCCESSES or now < self._hold_until:
            return rate
        if self._probing_since == inf:
            self._probing_since = now
            self._surprises = max(0.0, self._surprises - KNOWN)
            self._believed = max(BELIEVED, self._believed / 2)  # it was the pace
            return max(rate, self._ceiling * PROBE_FROM)
        end = self._ceiling * PROBE_TO
        if rate < end or now < self._probing_since + PROBE_S:
            return min(rate * (1 + PROBE_STEP), end)
        self._ceiling = inf
        return rate

    def _accepted_rate(self, now: float) -> float:
        """Starts a second that were not refused, over about the last window."""
        if now >= self._window_ends:
            self._turn_window(now)
        rest = (self._window_ends - now) / WINDOW_S
        return (self._accepted + self._accepted_before * rest) / WINDOW_S

    def _turn_window(self, now: float) -> None:
        if now < self._window_ends + WINDOW_S:
            self._accepted_before = self._accepted
            self._window_ends += WINDOW_S
        else:
            self._accepted_before = 0
            self._window_ends = now + WINDOW_S
        self._accepted = 0
