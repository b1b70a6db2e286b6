"""A limit of requests a second with a fake clock, and callers who always want more."""

from __future__ import annotations

import heapq
import itertools
import random

from chatmodels import Concurrency
from chatmodels.pacing.throttle import Throttle

LATENCY_S = 0.1
REFUSAL_S = 0.01
BURST = 5


class Bucket:
    """Holds a few requests, filled evenly."""

    def __init__(self):
        self.level = BURST
        self.at = 0.0

    def lets(self, now, rate):
        self.level = min(BURST, self.level + (now - self.at) * rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Windows:
    """Lets so many requests pass in each second."""

    def __init__(self):
        self.second = -1
        self.passed = 0

    def lets(self, now, rate):
        if int(now) != self.second:
            self.second, self.passed = int(now), 0
        self.passed += 1
        return self.passed <= rate


class Chance:
    """Refuses a share of the requests, whatever their pace: one server of several has no quota left."""

    def __init__(self, share):
        self.share = share
        self.chance = random.Random(7)

    def lets(self, now, rate):
        return self.chance.random() >= self.share


def run(limit, phases, *, callers=64, seed=1, retry_after=None):
    """Answered and refused requests in each of `phases` (seconds, requests a second)."""
    chance = random.Random(seed)
    throttle = Throttle(Concurrency())
    numbers = itertools.count()
    events = []
    counts = [[0, 0] for _ in phases]
    waiting = callers
    looking = False
    now = 0.0

    def phase(at):
        for number, (seconds, _) in enumerate(phases):
            if at < seconds:
                return number
            at -= seconds
        return len(phases) - 1

    def later(seconds, kind, started=0.0):
        heapq.heappush(events, (now + seconds, next(numbers), kind, started))

    def serve():
        nonlocal waiting, looking
        while waiting:
            delay = throttle.delay(now)
            if delay > 0:
                if not looking and delay < 1e9:
                    looking = True
                    later(delay + chance.random() * 0.002, "look")
                return
            throttle.start(now)
            waiting -= 1
            later(0.001, "arrived", now)

    serve()
    while events:
        now, _, kind, started = heapq.heappop(events)
        if now >= sum(seconds for seconds, _ in phases):
            break
        if kind == "look":
            looking = False
        elif kind == "arrived":
            here = phase(now)
            lets = limit.lets(now, phases[here][1])
            counts[here][0 if lets else 1] += 1
            if lets:
                later(LATENCY_S * (0.5 + chance.random()), "answered", started)
            else:
                later(REFUSAL_S, "refused", started)
        elif kind == "answered":
            throttle.succeeded(started, now, now - started)
            waiting += 1
        elif kind == "refused":
            throttle.refused(started, now, retry_after)
            later((retry_after or 0.0) + chance.random() * 0.5, "back")
        else:
            waiting += 1
        serve()
    return counts
