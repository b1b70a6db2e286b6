"""Files of a folder: listed in the order of their ids, opened without ever leaving the folder."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import quote_from_bytes

from fmf.connectors.names import name_of, part_of
from fmf.connectors.notices import Notices
from fmf.connectors.selection import EVERYTHING, Selection
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.open_files import OUT_OF_FILES

LINK_OUTSIDE = "links that leave the root"
LINK_NOWHERE = "links that lead nowhere"
LINK_FOLDER = "links to folders (their files are listed where they are)"
NO_FILE = "pipes, sockets and devices"
UNREADABLE = "folders that cannot be read"

_FOLDER, _FILE, _LINK, _OTHER = range(4)
_SURROGATES = sys.getfilesystemencodeerrors()
_STEPWISE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FOLDER_ONLY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_MET_A_LINK = frozenset({errno.ELOOP, errno.ENOTDIR})
"""What opening says of a link that may not be followed: as the last name, and on the way."""


class LocalConnector:
    r"""Lists and opens the files below a folder.

    Ids are paths below the root with `/` between the parts. Bytes of a name that are no UTF-8, and control characters,
    stand in an id as `\xNN`, so that an id is always one printable line. Hidden files and folders are left out unless a
    pattern names them. Links to files are followed while they stay inside the root; links to folders never, so a loop
    cannot be entered and nothing is listed twice.

    Args:
        name: the connector's name in the configuration.
        root: the folder.
        include: patterns of which an id must match one.
        exclude: patterns of which it may match none; their wildcards match hidden files too.
    """

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        include: Sequence[str] = EVERYTHING,
        exclude: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.root = Path(root)
        self._selection = Selection(include, exclude)
        self.notices = Notices()
        """What the listings left out, by reason."""
        self._listed_root: str | None = None

    @classmethod
    def from_config(cls, config: Any, *, base: Path, secrets: object = None) -> LocalConnector:  # noqa: ARG003
        """The connector for an entry of `connectors:` of type `local`; a relative root counts from `base`."""
        return cls(config.name, base / Path(config.root).expanduser(), config.include, config.exclude)

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        """The files that match, sorted by id; see `DataConnector.list`.

        Only the names of the folders on the way to the current file are held in memory.
        """
        self._listed_root = self._real_root("list")
        return self._walk(self._listed_root, self._selection.narrowed(select))

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The file's bytes; see `DataConnector.open`. The place that is really opened is checked, link by link."""
        real_root = self._listed_root or self._real_root("open")
        try:
            descriptor = self._opened(ref, real_root)
        except OSError as error:
            self._fail(ref, error)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ConnectorError(
                f"{ref.uri} is no regular file", op="local.open", code=Code.UNSUPPORTED, hint="exclude it by a pattern"
            )
        return os.fdopen(descriptor, "rb")

    def info(self, ref: ResourceRef) -> ResourceRef:
        """Size and time of the file now; see `DataConnector.info`."""
        try:
            facts = os.stat(self._place(ref, self._real_root("info")))  # noqa: PTH116 - surrogates and speed
        except OSError as error:
            self._fail(ref, error)
        return _ref(ref.id, ref.uri, ref.name, facts)

    def _real_root(self, verb: str) -> str:
        if not self.root.is_dir():
            fault = "is no folder" if self.root.exists() else "does not exist"
            raise ConnectorError(
                f"the root of connector {self.name!r}, {str(self.root)!r}, {fault}",
                op=f"local.{verb}",
                code=Code.NOT_FOUND,
                hint=f"make the folder, or change 'root' of connector {self.name!r} in fmf.yaml",
            )
        return os.path.realpath(self.root)

    def _opened(self, ref: ResourceRef, real_root: str) -> int:
        """A descriptor of the file, whose links, if there are any on the way, stay inside the root."""
        parts = self._parts(ref)
        if _STEPWISE:
            try:
                return _open_stepwise(real_root, parts)
            except OSError as error:
                if error.errno not in _MET_A_LINK:
                    raise
        path = self._place(ref, real_root)
        if not _STEPWISE:
            return os.open(path, _READ)
        return _open_stepwise(real_root, Path(path).relative_to(real_root).parts)

    def _parts(self, ref: ResourceRef) -> Sequence[str]:
        """The names on the way to `ref`, none of which climbs."""
        parts = [name_of(part, _SURROGATES) for part in ref.id.split("/")]
        if any(part in {"", ".", ".."} or "/" in part or "\0" in part for part in parts):
            self._leaves(ref)
        return parts

    def _place(self, ref: ResourceRef, real_root: str) -> str:
        """Where `ref` really is, which must be inside the root."""
        path = os.path.realpath(os.path.join(real_root, *self._parts(ref)))  # noqa: PTH118 - keeps surrogates
        if not _inside(path, real_root):
            self._leaves(ref)
        return path

    def _leaves(self, ref: ResourceRef) -> NoReturn:
        raise ConnectorError(
            f"{ref.id!r} leaves the root of connector {self.name!r}",
            op="local.open",
            code=Code.REFUSED,
            hint=f"take ids as `fmf connect ls {self.name}` shows them",
        )

    def _fail(self, ref: ResourceRef, error: OSError) -> NoReturn:
        if error.errno in OUT_OF_FILES:
            raise ConnectorError(
                f"{ref.uri} cannot be opened: the process has as many files open as it may",
                op="local.open",
                code=Code.UNAVAILABLE,
                hint="raise the limit (ulimit -n), or make fewer calls at once (--concurrency)",
            ) from error
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.INTERNAL
        code = Code.REFUSED if isinstance(error, PermissionError) else code
        raise ConnectorError(
            f"{ref.uri} cannot be read: {error.strerror or error}",
            op="local.open",
            code=code,
            hint="it was listed, so look at its permissions, or whether it has been moved or deleted since",
        ) from error

    def _walk(self, real_root: str, selection: Selection) -> Iterator[ResourceRef]:
        """Depth first with a stack of its own: a tree may be deeper than calls may nest."""
        root_uri = Path(real_root).as_uri().rstrip("/")
        stack = [iter(self._entries(real_root, "", selection))]
        places = [(real_root, "", root_uri)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                places.pop()
                continue
            kind, name, printable = entry
            folder, prefix, folder_uri = places[-1]
            path, uri = f"{folder}/{name}", f"{folder_uri}/{quote_from_bytes(os.fsencode(name))}"
            resource_id = prefix + printable
            if kind == _FOLDER:
                stack.append(iter(self._entries(path, f"{resource_id}/", selection)))
                places.append((path, f"{resource_id}/", uri))
            elif (facts := self._file(kind, path, real_root)) is not None:
                yield _ref(resource_id, uri, printable, facts)
            elif kind == _FILE:
                # It was a file when its folder was listed: that it is none now is for its reader to tell.
                yield ResourceRef(resource_id, uri, printable)

    def _entries(self, path: str, prefix: str, selection: Selection) -> Sequence[tuple[int, str, str]]:
        """What of a folder is wanted, in the order of the ids below it: a folder sorts as its name and a `/`."""
        found: list[tuple[str, int, str]] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    printable = part_of(entry.name, _SURROGATES)
                    kind = _kind(entry)
                    if kind == _FOLDER:
                        if selection.may_want_below(prefix + printable):
                            found.append((f"{printable}/", kind, entry.name))
                    elif selection.wants(prefix + printable):
                        found.append((printable, kind, entry.name))
        except OSError:
            self.notices.count(UNREADABLE)
        found.sort()
        return [(kind, name, key.removesuffix("/")) for key, kind, name in found]

    def _file(self, kind: int, path: str, real_root: str) -> os.stat_result | None:
        """What is known of a wanted file; nothing where it is to be left out, or is no longer there."""
        if kind == _OTHER:
            self.notices.count(NO_FILE)
            return None
        try:
            if kind == _LINK and not _inside(os.path.realpath(path), real_root):
                self.notices.count(LINK_OUTSIDE)
                return None
            facts = os.stat(path)  # noqa: PTH116 - surrogates and speed
        except OSError:
            if kind == _LINK:  # broken, or it runs in a circle
                self.notices.count(LINK_NOWHERE)
            return None
        if stat.S_ISREG(facts.st_mode):
            return facts
        if kind == _LINK:
            self.notices.count(LINK_FOLDER if stat.S_ISDIR(facts.st_mode) else NO_FILE)
        return None


def _kind(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        if entry.is_symlink():
            return _LINK
        if entry.is_dir(follow_symlinks=False):
            return _FOLDER
        if entry.is_file(follow_symlinks=False):
            return _FILE
    return _OTHER


def _ref(resource_id: str, uri: str, name: str, facts: os.stat_result) -> ResourceRef:
    return ResourceRef(
        id=resource_id,
        uri=uri,
        name=name,
        size=facts.st_size,
        modified_at=datetime.fromtimestamp(facts.st_mtime, UTC),
        etag=f"{facts.st_mtime_ns:x}-{facts.st_size:x}",
    )


def _inside(path: str, real_root: str) -> bool:
    return path == real_root or path.startswith(real_root.rstrip(os.sep) + os.sep)


def _open_stepwise(real_root: str, parts: Sequence[str]) -> int:
    """Open a path name by name from the root, following no link, so that nothing can be swapped for one."""
    *folders, name = parts
    holder = os.open(real_root, _FOLDER_ONLY)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER_ONLY | os.O_NOFOLLOW, dir_fd=holder)
            os.close(holder)
            holder = inner
        return os.open(name, _READ | os.O_NOFOLLOW, dir_fd=holder)
    finally:
        os.close(holder)
