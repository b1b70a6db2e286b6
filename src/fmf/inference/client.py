"""From the section `inference` of fmf.yaml to a chat model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from chatmodels.config import ChatModelConfig
from chatmodels.errors import ChatModelError as InferenceError
from chatmodels.factory import create_chat_model
from chatmodels.iface import ChatModel as LLMClient
from chatmodels.types import ChatResponse as Completion
from chatmodels.types import Message

if TYPE_CHECKING:
    from pydantic import SecretStr

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
        """A plain value that is kept beside the secrets, or None."""
        ...


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
    inference = config.inference
    return ChatModelConfig(
        provider=inference.provider,
        timeout_s=inference.timeout_s,
        retry=inference.retry,
        rate_limit=inference.rate_limit,
        prices=inference.prices,
        cache=(root or Path()) / Path(inference.cache.path).expanduser() if inference.cache.enabled else None,
        capabilities=inference.capabilities,
        **_own_settings(inference, secrets, root or Path()),
    )


def _own_settings(inference: InferenceConfig, secrets: Keys, root: Path) -> Mapping[str, Any]:
    match inference.provider:
        case "openai":
            return _openai(inference, secrets)
        case "local":
            return _local(inference, root)
        case "azure_openai":
            return _azure_openai(inference, secrets)
        case "aws_bedrock":
            return _aws_bedrock(inference, secrets)
        case _:
            options = dict(inference.options)
            return {**{name: options.pop(name) for name in _FIELDS if name in options}, "options": options}


def _openai(inference: InferenceConfig, secrets: Keys) -> Mapping[str, Any]:
    settings = inference.openai
    base_url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or secrets.setting("OPENAI_BASE_URL")
    # A server of one's own may need no key; the public one always does, and says so before the first document is read.
    key = secrets.find("OPENAI_API_KEY") if base_url else secrets.resolve("OPENAI_API_KEY")
    return {
        "model": settings.model,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "base_url": base_url,
        "api_key": key,
        "options": {"api": settings.api},
    }


def _azure_openai(inference: InferenceConfig, secrets: Keys) -> Mapping[str, Any]:
    settings = inference.azure_openai
    # Who signs in, or has a token, needs no key.
    token = None if settings.credential else secrets.find("AZURE_OPENAI_AD_TOKEN")
    signs_in = settings.credential is not None or token is not None
    given = {"credential": settings.credential, "scope": settings.scope, "api_version": settings.api_version}
    return {
        "model": settings.deployment,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "api_key": None if signs_in else secrets.resolve("AZURE_OPENAI_API_KEY"),
        "options": {
            "endpoint": settings.endpoint,
            "api": settings.api,
            "token": token,
            **{name: value for name, value in given.items() if value is not None},
        },
    }


def _aws_bedrock(inference: InferenceConfig, secrets: Keys) -> Mapping[str, Any]:
    settings = inference.aws_bedrock
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
            "profile": secrets.setting("AWS_PROFILE"),
            **pair,
        },
    }


def _local(inference: InferenceConfig, root: Path) -> Mapping[str, Any]:
    settings = inference.local
    is_file = settings.model.lower().endswith(".gguf") or "/" in settings.model
    return {
        "model": str(root / Path(settings.model).expanduser()) if is_file else settings.model,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "options": {"context": settings.context, "threads": settings.threads},
    }
