"""The section `auth`: where secrets come from."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from fmf.config.base import Name, Section
from fmf.config.kinds import known_types

PROVIDERS: Final = ("env", "azure_key_vault", "aws_secrets")


class EnvAuthConfig(Section):
    """Secrets from a `.env` file and the environment, which wins."""

    file: str = ".env"
    """The file, relative to the folder of fmf.yaml; it may be absent."""


class AzureKeyVaultConfig(Section):
    """Secrets from an Azure Key Vault; its own client secret is the environment's AZURE_CLIENT_SECRET."""

    vault_url: str | None = None
    """The vault's address, `https://NAME.vault.azure.net`; needed when this provider is chosen."""
    tenant_id: str | None = None
    """The tenant to sign in to."""
    client_id: str | None = None
    """The application to sign in as."""
    secret_mapping: dict[str, str] = Field(default_factory=dict)
    """Logical name to the vault's name."""
    authority: str | None = None
    """Another sign-in endpoint than Azure's public one."""
    ca_bundle: str | None = None
    """A file of certificates to trust instead of the system's."""
    verify_challenge_resource: bool = True
    """Whether the vault must belong to the domain that its sign-in challenge names."""


class AwsSecretsConfig(Section):
    """Secrets from AWS Secrets Manager or the Systems Manager parameter store."""

    region: str | None = None
    """The region; unset means the SDK's own choice."""
    source: Literal["secretsmanager", "ssm"] = "secretsmanager"
    """Which of the two services to ask."""
    secret_mapping: dict[str, str] = Field(default_factory=dict)
    """Logical name to the service's name."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""


class AuthConfig(Section):
    """Where secrets come from."""

    provider: Name = "env"
    """env, azure_key_vault, aws_secrets, or a plugin's name."""
    env: EnvAuthConfig = Field(default_factory=EnvAuthConfig)
    """Settings of the provider env."""
    azure_key_vault: AzureKeyVaultConfig = Field(default_factory=AzureKeyVaultConfig)
    """Settings of the provider azure_key_vault."""
    aws_secrets: AwsSecretsConfig = Field(default_factory=AwsSecretsConfig)
    """Settings of the provider aws_secrets."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a plugin's provider, under the names of its own arguments."""

    @field_validator("provider")
    @classmethod
    def _known(cls, provider: str) -> str:
        if provider not in PROVIDERS and provider not in (known := known_types("secret provider")):
            raise ValueError(f"unknown secret provider {provider!r}; known: {', '.join([*PROVIDERS, *sorted(known)])}")
        return provider

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "azure_key_vault" and not self.azure_key_vault.vault_url:
            raise ValueError("provider azure_key_vault needs auth.azure_key_vault.vault_url")
        if self.options and self.provider in PROVIDERS:
            raise ValueError(f"auth.options is for a plugin's provider; {self.provider} has auth.{self.provider}")
        return self
