"""Settings of one chat model: the single home of model name, sampling, endpoint, time-out, retry and price settings."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from fmf_core.retry import RetryPolicy
from fmf_core.value import Value


class RateLimit(Value):
    """How much to ask of a provider per minute; `None` is no limit."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)


class Price(Value):
    """US dollars per million tokens."""

    input_per_1m: float = Field(ge=0)
    output_per_1m: float = Field(ge=0)
    cached_input_per_1m: float | None = Field(default=None, ge=0)
    """For prompt tokens read from the provider's cache; `None` means the input price."""


class ChatModelConfig(Value):
    """Which provider to build and how; `None` leaves a choice to the provider."""

    provider: str = "openai"
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    seed: int | None = None
    api_key: SecretStr | None = None
    base_url: str | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds for one attempt, from its start to its last byte; `None` is the provider's own time-out."""
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    rate_limit: RateLimit = Field(default_factory=RateLimit)
    prices: dict[str, Price] = Field(default_factory=dict)
    """Model name to price; adds to the shipped table."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The provider's own settings, such as `context` of the local engine."""
