"""The models that stand by: each fallback of a configuration made into a model that can be asked instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from chatmodels.config import ChatModelConfig
from chatmodels.foreign_words import fallback_hint
from chatmodels.iface import ChatModel
from chatmodels.registry import models
from chatmodels.settings_given import given_config, given_of
from chatmodels.vendor import Layer, is_made_by, made
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.fallback import Fallback
from chatmodels.wrappers.measured import measured_in, unmeasured
from chatmodels.wrappers.preset import PresetModel
from fmf_core.errors import ConfigurationError, FrameworkError
from fmf_core.logs import get_logger
from fmf_core.redact import redact_value

SHARED = ("retry", "retry_budget", "concurrency", "timeout_s", "breaker", "hedge_after_s", "hedge_share")
"""Settings that a fallback at another provider takes over, and one that is given as a model."""
_OF_THE_FIRST = ("fallbacks", "cache", "capture_content")
"""Settings that the model which is asked first has for all of them."""

_log = get_logger("chatmodels")


def standing_by(model: ChatModel, config: ChatModelConfig, behind: Layer) -> list[Fallback]:
    """The fallbacks of `config`, for `model` and in turn.

    Args:
        model: the model that is asked first.
        config: its settings.
        behind: puts everything around a fallback but what the first does for all, measuring and caching.

    Raises:
        ConfigurationError: something that was given is no fallback.
    """
    last = len(config.fallbacks) - 1
    return [_fallback(given, model, config, number == last, behind) for number, given in enumerate(config.fallbacks)]


def _fallback(given: Any, first: ChatModel, config: ChatModelConfig, is_last: bool, behind: Layer) -> Fallback:
    if isinstance(given, ChatModel):
        measured = measured_in(given)
        if measured is not None:
            return Fallback(unmeasured(given), prices=measured.prices, keeps=given)
        bare = _settled(ChatModelConfig(**given_of(config, (*SHARED, "prices"))), is_last)
        # Where nobody names a model, it goes by the name that it says itself, and not by the default of requests.
        return Fallback(PresetModel(behind(given, bare), {}, given.get_model_info().name), keeps=given)
    settings = _settled(fallback_config(given, config), is_last)
    settings = settings.model_copy(update={"prices": {**config.prices, **settings.prices}})
    vendor = first.unwrapped if isinstance(first, WrappedModel) else first
    if settings.provider == config.provider and not is_made_by(config.provider, vendor):
        # A model of the caller's own: there is no recipe for another one, and it may know several names.
        return Fallback(behind(vendor, settings), settings.model, settings.prices)
    made_now = made(settings, behind)
    _tell_unready(made_now, settings)
    return Fallback(made_now, prices=settings.prices, owned=True)


def _tell_unready(model: ChatModel, config: ChatModelConfig) -> None:
    """Log a warning when a fallback could not be asked now: nobody should hear of it first when it is needed.

    It is no error, for the environment may say later what is missing.
    """
    try:
        model.check_ready()
    except FrameworkError as error:
        name = f"{model.provider_name}/{config.model or model.get_model_info().name}"
        _log.warning("llm.fallback", status="not_ready", to=name, error=error.message, hint=error.hint)


def _settled(config: ChatModelConfig, is_last: bool) -> ChatModelConfig:
    """`config` with a breaker that fails at once where another model stands by."""
    if config.breaker is None or config.breaker.fail_fast is not None:
        return config
    return config.model_copy(update={"breaker": config.breaker.model_copy(update={"fail_fast": not is_last})})


def fallback_config(given: Any, config: ChatModelConfig) -> ChatModelConfig:
    """The settings that a fallback of `config` means: of the same provider with changes, or of another one.

    Raises:
        ConfigurationError: it is no fallback, or a setting is wrong.
    """
    if isinstance(given, ChatModelConfig):
        _refuse_nested({name for name in _OF_THE_FIRST if getattr(given, name)})
        return given
    same, shared = given_of(config, config.model_fields_set), given_of(config, SHARED)
    if isinstance(given, str):
        given = {"provider": given} if given in models.names() else {"model": _name_of_model(given)}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"fallbacks: {redact_value(given)!r} is no fallback",
            op="chatmodels.create",
            hint="give a model's name, a provider's name, a mapping of settings, a ChatModelConfig or a ChatModel",
        )
    changes = dict(given)
    provider = changes.pop("provider", config.provider)
    base = same if provider == config.provider and "provider" not in given else shared
    _refuse_nested(changes)
    base = {name: value for name, value in base.items() if name not in _OF_THE_FIRST}
    if "model" in changes:
        base.pop("capabilities", None)  # they speak of the model that is asked first
    return given_config(
        ChatModelConfig.model_construct(_fields_set=set(base), **base), {"provider": provider, **changes}
    )


def _name_of_model(name: str) -> str:
    """`name`; refused when it is that of a provider, as others write it or misspelt."""
    hint = fallback_hint(name, models.names())
    if hint:
        raise ConfigurationError(f"fallbacks: there is no provider {name!r}", op="chatmodels.create", hint=hint)
    return name


def _refuse_nested(names: Collection[str]) -> None:
    for name in _OF_THE_FIRST:
        if name in names:
            raise ConfigurationError(
                f"fallbacks: a fallback has no {name} of its own",
                op="chatmodels.create",
                hint=f"give {name} to the model that is asked first",
            )
