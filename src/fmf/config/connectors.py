"""The items of the section `connectors`: where documents come from."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag

from fmf.config.base import Name, OpenSection, Section, tag_of
from fmf_core.retry import RetryPolicy


class LocalConnectorConfig(Section):
    """Files below a folder of this machine."""

    name: Name
    """What chains and commands call it."""
    type: Literal["local"]
    """local"""
    root: Name
    """The folder, relative to the folder of fmf.yaml."""
    include: tuple[str, ...] = ("**/*",)
    """Patterns of which a path must match one; hidden files need a pattern that names them."""
    exclude: tuple[str, ...] = ()
    """Patterns of which a path may match none."""


class S3ConnectorConfig(Section):
    """Objects of an S3 bucket."""

    name: Name
    """What chains and commands call it."""
    type: Literal["s3"]
    """s3"""
    bucket: Name
    """The bucket's name."""
    prefix: str = ""
    """Only keys that start with it; patterns are relative to it."""
    region: str | None = None
    """The region; unset means the SDK's own choice."""
    kms_required: bool = False
    """Whether reading an object that is not encrypted with a KMS key is refused."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""


class SharePointConnectorConfig(Section):
    """Files of a SharePoint document library; the client secret is AZURE_CLIENT_SECRET."""

    name: Name
    """What chains and commands call it."""
    type: Literal["sharepoint"]
    """sharepoint"""
    site_url: Name
    """The site's address."""
    drive: Name = "Documents"
    """The name of the document library."""
    root_path: str = ""
    """Only files below this folder; patterns are relative to it."""
    include: tuple[str, ...] = ("**/*",)
    """Patterns of which a path must match one; hidden files need a pattern that names them."""
    exclude: tuple[str, ...] = ()
    """Patterns of which a path may match none."""
    tenant_id: str | None = None
    """The tenant to sign in to."""
    client_id: str | None = None
    """The application to sign in as."""
    certificate_path: str | None = None
    """A PEM file with key and certificate, or a .pfx file, to sign in with instead of the client secret."""
    certificate_thumbprint: str | None = None
    """The certificate's SHA-1 thumbprint, where the PEM file holds the key only."""
    certificate_password_secret: str | None = None
    """The name of the secret that opens the key."""
    verify_downloads: bool = True
    """Whether a file is refused whose size or hash is not the one that SharePoint lists."""
    timeout_s: float = Field(default=60, gt=0)
    """How long a server may be silent, in seconds: before an answer begins, and between two pieces of it."""
    retry: RetryPolicy = Field(default_factory=lambda: RetryPolicy(max_attempts=6, max_wait_s=120))
    """How often and how patiently a failed request is made again; SharePoint itself may ask for minutes."""
    graph_url: str | None = None
    """Another endpoint than Microsoft Graph's public one."""
    authority: str | None = None
    """Another sign-in endpoint than Azure's public one."""
    ca_bundle: str | None = None
    """A file of certificates to trust instead of the system's."""


class PluginConnectorConfig(OpenSection):
    """A connector of a type that a plugin publishes in the group `fmf.connectors`."""


TYPES: Final = ("local", "s3", "sharepoint")

ConnectorConfig = Annotated[
    Annotated[LocalConnectorConfig, Tag("local")]
    | Annotated[S3ConnectorConfig, Tag("s3")]
    | Annotated[SharePointConnectorConfig, Tag("sharepoint")]
    | Annotated[PluginConnectorConfig, Tag("plugin")],
    Discriminator(tag_of("connector", TYPES)),
]
"""One item of `connectors`, of the class that its `type` names."""
