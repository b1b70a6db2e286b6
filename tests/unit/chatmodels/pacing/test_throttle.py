from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import Concurrency
from chatmodels.pacing.throttle import FIRST_BURST, LONGEST_PAUSE_S, Throttle
from chatmodels.types import RateLimitStatus


def known(**settings):
    """A throttle of an endpoint that has answered once."""
    throttle = Throttle(Concurrency(**settings))
    throttle.start(0.0)
    throttle.succeeded(0.0, 0.1, 0.1)
    return throttle


def starts(throttle, now):
    """How many requests may start at `now`."""
    count = 0
    while throttle.delay(now) <= 0:
        throttle.start(now)
        count += 1
    return count


def status(**facts):
    return RateLimitStatus(**facts)


def test_as_many_start_as_are_allowed_at_first():
    assert starts(known(start=64), 1.0) == 64


def test_an_unknown_endpoint_gets_few_at_once_and_soon_the_rest():
    throttle = Throttle(Concurrency(start=64))
    assert starts(throttle, 0.0) == FIRST_BURST
    now = 0.0
    while throttle.window.in_flight < 64:
        now += throttle.delay(now)
        throttle.start(now)
    assert now < 0.5
    assert throttle.delay(now + 1) == inf


def test_without_a_server_as_many_start_at_once_as_may():
    assert starts(Throttle(Concurrency(max=500), has_server=False), 0.0) == 500


@pytest.mark.parametrize("settings", [{"start": 64}, {"start": 20, "max": 500}])
def test_a_start_that_was_given_holds_without_a_server_too(settings):
    throttle = Throttle(Concurrency(**settings), has_server=False)
    assert starts(throttle, 0.0) == FIRST_BURST
    throttle.succeeded(0.0, 0.1, 0.1)
    assert starts(throttle, 0.1) == settings["start"] - FIRST_BURST + 1


def test_a_refusal_teaches_without_a_server_what_it_teaches_with_one():
    alone, other = Throttle(Concurrency(), has_server=False), Throttle(Concurrency(start=200))
    for throttle in (alone, other):
        throttle.start(0.0)
        throttle.succeeded(0.0, 0.1, 0.1)
        for _ in range(200):
            throttle.start(1.0)
        assert throttle.window.in_flight == 200
        throttle.refused(1.0, 1.1, None)
    assert starts(alone, 1.1) == starts(other, 1.1) == 1
    for _ in range(190):
        alone.refused(1.0, 1.2, None)
        other.refused(1.0, 1.2, None)
    assert alone.rate.rate == other.rate.rate is not None
    assert starts(alone, 2.0) == starts(other, 2.0) == 1


def test_without_a_server_everybody_heeds_a_retry_after():
    throttle = Throttle(Concurrency(), has_server=False)
    assert starts(throttle, 0.0) == 10_000
    throttle.refused(0.0, 0.1, 7.0)
    for _ in range(9_999):
        throttle.released()
    assert throttle.delay(0.1) == pytest.approx(7.0)


def test_who_failed_before_the_first_answer_starts_gently_without_a_server_too():
    throttle = Throttle(Concurrency(), has_server=False)
    for _ in range(20):
        throttle.start(0.0)
    for _ in range(20):
        throttle.overloaded(0.0, 0.1, None)
    assert starts(throttle, 1.0) == FIRST_BURST


@pytest.mark.parametrize("end", ["succeeded", "refused", "overloaded", "passed", "released"])
def test_every_end_gives_the_place_back(end):
    throttle = known(start=2)
    assert starts(throttle, 1.0) == 2
    facts = {"succeeded": (1.0, 1.1, 0.1), "passed": (1.0, 1.1), "released": ()}.get(end, (1.0, 1.1, None))
    getattr(throttle, end)(*facts)
    assert throttle.window.in_flight == 1
    assert throttle.delay(60.0) <= 0


