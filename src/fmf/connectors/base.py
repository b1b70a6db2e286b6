"""What a connector is, the table of them, and how an entry of `connectors:` becomes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from fmf.config.kinds import announce
from fmf.types import ResourceRef
from fmf_core.errors import PluginRegistrationError
from fmf_core.registry import Entry, Registry

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fmf.config.models import ConnectorConfig


class Keys(Protocol):
    """Where a connector looks for its secrets: those of `fmf.auth`, or anything that resolves names."""

    def resolve(self, name: str) -> SecretStr:
        """The secret called `name`; an error says where it was looked for."""
        ...

    def find(self, name: str) -> SecretStr | None:
        """The secret called `name`, or None."""
        ...


class DataConnector(Protocol):
    """Lists the resources of one place and opens them for reading; every method blocks."""

    name: str

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        """The resources that match the connector's own patterns and, where given, one of `select`.

        They come one by one, sorted by id, and none of them is opened. Faulty patterns and an unreachable place are
        raised by the call itself, not by the first step of the iterator.

        Raises:
            ConfigError: a pattern is malformed or leaves the root.
            ConnectorError: the place cannot be reached.
        """
        ...

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The bytes of `ref` from their start; the caller closes the stream.

        Raises:
            ConnectorError: this resource cannot be read; others may be.
        """
        ...

    def info(self, ref: ResourceRef) -> ResourceRef:
        """What is known of `ref` now.

        Raises:
            ConnectorError: it is gone or out of reach.
        """
        ...


@dataclass(frozen=True, slots=True)
class Gone:
    """What is no longer there."""

    id: str
    """The id of a resource."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Nothing of what was known counts any longer: what follows is a whole listing."""


@runtime_checkable
class IncrementalConnector(Protocol):
    """A connector that can also say what has changed; one that cannot has no `changes`."""

    cursor: str | None
    """Where the next changes begin, once a listing, or changes, were read to their end; None where nobody knows."""

    def changes(self, cursor: str, select: Sequence[str] = ()) -> Iterator[ResourceRef | Gone | Reset]:
        """What is new, changed or gone since `cursor`, which a listing of the same place gave, in any process.

        First what is gone, then what is new or changed, each sorted by id; what moved is gone in one place and new in
        another. Where the cursor has expired, it begins with a `Reset` and everything is listed; `notices` says so.

        Raises:
            ConfigError: a pattern is malformed or leaves the root.
            ConnectorError: the place cannot be reached.
        """
        ...


class ConnectorType(Protocol):
    """What the table holds: a class that builds a connector from its entry of `connectors:`."""

    def from_config(self, config: Any, *, base: Path, secrets: Keys) -> DataConnector:
        """A connector for `config`; nothing is asked of its place yet, and no secret is resolved.

        Args:
            config: the entry of `connectors:`.
            base: the folder that relative paths in it count from, that of `fmf.yaml`.
            secrets: where keys and passwords are found when they are needed.
        """
        ...


def _check(name: str, item: Any) -> None:
    if not callable(getattr(item, "from_config", None)):
        raise PluginRegistrationError(
            f"connector {name!r} is {item!r}, which has no from_config(config, *, base, secrets)",
            op="connectors.add",
            hint="register a class with list, open and info, and the class method from_config",
        )


connectors: Registry[ConnectorType] = Registry(
    "connector",
    {
        "local": Entry("fmf.connectors.local:LocalConnector", metadata={"description": "files of a folder"}),
        "s3": Entry("fmf.connectors.s3:S3Connector", "aws", {"description": "objects of an S3 bucket"}),
        "sharepoint": Entry(
            "fmf.connectors.sharepoint:SharePointConnector",
            "sharepoint",
            {"description": "files of a SharePoint document library"},
        ),
        "fsspec": Entry(
            "fmf.connectors.fsspec:FsspecConnector", "fsspec", {"description": "files behind any fsspec address"}
        ),
    },
    group="fmf.connectors",
    check=_check,
)
"""The connector types that `type:` of a connector may name."""

announce("connector", connectors.names)


def build_connector(spec: ConnectorConfig, *, root: Path, secrets: Keys) -> DataConnector:
    """The connector that an entry of `connectors:` describes.

    Args:
        spec: the entry.
        root: the folder that relative paths in it count from, that of `fmf.yaml`.
        secrets: where keys and passwords are found when they are needed.

    Raises:
        PluginError: the connector's packages are not installed, or its plugin cannot be loaded.
    """
    return connectors.get(spec.type).from_config(spec, base=root, secrets=secrets)


def notices_of(connector: DataConnector) -> Mapping[str, int]:
    """What `connector` left out of its listings so far: how many by reason; empty when it keeps no such count."""
    notices = getattr(connector, "notices", None)
    return notices if isinstance(notices, Mapping) else {}


def retries_of(connector: DataConnector) -> int:
    """How many requests `connector` made again so far; 0 where it keeps no such count."""
    retries = getattr(connector, "retries", 0)
    return retries if isinstance(retries, int) else 0


def concurrency_of(connector: DataConnector) -> int:
    """How many resources of `connector` are best read at once, which its attribute `concurrency` says; 1 without it."""
    concurrency = getattr(connector, "concurrency", 1)
    return max(concurrency, 1) if isinstance(concurrency, int) else 1
