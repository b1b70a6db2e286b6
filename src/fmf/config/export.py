"""The section `export`: where records are written to."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fmf.config.base import Name, OpenSection, Section, tag_of, twice

Mode = Literal["append", "upsert", "overwrite"]


class FieldsConfig(Section):
    """Which keys of a record become columns, and under which names."""

    rename: dict[str, str] = Field(default_factory=dict)
    """Key to column."""
    select: tuple[str, ...] | None = None
    """The keys that are written, in this order; null for all."""


class SinkConfig(Section):
    """What all sinks have in common."""

    name: Name
    """What chains and commands call it."""
    mode: Mode = "append"
    """append leaves one copy of a run, upsert replaces records with equal keys, overwrite replaces everything."""
    fields: FieldsConfig = Field(default_factory=FieldsConfig)
    """Which keys of a record become columns, and under which names."""


class KeyedSinkConfig(SinkConfig):
    """A sink whose records are told apart by the values of columns."""

    key_fields: tuple[str, ...] = ()
    """The columns that make two records the same; upsert needs at least one."""

    @model_validator(mode="after")
    def _keys_for_upsert(self) -> Self:
        if self.mode == "upsert" and not self.key_fields:
            raise ValueError("mode upsert needs key_fields")
        return self


class FileSinkConfig(KeyedSinkConfig):
    """A sink that writes files."""

    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
    """The files' format."""
    compression: Literal["none", "gzip", "zstd", "snappy"] | None = None
    """How the files are compressed; snappy goes with parquet alone; null means the format's own choice."""
    partition_by: tuple[str, ...] = ()
    """Columns that become `column=value` folders."""
    escape_formulas: bool = True
    """In CSV, whether text that a spreadsheet would run as a formula gets a leading apostrophe."""

    @model_validator(mode="after")
    def _codec_fits(self) -> Self:
        if self.compression == "snappy" and self.format != "parquet":
            raise ValueError(f"compression snappy goes with format parquet, not {self.format}")
        return self


class LocalSinkConfig(FileSinkConfig):
    """Files below a folder of this machine."""

    type: Literal["local"]
    """local"""
    path: Name
    """The folder, relative to the folder of fmf.yaml."""


class S3SinkConfig(FileSinkConfig):
    """Objects of an S3 bucket."""

    type: Literal["s3"]
    """s3"""
    bucket: Name
    """The bucket's name."""
    prefix: str = ""
    """What the keys start with."""
    region: str | None = None
    """The region; unset means the SDK's own choice."""
    sse: Literal["none", "s3", "kms"] = "none"
    """How the service encrypts every object."""
    kms_key_id: str | None = None
    """The key for sse kms; unset means the account's own."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""


class SharePointExcelSinkConfig(KeyedSinkConfig):
    """A sheet of a workbook in a SharePoint document library; the client secret is AZURE_CLIENT_SECRET."""

    type: Literal["sharepoint_excel"]
    """sharepoint_excel"""
    site_url: Name
    """The site's address."""
    drive: Name = "Documents"
    """The name of the document library."""
    file_path: Name
    """The workbook's path in the library."""
    sheet: Name = "Results"
    """The sheet's name."""
    create_if_missing: bool = True
    """Whether a workbook or sheet that is not there is made."""
    escape_formulas: bool = True
    """Whether text that would run as a formula gets a leading apostrophe."""
    tenant_id: str | None = None
    """The tenant to sign in to."""
    client_id: str | None = None
    """The application to sign in as."""
    graph_url: str | None = None
    """Another endpoint than Microsoft Graph's public one."""
    authority: str | None = None
    """Another sign-in endpoint than Azure's public one."""
    ca_bundle: str | None = None
    """A file of certificates to trust instead of the system's."""


class KeySchemaConfig(Section):
    """The attributes that make the key of a DynamoDB table."""

    pk: Name = "run_id"
    """The partition key."""
    sk: str | None = "record_id"
    """The sort key; null for a table without one."""


