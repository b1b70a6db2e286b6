"""Settings of one chat model: the single home of its name, sampling, endpoint, time-out, resilience and prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Literal, Protocol, Self, get_args, runtime_checkable

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from chatmodels.foreign_words import capability_word
from chatmodels.types import ChatResponse
from fmf_core.errors import Code
from fmf_core.redact import bare_address, redact_value
from fmf_core.retry import RetryPolicy
from fmf_core.secret_shapes import MASK
from fmf_core.value import Value

Capability = Literal[
    "chat", "stream", "tools", "json", "json_schema", "images", "seed", "temperature", "stop", "system"
]
"""What a model may be able to do: answer, answer in pieces, call tools, be held to JSON or to a JSON Schema, look at
images, and take a seed, a temperature, stop texts and a system prompt."""
ENDPOINT_HOLDS_S = 1.0
"""For how many seconds the address of a server is taken for what it was: it may depend on the environment."""


class RateLimit(Value):
    """How much to ask of a provider per minute; `None` is no limit."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)


class Concurrency(Value):
    """How many requests may be under way at once: as many as the server bears, which is learnt from its replies.

    What is learnt is shared by all models of this process that ask the same model at the same address with the same key
    and the same settings here. Models inside this process are not slowed down.
    """

    adaptive: bool = True
    """Whether to learn at all; without it, requests start as soon as they are made."""
    start: int = Field(default=64, ge=1)
    """How many may be under way as long as nothing is known; more when all goes well, fewer when the server fails.

    Where nothing is known of a server either (`endpoint` of a model class is `None`), it counts only if it is given:
    otherwise as many as `max` may, until something is refused or fails.
    """
    max: int = Field(default=10_000, ge=1)
    """How many may be under way at most; it counts where `start`, left open, is more."""
    max_wait_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How long a request waits for its turn at most, in seconds; then the call fails with `RATE_LIMIT` and no retry.

    `None` waits as long as others get on, which is right for a batch; where a person waits, a few seconds are.
    """

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if {"start", "max"} <= self.model_fields_set and self.start > self.max:
            raise ValueError(f"start is {self.start}, and max is only {self.max}: give a start of {self.max} at most")
        return self


class RetryBudget(Value):
    """How many retries a server that fails may cost, all calls together: a dying server must not be stormed.

    Only failures of the server count (`UNAVAILABLE`, `TIMEOUT`). Being told to slow down (`RATE_LIMIT`) does not.
    """

    reserve: int = Field(default=100, ge=0)
    """How many retries there may be without a success in between."""
    share: float = Field(default=0.1, ge=0, le=1)
    """How much of a retry every success adds again, up to the reserve."""


class Price(Value):
    """US dollars per million tokens."""

    input_per_1m: float = Field(ge=0, allow_inf_nan=False)
    output_per_1m: float = Field(ge=0, allow_inf_nan=False)
    cached_input_per_1m: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """For prompt tokens read from the provider's cache; `None` means the input price."""
    cache_write_per_1m: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """For prompt tokens written to the provider's cache; `None` means the input price."""
    reasoning_per_1m: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """For answer tokens that the model spent on thinking; `None` means the output price."""


class Breaker(Value):
    """When a server that fails again and again is left alone, and for how long."""

    failures: int = Field(default=5, ge=1)
    """How many failures in a row, of all callers together, open the circuit: time-outs, lost connections, 5xx."""
    open_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Seconds for which nothing is asked; then one request goes first, and decides."""
    fail_fast: bool | None = None
    """Whether calls fail at once while the circuit is open, instead of waiting in their retries until it closes; `None`
    does so where a fallback stands by."""


@runtime_checkable
class ResponseCache(Protocol):
    """Where answers are kept. Its errors never fail a call: they are logged, and the model is asked."""

    async def get(self, key: str) -> ChatResponse | None:
        """The answer that was put under `key`, a hash; `None` when there is none, or none that is still good."""
        ...

    async def put(self, key: str, response: ChatResponse) -> None:
        """Keep `response` under `key`, instead of what was there."""
        ...


FALLBACK_ON = frozenset({Code.RATE_LIMIT, Code.TIMEOUT, Code.UNAVAILABLE, Code.BAD_REPLY})
"""Failures of a provider that another one need not have.