@pytest.mark.parametrize("end", ["refused", "overloaded"])
def test_everybody_waits_as_long_as_the_endpoint_asks(end):
    throttle = known()
    throttle.start(1.0)
    getattr(throttle, end)(1.0, 1.1, 7.0)
    assert throttle.delay(1.1) == pytest.approx(7.0)
    assert throttle.delay(8.2) <= 0


@pytest.mark.parametrize("end", ["refused", "overloaded"])
def test_who_has_to_wait_longer_than_a_minute_is_told_so_by_the_endpoint(end):
    throttle = known()
    throttle.start(1.0)
    getattr(throttle, end)(1.0, 1.0, LONGEST_PAUSE_S + 1)
    assert starts(throttle, 1.0) > 1


def test_what_is_left_is_spread_until_the_reset():
    throttle = known()
    throttle.told(status(limit_requests=100, remaining_requests=5, reset_requests_s=10.0), 0.0, 1.0, 0)
    now, count = 1.0, 0
    while now < 11.0:
        now += max(0.0, throttle.delay(now))
        throttle.start(now)
        count += 1
    assert 4 <= count <= 6


def test_a_plenty_is_not_spread():
    throttle = known()
    throttle.told(status(limit_requests=100, remaining_requests=50, reset_requests_s=10.0), 0.0, 1.0, 0)
    assert starts(throttle, 1.0) == 64


def test_tokens_are_counted_in_requests():
    throttle = known()
    throttle.told(status(limit_tokens=100_000, remaining_tokens=4_000, reset_tokens_s=10.0), 0.0, 1.0, 1_000)
    throttle.start(3.5)
    assert throttle.delay(3.5) == pytest.approx(2.5)


def test_nothing_left_is_a_pause_until_the_reset():
    throttle = known()
    throttle.told(status(limit_requests=100, remaining_requests=0, reset_requests_s=3.0), 0.0, 1.0, 0)
    assert throttle.delay(1.0) == pytest.approx(3.0)
    assert throttle.delay(4.01) <= 0


def test_an_endpoint_that_never_has_anything_left_is_not_believed():
    throttle = known()
    now = 1.0
    for _ in range(20):
        now += max(0.0, throttle.delay(now))
        throttle.start(now)
        throttle.succeeded(now, now, 0.1)
        throttle.told(status(limit_requests=100, remaining_requests=0, reset_requests_s=60.0), now, now, 0)
    assert now < 200


def test_a_limit_of_one_is_believed():
    throttle = known()
    now = 1.0
    for _ in range(10):
        now += max(0.0, throttle.delay(now))
        throttle.start(now)
        throttle.succeeded(now, now, 0.1)
        throttle.told(status(limit_requests=1, remaining_requests=0, reset_requests_s=2.0), now, now, 0)
    assert now >= 18


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["succeeded", "refused", "overloaded", "passed", "released", "told"]),
            st.floats(0, 3),
            st.none() | st.floats(0, 1e6),
            st.integers(0, 100),
        ),
        max_size=80,
    ),
    st.integers(1, 20),
    st.booleans(),
)
def test_whatever_happens_the_next_start_comes(steps, largest, has_server):
    settings = {"start": min(4, largest)} if has_server else {}
    throttle = Throttle(Concurrency(max=largest, **settings), has_server=has_server)
    now, running = 0.0, []
    for kind, passes, wait, left in steps:
        now += passes
        if throttle.delay(now) <= 0:
            throttle.start(now)
            running.append(now)
        assert throttle.window.in_flight == len(running) <= largest
        if kind == "told":
            throttle.told(status(limit_requests=100, remaining_requests=left, reset_requests_s=wait), now, now, left)
        elif running:
            facts = {"succeeded": (now, 0.1), "passed": (now,), "released": None}.get(kind, (now, wait))
            started = running.pop(0)
            getattr(throttle, kind)(*(() if facts is None else (started, *facts)))
    for _ in running:
        throttle.released()
    assert throttle.delay(now + 200) <= 0
