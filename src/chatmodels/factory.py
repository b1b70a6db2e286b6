"""The one place where a chat model is put together: a vendor, and the wrappers around it in one visible order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any
from weakref import WeakValueDictionary

from pydantic import ValidationError

from chatmodels.cassette import RecordingModel, ReplayModel
from chatmodels.config import Breaker, ChatModelConfig, Concurrency, Price, RateLimit, RetryBudget
from chatmodels.iface import ChatModel
from chatmodels.lifetime import clean_up_in_the_end
from chatmodels.registry import get_chat_model_metadata, models
from chatmodels.wrappers.adaptive import AdaptiveModel
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.breaker import BreakerModel
from chatmodels.wrappers.cached import CachedModel, cache_at
from chatmodels.wrappers.checked import CheckedModel
from chatmodels.wrappers.fallback import Fallback, FallbackModel
from chatmodels.wrappers.hedging import HedgingModel
from chatmodels.wrappers.limiting import LimitingModel
from chatmodels.wrappers.measured import MeasuredModel, measured_in, unmeasured
from chatmodels.wrappers.preset import PresetModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.timed import TimedModel
from chatmodels.wrappers.translating import TranslatingModel
from fmf_core.errors import Code, ConfigurationError, FrameworkError, PluginError
from fmf_core.nearest import nearest
from fmf_core.redact import add_secret
from fmf_core.retry import RetryPolicy

CONSTRUCTOR_SETTINGS = ("model", "api_key", "base_url", "timeout_s", "seed")
_NESTED = {
    "retry": tuple(RetryPolicy.model_fields),
    "retry_budget": tuple(RetryBudget.model_fields),
    "rate_limit": tuple(RateLimit.model_fields),
    "concurrency": tuple(Concurrency.model_fields),
    "prices": tuple(Price.model_fields),
    "breaker": tuple(Breaker.model_fields),
}
SHARED = ("retry", "retry_budget", "concurrency", "timeout_s", "breaker", "hedge_after_s", "hedge_share")
"""Settings that a fallback at another provider takes over, and one that is given as a model."""
PRESETS = ("model", "temperature", "max_tokens", "seed")


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
    return _made(_as_config(provider, settings), wrap)


def wrap(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """Put the retries, limits, measurements and presets of `config` around `model`.

    A model that has been wrapped before is returned as it is. A recorder stays outside, so that the requests on record
    are those of the caller, and a replay is only measured.
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
    return PresetModel(model, presets, known_as) if presets or known_as else model


