"""From the section `inference` of fmf.yaml to a chat model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

from pydantic import SecretStr

from chatmodels.config import CallSettings, ChatModelConfig
from chatmodels.errors import ChatModelError as InferenceError
from chatmodels.factory import create_chat_model
from chatmodels.iface import ChatModel as LLMClient
from chatmodels.request_facts import UntellableError, digest, distinct_json
from chatmodels.types import ChatResponse as Completion
from chatmodels.types import Message
from fmf.config.providers import (
    SECTIONS,
    AzureOpenAIConfig,
    BedrockConfig,
    LocalModelConfig,
    OpenAIConfig,
    is_weight_file,
)
from fmf.errors import AuthError

if TYPE_CHECKING:
    from fmf.config.base import Section
    from fmf.config.models import FmfConfig, InferenceConfig

__all__ = ["Completion", "InferenceError", "LLMClient", "Message", "build_client", "chat_model_config"]


class Keys(Protocol):
    """Where a provider's key is looked for: the secrets of `fmf.auth`, or anything that resolves names."""

    def resolve(self, name: str) -> SecretStr:
        """The secret called `name`; an error says where it was looked for."""
        ...

    def find(self, name: str) -> SecretStr | None:
        """The secret called `name`, or None."""
        ...

    def setting(self, name: str) -> str | None:
        """A plain value of the environment, or one that is kept beside the secrets; None where there is neither."""
        ...


KEYS: Final = {
    "openai": "OPENAI_API_KEY",
    "azure_openai": "AZURE_OPENAI_API_KEY",
    "aws_bedrock": "AWS_BEARER_TOKEN_BEDROCK",
}
"""Provider to the secret that holds its key."""
_DECIDING = ("provider", "model", "base_url", "temperature", "max_tokens", "seed")
_FIELDS = ("model", "temperature", "max_tokens", "seed", "base_url")


def build_client(config: FmfConfig, secrets: Keys, *, root: Path | None = None) -> LLMClient:
    """The chat model that the configuration asks for, with its retries, limits and measurements around it.

    Args:
        config: the configuration.
        secrets: where the provider's key is looked for.
        root: the folder that relative paths of a weight file and of the cache start from; the working directory by
            default.

    Raises:
        AuthError: the provider needs a key that is not there.
        ConfigError: a setting does not fit the provider.
    """
    return create_chat_model(chat_model_config(config, secrets, root=root))


def chat_model_config(config: FmfConfig, secrets: Keys, *, root: Path | None = None) -> ChatModelConfig:
    """The settings of that chat model, for callers that build or wrap it themselves; raises as `build_client`."""
    inference, folder = config.inference, root or Path()
    shared = {name: getattr(inference, name) for name in CallSettings.model_fields}
    own = dict(_own_settings(inference, secrets, folder))
    return ChatModelConfig(
        **{
            **shared,
            **own,
            "provider": inference.provider,
            "capture_content": config.observability.capture_content,
            "fallbacks": tuple(_fallback(given, inference, secrets, folder) for given in inference.fallbacks),
            "cache": folder / Path(inference.cache.path).expanduser() if inference.cache.enabled else None,
        }
    )


def identity_of(model: LLMClient, settings: ChatModelConfig) -> str:
    """A hash of what decides the answers of `model` besides the request: who answers, where, and how it is set.

    A key is no part of it. Where something cannot be told apart from others of its kind, no two models are the same.

    Args:
        model: made of `settings`.
        settings: see `chat_model_config`.
    """
    facts: dict[str, Any] = {name: getattr(settings, name) for name in _DECIDING}
    facts["options"] = {name: value for name, value in settings.options.items() if not _is_left_out(value)}
    try:
        told = distinct_json({**facts, "endpoint": model.endpoint, "said": model.cache_facts})
    except UntellableError:
        told = uuid4().hex
    return digest({"model": told})


def _is_left_out(value: Any) -> bool:
    """Whether an option decides no answer: keys do not, and where one is missing is no difference either."""
    return value is None or isinstance(value, SecretStr)


def _own_settings(inference: InferenceConfig, secrets: Keys, root: Path) -> Mapping[str, Any]:
    options = dict(inference.options)
    section = getattr(inference, inference.provider) if inference.provider in SECTIONS else None
    if section is None:
        return {**{name: options.pop(name) for name in _FIELDS if name in options}, "options": options}
    own = _of_section(inference.provider, section, secrets, root)
    return {**own, "options": {**own["options"], **options}}


