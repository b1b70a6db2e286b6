"""The one place where a chat model is put together: a vendor, and the wrappers around it in one visible order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import SecretStr

from chatmodels.cassette import RecordingModel, ReplayModel
from chatmodels.config import (
    Breaker,
    Capability,
    ChatModelConfig,
    Concurrency,
    Price,
    RateLimit,
    ResponseCache,
    RetryBudget,
)
from chatmodels.iface import ChatModel
from chatmodels.lifetime import clean_up_in_the_end
from chatmodels.settings_given import config_of
from chatmodels.vendor import Layer, made, made_of
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.budgeted import BudgetedModel
from chatmodels.wrappers.checked import CheckedModel
from chatmodels.wrappers.measured import MeasuredModel, measured_in
from chatmodels.wrappers.preset import PresetModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.translating import TranslatingModel
from fmf_core.errors import Code
from fmf_core.retry import RetryPolicy

# Layers that are off unless somebody wants them are imported by their function: a script should start at once.

PRESETS = ("model", "temperature", "max_tokens", "seed")


# The mock's log of calls (`model.last_request`) is reached through the wrappers.
@overload
def create_chat_model(provider: Literal["mock"], **settings: Any) -> WrappedModel: ...
@overload
def create_chat_model(
    provider: str | ChatModelConfig = ..., *, model: str | None = ..., temperature: float | None = ...,
    max_tokens: int | None = ..., seed: int | None = ..., api_key: str | SecretStr | None = ...,
    base_url: str | None = ..., timeout_s: float | None = ..., retry: RetryPolicy | Mapping[str, Any] | None = ...,
    retry_budget: RetryBudget | Mapping[str, Any] | None = ..., rate_limit: RateLimit | Mapping[str, Any] | None = ...,
    concurrency: Concurrency | Mapping[str, Any] | None = ..., fallbacks: Any = ...,
    fallback_on: Iterable[Code | str] | None = ..., breaker: Breaker | Mapping[str, Any] | None = ...,
    hedge_after_s: float | None = ..., hedge_share: float | None = ...,
    prices: Mapping[str, Price | Mapping[str, Any]] | None = ..., capabilities: Sequence[Capability] | None = ...,
    cache: str | Path | ResponseCache | None = ..., capture_content: bool = ..., options: Mapping[str, Any] = ...,
    **own: Any,
) -> ChatModel: ...  # fmt: skip
def create_chat_model(provider: str | ChatModelConfig = "openai", **settings: Any) -> ChatModel:
    """Build a chat model that retries, keeps to its limits and is measured.

        model = create_chat_model("openai", model="gpt-4o-mini", temperature=0.0, retry={"max_attempts": 5})
        print(model.invoke("Say hello").content)

    Args:
        provider: a name of `list_chat_models()`, or a whole `ChatModelConfig`.
        settings: fields of `ChatModelConfig`, on top of those of a given config, and the provider's own settings.
            `retry` takes a `RetryPolicy`, a mapping with its keys, or `None` for a single attempt; `retry_budget` a
            `RetryBudget`, a mapping or `None`; `rate_limit` a `RateLimit`, a mapping or `None`; `concurrency` a
            `Concurrency`, a mapping, or `None` to start every request as soon as it is made; `prices` a mapping from
            model names to prices; `timeout_s` is the time of one attempt, in seconds.
            A sampling setting (`temperature`, `max_tokens`, `seed`) is used where a request leaves it open; given as
            `None`, it is left out of such requests.
            `fallbacks` are asked in turn when the model fails: a name of a provider stands for its default model, any
            other name for a model of the same provider with the same settings; a mapping holds settings on top of
            these, or with `provider` those of another one; a `ChatModelConfig` or a model is taken as it is.
            `breaker` takes a `Breaker` or a mapping, `hedge_after_s` seconds, `cache` a folder, a file, `"memory"` or
            a `ResponseCache`; all are off by default.

    Raises:
        ConfigurationError: a setting is unknown or its value is wrong; the message names all faults.
        PluginNotFoundError: no such provider; the hint lists the known ones.
        PluginError: the provider's extra is not installed; the hint says how to install it.
    """
    return made(config_of(provider, settings), wrap)


def wrap(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """Put the retries, limits, measurements and presets of `config` around `model`.

    A model that has been wrapped before is returned as it is. A recorder stays outside, so that a call is on record
    once, however often it was tried, and a replay is only measured.
    """
    if isinstance(model, RecordingModel):
        return model.around(wrap(model.inner, config))
    if isinstance(model, ReplayModel):
        return measure(model, config)
    if measured_in(model) is not None:
        return model
    clean_up_in_the_end(model)
    return _layered(model, config, LAYERS)


def preset(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the sampling settings that `config` gives; itself when it gives none."""
    presets = _presets(config)
    # Where nobody knows the model's name, the provider's own says more than the default of requests.
    unnamed = config.model is None and "provider" in config.model_fields_set
    known_as = config.provider if unnamed else None
    return PresetModel(model, presets, known_as, notes=bool(config.fallbacks)) if presets or known_as else model


