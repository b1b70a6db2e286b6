"""When the next request may start under a limit per minute: pure arithmetic, told the time and the sizes."""

from __future__ import annotations

from chatmodels.config import RateLimit
from chatmodels.families import CHARACTERS_PER_TOKEN
from chatmodels.types import ChatRequest, TokenUsage

MARGIN = 1.01
"""Starts keep this much more distance than the limit asks for: on their way to the provider they draw closer."""
UNBOUNDED_ANSWER_TOKENS = 1024
LONGEST_DEBT_S = 60.0
"""The longest that one answer holds up the next start, in seconds: a wrong count must not stop everything."""


class Pace:
    """Spreads requests and tokens evenly over the minute, without any burst.

    Each start pushes the next one away by the time that it takes up: one request's share of the minute, and the share
    of its tokens. The next start counts from the moment of the last real one, not from when it was due, so that a late
    start never lets two follow each other too closely.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._per_request = 60.0 * MARGIN / limit.requests_per_minute if limit.requests_per_minute else 0.0
        self._per_token = 60.0 * MARGIN / limit.tokens_per_minute if limit.tokens_per_minute else 0.0
        self._requests_free_at = float("-inf")
        self._tokens_free_at = float("-inf")

    def delay(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 or less when it is allowed now."""
        return max(self._requests_free_at, self._tokens_free_at) - now

    def start(self, now: float, tokens: float) -> None:
        """Take a start at `now` that is expected to take `tokens`."""
        self._requests_free_at = now + self._per_request
        self._tokens_free_at = max(self._tokens_free_at, now) + tokens * self._per_token

    def settle(self, expected: float, taken: float) -> None:
        """Correct the expectation of an earlier start by what it really took."""
        self._tokens_free_at += min((taken - expected) * self._per_token, LONGEST_DEBT_S)


def expected_tokens(request: ChatRequest) -> int:
    """How many tokens `request` takes at most, as far as can be told beforehand: its text and the longest answer."""
    characters = sum(len(message.text) for message in request.messages)
    return characters // CHARACTERS_PER_TOKEN + (request.max_tokens or UNBOUNDED_ANSWER_TOKENS)


def taken_tokens(usage: TokenUsage | None, expected: int) -> int:
    """How many tokens a finished call took: what the provider said, or what was expected when it said nothing."""
    return usage.total_tokens if usage is not None else expected
