"""The items of `inference.fallbacks`: which provider each means, with which section and which further settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from chatmodels.config import ChatModelConfig
from chatmodels.foreign_words import fallback_hint
from fmf.config.base import Section
from fmf.config.providers import MODEL_KEYS, SECTIONS
from fmf_core.faults import SettingsError
from fmf_core.settings import validate

SECRET_NAME: Final = "api_key_secret"  # noqa: S105 - the name of a setting
"""The setting that names the secret which holds the key; `api_key` holds the key itself, from the environment."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """What one item means."""

    provider: str
    """Whose model it is."""
    named: bool
    """Whether the item names the provider; one that does not takes over all settings of the model asked first."""
    section: Section | None
    """The provider's section with the item's changes; `None` where a provider has none."""
    api_key: SecretStr | None = None
    """The key, where the item holds it."""
    secret: str | None = None
    """The name of the secret that holds the key, where the item names it."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """All other settings of the item, in the words of `ChatModelConfig` and of the provider."""


def hidden(given: Mapping[str, Any]) -> dict[str, Any]:
    """The item with its key out of sight."""
    key = given.get("api_key")
    return {**given, "api_key": SecretStr(key)} if isinstance(key, str) else dict(given)


def stand_in(given: str | Mapping[str, Any], first: str, section_of: Callable[[str], Section], source: str) -> StandIn:
    """What the item `given` means where the provider `first` is asked first.

    Args:
        given: the name of a provider, that of a model of the first provider, or settings.
        first: the provider that is asked first.
        section_of: gives the section of a provider that has one.
        source: what messages call the item.

    Raises:
        ValueError: the provider is unknown, or a setting is wrong.
    """
    if isinstance(given, str):
        given = {"provider": given} if _is_provider(given) else {"model": _model_named(given, source)}
    provider = given.get("provider", first)
    if not isinstance(provider, str) or not _is_provider(provider):
        raise ValueError(f"{source}: unknown provider {provider!r}; known: {', '.join(_providers())}")
    rest = {name: value for name, value in given.items() if name not in ("provider", "api_key", SECRET_NAME)}
    key, secret = given.get("api_key"), given.get(SECRET_NAME)
    if secret is not None and (key is not None or not isinstance(secret, str)):
        raise ValueError(f"{source}: {SECRET_NAME} is the name of a secret, and takes the place of api_key")
    section = None
    if provider in SECTIONS:
        changes = {name: rest.pop(name) for name in SECTIONS[provider].model_fields if name in rest}
        if "model" in rest:
            changes[MODEL_KEYS[provider]] = rest.pop("model")
        section = _changed(section_of(provider), changes, source)
        _refuse_incomplete(provider, section, source)
    _check(ChatModelConfig, {name: rest[name] for name in rest if name in ChatModelConfig.model_fields}, source)
    return StandIn(provider, "provider" in given, section, key, secret, rest)


def _changed(section: Section, changes: Mapping[str, Any], source: str) -> Section:
    kept = {name: getattr(section, name) for name in section.model_fields_set}
    changed: Section = _check(type(section), {**kept, **changes}, source)
    return changed


def _check(model: type[Any], data: Mapping[str, Any], source: str) -> Any:
    try:
        return validate(model, dict(data), source=source)
    except SettingsError as error:
        raise ValueError("; ".join(map(str, error.faults))) from None


def _refuse_incomplete(provider: str, section: Section, source: str) -> None:
    needed = {"azure_openai": "endpoint", "aws_bedrock": "model_id"}.get(provider)
    if needed is not None and not getattr(section, needed):
        raise ValueError(f"{source}: provider {provider} needs inference.{provider}.{needed}")


def _model_named(name: str, source: str) -> str:
    """`name`; refused when it is that of a provider, as others write it or misspelt."""
    hint = fallback_hint(name, _providers())
    if hint:
        raise ValueError(f"{source}: there is no provider {name!r}; {hint}")
    return name


def _is_provider(name: str) -> bool:
    return name in SECTIONS or name in _providers()


def _providers() -> list[str]:
    # Asking the registry reads the metadata of installed distributions, so it is met for other names only.
    from chatmodels.registry import list_chat_models

    return list_chat_models()
