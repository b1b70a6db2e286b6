"""The settings that somebody gave, made into one configuration, or into one error that tells every fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from chatmodels.config import ChatModelConfig
from chatmodels.foreign_words import mapping_hint, setting_hint
from chatmodels.registry import get_chat_model_metadata
from fmf_core.errors import ConfigurationError
from fmf_core.nearest import nearest

_UNSET = ("rate_limit", "prices", "fallbacks", "fallback_on", "hedge_share")
"""Settings of which `None` says the same as nothing."""
_NONE = {"retry": {"max_attempts": 1}, "concurrency": {"adaptive": False}}
"""What `None` stands for, where that is not the default."""


def config_of(provider: str | ChatModelConfig, settings: Mapping[str, Any]) -> ChatModelConfig:
    """The configuration that `create_chat_model` works with: checked, and with the provider's default model."""
    return named(given_config(provider, settings))


def named(config: ChatModelConfig) -> ChatModelConfig:
    """`config` with the default model of its provider where it names none."""
    if config.model is not None:
        return config
    return config.model_copy(update={"model": get_chat_model_metadata(config.provider)["default_model"]})


def given_config(provider: str | ChatModelConfig, settings: Mapping[str, Any]) -> ChatModelConfig:
    """The configuration that was given: `settings` on top of a provider's name or of a whole configuration.

    Raises:
        ConfigurationError: a value is wrong; the message names all faults.
    """
    given: dict[str, Any] = {}
    if isinstance(provider, ChatModelConfig):
        given = given_of(provider, ChatModelConfig.model_fields)
    else:
        given["provider"] = provider
    options = dict(given.pop("options", {}))
    for name, value in settings.items():
        if name == "options":
            options.update(_own_settings(value))
        elif name in ChatModelConfig.model_fields:
            given[name] = value
        else:
            options[name] = value
    given = {name: _NONE.get(name) if value is None else value for name, value in given.items()}
    given = {name: value for name, value in given.items() if not (name in _UNSET and value is None)}
    data = {**given, "options": options}
    try:
        return ChatModelConfig.model_validate(data)
    except ValidationError as error:
        from fmf_core.faults import faults_text  # it knows YAML, which nobody needs who makes no mistake

        told = faults_text(error, ChatModelConfig, data)
        hints = filter(None, (mapping_hint(name, value) for name, value in given.items()))
        raise ConfigurationError(
            f"wrong settings of a chat model: {told}", op="chatmodels.create", hint="; ".join(hints)
        ) from None


def given_of(config: ChatModelConfig, names: Collection[str]) -> dict[str, Any]:
    """Those settings of `names` that `config` was given."""
    return {name: getattr(config, name) for name in names if name in config.model_fields_set}


def refuse_unknown(config: ChatModelConfig, taken: Collection[str]) -> None:
    """Raise `ConfigurationError` for options of `config` that a provider does not know, who takes those in `taken`."""
    own = set(taken) - set(ChatModelConfig.model_fields)
    unknown = [name for name in config.options if name not in own]
    if not unknown:
        return
    allowed = sorted(own | set(ChatModelConfig.model_fields) - {"options"})
    hints = []
    for name in unknown:
        hint = setting_hint(name, config.options[name], allowed)
        if not hint and (near := nearest(name, allowed)):
            hint = f"did you mean {near!r} instead of {name!r}?"
        hints.append(hint and f"{hint.removesuffix('?')}{'?' if hint.endswith('?') else ';'} ")
    raise ConfigurationError(
        f"chat model {config.provider!r} has no setting {', '.join(map(repr, unknown))}",
        op="chatmodels.create",
        hint=f"{''.join(hints)}allowed: {', '.join(allowed)}",
    )


def _own_settings(options: Any) -> Mapping[str, Any]:
    if isinstance(options, Mapping):
        return options
    raise ConfigurationError(
        f"wrong settings of a chat model: options: they are no mapping, got {options!r}",
        op="chatmodels.create",
        hint="give the provider's own settings by name, or as a mapping: options={...}",
    )
