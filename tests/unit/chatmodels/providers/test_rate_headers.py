from __future__ import annotations

import pytest

from chatmodels.providers.rate_headers import rate_limit_status, seconds_in
from chatmodels.types import RateLimitStatus


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("20ms", 0.02), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("12", 12.0), ("0.5", 0.5), ("1d", 86400.0)],
)
def test_durations(text, seconds):
    assert seconds_in(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "1s later", "-1s", "s", "1.2.3", "١s"])
def test_what_is_no_duration(text):
    assert seconds_in(text) is None


def test_all_six_headers():
    status = rate_limit_status(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )
    assert status is not None
    assert (status.limit_requests, status.remaining_requests, status.reset_requests_s) == (60, 59, 1.0)
    assert (status.limit_tokens, status.remaining_tokens, status.reset_tokens_s) == (150000, 149984, 360.0)


def test_other_headers_say_nothing():
    assert rate_limit_status({"content-type": "application/json", "retry-after": "1"}) is None


def test_nonsense_is_left_out():
    status = rate_limit_status({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-tokens": "soon"})
    assert status is not None
    assert status.model_dump(exclude_none=True) == {}


@pytest.mark.parametrize("digits", [16, 500, 5_000])
def test_numbers_that_no_server_means_are_left_out(digits):
    number = "9" * digits
    for text in (number, f"{number}s", f"1m{number}s", f"{number}.5"):
        assert seconds_in(text) is None
    assert seconds_in(f"0.{number}") == pytest.approx(1.0)
    found = rate_limit_status({"x-ratelimit-remaining-requests": number, "x-ratelimit-limit-requests": "9" * 15})
    assert found == RateLimitStatus(limit_requests=10**15 - 1)
