from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmf_core.errors import Code, FrameworkError
from fmf_core.portal import run_sync
from fmf_core.retry import RetryPolicy, attempts

QUICK = RetryPolicy(max_attempts=3, first_wait_s=0.001, max_wait_s=0.01)


class Flaky:
    """Fails with the given errors, then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.numbers: list[int] = []

    def call(self, number: int) -> str:
        self.numbers.append(number)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def retried(policy: RetryPolicy, work: Flaky) -> str:
    async def go() -> str:
        async for attempt in attempts(policy):
            with attempt:
                return work.call(attempt.number)
        raise AssertionError

    return run_sync(go())


def failure(code: Code = Code.UNAVAILABLE, **facts) -> FrameworkError:
    return FrameworkError("failed", code=code, **facts)


def test_success_ends_it():
    work = Flaky()
    assert retried(QUICK, work) == "done"
    assert work.numbers == [1]


def test_retryable_errors_are_tried_again():
    work = Flaky(failure(), failure(Code.RATE_LIMIT))
    assert retried(QUICK, work) == "done"
    assert work.numbers == [1, 2, 3]


def test_the_last_error_says_how_often_it_was_tried():
    with pytest.raises(FrameworkError) as caught:
        retried(QUICK, Flaky(*(failure() for _ in range(5))))
    assert caught.value.fields["attempts"] == 3


@pytest.mark.parametrize("code", [Code.AUTH, Code.INVALID, Code.CANCELLED, Code.INTERNAL])
def test_final_errors_are_raised_at_once(code):
    work = Flaky(failure(code))
    with pytest.raises(FrameworkError) as caught:
        retried(QUICK, work)
    assert work.numbers == [1]
    assert caught.value.fields["attempts"] == 1


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), TimeoutError()])
def test_foreign_errors_are_raised_at_once(error):
    work = Flaky(error)
    with pytest.raises(type(error)):
        retried(QUICK, work)
    assert work.numbers == [1]


def test_one_attempt_never_retries():
    with pytest.raises(FrameworkError):
        retried(RetryPolicy(max_attempts=1), Flaky(failure()))


def test_retry_after_is_the_least_wait():
    policy = RetryPolicy(first_wait_s=0, max_wait_s=1)
    before = time.monotonic()
    assert retried(policy, Flaky(failure(retry_after=0.05))) == "done"
    assert time.monotonic() - before >= 0.045


def test_a_service_that_asks_for_too_long_a_wait_ends_it():
    work = Flaky(failure(retry_after=60))
    with pytest.raises(FrameworkError) as caught:
        retried(RetryPolicy(max_wait_s=30), work)
    assert caught.value.retry_after == 60
    assert work.numbers == [1]


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
