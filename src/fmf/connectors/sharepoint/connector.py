"""Files of a SharePoint document library: listed by the delta of a folder, opened where Graph says they are."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from fmf.connectors.base import Gone, Keys, Reset
from fmf.connectors.names import name_of
from fmf.connectors.notices import Notices
from fmf.connectors.replies import StrangeReplyError
from fmf.connectors.retries import Retries
from fmf.connectors.selection import Selection, checked_id
from fmf.connectors.sharepoint.download import Download, Location
from fmf.connectors.sharepoint.graph import PUBLIC_URL, Graph, checked_url, segments
from fmf.connectors.sharepoint.library import Library, LibraryAddress, find_library
from fmf.connectors.sharepoint.sign_in import SignIn, application_of
from fmf.connectors.sharepoint.tree import (
    FILE,
    FOLDER,
    PACKAGE,
    SHORTCUT,
    Node,
    Tree,
    key_of,
    node_of,
    packed,
    text_of,
    unpacked,
)
from fmf.connectors.sharepoint.web import Web
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock

PACKAGES: Final = "OneNote notebooks and other packages, which have no bytes of their own"
SHORTCUTS: Final = "shortcuts to other libraries"
NO_FILE: Final = "items that are neither files nor folders"
BY_FOLDERS: Final = "delta listings, which SharePoint refused (every folder was listed by itself)"
UNREADABLE: Final = "folders that cannot be read"
EXPIRED: Final = "cursors that SharePoint no longer knows (everything was listed anew)"

_PAGE: Final = "$top=1000"
_NO_DELTA: Final = frozenset({400, 403, 404, 405, 410, 501})
"""Statuses with which a server says that it has no delta of this folder; real faults show when the folder is listed."""
_BUFFER: Final = 1 << 18
_DEEPEST: Final = 400
"""Folders inside of folders: as many as a path of SharePoint has characters."""
_LEFT_OUT: Final[Mapping[str, str]] = {PACKAGE: PACKAGES, SHORTCUT: SHORTCUTS}


class _Told(NamedTuple):
    """What the pages of one delta said."""

    tree: Tree
    touched: set[str]
    """The keys of the items that they told of."""
    link: str
    """Where later changes are told."""

    def cursor(self, library: Library) -> str | None:
        return packed({"drive": library.drive_id, "link": self.link}, self.tree) if self.link else None


class SharePointConnector:
    r"""Lists and opens the files of a folder of a document library, through Microsoft Graph.

    Ids are paths below the folder. Control characters in names stand as `\xNN` in ids. Hidden files and folders, those
    that begin with a dot, are left out unless a pattern names them. Notebooks of OneNote and shortcuts to other
    libraries are left out, with a notice.

    Args:
        name: the connector's name in the configuration.
        graph: how Graph is asked.
        where: site, library and folder.
        selection: the connector's own patterns.
        check: whether size and hash of what is downloaded must be those that SharePoint lists.
    """

    concurrency: Final = 8
    """How many files are best read at once: most of the time goes into waiting."""

    def __init__(
        self, name: str, graph: Graph, where: LibraryAddress, selection: Selection, *, check: bool = True
    ) -> None:
        self.name = name
        self.notices = Notices()
        """What the listings left out or had to do otherwise, by reason."""
        self.cursor: str | None = None
        """After a listing, or changes, that were read to their end: where the next changes begin; else None."""
        self._graph = graph
        self._where = where
        self._selection = selection
        self._check = check
        self._library: Library | None = None
        self._lock = Lock()

    @classmethod
    def from_config(cls, config: Any, *, base: Path, secrets: Keys) -> SharePointConnector:
        """The connector for an entry of `connectors:` of type `sharepoint`; relative paths count from `base`.

        Raises:
            ConfigError: tenant or application are missing, or an address is malformed.
        """
        graph_url = config.graph_url or PUBLIC_URL
        url = checked_url(graph_url)
        # A Graph on this machine has no tokens of its own: it is a stand-in for the public one.
        audience = f"{url.scheme}://{url.netloc.decode()}" if url.scheme == "https" else "https://graph.microsoft.com"
        application = application_of(config, base, f"{audience}/.default")
        ca_bundle = base / Path(config.ca_bundle).expanduser() if config.ca_bundle else None
        web = Web(Retries(config.name, config.retry), ca_bundle, config.timeout_s)
        where = LibraryAddress(config.site_url, config.drive, config.root_path)
        return cls(
            config.name,
            Graph(graph_url, SignIn(application, secrets, web), web),
            where,
            Selection(config.include, config.exclude),
            check=config.verify_downloads,
        )

    @property
    def retries(self) -> int:
        """How many times a request was made again so far."""
        return self._graph.web.retries.count

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        """The files that match, sorted by id; see `DataConnector.list`.

        All pages are read by the call itself; names, sizes and times of all items of the folder are held in memory.
        Where SharePoint gives no delta, folders are listed one after the other as the iterator goes on.
        """
        selection = self._selection.narrowed(select)
        library = self._found("sharepoint.list")
        try:
            told = self._whole(library)
        except ConnectorError as error:
            if error.fields.get("status") not in _NO_DELTA:
                raise
            root = self._root(library, selection)
            self.notices.count(BY_FOLDERS)
            return self._walk(library, root, selection)
        return self._listed(library, told, selection)

    def changes(self, cursor: str, select: Sequence[str] = ()) -> Iterator[ResourceRef | Gone | Reset]:
        """What has changed since `cursor`; see `IncrementalConnector.changes`."""
        selection = self._selection.narrowed(select)
        library = self._found("sharepoint.changes")
        known = unpacked(cursor)
        if known is not None and (known[0].get("drive"), known[1].root_path) == (library.drive_id, library.root_path):
            state, before = known
            after = Tree(before.root, before.root_path, before.nodes)
            try:
                told = self._read(after, text_of(state, "link"), "sharepoint.changes")
            except ConnectorError as error:
                if error.fields.get("status") not in (404, 410):
                    raise
            else:
                return self._changed(library, before, told, selection)
        self.notices.count(EXPIRED)
        return self._anew(self.list(select))

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The file's bytes; see `DataConnector.open`. A body that breaks off is resumed where it broke off."""
        library, what = self._found("sharepoint.open"), f"opening {ref.id!r} ({ref.uri})"
        target = self._item_target(library, ref, "open")

        def find() -> Location:
            item = self._graph.get(target, what, "sharepoint.open")
            return self._location(item, target, what)

        download = Download(find, what, self._graph.web, plain=self._graph.plain, check=self._check)
        return cast("BinaryIO", io.BufferedReader(download.body(), _BUFFER))

    def info(self, ref: ResourceRef) -> ResourceRef:
        """Size, time and version of the file now; see `DataConnector.info`."""
        library = self._found("sharepoint.info")
        target = self._item_target(library, ref, "info")
        item = self._graph.get(target, f"looking at {ref.id!r} ({ref.uri})", "sharepoint.info")
        node = node_of(item)
        if node is None or node.kind != FILE:
            raise _no_file(ref.id, "sharepoint.info")
        return _ref(library, ref.id, node)

    def reach(self) -> str:
        """The address of the folder, once it is sure that it can be listed, which takes a few requests.

        Raises:
            ConnectorError: site, library or folder cannot be reached.
        """
        library = self._found("sharepoint.reach")
        with self._explained():
            self._graph.get(
                f"{library.folder_target('children')}?$top=1", f"looking into {self._where}", "sharepoint.reach"
            )
        return library.uri

    def _found(self, op: str) -> Library:
        """The library, looked up once."""
        with self._lock():
            if self._library is None:
                self._library = find_library(self._graph, self._where, self.name, op)
            return self._library

    def _item_target(self, library: Library, ref: ResourceRef, verb: str) -> str:
        checked_id(ref.id, self.name, f"sharepoint.{verb}")
        parts = [name_of(part) for part in ref.id.split("/")]
        if any(part in {"", ".", ".."} or "/" in part for part in parts):
            raise ConnectorError(
                f"{ref.id!r} leaves the root of connector {self.name!r}",
                op=f"sharepoint.{verb}",
                code=Code.REFUSED,
                hint=f"take ids as `fmf connect ls {self.name}` shows them",
            )
        return library.path_target("/".join(filter(None, (library.root_path, *parts))))

    def _location(self, item: Mapping[str, Any], target: str, what: str) -> Location:
        if (node := node_of(item)) is None or node.kind != FILE:
            raise _no_file(what, "sharepoint.open")
        file = item.get("file")
        hashes = file.get("hashes") if isinstance(file, Mapping) else None
        hashes = hashes if isinstance(hashes, Mapping) else {}
        url = text_of(item, "@microsoft.graph.downloadUrl")
        return Location(
            url=url or self._graph.location(f"{target}:/content", what, "sharepoint.open"),
            version=node.etag,
            size=node.size,
            sha256=text_of(hashes, "sha256Hash"),
            quick_xor=text_of(hashes, "quickXorHash"),
        )

    def _whole(self, library: Library) -> _Told:
        """Everything below the folder."""
        target = f"{library.folder_target('delta')}?{_PAGE}"
        for last in (False, True):
            tree = Tree(library.root_id and key_of(library.root_id), library.root_path)
            try:
                return self._read(tree, target, "sharepoint.list")
            except ConnectorError as error:
                if last or error.fields.get("status") != 410:
                    raise
        raise AssertionError

    def _read(self, tree: Tree, target: str, op: str) -> _Told:
        """Read all pages from `target` on into `tree`."""
        touched: set[str] = set()
        link = ""
        for page in self._graph.pages(target, f"listing {self._where}", op, is_delta=True):
            for item in page.items:
                if key := tree.apply(item):
                    touched.add(key)
            link = page.delta_link
        return _Told(tree, touched, link)

    def _listed(self, library: Library, told: _Told, selection: Selection) -> Iterator[ResourceRef]:
        self.cursor = None
        found = {
            path: node
            for path, _, node in told.tree.paths()
            if node.kind != FOLDER and selection.wants(path) and self._is_file(node)
        }
        for path in sorted(found):
            yield _ref(library, path, found[path])
        self.cursor = told.cursor(library)

    def _changed(
        self, library: Library, before: Tree, told: _Told, selection: Selection
    ) -> Iterator[ResourceRef | Gone | Reset]:
        self.cursor = None
        old = {key: path for path, key, node in before.paths() if node.kind == FILE}
        new = {key: (path, node) for path, key, node in told.tree.paths() if node.kind == FILE}
        there = {path for path, _ in new.values()}
        for path in sorted(set(old.values()) - there):
            if selection.wants(path):
                yield Gone(path)
        changed = {
            path: node
            for key, (path, node) in new.items()
            if (key in told.touched or old.get(key) != path) and selection.wants(path)
        }
        for path in sorted(changed):
            yield _ref(library, path, changed[path])
        self.cursor = told.cursor(library)

    def _anew(self, refs: Iterator[ResourceRef]) -> Iterator[ResourceRef | Gone | Reset]:
        yield Reset()
        yield from refs

    def _walk(
        self, library: Library, root: Sequence[tuple[str, str, Node]], selection: Selection
    ) -> Iterator[ResourceRef]:
        """Folder by folder, depth first, in the order of ids."""
        self.cursor = None
        walked: set[str] = set()
        stack = [iter(root)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            path, item_id, node = entry
            if node.kind == FOLDER:
                if item_id in walked:
                    raise _endless(path, self._where, "was there before, in another place")
                if len(stack) > _DEEPEST:
                    raise _endless(path, self._where, f"lies deeper than {_DEEPEST} folders")
                walked.add(item_id)
                target = f"/drives/{segments(library.drive_id)}/items/{segments(item_id)}/children"
                stack.append(iter(self._inside(library, target, f"{path}/", selection)))
            elif self._is_file(node):
                yield _ref(library, path, node)

    def _root(self, library: Library, selection: Selection) -> Sequence[tuple[str, str, Node]]:
        with self._explained():
            return self._children(library, library.folder_target("children"), "", selection)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of a folder that is not there which setting named it."""
        try:
            yield
        except ConnectorError as error:
            if error.fields.get("status") == 404:
                error.hint = f"check root_path {self._where.root_path!r} of connector {self.name!r} in fmf.yaml"
            raise

    def _inside(
        self, library: Library, target: str, prefix: str, selection: Selection
    ) -> Sequence[tuple[str, str, Node]]:
        """What of a folder is wanted; nothing where just this one may not be read, or is gone by now."""
        try:
            return self._children(library, target, prefix, selection)
        except ConnectorError as error:
            if error.fields.get("status") not in (403, 404):
                raise
            self.notices.count(UNREADABLE)
            return ()

    def _children(
        self, library: Library, target: str, prefix: str, selection: Selection
    ) -> Sequence[tuple[str, str, Node]]:
        """What of a folder is wanted, in the order of the ids below it: a folder sorts as its name and a `/`."""
        found = {}
        what = f"listing {prefix.rstrip('/')!r} of {self._where}" if prefix else f"listing {self._where}"
        for page in self._graph.pages(f"{target}?{_PAGE}", what, "sharepoint.list"):
            for item in page.items:
                node, item_id = node_of(item, library.root_path), text_of(item, "id")
                if node is None:
                    continue
                path = prefix + node.name
                folder = node.kind == FOLDER
                if selection.may_want_below(path) if folder else selection.wants(path):
                    # The same item comes again where something changes between two pages: the last time counts.
                    found[item_id] = (f"{path}/" if folder else path, path, item_id, node)
        return [entry[1:] for entry in sorted(found.values(), key=lambda entry: entry[0])]

    def _is_file(self, node: Node) -> bool:
        if node.kind != FILE:
            self.notices.count(_LEFT_OUT.get(node.kind, NO_FILE))
        return node.kind == FILE


def _ref(library: Library, path: str, node: Node) -> ResourceRef:
    names = ((part, name_of(part)) for part in path.split("/"))
    real = "/".join(part if name in {".", ".."} else name for part, name in names)
    return ResourceRef(path, f"{library.uri}/{segments(real)}", node.name, node.size, node.modified_at, node.etag)


def _endless(path: str, where: LibraryAddress, why: str) -> ConnectorError:
    return StrangeReplyError(
        f"listing {path!r} of {where}: this folder {why}",
        op="sharepoint.list",
        hint="it may have been moved meanwhile: run again; else the server's folders contain themselves",
    )


def _no_file(what: str, op: str) -> ConnectorError:
    return ConnectorError(f"{what}: it is no file", op=op, code=Code.UNSUPPORTED, hint="exclude it by a pattern")