def _fallback(given: str | dict[str, Any], inference: InferenceConfig, secrets: Keys, root: Path) -> Mapping[str, Any]:
    """The settings of one model that stands by, as `ChatModelConfig.fallbacks` takes them."""
    found = inference.standing_by(given)
    key = secrets.resolve(found.secret) if found.secret else found.api_key
    settings = dict(found.more)
    if found.section is not None:
        looked = _OneKey(key, KEYS.get(found.provider, ""), secrets) if key else secrets
        own = _of_section(found.provider, found.section, looked, root)
        settings = {**own, **settings, "options": {**own["options"], **settings.get("options", {})}}
    elif key is not None:
        settings["api_key"] = key
    if found.named:
        return {**settings, "provider": found.provider}
    if found.section is not None and settings["model"] == _own_settings(inference, secrets, root)["model"]:
        del settings["model"]  # with another one, what is said of the first model's abilities would not hold
    return settings


@dataclass(frozen=True, slots=True)
class _OneKey:
    """The secrets of a model that has a key of its own: this one, and no other."""

    key: SecretStr
    name: str
    others: Keys

    def resolve(self, name: str) -> SecretStr:
        return self.key if name == self.name else self.others.resolve(name)

    def find(self, name: str) -> SecretStr | None:
        return self.key if name == self.name else None

    def setting(self, name: str) -> str | None:
        return self.others.setting(name)


def _of_section(provider: str, section: Section, secrets: Keys, root: Path) -> Mapping[str, Any]:
    match section:
        case OpenAIConfig():
            return _openai(section, secrets)
        case AzureOpenAIConfig():
            return _azure_openai(section, secrets)
        case BedrockConfig():
            return _aws_bedrock(section, secrets)
        case LocalModelConfig():
            return _local(section, root)
    raise AssertionError(provider)


def _key(secrets: Keys, name: str) -> SecretStr:
    try:
        return secrets.resolve(name)
    except AuthError as error:
        if "secret" in error.fields:  # it is missing; every other failure has another remedy
            error.hint = f"{error.hint}; a model that needs no key: --set inference.provider=local"
        raise


def _openai(settings: OpenAIConfig, secrets: Keys) -> Mapping[str, Any]:
    base_url = settings.base_url or secrets.setting("OPENAI_BASE_URL")
    # A server of one's own may need no key; the public one always does, and says so before the first document is read.
    key = secrets.find("OPENAI_API_KEY") if base_url else _key(secrets, "OPENAI_API_KEY")
    return {
        "model": settings.model,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "seed": settings.seed,
        "base_url": base_url,
        "api_key": key,
        "options": {"api": settings.api},
    }


def _azure_openai(settings: AzureOpenAIConfig, secrets: Keys) -> Mapping[str, Any]:
    # Who signs in, or has a token, needs no key.
    token = None if settings.credential else secrets.find("AZURE_OPENAI_AD_TOKEN")
    signs_in = settings.credential is not None or token is not None
    given = {"credential": settings.credential, "scope": settings.scope, "api_version": settings.api_version}
    return {
        "model": settings.deployment,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "seed": settings.seed,
        "api_key": None if signs_in else _key(secrets, "AZURE_OPENAI_API_KEY"),
        "options": {
            "endpoint": settings.endpoint,
            "api": settings.api,
            "token": token,
            **{name: value for name, value in given.items() if value is not None},
        },
    }


def _aws_bedrock(settings: BedrockConfig, secrets: Keys) -> Mapping[str, Any]:
    access_key = secrets.find("AWS_ACCESS_KEY_ID")
    # Without a pair of keys boto3 looks on: in the profile, and for the role of the machine.
    pair = (
        {
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secrets.resolve("AWS_SECRET_ACCESS_KEY"),
            "aws_session_token": secrets.find("AWS_SESSION_TOKEN"),
        }
        if access_key
        else {}
    )
    region = settings.region or secrets.setting("AWS_REGION") or secrets.setting("AWS_DEFAULT_REGION")
    return {
        "model": settings.model_id,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "api_key": secrets.find("AWS_BEARER_TOKEN_BEDROCK"),
        "options": {
            "region": region,
            "endpoint_url": settings.endpoint_url,
            "api": settings.api,
            "shape": settings.shape,
            "profile": secrets.setting("AWS_PROFILE"),
            **pair,
        },
    }


def _local(settings: LocalModelConfig, root: Path) -> Mapping[str, Any]:
    is_file = is_weight_file(settings.model)
    return {
        "model": str(root / Path(settings.model).expanduser()) if is_file else settings.model,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "seed": settings.seed,
        "options": {"context": settings.context, "threads": settings.threads},
    }
