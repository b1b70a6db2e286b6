"""The vendor's model inside all wrappers: made of a configuration with those settings that its class takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from weakref import ref

from chatmodels.config import ChatModelConfig
from chatmodels.iface import ChatModel
from chatmodels.lifetime import clean_up_in_the_end
from chatmodels.registry import models
from chatmodels.settings_given import address_of, named, refuse_other_types, refuse_unknown
from fmf_core.errors import Code, ConfigurationError, FrameworkError, PluginError
from fmf_core.redact import add_secret, redact, without_secrets

CONSTRUCTOR_SETTINGS = ("model", "api_key", "base_url", "timeout_s", "seed")

Layer = Callable[[ChatModel, ChatModelConfig], ChatModel]
"""Puts something around a model, as a configuration says."""

_built: dict[int, tuple[ref[ChatModel], ref[ChatModelConfig]]] = {}
"""Which configuration a living model was last made of, by the identity of the model, which need not be hashable."""


def made(config: ChatModelConfig, wrap: Layer) -> ChatModel:
    """The model of the provider that `config` names, with its own settings, and wrapped."""
    check_own_settings(config)
    item = models.get(config.provider)
    config = named(config)
    if isinstance(item, ChatModel):
        return wrap(item, config)
    vendor = _build(item, config)
    model = wrap(vendor, config)
    if isinstance(item, type):
        # A function may hand the same model to several callers; what a class made belongs to this wrapper alone.
        clean_up_in_the_end(vendor, owner=model)
    return model


def check_own_settings(config: ChatModelConfig) -> None:
    """Raise `ConfigurationError` for options of `config` that its provider does not take so; nothing is made.

    Raises:
        PluginError: the provider's extra is not installed, so that nobody knows what it takes.
    """
    item = models.get(config.provider)
    taken, takes_all = (set[str](), False) if isinstance(item, ChatModel) else _parameters(item)
    if not takes_all:
        refuse_unknown(config, taken)
    if not isinstance(item, ChatModel):
        refuse_other_types(config, {name: p.annotation for name, p in inspect.signature(item).parameters.items()})
    own_name = address_of(taken)
    if config.base_url is not None and own_name is not None and not takes_all:
        raise ConfigurationError(
            f"chat model {config.provider!r} has no setting 'base_url'",
            op="chatmodels.create",
            hint=f"its address is called {own_name}",
        )


def made_of(vendor: ChatModel, config: ChatModelConfig) -> dict[str, Any] | None:
    """The settings of `config` that `vendor` was made of; `None` when it was not, so that they are unknown."""
    known = _built.get(id(vendor))
    # The object itself, for a number may be that of another one by now.
    if known is None or known[1]() is not config:
        return None
    # A key that changes must not make every kept answer a stranger: `api_key` is left out.
    return {name: getattr(config, name) for name in ("provider", "model", "base_url", "seed", "options")}


def is_made_by(provider: str, vendor: ChatModel) -> bool:
    """Whether `vendor` is of the class that stands for `provider`, so that there is a recipe for another one."""
    item = models.get(provider)
    return isinstance(item, type) and isinstance(vendor, item)


def _build(item: Callable[..., ChatModel], config: ChatModelConfig) -> ChatModel:
    if config.api_key is not None:
        add_secret(config.api_key.get_secret_value())
    taken, takes_all = _parameters(item)
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
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told by the error that is raised
        raise PluginError(
            redact(f"chat model {config.provider!r} could not be made: {type(error).__name__}: {error}"),
            op="chatmodels.create",
            fields={"provider": config.provider},
        ) from without_secrets(error)
    if not isinstance(model, ChatModel):
        raise PluginError(
            f"the factory of chat model {config.provider!r} returned {type(model).__name__}, which is no ChatModel",
            op="chatmodels.create",
            code=Code.INVALID,
        )
    _note_built(model, config)
    return model


def _note_built(model: ChatModel, config: ChatModelConfig) -> None:
    key = id(model)

    def forget(_: ref[ChatModel]) -> None:
        _built.pop(key, None)

    _built[key] = (ref(model, forget), ref(config))


def _parameters(item: Any) -> tuple[set[str], bool]:
    parameters = inspect.signature(item).parameters.values()
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return by_name, any(p.kind is p.VAR_KEYWORD for p in parameters)
