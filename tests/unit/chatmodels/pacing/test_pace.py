from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatRequest, RateLimit, TokenUsage
from chatmodels.pacing.pace import LONGEST_DEBT_S, Pace, expected_tokens, taken_tokens


def starts(pace, arrivals, tokens=0.0):
    """When requests start that arrive at the given times and wait as long as they must."""
    now, out = 0.0, []
    for arrival in arrivals:
        now = max(now, arrival)
        now += max(0.0, pace.delay(now))
        assert pace.delay(now) <= 1e-9
        pace.start(now, tokens)
        out.append(now)
    return out


def most_in_any_second(times):
    return max(sum(1 for other in times if start <= other < start + 1.0) for start in times)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=80), st.sampled_from([1, 5, 20]))
def test_no_second_ever_holds_more_starts_than_allowed(gaps, per_second):
    times = starts(Pace(RateLimit(requests_per_minute=60 * per_second)), sorted(gaps))
    assert most_in_any_second(times) <= per_second


@given(st.lists(st.floats(0, 0.04), min_size=30, max_size=60))
def test_late_starts_never_bunch_up(delays):
    """Each start happens up to 40 ms after it was allowed; the limit holds for the real times."""
    pace, now, times = Pace(RateLimit(requests_per_minute=1200)), 0.0, []
    for delay in delays:
        now += max(0.0, pace.delay(now)) + delay
        pace.start(now, 0)
        times.append(now)
    assert most_in_any_second(times) <= 20


def test_the_limit_is_nearly_used_up():
    times = starts(Pace(RateLimit(requests_per_minute=1200)), [0.0] * 101)
    assert 5.0 <= times[-1] <= 5.1


def test_the_first_start_waits_for_nothing():
    assert Pace(RateLimit(requests_per_minute=1)).delay(123.0) <= 0


def test_tokens_are_spread_over_the_minute():
    times = starts(Pace(RateLimit(tokens_per_minute=6000)), [0.0] * 11, tokens=100)
    assert times[-1] == pytest.approx(10.0, rel=0.02)


def test_the_tighter_limit_counts():
    times = starts(Pace(RateLimit(requests_per_minute=60, tokens_per_minute=6000)), [0.0] * 3, tokens=500)
    assert times[1] == pytest.approx(5.0, rel=0.02)


def test_what_was_not_taken_is_given_back():
    pace = Pace(RateLimit(tokens_per_minute=6000))
    pace.start(0.0, 1000)
    assert pace.delay(0.0) == pytest.approx(10.0, rel=0.02)
    pace.settle(1000, 100)
    assert pace.delay(0.0) == pytest.approx(1.0, rel=0.02)


def test_a_wrong_count_stops_nothing_for_long():
    pace = Pace(RateLimit(tokens_per_minute=60_000))
    pace.start(0.0, 100)
    pace.settle(100, 2_000_000_000)
    assert pace.delay(0.0) <= LONGEST_DEBT_S + 1


def test_idle_time_is_not_saved_up():
    pace = Pace(RateLimit(tokens_per_minute=6000))
    pace.start(0.0, 1000)
    pace.settle(1000, 0)
    pace.start(1000.0, 100)
    assert pace.delay(1000.0) > 0


def test_expected_tokens_are_text_and_longest_answer():
    assert expected_tokens(ChatRequest(prompt="x" * 400, max_tokens=50)) == 150
    assert expected_tokens(ChatRequest(prompt="x" * 400, max_tokens=None)) > 1000


def test_taken_tokens_fall_back_to_the_expectation():
    assert taken_tokens(None, 7) == 7
    assert taken_tokens(TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p"), 7) == 3
