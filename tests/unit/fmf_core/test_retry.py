from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmf_core.errors import RETRYABLE, Code, FrameworkError
from fmf_core.retry import RetryPolicy


def failure(code: Code = Code.UNAVAILABLE, **facts) -> FrameworkError:
    return FrameworkError("failed", code=code, **facts)


@pytest.mark.parametrize("code", Code)
def test_what_may_pass_is_tried_again_and_nothing_else(code):
    pause = RetryPolicy(first_wait_s=0.5).pause_after(1, failure(code))
    assert (pause is not None) is (code in RETRYABLE)
    assert pause is None or 0 <= pause <= 0.5


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), TimeoutError()])
def test_foreign_errors_are_final(error):
    assert RetryPolicy().pause_after(1, error) is None


def test_the_last_attempt_is_followed_by_none():
    policy = RetryPolicy(max_attempts=3)
    assert [policy.pause_after(number, failure()) is not None for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert RetryPolicy(max_attempts=1).pause_after(1, failure()) is None


def test_retry_after_is_the_least_wait():
    policy = RetryPolicy(first_wait_s=0, max_wait_s=30)
    assert policy.pause_after(1, failure(retry_after=7.5)) == 7.5
    assert policy.pause_after(1, failure(retry_after=30)) == 30


def test_a_service_that_asks_for_too_long_a_wait_ends_it():
    assert RetryPolicy(max_wait_s=30).pause_after(1, failure(retry_after=30.5)) is None


def test_waits_grow_up_to_their_limit():
    policy = RetryPolicy(first_wait_s=0.5, factor=2, max_wait_s=3)
    assert [policy.wait(number, lambda: 1.0) for number in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 3, 3]


def test_a_late_attempt_of_a_steep_policy_still_has_a_wait():
    assert RetryPolicy(factor=10).wait(10_000, lambda: 1.0) == 30


@given(
    st.integers(1, 10_000),
    st.floats(0, 1),
    st.floats(0, 1e6),
    st.floats(1, 1e6),
    st.floats(0, 1e6),
)
def test_a_wait_is_never_negative_nor_above_the_limit(attempt, chance, first, factor, longest):
    policy = RetryPolicy(first_wait_s=first, factor=factor, max_wait_s=longest)
    assert 0 <= policy.wait(attempt, lambda: chance) <= longest


@pytest.mark.parametrize(
    "wrong",
    [{"max_attempts": 0}, {"first_wait_s": -1}, {"factor": 0.5}, {"max_wait_s": float("nan")}, {"tries": 3}],
)
def test_senseless_policies_are_refused(wrong):
    with pytest.raises(ValidationError):
        RetryPolicy(**wrong)
