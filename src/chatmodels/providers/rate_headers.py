"""What a provider's reply headers say of its rate limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from chatmodels.providers.checks import MOST_DIGITS, count_in
from chatmodels.types import RateLimitStatus

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_LONG = re.compile(rf"(?<![\d.])\d{{{MOST_DIGITS + 1}}}", re.ASCII)


def rate_limit_status(headers: Mapping[str, str]) -> RateLimitStatus | None:
    """The limits that `x-ratelimit-*` headers tell (OpenAI's names, which others use too); `None` without any.

    Args:
        headers: names in lower case.
    """
    get = headers.get
    if "x-ratelimit-remaining-requests" not in headers and "x-ratelimit-remaining-tokens" not in headers:
        return None
    return RateLimitStatus.trusted(
        limit_requests=count_in(get("x-ratelimit-limit-requests")),
        remaining_requests=count_in(get("x-ratelimit-remaining-requests")),
        reset_requests_s=seconds_in(get("x-ratelimit-reset-requests")),
        limit_tokens=count_in(get("x-ratelimit-limit-tokens")),
        remaining_tokens=count_in(get("x-ratelimit-remaining-tokens")),
        reset_tokens_s=seconds_in(get("x-ratelimit-reset-tokens")),
    )


@lru_cache(maxsize=1024)  # servers tell the same few times again and again
def seconds_in(text: str | None) -> float | None:
    """The seconds in `1s`, `20ms`, `6m0s` or a bare number; `None` for anything else."""
    text = (text or "").strip()
    if not text.isascii() or _LONG.search(text):
        return None
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
