from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.pacing.learnt_rate import BELIEVED, HOLD_S, HOPELESS_S, LONGEST_PAUSE_S, LearntRate
from unit.chatmodels.pacing.quota import Bucket, Chance, Windows, run

CHANGING = ((20.0, 20), (20.0, 5), (20.0, 40))


def limited(per_second=10, seconds=1.0):
    """A rate that has just been refused as often as it takes, after `seconds` of starts."""
    rate = LearntRate()
    for number in range(int(per_second * seconds)):
        rate.start(number / per_second)
    for _ in range(int(BELIEVED)):
        rate.start(seconds)
        rate.refused(seconds, seconds + 0.01)
    return rate


def test_nothing_is_limited_before_a_refusal():
    rate = LearntRate()
    for _ in range(1000):
        assert rate.delay(1.0) <= 0
        rate.start(1.0)
        rate.succeeded(1.0, 1.1)
    assert rate.rate is None


def test_refusals_set_what_was_accepted():
    assert limited(10).rate == pytest.approx(10, abs=2)


def test_the_first_refusal_that_says_when_to_come_again_sets_what_was_accepted():
    rate = LearntRate()
    for number in range(21):
        rate.start(number / 20)
    rate.refused(1.0, 1.01, 1.0)
    assert rate.rate == pytest.approx(20, abs=2)


def test_a_few_refusals_among_many_answers_are_no_limit():
    rate = LearntRate()
    for number in range(5000):
        now = number / 100
        assert rate.delay(now) <= 0
        rate.start(now)
        if number % 5:
            rate.succeeded(now, now)
        else:
            rate.refused(now, now)
    assert rate.rate is None


@pytest.mark.parametrize("callers", [8, 64])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_refusals_that_do_not_come_from_the_pace_slow_nobody_down_for_long(share, callers):
    ((answered, _),) = run(Chance(share), ((120.0, 0),), callers=callers)
    # What callers get who only wait after a refusal, each for itself.
    ideal_per_s = callers * (1 - share) / ((1 - share) * 0.1 + share * 0.26)
    assert answered > 0.5 * 120 * ideal_per_s


def test_refusals_that_come_before_the_answers_of_others_are_weighed_against_those():
    rate = LearntRate()
    for number in range(64):
        rate.start(number / 1000)
    for number in range(12):
        rate.refused(0.0, 0.07 + number / 1000, in_flight=63 - number)
    assert rate.rate is None
    for number in range(40):
        rate.refused(0.0, 0.09 + number / 1000, in_flight=51 - number)
    assert rate.rate is not None


def test_pauses_that_help_nothing_are_kept_only_by_who_was_refused():
    ((answered, _),) = run(Chance(0.1), ((120.0, 0),), callers=8, retry_after=1.0)
    assert answered > 0.5 * 120 * 8 * 0.9 / (0.9 * 0.1 + 0.1 * 1.25)


def test_what_was_on_its_way_cuts_no_second_time():
    rate = limited(50)
    rate.start(5.0)
    rate.refused(5.0, 5.05)
    once = rate.rate
    for _ in range(10):
        rate.refused(4.9, 5.1)
    assert rate.rate == once


def refuse_for(rate, now, seconds):
    """Refuse whatever starts; the pauses between the starts, and the time after the last."""
    pauses, end = [], now + seconds
    while now < end:
        pauses.append(max(0.0, rate.delay(now)))
        now += pauses[-1]
        rate.start(now)
        rate.refused(now, now)
    return pauses[1:], now


def test_pauses_double_while_everything_is_refused():
    pauses, _ = refuse_for(limited(10), 2.0, 40)
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(pauses))
    assert pauses[3] > 3 * pauses[1]
    assert max(pauses) <= LONGEST_PAUSE_S + 1


def test_who_refuses_everything_for_long_is_no_matter_of_pace():
    rate = limited(10)
    _, now = refuse_for(rate, 2.0, HOPELESS_S + 10)
    pauses, now = refuse_for(rate, now, 10)
    assert max(pauses) < 0.5
    rate.succeeded(now, now)
    rate.refused(now, now)
    assert rate.delay(now) < 1


def test_an_endpoint_that_says_how_long_is_not_paused_twice():
    rate = limited(10)
    for number in range(10):
        rate.start(2.0 + number)
        rate.refused(2.0 + number, 2.0 + number, 1.0)
    assert rate.delay(11.0) < 0.5


def test_a_rate_that_nobody_uses_up_does_not_grow():
    rate = limited(10)
    found = rate.rate
    for number in range(1000):
        now = 10.0 + number
        assert rate.delay(now) <= 0
        rate.start(now)
        rate.succeeded(now, now + 0.1)
    assert rate.rate == found


def test_it_probes_after_a_while_and_grows_fast_once_the_limit_is_gone():
    rate = limited(10)
    now = 1.0
    while now < 1.0 + HOLD_S + 12:
        now += max(0.001, rate.delay(now))
        rate.start(now)
        rate.succeeded(now, now)
        rate.delay(now)
    assert rate.rate > 100


@pytest.mark.parametrize("limit", [Bucket, Windows])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_most_of_a_changing_quota_is_used_and_little_is_refused(limit, seed):
    counts = run(limit(), CHANGING, seed=seed)
    answered, refused = (sum(column) for column in zip(*counts, strict=True))
    quota = sum(seconds * rate for seconds, rate in CHANGING)
    assert answered > 0.75 * quota
    assert refused < 0.08 * (answered + refused)


@pytest.mark.parametrize("per_second", [2, 5, 300])
def test_a_steady_limit_is_found_whatever_its_size(per_second):
    counts = run(Bucket(), ((30.0, per_second), (30.0, per_second)), callers=200)
    answered, refused = counts[1]
    assert answered > 0.8 * 30 * per_second
    assert refused < 0.2 * answered


@given(
    st.lists(
        st.tuples(st.sampled_from(["start", "succeed", "refuse", "pause"]), st.floats(0, 5), st.floats(0, 5)),
        max_size=60,
    )
)
def test_whatever_happens_there_is_a_next_start(steps):
    rate = LearntRate()
    now = 0.0
    for kind, passes, ago in steps:
        now += passes
        if kind == "start":
            rate.start(now)
        elif kind == "succeed":
            rate.succeeded(now - ago, now)
        else:
            rate.refused(now - ago, now, ago if kind == "pause" else 0.0)
        assert rate.rate is None or rate.rate > 0
        assert rate.delay(now) < 3600


def test_a_rate_that_was_given_up_leaves_no_refusals_behind():
    rate = limited(10)
    chance, now = Chance(0.3), 2.0
    while rate.rate is not None and now < 600:
        now += max(0.001, rate.delay(now))
        rate.start(now)
        if chance.lets(now, 0):
            rate.succeeded(now, now + 0.01)
        else:
            rate.refused(now, now + 0.01)
        rate.delay(now)
    assert rate.rate is None
    for second in range(3600):
        rate.start(now + second)
        rate.succeeded(now + second, now + second)
    pauses, _ = refuse_for(rate, now + 3600, 40)
    told = [pause for pause in pauses if pause > 0]
    fresh = [pause for pause in refuse_for(limited(10), 2.0, 40)[0] if pause > 0]
    assert max(told) == pytest.approx(max(fresh), rel=0.5)
