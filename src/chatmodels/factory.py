"""The one place where a chat model is put together: a vendor, and the wrappers around it in one visible order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from chatmodels.cassette import RecordingModel, ReplayModel
from chatmodels.config import ChatModelConfig, Price, RateLimit
from chatmodels.iface import ChatModel
from chatmodels.lifetime import clean_up_in_the_end
from chatmodels.registry import get_chat_model_metadata, models
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.limiting import LimitingModel
from chatmodels.wrappers.measured import MeasuredModel
from chatmodels.wrappers.preset import PresetModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.timed import TimedModel
from chatmodels.wrappers.translating import TranslatingModel
from fmf_core.errors import Code, ConfigurationError, FrameworkError, PluginError
from fmf_core.nearest import nearest
from fmf_core.redact import add_secret
from fmf_core.retry import RetryPolicy

CONSTRUCTOR_SETTINGS = ("model", "api_key", "base_url", "timeout_s")
_NESTED = {
    "retry": tuple(RetryPolicy.model_fields),
    "rate_limit": tuple(RateLimit.model_fields),
    "prices": tuple(Price.model_fields),
}
PRESETS = ("model", "temperature", "max_tokens", "seed")


def create_chat_model(provider: str | ChatModelConfig = "openai", **settings: Any) -> ChatModel:
    """Build a chat model that retries, keeps to its limits and is measured.

        model = create_chat_model("openai", model="gpt-4o-mini", temperature=0.0, retry={"max_attempts": 5})
        print(model.invoke("Say hello").content)

    Args:
        provider: a name of `list_chat_models()`, or a whole `ChatModelConfig`.
        settings: fields of `ChatModelConfig`, on top of those of a given config, and the provider's own settings.
            `retry` takes a `RetryPolicy`, a mapping with its keys, or `None` for a single attempt; `rate_limit` a
            `RateLimit`, a mapping or `None`; `prices` a mapping from model names to prices; `timeout_s` is the time
            of one attempt, in seconds.
            A sampling setting (`temperature`, `max_tokens`, `seed`) is used where a request leaves it open; given as
            `None`, it is left out of such requests.

    Raises:
        ConfigurationError: a setting is unknown or its value is wrong; the message names all faults.
        PluginNotFoundError: no such provider; the hint lists the known ones.
        PluginError: the provider's extra is not installed; the hint says how to install it.
    """
    config = _as_config(provider, settings)
    item = models.get(config.provider)
    if config.model is None:
        config = config.model_copy(update={"model": get_chat_model_metadata(config.provider)["default_model"]})
    if isinstance(item, ChatModel):
        _refuse_unknown(config, set())
        return wrap(item, config)
    vendor = _build(item, config)
    model = wrap(vendor, config)
    if isinstance(item, type):
        # A function may hand the same model to several callers; what a class made belongs to this wrapper alone.
        clean_up_in_the_end(vendor, owner=model)
    return model


def wrap(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """Put the retries, limits, measurements and presets of `config` around `model`.

    A model that has been wrapped before is returned as it is. A recorder stays outside, so that the requests on record
    are those of the caller, and a replay is only measured.
    """
    if isinstance(model, RecordingModel):
        return model.around(wrap(model.inner, config))
    if isinstance(model, ReplayModel):
        return measure(model, config)
    if _is_wrapped(model):
        return model
    clean_up_in_the_end(model)
    for layer in reversed(LAYERS):
        model = layer(model, config)
    return model


def preset(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the sampling settings that `config` gives; itself when it gives none."""
    presets = {name: getattr(config, name) for name in PRESETS if name in config.model_fields_set}
    if config.model is None:
        presets.pop("model", None)  # a request always names a model
    return PresetModel(model, presets) if presets else model


