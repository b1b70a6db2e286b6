"""The section `inference`: which model answers, and how it is called."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from chatmodels.config import CallSettings
from fmf.config.base import Name, Section
from fmf.config.fallbacks import StandIn, hidden, stand_in
from fmf.config.providers import (
    MODEL_KEYS,
    SECTIONS,
    AzureOpenAIConfig,
    BedrockConfig,
    LocalModelConfig,
    OpenAIConfig,
)


class CacheConfig(Section):
    """Answers that are kept for the next run."""

    enabled: bool = False
    """Whether answers are kept and used."""
    path: Name = ".fmf/cache"
    """The folder, or a file that ends in .sqlite, relative to the folder of fmf.yaml; answers are plain text in it."""


class ModelChoice(Section):
    """Which model answers, and what it is told."""

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
    """Further arguments of the provider, in its own words; a plugin's model, temperature, max_tokens, seed and
    base_url stand here too."""
    system_prompt: str | None = None
    """What the model is told first, where neither chain nor prompt says something else."""
    mode: Literal["whole", "stream", "auto"] = "whole"
    """How fmf infer writes the answer: whole, in pieces as they come (stream), or so where the model can (auto)."""

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


class InferenceConfig(CallSettings, ModelChoice):
    """Which model answers, and how it is called."""

    timeout_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """One call, from its start to its last byte, in seconds."""
    fallbacks: tuple[str | dict[str, Any], ...] = ()
    """Who answers when the model fails, in turn: names of models of the same provider, names of providers, which mean
    their sections here, or mappings of settings, with `provider` or without."""
    cancel_grace_s: float = Field(default=5.0, ge=0)
    """How long calls in flight may finish after a cancel or SIGTERM, in seconds."""
    cache: CacheConfig = Field(default_factory=CacheConfig)
    """Answers that are kept for the next run."""

    @field_validator("concurrency", mode="before")
    @classmethod
    def _no_number(cls, concurrency: Any) -> Any:
        if concurrency is None:  # a key with nothing behind it may be an oversight, and would let go of all limits
            raise ValueError("is empty: write {adaptive: false} to start every request at once, or remove the key")
        if isinstance(concurrency, int) and not isinstance(concurrency, bool):
            raise ValueError(  # noqa: TRY004 - a TypeError would leave the validation
                f"{concurrency} is no mapping: write {{max: {concurrency}}} for the requests to the model; "
                "how many items are worked on at once is `concurrency` of a chain"
            )
        return concurrency

    @field_validator("fallbacks")
    @classmethod
    def _hidden_keys(cls, fallbacks: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        return tuple(given if isinstance(given, str) else hidden(given) for given in fallbacks)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "azure_openai" and not self.azure_openai.endpoint:
            raise ValueError("provider azure_openai needs inference.azure_openai.endpoint")
        if self.provider == "aws_bedrock" and not self.aws_bedrock.model_id:
            raise ValueError("provider aws_bedrock needs inference.aws_bedrock.model_id")
        section = SECTIONS.get(self.provider)
        twice = [name for name in self.options if section is not None and name in ("model", *section.model_fields)]
        if twice:
            key = MODEL_KEYS[self.provider] if twice[0] == "model" else twice[0]
            raise ValueError(f"options: {twice[0]} stands in the provider's section: inference.{self.provider}.{key}")
        for number, given in enumerate(self.fallbacks):
            self.standing_by(given, f"fallbacks[{number}]")
        return self

    def standing_by(self, given: str | dict[str, Any], source: str = "fallback") -> StandIn:
        """What one of the fallbacks means.

        Raises:
            ValueError: it is wrong; the message begins with `source`.
        """
        return stand_in(given, self.provider, lambda name: getattr(self, name), source)
