"""The section `inference`: which model answers, and how it is called."""

from __future__ import annotations

from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from chatmodels.config import Capability, Price, RateLimit
from fmf.config.base import Name, Section
from fmf_core.retry import RetryPolicy

SECTIONS: Final = ("openai", "azure_openai", "aws_bedrock", "local")
"""Providers that have a section here."""


class OpenAIConfig(Section):
    """Settings of the provider openai; its secret is OPENAI_API_KEY."""

    base_url: str | None = None
    """Another OpenAI-compatible endpoint; unset means OPENAI_BASE_URL or the public one."""
    api: Literal["chat", "responses"] = "chat"
    """The interface: chat completions, which every such server has, or the Responses interface."""
    model: Name = "gpt-4o-mini"
    """The model's name."""
    temperature: float | None = Field(default=0.7, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it out."""
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it out."""

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
    deployment: Name = "gpt-4o-mini"
    """The deployment's name."""
    temperature: float | None = Field(default=0.2, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it out."""
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it out."""


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


class LocalModelConfig(Section):
    """Settings of the provider local, the embedded engine."""

    model: Name = "smollm2-135m-instruct"
    """The name of a model that `fmf models pull` has fetched, or the path of a .gguf file."""
    context: int = Field(default=4096, ge=128)
    """Prompt and answer together, in tokens."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of the engine; unset means one less than the machine's processors."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """How much chance decides, 0 to 2; null leaves it to the engine."""
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    """The longest answer, in tokens; null leaves it to the engine."""


class CacheConfig(Section):
    """Answers that are kept for the next run."""

    enabled: bool = False
    """Whether answers are kept and used."""
    path: Name = ".fmf/cache"
    """The folder, or a file that ends in .sqlite, relative to the folder of fmf.yaml; answers are plain text in it."""


class InferenceConfig(Section):
    """Which model answers, and how it is called."""

    provider: Name = "openai"
    """openai, azure_openai, aws_bedrock, local, mock, or a plugin's name."""
    openai: OpenAIConfig = Field(default_factory=OpenAIConfig)
    """Settings of the provider openai."""
    azure_openai: AzureOpenAIConfig = Field(default_factory=AzureOpenAIConfig)
    """Settings of the provider azure_openai."""
    aws_bedrock: BedrockConfig = Field(default_factory=BedrockConfig)
    """Settings of the provider aws_bedrock."""
    local: LocalModelConfig = Field(default_factory=LocalModelConfig)
    """Settings of the provider local."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a plugin's provider: model, temperature, max_tokens, seed, base_url and its own arguments."""
    system_prompt: str | None = None
    """What the model is told first, where neither chain nor prompt says something else."""
    mode: Literal["whole", "stream", "auto"] = "whole"
    """How fmf infer writes the answer: whole, in pieces as they come (stream), or so where the model can (auto)."""
    capabilities: tuple[Capability, ...] | None = None
    """What the model can do, in place of the shipped table; requests for anything else are refused."""
    timeout_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """One call, from its start to its last byte, in seconds."""
    cancel_grace_s: float = Field(default=5.0, ge=0)
    """How long calls in flight may finish after a cancel or SIGTERM, in seconds."""
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    """How often and after which waits a failed call is tried again."""
    rate_limit: RateLimit = Field(default_factory=RateLimit)
    """How much to ask per minute."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """Model name to US dollars per million tokens; adds to the shipped table."""
    cache: CacheConfig = Field(default_factory=CacheConfig)
    """Answers that are kept for the next run."""

    @field_validator("provider")
    @classmethod
    def _known(cls, provider: str) -> str:
        if provider in {"mock", *SECTIONS}:
            return provider
        # Asking the registry reads the metadata of installed distributions, so it is met for other names only.
        from chatmodels.registry import list_chat_models

        known = list_chat_models()
        if provider not in known:
            raise ValueError(f"unknown provider {provider!r}; known: {', '.join(known)}")
        return provider

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "azure_openai" and not self.azure_openai.endpoint:
            raise ValueError("provider azure_openai needs inference.azure_openai.endpoint")
        if self.provider == "aws_bedrock" and not self.aws_bedrock.model_id:
            raise ValueError("provider aws_bedrock needs inference.aws_bedrock.model_id")
        if self.options and self.provider in SECTIONS:
            raise ValueError(f"inference.options is for a plugin's provider; {self.provider} has a section of its own")
        return self