Not among them: what somebody has to mend (`AUTH`, `INVALID`, `UNSUPPORTED`, `NOT_FOUND`; another model's answer would
hide it), what is a kind of answer (`REFUSED`, `TRUNCATED`: nobody may shop around for a model that complies), what
somebody decided (`CANCELLED`, `BUDGET`), and faults of the code (`INTERNAL`).
"""


class CallSettings(Value):
    """How a model is called, whichever it is: patience, limits, who stands by, and prices."""

    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds for one attempt, from its start to its last byte; `None` is the provider's own time-out."""
    retry: RetryPolicy = Field(default_factory=RetryPolicy.model_construct)
    """How often and after which waits a failed call is tried again."""
    retry_budget: RetryBudget | None = Field(default_factory=RetryBudget.model_construct)
    """`None` retries as long as `retry` allows, however many calls fail."""
    rate_limit: RateLimit = Field(default_factory=RateLimit.model_construct)
    """How much to ask per minute."""
    concurrency: Concurrency = Field(default_factory=Concurrency.model_construct)
    """How many requests may be under way at once; learnt from the server's replies."""
    fallbacks: tuple[Any, ...] = ()
    """Who answers when the model fails, in turn: names of models of the same provider, names of providers, mappings of
    settings, whole `ChatModelConfig`s, or models. `create_chat_model` says more."""
    fallback_on: frozenset[Code] = FALLBACK_ON
    """The failures after which the next model is asked."""
    breaker: Breaker | None = None
    """`None` asks a failing server again and again, as far as the retries go: a call never fails unasked."""
    hedge_after_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds after which a second, equal request is sent when no answer has begun; `None` never does. Both may be
    paid."""
    hedge_share: float = Field(default=0.1, gt=0, le=1)
    """The largest share of requests that may be sent a second time."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """Model name to price, in US dollars per million tokens; adds to the shipped table."""
    capabilities: tuple[Capability, ...] | None = None
    """What the model can do, in place of the shipped table; requests for anything else are refused."""

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _one_fallback(cls, fallbacks: Any) -> Any:
        return tuple(fallbacks) if isinstance(fallbacks, list | tuple) else (fallbacks,)

    @field_validator("capabilities", mode="before")
    @classmethod
    def _in_our_words(cls, capabilities: Any) -> Any:
        known = get_args(Capability)
        for word in capabilities if isinstance(capabilities, list | tuple) else ():
            meant = capability_word(word) if isinstance(word, str) and word not in known else None
            if meant is not None:
                raise ValueError(f"{word!r} is not allowed; allowed: {', '.join(known)}; did you mean {meant!r}?")
        return capabilities

    @field_validator("fallback_on")
    @classmethod
    def _no_decision(cls, codes: frozenset[Code]) -> frozenset[Code]:
        decided = sorted(codes & {Code.CANCELLED, Code.BUDGET})
        if decided:
            raise ValueError(f"{', '.join(decided)}: somebody decided to stop, and another model would go on")
        return codes

    @field_serializer("fallback_on", when_used="json")
    def _in_order(self, codes: frozenset[Code]) -> list[str]:
        return sorted(codes)


ADDRESSES = frozenset({"base_url", "endpoint", "endpoint_url"})
"""Settings that hold an address."""


class ChatModelConfig(CallSettings):
    """Which provider to build and how; `None` leaves a choice to the provider."""

    provider: str = "openai"
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    seed: int | None = None
    api_key: SecretStr | None = None
    base_url: str | None = None
    cache: str | Path | ResponseCache | None = None
    """Where answers are kept and looked up: a folder or a file, `"memory"`, or a cache of one's own."""
    capture_content: bool = False
    """Whether spans hold prompts and answers, where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is not set."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The provider's own settings, such as `context` of the local engine."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What `repr` shows: everything but secrets, which may stand in addresses and in a provider's own settings."""
        for name, value in super().__repr_args__():
            if name == "options":
                yield name, redact_value({key: _shown(key, item) for key, item in value.items()})
            else:
                yield name, redact_value(value) if name == "fallbacks" else _shown(name, value)

    @field_validator("model", "base_url")
    @classmethod
    def _not_empty(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("it is empty: name one, or leave the choice to the provider with None")
        return text

    @field_validator("cache", mode="plain")
    @classmethod
    def _known_cache(cls, cache: Any) -> Any:
        if isinstance(cache, str) and (not cache.strip() or "://" in cache or cache == ":memory:"):
            raise ValueError('that is no folder and no file: give one, or "memory"')
        if cache is None or isinstance(cache, str | Path):
            return cache
        if isinstance(cache, ResponseCache) and not isinstance(cache, type):
            if not (iscoroutinefunction(cache.get) and iscoroutinefunction(cache.put)):
                raise ValueError("get and put of a cache are coroutines: write them with `async def`")
            return cache
        raise ValueError('give a folder, a file, "memory", or an object with the coroutines get and put')


def _shown(name: str | None, value: Any) -> Any:
    """The setting as `repr` shows it, where its name says that secrets may stand in it."""
    if name in ADDRESSES and isinstance(value, str):
        return bare_address(value)
    return dict.fromkeys(value, MASK) if name == "default_headers" and isinstance(value, Mapping) else value
