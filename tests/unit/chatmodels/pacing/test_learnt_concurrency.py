from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.pacing.learnt_concurrency import HELD_S, SLOW_FLOOR, STALL_S, STUCK_S, LearntConcurrency


def full(window, now=0.0):
    """`window` with as many requests in flight as fit, and one more that asked at `now`, right after one ended."""
    window.end()
    window.in_flight = ceil(window.size)
    assert window.is_full(now)
    return window


def a_round(window, now, took_s):
    """Let as many requests as fit be answered, all at once, before the next ones start."""
    full(window, now)
    for _ in range(int(window.size)):
        window.succeeded(now, now + took_s, took_s)
        window.in_flight -= 1
    return now + took_s


def test_it_doubles_with_every_round_up_to_the_largest():
    window = LearntConcurrency(64, 1000)
    sizes, now = [], 0.0
    for _ in range(6):
        now = a_round(window, now, 0.2)
        sizes.append(window.size)
    assert sizes == [128, 256, 512, 1000, 1000, 1000]


def test_a_window_that_is_not_full_does_not_grow():
    window = LearntConcurrency(64, 1000)
    for number in range(500):
        window.in_flight = 8
        assert not window.is_full(float(number))
        window.succeeded(float(number), number + 0.1, 0.1)
    assert window.size == 64


def test_one_failure_among_many_successes_cuts_nothing():
    window = LearntConcurrency(64, 64)
    for number in range(1000):
        full(window, number)
        window.failed(number, number) if number % 50 == 0 else window.succeeded(number, number, 0.1)
    assert window.size == 64


def begun(window, count, now=0.0):
    """`window` with `count` more requests that started at `now`, none of which had to wait."""
    for _ in range(count):
        assert not window.is_full(now)
        window.in_flight += 1
        if window.in_flight > window.size:
            window.lent(now)
    return window


def test_an_open_window_takes_as_many_as_the_largest():
    window = begun(LearntConcurrency(4, 100, is_open=True), 100)
    assert window.is_full(1000.0)
    assert not window.is_stuck(1000.0 + STUCK_S - 1)
    assert window.is_stuck(1000.0 + STUCK_S)


def test_an_open_window_is_as_large_as_the_most_that_were_in_flight():
    window = begun(LearntConcurrency(4, 100, is_open=True), 3)
    assert window.size == 4
    begun(window, 7)
    for _ in range(10):
        window.succeeded(0.0, 0.1, 0.1)
        window.end()
    assert (window.size, window.in_flight, window.is_open) == (10, 0, True)


def test_a_window_that_was_open_learns_from_failures_as_any_other():
    opened = begun(LearntConcurrency(64, 10_000, is_open=True), 300)
    other = LearntConcurrency(300, 10_000)
    other.in_flight = 300
    for number in range(100):
        for window in (opened, other):
            window.failed(0.0, number / 100)
            window.end()
    assert opened.size == other.size == pytest.approx(0.7 * 299)
    sizes = [[], []]
    for window, seen in ((opened, sizes[0]), (other, sizes[1])):
        now = 1.0
        for _ in range(4):
            now = a_round(window, now, 0.1)
            seen.append(window.size)
    assert sizes[0] == sizes[1]


def test_one_accident_closes_no_window():
    window = begun(LearntConcurrency(4, 100, is_open=True), 20)
    window.failed(0.0, 0.1)
    window.end()
    begun(window, 50)
    window.failed(0.0, 0.2)
    assert window.is_full(0.3)


def test_failures_at_once_cut_once():
    window = full(LearntConcurrency(64, 1000))
    for _ in range(64):
        window.failed(0.0, 1.0)
        window.in_flight -= 1
    assert 40 < window.size < 50


def test_failures_on_and_on_leave_one():
    window = LearntConcurrency(64, 1000)
    for number in range(100):
        full(window).failed(float(number), number + 0.1)
    assert window.size == 1


def test_requests_that_hang_leave_room_for_others():
    window = LearntConcurrency(64, 1000)
    for number in range(100):
        full(window).failed(100.0 * number, 100.0 * number + 60)
    assert window.size == SLOW_FLOOR


def test_it_recovers_when_the_server_does():
    window = LearntConcurrency(64, 1000)
    for number in range(100):
        full(window).failed(float(number), number + 0.1)
    now = 200.0
    for _ in range(40):
        now = a_round(window, now, 0.1)
    assert window.size > 500


def test_answers_that_only_get_slower_stop_the_growth():
    window = LearntConcurrency(64, 10_000)
    now, per_second = 0.0, 640
    for _ in range(12):
        # A server that answers so many a second, whatever is asked: more in flight only wait longer.
        now = a_round(window, now, window.size / per_second)
    assert window.size < 2000


def test_longer_answers_do_not_stop_it_for_ever():
    window = LearntConcurrency(64, 1000)
    now = a_round(window, 0.0, 0.1)
    for _ in range(200):
        now = a_round(window, now, 2.0)
    assert window.size == 1000


@pytest.mark.parametrize("first", [1, 5, 100])
def test_the_largest_holds_from_the_beginning(first):
    assert LearntConcurrency(first, 5).size == min(first, 5)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.floats(0, 100)), max_size=80), st.integers(1, 50))
def test_the_window_stays_between_one_and_the_largest(steps, largest):
    window = LearntConcurrency(64, largest)
    now = 0.0
    for good, passes, took_s in steps:
        now += passes
        full(window, now)
        window.succeeded(now - took_s, now, took_s) if good else window.failed(now - took_s, now)
        assert 1 <= window.size <= largest


def test_a_window_that_was_only_a_guess_gives_way_when_nothing_ends():
    window = full(LearntConcurrency(4, 6))
    assert window.is_full(STALL_S - 0.1)
    assert not window.is_full(STALL_S)
    window.in_flight += 1
    assert (window.size, window.is_full(STALL_S + 0.1)) == (5, True)


def test_streams_that_are_being_read_do_not_slow_the_growth_down():
    window = full(LearntConcurrency(4, 100))
    window.count_begun(4)
    assert not window.is_full(STALL_S)
    assert window.size == 8
    window.count_begun(-4)
    window.in_flight = 8
    assert window.is_full(STALL_S)
    assert not window.is_full(2 * STALL_S)
    assert window.size == 9


def test_somebody_must_have_waited_while_nothing_ended():
    window = full(LearntConcurrency(4, 6))
    window.end()
    window.in_flight += 1
    assert window.is_full(STALL_S)
    assert window.is_full(2 * STALL_S - 0.1)


def test_a_window_that_was_learnt_lends_one_place_and_stays():
    window = full(LearntConcurrency(4, 6))
    window.is_guess = False
    assert window.is_full(HELD_S - 0.1)
    assert not window.is_full(HELD_S)
    window.in_flight += 1
    window.lent(HELD_S)
    assert (window.size, window.is_full(2 * HELD_S - 0.1)) == (4, True)


def test_the_most_is_never_exceeded_and_one_day_hopeless():
    window = full(LearntConcurrency(2, 2))
    assert window.is_full(STUCK_S - 1)
    assert not window.is_stuck(STUCK_S - 1)
    assert window.is_full(STUCK_S)
    assert window.is_stuck(STUCK_S)
    window.end()
    assert not window.is_stuck(2 * STUCK_S)
