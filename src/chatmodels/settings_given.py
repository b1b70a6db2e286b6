"""The settings that somebody gave, made into one configuration, or into one error that tells every fault."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import NoneType
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from chatmodels.config import ADDRESSES, ChatModelConfig
from chatmodels.foreign_words import mapping_hint, setting_hint
from chatmodels.registry import get_chat_model_metadata
from fmf_core.errors import ConfigurationError
from fmf_core.nearest import nearest

_UNSET = ("rate_limit", "prices", "fallbacks", "fallback_on", "hedge_share")
"""Settings of which `None` says the same as nothing."""
_NONE = {"retry": {"max_attempts": 1}, "concurrency": {"adaptive": False}}
"""What `None` stands for, where that is not the default."""
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "SecretStr": (SecretStr,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "None": (NoneType,),
    "Mapping[str, str]": (Mapping,),
}
"""Annotations of settings that can be looked at without asking anybody else, and what they take."""


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
    elsewhere = set() if address_of(taken) is None else {"base_url"}
    allowed = sorted(own | set(ChatModelConfig.model_fields) - {"options"} - elsewhere)
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


def address_of(taken: Collection[str]) -> str | None:
    """What a provider that takes the settings `taken` calls its address, where it is not `base_url`."""
    if "base_url" in taken:
        return None
    return next((name for name in ("endpoint", "endpoint_url") if name in taken), None)


def refuse_other_types(config: ChatModelConfig, annotations: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for options of `config` that are of another type than their provider's annotations.

    Only plain types are looked at: texts, secrets, numbers, booleans and mappings of texts.
    """
    wrong, hints = [], []
    for name, value in config.options.items():
        words = _words(annotations.get(name))
        found = _misfit(name, value, words)
        if found:
            wrong.append(f"{name} is {found}")
            hints.append(f"{name} takes {' or '.join(words)}")
    if wrong:
        raise ConfigurationError(
            f"chat model {config.provider!r}: {', and '.join(wrong)}", op="chatmodels.create", hint="; ".join(hints)
        )


def _words(annotation: Any) -> list[str]:
    """The plain types that an annotation allows; none where it allows others as well, or says nothing."""
    if annotation is None:
        return []
    plain = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    words = [word.removeprefix("pydantic.types.").strip() for word in plain.split("|")]
    return words if all(word in _KINDS for word in words) else []


def _misfit(name: str, value: Any, words: Collection[str]) -> str:
    """What `value` is, where it is none of `words`; its type only, for it may be a secret."""
    if not words or (isinstance(value, os.PathLike) and "str" in words and name not in ADDRESSES):
        return ""
    if isinstance(value, bool):
        return "" if "bool" in words else "of type bool"
    if not any(isinstance(value, _KINDS[word]) for word in words):
        return f"of type {type(value).__name__}"
    if not isinstance(value, Mapping):
        return ""
    other = next((item for pair in value.items() for item in pair if not isinstance(item, str)), None)
    return "" if other is None else f"a mapping with an entry of type {type(other).__name__}"


def _own_settings(options: Any) -> Mapping[str, Any]:
    if isinstance(options, Mapping):
        return options
    raise ConfigurationError(
        f"wrong settings of a chat model: options: they are no mapping, got {options!r}",
        op="chatmodels.create",
        hint="give the provider's own settings by name, or as a mapping: options={...}",
    )