def measure(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with telemetry, log lines and prices."""
    prices = {**getattr(model, "fallback_prices", {}), **config.prices}
    return MeasuredModel(model, prices, capture_content=config.capture_content)


def cache(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the response cache of `config`; itself when there is none."""
    if config.cache is None:
        return model
    from chatmodels.wrappers.cached import CachedModel, cache_at

    vendor = model.unwrapped if isinstance(model, WrappedModel) else model
    return CachedModel(model, cache_at(config.cache), made_of(vendor, config))


def fallback(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the models that stand by; itself when there are none."""
    if not config.fallbacks:
        return model
    from chatmodels.standing_by import standing_by
    from chatmodels.wrappers.fallback import FallbackModel

    return FallbackModel(model, standing_by(model, config, _behind), config.fallback_on)


def check(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` behind the table of capabilities, or those that `config` gives."""
    return CheckedModel(model, config.capabilities, config.model)


def limit(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the rate limit of `config`; itself when there is none."""
    limits = config.rate_limit
    if not (limits.requests_per_minute or limits.tokens_per_minute):
        return model
    from chatmodels.wrappers.limiting import LimitingModel

    return LimitingModel(model, limits)


def retry(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the retries of `config`."""
    return RetryingModel(model, config.retry, config.retry_budget)


def adapt(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` at the pace that its endpoint bears; itself when it runs in this process or nothing is to be learnt."""
    if model.in_process or not config.concurrency.adaptive:
        return model
    from chatmodels.wrappers.adaptive import AdaptiveModel

    adaptive = AdaptiveModel(model, config.concurrency)
    if config.hedge_after_s is not None and isinstance(model, WrappedModel):
        model.hedge_in(adaptive.spare_places)
    return adaptive


def break_circuit(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the circuit breaker of `config`; itself when there is none."""
    breaker = config.breaker
    if breaker is None:
        return model
    from chatmodels.wrappers.breaker import BreakerModel

    fail_fast = bool(config.fallbacks) if breaker.fail_fast is None else breaker.fail_fast
    return BreakerModel(model, breaker.model_copy(update={"fail_fast": fail_fast}))


def hedge(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with second requests after `hedge_after_s`; itself when that is not set."""
    if config.hedge_after_s is None:
        return model
    from chatmodels.wrappers.hedging import HedgingModel

    return HedgingModel(model, config.hedge_after_s, config.hedge_share)


def budget(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` that keeps to the budgets in force."""
    return BudgetedModel(model, config.prices)


def time(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the time-out of `config`; itself when there is none, or when it keeps a `timeout_s` of its own."""
    if config.timeout_s is None or getattr(model, "timeout_s", None) is not None:
        return model
    from chatmodels.wrappers.timed import TimedModel

    return TimedModel(model, config.timeout_s)


def translate(model: ChatModel, _: ChatModelConfig) -> ChatModel:
    """`model` with errors of the house."""
    return TranslatingModel(model, _reading_of)


LAYERS: tuple[Layer, ...] = (
    preset,
    measure,
    cache,
    fallback,
    check,
    limit,
    retry,
    adapt,
    break_circuit,
    hedge,
    budget,
    time,
    translate,
)
"""What is put around a vendor's model, outermost first; a layer that its configuration does not need adds nothing."""


def _behind(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with its own settings and everything that stands inside a fallback."""
    clean_up_in_the_end(model)
    return _layered(model, config, (preset, *LAYERS[LAYERS.index(fallback) + 1 :]))


def _layered(model: ChatModel, config: ChatModelConfig, layers: tuple[Layer, ...]) -> ChatModel:
    for layer in reversed(layers):
        model = layer(model, config)
    return model


def _reading_of(error: BaseException) -> tuple[Code, float | None]:
    from chatmodels.providers.foreign_errors import reading_of  # only when something foreign was raised

    return reading_of(error)


def _presets(config: ChatModelConfig) -> dict[str, Any]:
    presets = {name: getattr(config, name) for name in PRESETS if name in config.model_fields_set}
    if config.model is None:
        presets.pop("model", None)  # a request always names a model
    return presets
