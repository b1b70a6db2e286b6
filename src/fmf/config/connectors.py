"""The items of the section `connectors`: where documents come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fmf.config.base import Name, OpenSection, Section, tag_of
from fmf_core.retry import RetryPolicy


class LocalConnectorConfig(Section):
    """Files below a folder of this machine."""

    other_words: ClassVar[Mapping[str, str]] = {"path": "root", "folder": "root", "directory": "root", "dir": "root"}

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

    other_words: ClassVar[Mapping[str, str]] = {
        "path": "prefix",
        "root": "prefix",
        "folder": "prefix",
        "url": "endpoint_url",
    }

    name: Name
    """What chains and commands call it."""
    type: Literal["s3"]
    """s3"""
    bucket: Name
    """The bucket's name."""
    prefix: str = ""
    """The folder of the bucket: only keys below it; patterns are relative to it."""
    include: tuple[str, ...] = ("**/*",)
    """Patterns of which a key must match one; hidden files need a pattern that names them."""
    exclude: tuple[str, ...] = ()
    """Patterns of which a key may match none."""
    region: str | None = None
    """The region; null asks where the bucket is."""
    kms_required: bool = False
    """Whether reading an object that is not encrypted with a KMS key is refused."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""
    profile: str | None = None
    """A profile of the AWS configuration files, whose credentials are used."""
    anonymous: bool = False
    """Whether requests carry no credentials, as public buckets want it."""
    timeout_s: float = Field(default=60, gt=0)
    """How long the service may be silent, in seconds: before an answer begins, and between two pieces of it."""
    retry: RetryPolicy = Field(default_factory=lambda: RetryPolicy(max_attempts=5))
    """How often and how patiently a failed request is made again."""

    @field_validator("prefix")
    @classmethod
    def _folder(cls, prefix: str) -> str:
        parts = prefix.strip("/").split("/")
        if parts != [""] and any(part in {"", ".", ".."} for part in parts):
            raise ValueError(f"prefix {prefix!r} has an empty part, '.' or '..'; write it as in 'raw/2026/'")
        return "/".join(parts) and f"{'/'.join(parts)}/"


class SharePointConnectorConfig(Section):
    """Files of a SharePoint document library; the client secret is AZURE_CLIENT_SECRET."""

    other_words: ClassVar[Mapping[str, str]] = {
        "path": "root_path",
        "root": "root_path",
        "folder": "root_path",
        "url": "site_url",
        "site": "site_url",
    }

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
    verify_downloads: bool = False
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


class FsspecConnectorConfig(Section):
    """Files behind any address that fsspec knows, such as `az://`, `gs://`, `sftp://` and `http://`."""

    other_words: ClassVar[Mapping[str, str]] = {"path": "url", "root": "url", "folder": "url", "address": "url"}

    name: Name
    """What chains and commands call it."""
    type: Literal["fsspec"]
    """fsspec"""
    url: Name
    """The folder's address, as in `az://container/path`; patterns are relative to it."""
    include: tuple[str, ...] = ("**/*",)
    """Patterns of which a path must match one; hidden files need a pattern that names them."""
    exclude: tuple[str, ...] = ()
    """Patterns of which a path may match none."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the address's file system, as its own documentation names them; never secrets."""
    option_secrets: dict[str, str] = Field(default_factory=dict)
    """Option of the file system to the name of the secret that holds its value."""
    timeout_s: float = Field(default=60, gt=0)
    """How long one call (a folder's listing, an opening, a piece of a file) may take, in seconds."""
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    """How often and how patiently a failed call is made again."""

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError(f"url {url!r} has no protocol; write it as in 'az://container/path'")
        if "@" in url.partition("://")[2].partition("/")[0] and ":" in url.partition("://")[2].partition("@")[0]:
            raise ValueError("url holds a password; give it by option_secrets instead")
        return url

    @model_validator(mode="after")
    def _given_once(self) -> Self:
        if both := sorted({*self.options} & {*self.option_secrets}):
            raise ValueError(f"given by options and by option_secrets: {', '.join(both)}")
        return self


class PluginConnectorConfig(OpenSection):
    """A connector of a type that a plugin publishes in the group `fmf.connectors`."""


TYPES: Final = ("local", "s3", "sharepoint", "fsspec")

ConnectorConfig = Annotated[
    Annotated[LocalConnectorConfig, Tag("local")]
    | Annotated[S3ConnectorConfig, Tag("s3")]
    | Annotated[SharePointConnectorConfig, Tag("sharepoint")]
    | Annotated[FsspecConnectorConfig, Tag("fsspec")]
    | Annotated[PluginConnectorConfig, Tag("plugin")],
    Discriminator(tag_of("connector", TYPES)),
]
"""One item of `connectors`, of the class that its `type` names."""
