"""The whole schema of fmf.yaml."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from chatmodels.config import Price, RateLimit
from fmf.config.auth import AuthConfig, AwsSecretsConfig, AzureKeyVaultConfig, EnvAuthConfig
from fmf.config.base import Name, Section, twice
from fmf.config.connectors import (
    ConnectorConfig,
    FsspecConnectorConfig,
    LocalConnectorConfig,
    PluginConnectorConfig,
    S3ConnectorConfig,
    SharePointConnectorConfig,
)
from fmf.config.export import AnySinkConfig, ExportConfig, PluginSinkConfig
from fmf.config.inference import CacheConfig, InferenceConfig
from fmf.config.processing import (
    ChunkingConfig,
    ImagesConfig,
    LimitsConfig,
    MetadataConfig,
    OcrConfig,
    ProcessingConfig,
    TablesConfig,
    TextConfig,
)
from fmf.config.providers import AzureOpenAIConfig, BedrockConfig, LocalModelConfig, OpenAIConfig
from fmf_core.retry import RetryPolicy

__all__ = [
    "AnySinkConfig",
    "AuthConfig",
    "AwsSecretsConfig",
    "AzureKeyVaultConfig",
    "AzureOpenAIConfig",
    "BedrockConfig",
    "CacheConfig",
    "ChunkingConfig",
    "ConnectorConfig",
    "EnvAuthConfig",
    "ExportConfig",
    "FmfConfig",
    "FsspecConnectorConfig",
    "ImagesConfig",
    "InferenceConfig",
    "LimitsConfig",
    "LocalConnectorConfig",
    "LocalModelConfig",
    "MetadataConfig",
    "ObservabilityConfig",
    "OcrConfig",
    "OpenAIConfig",
    "OtelConfig",
    "PluginConnectorConfig",
    "PluginSinkConfig",
    "Price",
    "ProcessingConfig",
    "PromptRegistryConfig",
    "RateLimit",
    "RetryPolicy",
    "RunConfig",
    "RunInputsConfig",
    "S3ConnectorConfig",
    "Section",
    "SharePointConnectorConfig",
    "TablesConfig",
    "TextConfig",
]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _index_file(given: dict[str, Any]) -> str:
    ending = "sqlite" if given.get("backend") == "sqlite" else "yaml"
    return f"{str(given.get('path', 'prompts/')).rstrip('/')}/index.{ending}"


class PromptRegistryConfig(Section):
    """Where prompts live."""

    backend: Literal["git_yaml", "local_yaml", "sqlite"] = "git_yaml"
    """Where registrations are kept: a YAML file (`git_yaml` and `local_yaml`), or a SQLite file with all texts."""
    path: Name = "prompts/"
    """The folder of the prompt files, relative to the folder of fmf.yaml."""
    index_file: Name = Field(default_factory=_index_file)
    """The file of the registered versions, relative to the folder of fmf.yaml; by default index.yaml, or index.sqlite,
    in the folder of the prompt files."""


class OtelConfig(Section):
    """Traces and metrics through OpenTelemetry."""

    enabled: bool = False
    """Whether they are exported; the exporter itself follows the OTEL_* variables."""


class ObservabilityConfig(Section):
    """What can be seen of a run."""

    log_format: Literal["json", "human"] | None = None
    """The form of log lines; null means human. FMF_LOG_FORMAT wins."""
    log_level: str = "INFO"
    """The least level that is logged. FMF_LOG_LEVEL wins."""
    otel: OtelConfig = Field(default_factory=OtelConfig)
    """Traces and metrics through OpenTelemetry."""
    capture_content: bool = False
    """Whether prompts and answers stand in traces."""

    @field_validator("log_level")
    @classmethod
    def _level(cls, level: str) -> str:
        if level.upper() not in LEVELS:
            raise ValueError(f"Invalid log level {level!r}; known: {', '.join(LEVELS)}")
        return level.upper()


class RunInputsConfig(Section):
    """What `fmf run` reads where the chain does not say."""

    connector: str | None = None
    """A connector's name."""
    select: tuple[str, ...] = ()
    """Patterns; none selects everything that the connector includes."""


class RunConfig(Section):
    """What `fmf run` does without arguments."""

    chain_config: str | None = None
    """The chain file, relative to the folder of fmf.yaml."""
    inputs: RunInputsConfig = Field(default_factory=RunInputsConfig)
    """What it reads where the chain does not say."""


class FmfConfig(Section):
    """The whole of fmf.yaml; every setting has a default, so an empty file is a valid one."""

    project: Name = "default"
    """The project's name, for records and reports."""
    run_profile: Name = "default"
    """The profile that is active when neither --profile nor FMF_PROFILE names one; default is none of them."""
    artefacts_dir: Name = "artefacts"
    """A folder, relative to the folder of fmf.yaml, or `s3://bucket/prefix`."""
    artefacts_retain_last: int | None = Field(default=None, ge=1)
    """How many runs are kept: older ones are removed when a run has ended; null keeps all."""
    auth: AuthConfig = Field(default_factory=AuthConfig)
    """Where secrets come from."""
    connectors: tuple[ConnectorConfig, ...] = ()
    """Where documents come from."""
    processing: ProcessingConfig = Field(default_factory=ProcessingConfig)
    """How bytes become text, chunks and tables."""
    inference: InferenceConfig = Field(default_factory=InferenceConfig)
    """Which model answers, and how it is called."""
    prompt_registry: PromptRegistryConfig = Field(default_factory=PromptRegistryConfig)
    """Where prompts live."""
    export: ExportConfig = Field(default_factory=ExportConfig)
    """Where records are written to."""
    observability: ObservabilityConfig = Field(default_factory=ObservabilityConfig)
    """What can be seen of a run."""
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name to settings of this file's shape, which win over the file's own while the profile is active."""
    run: RunConfig = Field(default_factory=RunConfig)
    """What `fmf run` does without arguments."""

    @field_validator("connectors")
    @classmethod
    def _names_differ(cls, connectors: tuple[ConnectorConfig, ...]) -> tuple[ConnectorConfig, ...]:
        if again := twice(connector.name for connector in connectors):
            raise ValueError(f"several connectors are called {', '.join(map(repr, again))}")
        return connectors

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        named, known = self.run.inputs.connector, [connector.name for connector in self.connectors]
        if named is not None and named not in known:
            raise ValueError(f"run.inputs.connector {named!r} is no connector; known: {', '.join(known) or 'none'}")
        return self