def measure(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with telemetry, log lines and prices."""
    return MeasuredModel(model, config.prices)


def limit(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the rate limit of `config`; itself when there is none."""
    limits = config.rate_limit
    return LimitingModel(model, limits) if limits.requests_per_minute or limits.tokens_per_minute else model


def retry(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the retries of `config`."""
    return RetryingModel(model, config.retry)


def time(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the time-out of `config`; itself when there is none, or when it keeps a `timeout_s` of its own."""
    keeps_time = getattr(model, "timeout_s", None) is not None
    return model if config.timeout_s is None or keeps_time else TimedModel(model, config.timeout_s)


def translate(model: ChatModel, _: ChatModelConfig) -> ChatModel:
    """`model` with errors of the house."""
    return TranslatingModel(model)


LAYERS: tuple[Callable[[ChatModel, ChatModelConfig], ChatModel], ...] = (
    preset,
    measure,
    limit,
    retry,
    time,
    translate,
)
"""What is put around a vendor's model, outermost first; a layer that its configuration does not need adds nothing."""


def _is_wrapped(model: ChatModel) -> bool:
    while isinstance(model, WrappedModel):
        if isinstance(model, MeasuredModel):
            return True
        model = model.inner
    return False


def config_of(provider: str | ChatModelConfig, settings: Mapping[str, Any]) -> ChatModelConfig:
    """The configuration that `create_chat_model` works with: checked, and with the provider's default model."""
    config = _as_config(provider, settings)
    if config.model is None:
        config = config.model_copy(update={"model": get_chat_model_metadata(config.provider)["default_model"]})
    return config


def _as_config(provider: str | ChatModelConfig, settings: Mapping[str, Any]) -> ChatModelConfig:
    given: dict[str, Any] = {}
    if isinstance(provider, ChatModelConfig):
        given = {name: getattr(provider, name) for name in provider.model_fields_set}
    else:
        given["provider"] = provider
    options = dict(given.pop("options", {}))
    for name, value in settings.items():
        if name == "options":
            options.update(value)
        elif name in ChatModelConfig.model_fields:
            given[name] = value
        else:
            options[name] = value
    if "retry" in given and given["retry"] is None:
        given["retry"] = {"max_attempts": 1}
    given = {name: value for name, value in given.items() if not (name in ("rate_limit", "prices") and value is None)}
    try:
        return ChatModelConfig.model_validate({**given, "options": options})
    except ValidationError as error:
        raise _faults(error) from None


def _faults(error: ValidationError) -> ConfigurationError:
    lines = []
    for fault in error.errors(include_url=False):
        path = ".".join(map(str, fault["loc"]))
        shown = "" if fault["loc"][0] == "api_key" or isinstance(fault["input"], dict) else f", got {fault['input']!r}"
        known = _NESTED.get(str(fault["loc"][0]))
        allowed = f" (allowed: {', '.join(known)})" if fault["type"] == "extra_forbidden" and known else ""
        lines.append(f"{path}: {fault['msg']}{allowed}{shown}")
    return ConfigurationError("wrong settings of a chat model: " + "; ".join(lines), op="chatmodels.create")


def _build(item: Callable[..., ChatModel], config: ChatModelConfig) -> ChatModel:
    if config.api_key is not None:
        add_secret(config.api_key.get_secret_value())
    taken, takes_all = _parameters(item)
    if not takes_all:
        _refuse_unknown(config, taken)
    settings = {
        name: getattr(config, name)
        for name in CONSTRUCTOR_SETTINGS
        if (takes_all or name in taken) and getattr(config, name) is not None
    }
    try:
        model = item(**settings, **config.options)
    except FrameworkError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"chat model {config.provider!r} could not be made: {type(error).__name__}: {error}",
            op="chatmodels.create",
            fields={"provider": config.provider},
        ) from error
    if not isinstance(model, ChatModel):
        raise PluginError(
            f"the factory of chat model {config.provider!r} returned {type(model).__name__}, which is no ChatModel",
            op="chatmodels.create",
            code=Code.INVALID,
        )
    return model


def _parameters(item: Any) -> tuple[set[str], bool]:
    parameters = inspect.signature(item).parameters.values()
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return by_name, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _refuse_unknown(config: ChatModelConfig, taken: set[str]) -> None:
    own = taken - set(ChatModelConfig.model_fields)
    unknown = [name for name in config.options if name not in own]
    if not unknown:
        return
    allowed = sorted(own | set(ChatModelConfig.model_fields) - {"options"})
    hints = []
    for name in unknown:
        near = nearest(name, allowed)
        hints.append(f"did you mean {near!r} instead of {name!r}? " if near else "")
    raise ConfigurationError(
        f"chat model {config.provider!r} has no setting {', '.join(map(repr, unknown))}",
        op="chatmodels.create",
        hint=f"{''.join(hints)}allowed: {', '.join(allowed)}",
    )