def measure(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with telemetry, log lines and prices."""
    return MeasuredModel(model, {**getattr(model, "fallback_prices", {}), **config.prices})


def cache(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the response cache of `config`; itself when there is none."""
    if config.cache is None:
        return model
    return CachedModel(model, cache_at(config.cache), _made_of(model, config))


def _made_of(model: ChatModel, config: ChatModelConfig) -> dict[str, Any] | None:
    """What the vendor's model was made of; `None` when it was not made of `config`, and so is unknown."""
    vendor = model.unwrapped if isinstance(model, WrappedModel) else model
    if _built.get((id(vendor), id(config))) is not vendor:
        return None
    # A key that changes must not make every kept answer a stranger: `api_key` is left out.
    return {name: getattr(config, name) for name in ("provider", "model", "base_url", "seed", "options")}


def fallback(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the models that stand by; itself when there are none."""
    if not config.fallbacks:
        return model
    last = len(config.fallbacks) - 1
    standing_by = [_standing_by(given, model, config, number == last) for number, given in enumerate(config.fallbacks)]
    return FallbackModel(model, standing_by, config.fallback_on, _presets(config))


def check(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` behind the table of capabilities, or those that `config` gives."""
    return CheckedModel(model, config.capabilities, config.model)


def limit(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the rate limit of `config`; itself when there is none."""
    limits = config.rate_limit
    return LimitingModel(model, limits) if limits.requests_per_minute or limits.tokens_per_minute else model


def retry(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the retries of `config`."""
    return RetryingModel(model, config.retry, config.retry_budget)


def adapt(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` at the pace that its endpoint bears; itself when it runs in this process or nothing is to be learnt."""
    return AdaptiveModel(model, config.concurrency) if config.concurrency.adaptive and not model.in_process else model


def break_circuit(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the circuit breaker of `config`; itself when there is none."""
    breaker = config.breaker
    if breaker is None:
        return model
    fail_fast = bool(config.fallbacks) if breaker.fail_fast is None else breaker.fail_fast
    return BreakerModel(model, breaker.model_copy(update={"fail_fast": fail_fast}))


def hedge(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with second requests after `hedge_after_s`; itself when that is not set."""
    if config.hedge_after_s is None:
        return model
    return HedgingModel(model, config.hedge_after_s, config.hedge_share)


def time(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with the time-out of `config`; itself when there is none, or when it keeps a `timeout_s` of its own."""
    keeps_time = getattr(model, "timeout_s", None) is not None
    return model if config.timeout_s is None or keeps_time else TimedModel(model, config.timeout_s)


def translate(model: ChatModel, _: ChatModelConfig) -> ChatModel:
    """`model` with errors of the house."""
    return TranslatingModel(model)


_built: WeakValueDictionary[tuple[int, int], ChatModel] = WeakValueDictionary()
"""Which model was made of which configuration, by their identities."""

Layer = Callable[[ChatModel, ChatModelConfig], ChatModel]
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
    time,
    translate,
)
"""What is put around a vendor's model, outermost first; a layer that its configuration does not need adds nothing."""


def _made(config: ChatModelConfig, wrap: Layer) -> ChatModel:
    """The model of the provider that `config` names, with its own settings, and wrapped."""
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


def _layered(model: ChatModel, config: ChatModelConfig, layers: tuple[Layer, ...]) -> ChatModel:
    for layer in reversed(layers):
        model = layer(model, config)
    return model


def _presets(config: ChatModelConfig) -> dict[str, Any]:
    presets = {name: getattr(config, name) for name in PRESETS if name in config.model_fields_set}
    if config.model is None:
        presets.pop("model", None)  # a request always names a model
    return presets


def _standing_by(given: Any, first: ChatModel, config: ChatModelConfig, is_last: bool) -> Fallback:
    """The model that a fallback of `config` means, with limits and retries, but measured and cached by the first."""
    if isinstance(given, ChatModel):
        measured = measured_in(given)
        if measured is not None:
            return Fallback(unmeasured(given), prices=measured.prices, keeps=given)
        bare = _settled(ChatModelConfig(**_given_of(config, SHARED)), is_last)
        return Fallback(_behind(given, bare), keeps=given)
    settings = _settled(_fallback_config(given, config), is_last)
    vendor = first.unwrapped if isinstance(first, WrappedModel) else first
    if settings.provider == config.provider and not _is_made_by(config.provider, vendor):
        # A model of the caller's own: there is no recipe for another one, and it may know several names.
        return Fallback(_behind(vendor, settings), settings.model, settings.prices)
    return Fallback(_made(settings, _behind), prices=settings.prices, owned=True)


def _settled(config: ChatModelConfig, is_last: bool) -> ChatModelConfig:
    """`config` with a breaker that fails at once where another model stands by."""
    if config.breaker is None or config.breaker.fail_fast is not None:
        return config
    return config.model_copy(update={"breaker": config.breaker.model_copy(update={"fail_fast": not is_last})})


def _given_of(config: ChatModelConfig, names: Collection[str]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names if name in config.model_fields_set}


def _fallback_config(given: Any, config: ChatModelConfig) -> ChatModelConfig:
    """The settings that a fallback means: of the same provider with changes, or of another one."""
    if isinstance(given, ChatModelConfig):
        _refuse_nested({name for name in ("fallbacks", "cache") if getattr(given, name)})
        return given
    same, shared = _given_of(config, config.model_fields_set), _given_of(config, SHARED)
    if isinstance(given, str):
        given = {"provider": given} if given in models.names() else {"model": given}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"fallbacks: {given!r} is no fallback",
            op="chatmodels.create",
            hint="give a model's name, a provider's name, a mapping of settings, a ChatModelConfig or a ChatModel",
        )
    changes = dict(given)
    provider = changes.pop("provider", config.provider)
    base = same if provider == config.provider and "provider" not in given else shared
    _refuse_nested(changes)
    base = {name: value for name, value in base.items() if name not in ("fallbacks", "cache")}
    if "model" in changes:
        base.pop("capabilities", None)  # they speak of the model that is asked first
    return _as_config(ChatModelConfig.model_construct(_fields_set=set(base), **base), {"provider": provider, **changes})


def _refuse_nested(names: Collection[str]) -> None:
    for name in ("fallbacks", "cache"):
        if name in names:
            raise ConfigurationError(
                f"fallbacks: a fallback has no {name} of its own",
                op="chatmodels.create",
                hint=f"give {name} to the model that is asked first",
            )


def _behind(model: ChatModel, config: ChatModelConfig) -> ChatModel:
    """`model` with its own settings and everything that stands inside a fallback."""
    clean_up_in_the_end(model)
    return _layered(model, config, (preset, *LAYERS[LAYERS.index(fallback) + 1 :]))


def _is_made_by(provider: str, vendor: ChatModel) -> bool:
    item = models.get(provider)
    return isinstance(item, type) and isinstance(vendor, item)


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
    if "concurrency" in given and given["concurrency"] is None:
        given["concurrency"] = {"adaptive": False}
    unset = ("rate_limit", "prices", "fallbacks", "fallback_on", "hedge_share")
    given = {name: value for name, value in given.items() if not (name in unset and value is None)}
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
        # A seed is for a constructor that asks for it by name: to all others it is a matter of the request.
        if (name in taken or (takes_all and name != "seed")) and getattr(config, name) is not None
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
    _built[id(model), id(config)] = model
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