class DynamoDbSinkConfig(SinkConfig):
    """Items of a DynamoDB table."""

    type: Literal["dynamodb"]
    """dynamodb"""
    table: Name
    """The table's name."""
    region: str | None = None
    """The region; unset means the SDK's own choice."""
    key_schema: KeySchemaConfig = Field(default_factory=KeySchemaConfig)
    """The attributes that make the key."""
    ttl_attribute: str | None = None
    """The attribute that holds the time of expiry, in epoch seconds."""
    ttl_seconds: int | None = Field(default=None, gt=0)
    """Expiry in so many seconds from now; unset means the record's own time."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""


class RedshiftSinkConfig(KeyedSinkConfig):
    """A table of an Amazon Redshift cluster."""

    type: Literal["redshift"]
    """redshift"""
    cluster_id: str | None = None
    """The cluster, for sign-in by IAM."""
    database: Name
    """The database's name."""
    # The key `schema` would hide a method of every pydantic model.
    schema_: Name = Field(default="public", alias="schema")
    """The schema's name."""
    table: Name
    """The table's name."""
    unload_staging_s3: Name
    """The `s3://` address below which rows are staged."""
    iam_role: str | None = None
    """The role that the cluster takes to read the staged rows."""
    copy_options: dict[str, Any] = Field(default_factory=dict)
    """Further options of COPY."""
    host: str | None = None
    """The host, for sign-in by user and password."""
    port: int = Field(default=5439, ge=1, le=65535)
    """The port of that host."""
    ssl: bool = True
    """Whether the connection is encrypted."""
    user: str | None = None
    """The user."""
    password_secret: Name = "REDSHIFT_PASSWORD"  # noqa: S105 - the name of a secret, not its value
    """The logical name of the password."""
    region: str | None = None
    """The region; unset means the SDK's own choice."""
    endpoint_url: str | None = None
    """Another endpoint than the region's public one."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.host and not self.cluster_id:
            raise ValueError("a redshift sink needs host (and user) or cluster_id")
        return self


class DeltaSinkConfig(KeyedSinkConfig):
    """A Delta table."""

    type: Literal["delta"]
    """delta"""
    storage: Literal["local", "s3", "azure"] = "local"
    """Where the table lies."""
    path: Name
    """The table's folder or address."""
    partition_by: tuple[str, ...] = ()
    """Columns that partition the table."""
    region: str | None = None
    """The region; unset means the SDK's own choice."""
    endpoint_url: str | None = None
    """Another endpoint than the public one."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """Passed to delta-rs as they are."""


class FabricDeltaSinkConfig(KeyedSinkConfig):
    """A Delta table of a Microsoft Fabric lakehouse."""

    type: Literal["fabric_delta"]
    """fabric_delta"""
    workspace: Name
    """The workspace's name."""
    lakehouse: Name
    """The lakehouse's name, with or without its suffix."""
    table: Name
    """The table's name."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """Passed to delta-rs as they are."""


class PluginSinkConfig(OpenSection):
    """A sink of a type that a plugin publishes in the group `fmf.exporters`."""


TYPES: Final = ("local", "s3", "sharepoint_excel", "dynamodb", "redshift", "delta", "fabric_delta")

AnySinkConfig = Annotated[
    Annotated[LocalSinkConfig, Tag("local")]
    | Annotated[S3SinkConfig, Tag("s3")]
    | Annotated[SharePointExcelSinkConfig, Tag("sharepoint_excel")]
    | Annotated[DynamoDbSinkConfig, Tag("dynamodb")]
    | Annotated[RedshiftSinkConfig, Tag("redshift")]
    | Annotated[DeltaSinkConfig, Tag("delta")]
    | Annotated[FabricDeltaSinkConfig, Tag("fabric_delta")]
    | Annotated[PluginSinkConfig, Tag("plugin")],
    Discriminator(tag_of("sink", TYPES)),
]
"""One item of `export.sinks`, of the class that its `type` names."""


class ExportConfig(Section):
    """Where records are written to."""

    default_sink: str | None = None
    """The sink that a chain without an export of its own writes to."""
    sinks: tuple[AnySinkConfig, ...] = ()
    """The sinks by name."""

    @field_validator("sinks")
    @classmethod
    def _names_differ(cls, sinks: tuple[AnySinkConfig, ...]) -> tuple[AnySinkConfig, ...]:
        if again := twice(sink.name for sink in sinks):
            raise ValueError(f"several sinks are called {', '.join(map(repr, again))}")
        return sinks

    @model_validator(mode="after")
    def _default_known(self) -> Self:
        known = [sink.name for sink in self.sinks]
        if self.default_sink is not None and self.default_sink not in known:
            raise ValueError(f"default_sink {self.default_sink!r} is no sink; known: {', '.join(known) or 'none'}")
        return self
