"""Finding a document library and a folder in it: the site by its address, the library by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from fmf.connectors.sharepoint.graph import Graph, segments
from fmf.connectors.sharepoint.tree import text_of
from fmf.errors import ConfigError, ConnectorError
from fmf_core.errors import Code
from fmf_core.nearest import nearest


@dataclass(frozen=True, slots=True)
class LibraryAddress:
    """What the configuration says of a library."""

    site_url: str
    drive: str
    root_path: str = ""

    def __str__(self) -> str:
        folder = self.root_path.strip("/")
        return f"{self.drive}{f'/{folder}' if folder else ''} of {self.site_url}"


@dataclass(frozen=True, slots=True)
class Library:
    """A folder of a library as Graph knows it."""

    drive_id: str
    root_path: str
    """The folder's path in the library, without slashes at its ends."""
    root_id: str | None
    """The folder's id; None where Graph does not tell it."""
    uri: str
    """The folder's address, without a slash at its end."""

    def path_target(self, path: str) -> str:
        """The target of the item at a path of the library."""
        drive = f"/drives/{segments(self.drive_id)}/root"
        return f"{drive}:/{segments(path)}" if path else drive

    def folder_target(self, action: str) -> str:
        """The target of an action on the folder, such as `children`."""
        return f"{self.path_target(self.root_path)}{':' if self.root_path else ''}/{action}"


def find_library(graph: Graph, where: LibraryAddress, connector: str, op: str) -> Library:
    """The library and the folder that `where` describes.

    Raises:
        ConfigError: the address of the site is none, or the path of the folder leaves the library.
        ConnectorError: there is no such site, library or folder, or the application may not see it.
    """
    root_path = _checked_root(where.root_path, connector)
    site = _got(graph, _site_target(where.site_url, connector), f"looking for the site {where.site_url}", op)
    drive = _drive(graph, text_of(site, "id"), where, op)
    drive_id = text_of(drive, "id")
    shown = text_of(drive, "webUrl") or f"{where.site_url.rstrip('/')}/{segments(text_of(drive, 'name'))}"
    uri = "/".join(filter(None, (shown.rstrip("/"), segments(root_path))))
    bare = Library(drive_id, root_path, None, uri)
    try:
        folder = graph.get(bare.path_target(root_path), f"looking for the folder {root_path!r} of {where}", op)
    except ConnectorError as error:
        # A server that does not tell of the folder itself may still list it; one that cannot will say so then.
        if error.fields.get("status") not in (400, 403, 404):
            raise
        return bare
    if "folder" not in folder and "root" not in folder:
        raise ConnectorError(
            f"root_path {where.root_path!r} of connector {connector!r} is no folder",
            op=op,
            code=Code.INVALID,
            hint="name the folder that holds it, and choose it by include",
        )
    return Library(drive_id, root_path, text_of(folder, "id") or None, uri)


def _checked_root(root_path: str, connector: str) -> str:
    parts = [part for part in root_path.split("/") if part]
    if any(part in {".", ".."} for part in parts):
        raise ConfigError(
            f"root_path {root_path!r} of connector {connector!r} leaves the library",
            op="sharepoint.connect",
            hint="write the folder's path in the library, such as Policies/2026",
        )
    return "/".join(parts)


def _site_target(site_url: str, connector: str) -> str:
    text = site_url if "://" in site_url else f"https://{site_url}"
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname:
        raise ConfigError(
            f"site_url {site_url!r} of connector {connector!r} is no address",
            op="sharepoint.connect",
            hint="copy it from the browser: https://TENANT.sharepoint.com/sites/NAME",
        )
    path = segments(unquote(parts.path.strip("/")))
    return f"/sites/{segments(parts.hostname)}{f':/{path}' if path else ''}"


def _drive(graph: Graph, site_id: str, where: LibraryAddress, op: str) -> Mapping[str, Any]:
    what = f"looking for the library {where.drive!r} of {where.site_url}"
    drives: list[Mapping[str, Any]] = []
    try:
        for page in graph.pages(f"/sites/{segments(site_id)}/drives", what, op):
            drives += page.items
    except ConnectorError as error:
        raise _denied(error) from error.__cause__
    wanted = where.drive.casefold()
    # The name that the site shows, then the id, then the last part of the address, which no language changes.
    for known in (_name, lambda one: text_of(one, "id"), _last_part):
        for one in drives:
            if text_of(one, "id") and known(one).casefold() == wanted:
                return one
    names = sorted(filter(None, map(_name, drives)))
    meant = nearest(where.drive, names)
    raise ConnectorError(
        f"{where.site_url} has no document library {where.drive!r}",
        op=op,
        code=Code.NOT_FOUND,
        hint=f"{f'did you mean {meant!r}? ' if meant else ''}it has: {', '.join(names) or 'none that may be seen'}",
    )


def _name(drive: Mapping[str, Any]) -> str:
    return text_of(drive, "name")


def _last_part(drive: Mapping[str, Any]) -> str:
    return unquote(text_of(drive, "webUrl").rstrip("/").rpartition("/")[2])


def _got(graph: Graph, target: str, what: str, op: str) -> Mapping[str, Any]:
    try:
        return graph.get(target, what, op)
    except ConnectorError as error:
        raise _denied(error) from error.__cause__


def _denied(error: ConnectorError) -> ConnectorError:
    """Who may not see the site at all has the wrong permissions, not the wrong file."""
    if error.fields.get("status") == 403:
        error.code = Code.AUTH
    elif error.fields.get("status") == 404:
        error.hint = "check site_url: https://TENANT.sharepoint.com/sites/NAME, without the path of a page or library"
    return error
