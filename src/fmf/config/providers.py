"""The sections of `inference` that each of the shipped providers has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from chatmodels.families import DEFAULT_MODELS, BodyShape
from fmf.config.base import Name, Section
from fmf_core.nearest import known_hint


def is_weight_file(model: str) -> bool:
    """Whether the name of an embedded model is the path of a file with weights."""
    return model.lower().endswith(".gguf") or "/" in model


class OpenAIConfig(Section):
    """Settings of the provider openai; its secret is OPENAI_API_KEY."""

    base_url: str | None = None
    """Another OpenAI-compatible endpoint; unset means OPENAI_BASE_URL or the public one."""
    api: Literal["chat", "responses"] = "chat"
    """The interface: chat completions, which every such server has, or the Responses interface."""
    model: Name = DEFAULT_MODELS["openai"]
    """The model's name."""
    temperature: float | None = Field(default=0.7, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it out."""
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it out."""
    seed: int | None = None
    """What chance starts from, so that answers can be repeated; null leaves it to the provider."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, base_url: str | None) -> str | None:
        if base_url is None:
            return None
        try:
            parts = urlsplit(base_url)
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"base_url {base_url!r} is no address; write http(s)://host[:port]/v1")
        return base_url


class AzureOpenAIConfig(Section):
    """Settings of the provider azure_openai; its secret is AZURE_OPENAI_API_KEY, unless somebody signs in."""

    endpoint: str | None = None
    """The resource's address; needed when this provider is chosen."""
    api_version: Name | None = None
    """The version of the service's interface: dated, or v1; unset means 2024-10-21, and v1 for responses."""
    api: Literal["chat", "responses"] = "chat"
    """The interface: chat completions, or the Responses interface."""
    credential: Literal["default"] | None = None
    """Who signs in to Entra ID instead of a key; default tries environment, managed identity, az login and more."""
    scope: Name | None = None
    """What tokens of Entra ID are for; unset means https://cognitiveservices.azure.com/.default."""
    deployment: Name = DEFAULT_MODELS["azure_openai"]
    """The deployment's name."""
    temperature: float | None = Field(default=0.2, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it out."""
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it out."""
    seed: int | None = None
    """What chance starts from, so that answers can be repeated; null leaves it to the provider."""


class BedrockConfig(Section):
    """Settings of the provider aws_bedrock; its secrets are AWS_ACCESS_KEY_ID and those beside it, or a role."""

    region: str | None = None
    """The region; unset means AWS_REGION, or what the profile says."""
    model_id: str | None = None
    """The id of a model or an inference profile, or an ARN; needed when this provider is chosen."""
    temperature: float | None = Field(default=0.2, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it out."""
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it out."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""
    api: Literal["auto", "converse", "invoke_model"] = "auto"
    """The interface: converse, or invoke_model where a model lacks it; auto is converse unless a shape is given."""
    shape: BodyShape | None = None
    """The body that invoke_model takes, where the id does not tell it, as with imported models."""


class LocalModelConfig(Section):
    """Settings of the provider local, the embedded engine."""

    model: Name = DEFAULT_MODELS["local"]
    """The name of a model that `fmf models pull` has fetched, or the path of a .gguf file."""
    context: int = Field(default=4096, ge=128)
    """Prompt and answer together, in tokens."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of the engine; unset means one less than the machine's processors."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it to the engine."""
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it to the engine."""
    seed: int | None = None
    """What chance starts from, so that answers can be repeated; null leaves it to the provider."""

    @field_validator("model")
    @classmethod
    def _known_or_path(cls, model: str) -> str:
        if is_weight_file(model):
            return model
        from chatmodels.weights import known_models

        known = [weights.name for weights in known_models()]
        if model not in known:
            hint = known_hint(model, known, cutoff=0.4)
            raise ValueError(f"{model!r} is no model of the embedded engine; {hint}; or give the path of a .gguf file")
        return model


SECTIONS: Final[Mapping[str, type[Section]]] = {
    "openai": OpenAIConfig,
    "azure_openai": AzureOpenAIConfig,
    "aws_bedrock": BedrockConfig,
    "local": LocalModelConfig,
}
"""Provider to the section that it has."""
MODEL_KEYS: Final[Mapping[str, str]] = {
    "openai": "model",
    "azure_openai": "deployment",
    "aws_bedrock": "model_id",
    "local": "model",
}
"""Provider to what its section calls the model."""
