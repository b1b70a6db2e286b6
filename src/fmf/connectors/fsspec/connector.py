"""The connector: folders are walked in the order of ids, and files read in one version."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast
from urllib.parse import quote

from fmf.config.connectors import FsspecConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.body import Body, Pace
from fmf.connectors.fsspec.place import Entry, FileSystem
from fmf.connectors.notices import Notices
from fmf.connectors.retries import Retries
from fmf.connectors.selection import NO_PATH, Selection, checked_id, is_path
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock

LINK = "links"
ELSEWHERE = "addresses that lead elsewhere"
REPEATED = "folders of the web that hold, again and again, what the folders above them hold"
TOO_DEEP = "folders of the web that are too deep"
DEEPEST: Final = 100
"""So many folders deep is the web followed, whose pages may lead on for ever."""
ALIKE: Final = 2
"""How many folders above one may hold the same as it; with one more, the tree is taken to contain itself."""
PIECE: Final = 1 << 20
"""Bytes of one piece of a file."""
_VERSIONS = ("ETag", "etag", "e_tag", "content_md5", "md5Hash", "generation", "CRC")
_TIMES = ("last_modified", "LastModified", "mtime", "updated", "modified", "modify", "created")


class _Folder(NamedTuple):
    """A folder on the way to the current file."""

    entries: Iterator[tuple[str, Entry]]
    """What of it is wanted and was not given yet."""
    held: frozenset[str]
    """All that is in it."""


class _Pieces(Iterator[bytes]):
    """What is left of a file, which is closed with it."""

    def __init__(self, place: FileSystem, file: Any, what: str) -> None:
        self._place = place
        self._file = file
        self._what = what
        self._first = b""

    def __next__(self) -> bytes:
        first, self._first = self._first, b""
        piece = first or bytes(self._place.call("fsspec.read", self._what, lambda: self._file.read(PIECE)))
        if not piece:
            raise StopIteration
        return piece

    def skip(self, count: int, pace: Pace) -> None:
        """Leave out the next `count` bytes."""
        try:
            while count > 0 and (piece := pace.next(self)):
                self._first = piece[count:]
                count -= len(piece)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class FsspecConnector:
    """Lists and reads the files below any address of fsspec; may be used by many threads.

    Ids are paths relative to the address. Links are left out, and so is whatever leads elsewhere. Where the file system
    tells a version or a time, a file that has changed since it was listed is refused.

    Args:
        config: the entry of `connectors:`.
        secrets: where the values of `option_secrets` are found.
    """

    concurrency: Final = 8
    """How many files are best read at once: most of the time goes into waiting."""

    def __init__(self, config: FsspecConnectorConfig, secrets: Keys) -> None:
        self.name = config.name
        self.notices = Notices()
        """What the listings left out, by reason."""
        self._config = config
        self._secrets = secrets
        self._address, self._within = _address_of(config)
        self._selection = Selection(config.include, config.exclude)
        self._retries = Retries(config.name, config.retry)
        self._place: FileSystem | None = None
        self._lock = Lock()

    @classmethod
    def from_config(cls, config: Any, *, base: Path, secrets: Keys) -> FsspecConnector:  # noqa: ARG003
        """The connector for an entry of `connectors:` of type `fsspec`."""
        return cls(config, secrets)

    @property
    def retries(self) -> int:
        """How many calls were made again."""
        return self._retries.count

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        """The files that match, sorted by id; see `DataConnector.list`.

        The listings of the folders on the way to the current file are held in memory.
        """
        selection = self._selection.narrowed(select)
        walk = self._walk(selection, self._listed("", selection, ()))
        first = next(walk, None)
        return iter(()) if first is None else chain([first], walk)

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The file's bytes; see `DataConnector.open`."""
        place, what = self._reached(), f"reading {ref.uri}"
        path = place.path(checked_id(ref.id, self.name, "fsspec.open"))
        file = self._retries.call(lambda: self._opened(place, path, ref))
        size = ref.size if ref.size is not None else getattr(file, "size", None)

        def pieces_from(start: int) -> _Pieces:
            self._check_version(place, path, ref)
            again, before = place.open_again(path, start, file, what)
            pieces = _Pieces(place, again, what)
            pieces.skip(before, Pace(ref.uri, self._config.timeout_s))
            return pieces

        body = Body(
            ref.uri,
            size if isinstance(size, int) else None,
            _Pieces(place, file, what),
            pieces_from,
            self._retries,
            patience_s=self._config.timeout_s,
        )
        return cast("BinaryIO", io.BufferedReader(body, PIECE))

    def info(self, ref: ResourceRef) -> ResourceRef:
        """What the file system knows of the file now; see `DataConnector.info`."""
        place = self._reached()
        path = place.path(checked_id(ref.id, self.name, "fsspec.info"))
        what = f"looking at {ref.uri}"
        return self._ref(ref.id, self._retries.call(lambda: place.facts(path, "fsspec.info", what)))

    def _reached(self) -> FileSystem:
        with self._lock():
            if self._place is None:
                self._place = self._retries.call(lambda: FileSystem(self._config, self._secrets))
            return self._place

    def _opened(self, place: FileSystem, path: str, ref: ResourceRef) -> Any:
        """The file in the version that was listed, as far as the file system tells versions."""
        self._check_version(place, path, ref)
        return place.open(path, f"reading {ref.uri}")

    def _check_version(self, place: FileSystem, path: str, ref: ResourceRef) -> None:
        if ref.etag is not None:
            now = self._ref(ref.id, place.facts(path, "fsspec.open", f"reading {ref.uri}"))
            if (now.etag, now.size) != (ref.etag, ref.size):
                raise ConnectorError(
                    f"{ref.uri} has changed since it was listed",
                    op="fsspec.open",
                    code=Code.CONFLICT,
                    hint="run again when nobody writes to it",
                )

    def _walk(self, selection: Selection, top: _Folder) -> Iterator[ResourceRef]:
        """Depth first with a stack of its own: a tree may be deeper than calls may nest."""
        stack = [top]
        while stack:
            found = next(stack[-1].entries, None)
            if found is None:
                stack.pop()
                continue
            resource_id, entry = found
            if entry.kind == "directory":
                stack.append(self._listed(f"{resource_id}/", selection, [folder.held for folder in stack]))
            else:
                yield self._ref(resource_id, entry.facts)

    def _listed(self, prefix: str, selection: Selection, above: Sequence[frozenset[str]]) -> _Folder:
        """What of a folder is wanted, in the order of the ids below it: a folder sorts as its name and a `/`."""
        place, folder = self._reached(), prefix.rstrip("/")
        if place.is_web and len(above) >= DEEPEST:
            self.notices.count(TOO_DEEP)
            return _Folder(iter(()), frozenset())
        what = f"listing {self._uri(folder)}"
        entries, elsewhere = self._retries.call(lambda: place.entries(folder, what))
        self.notices.count(ELSEWHERE, elsewhere)
        held = frozenset(f"{entry.kind}:{entry.name}" for entry in entries)
        # One folder inside another is no sign of it, and costs nothing.
        if place.is_web and len(held) > 1 and above.count(held) >= ALIKE:
            self.notices.count(REPEATED)
            return _Folder(iter(()), held)
        found: list[tuple[str, str, Entry]] = []
        for entry in entries:
            resource_id = prefix + entry.name
            is_folder = entry.kind == "directory"
            if not is_path(entry.name) or "/" in entry.name:
                self.notices.count(NO_PATH)
            elif not (selection.may_want_below(resource_id) if is_folder else selection.wants(resource_id)):
                continue
            elif is_folder or entry.kind == "file":
                found.append((f"{entry.name}/" if is_folder else entry.name, resource_id, entry))
            else:
                self.notices.count(LINK)
        found.sort(key=lambda each: each[0])
        return _Folder(iter([(resource_id, entry) for _, resource_id, entry in found]), held)

    def _uri(self, resource_id: str) -> str:
        quoted = quote(resource_id) if self._address.startswith(("http://", "https://")) else resource_id
        between = "/" if quoted and not self._address.endswith("/") else ""
        return f"{self._address}{between}{quoted}{self._within}"

    def _ref(self, resource_id: str, facts: dict[str, Any]) -> ResourceRef:
        size, modified_at = facts.get("size"), _time(facts)
        version = next((str(facts[name]) for name in _VERSIONS if facts.get(name)), None)
        if version is None and modified_at is not None:
            version = f"{modified_at.timestamp():.6f}-{size}"
        return ResourceRef(
            id=resource_id,
            uri=self._uri(resource_id),
            name=resource_id.rpartition("/")[2],
            size=size if isinstance(size, int) else None,
            modified_at=modified_at,
            etag=version,
        )


def _address_of(config: FsspecConnectorConfig) -> tuple[str, str]:
    """The folder's address, and behind `::` the archive that it is in, where it is in one."""
    folder, chained, archive = config.url.partition("::")
    protocol, _, path = folder.partition("://")
    folder = f"{protocol}://{path.rstrip('/') or path[:1]}"
    if chained:
        return folder, f"::{archive}"
    file = config.options.get("fo")
    if not isinstance(file, str):
        return folder, ""
    return folder, f"::{file if '://' in file else Path(file).absolute().as_uri()}"


def _time(facts: dict[str, Any]) -> datetime | None:
    for name in _TIMES:
        found = facts.get(name)
        if isinstance(found, datetime):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return datetime.fromtimestamp(found, UTC)
    return None
