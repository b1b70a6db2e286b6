"""Which resources of a place are wanted: one rule of include, exclude, select and hidden for every connector."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fmf.connectors.globs import GlobSet
from fmf.errors import ConnectorError
from fmf_core.errors import Code

EVERYTHING = ("**/*",)
NO_PATH = "names that are no paths (empty parts, '.', '..' or control characters)"

_NO_PATH = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Selection:
    """The ids that match `include`, none of `exclude` and, where given, one of `select`.

    Hidden parts must be named by a pattern of `include` or of `select`, not of both. Wildcards of `exclude` match
    hidden parts, too.

    Args:
        include: patterns of which an id must match one; none stands for everything.
        exclude: patterns of which it may match none.
        select: patterns of which it must match one, too; none narrows nothing.

    Raises:
        ConfigError: a pattern is malformed or leaves the root.
    """

    def __init__(
        self, include: Sequence[str] = EVERYTHING, exclude: Sequence[str] = (), select: Sequence[str] = ()
    ) -> None:
        self._include = GlobSet(include or EVERYTHING)
        self._exclude = GlobSet(exclude)
        self._select = GlobSet(select) if select else None

    def narrowed(self, select: Sequence[str]) -> Selection:
        """The same selection, of which ids must match one of `select`, too; no pattern narrows nothing.

        Raises:
            ConfigError: a pattern is malformed or leaves the root.
        """
        return Selection(self._include.patterns, self._exclude.patterns, select) if select else self

    def wants(self, resource_id: str) -> bool:
        """Whether the resource is wanted."""
        if self._exclude.patterns and self._exclude.matches(resource_id, hidden=True):
            return False
        if self._select is None:
            return self._include.matches(resource_id)
        if self._include.matches(resource_id):
            return self._select.matches(resource_id, hidden=True)
        return self._select.matches(resource_id) and self._include.matches(resource_id, hidden=True)

    def may_want_below(self, folder_id: str) -> bool:
        """Whether something inside the folder may be wanted."""
        if self._exclude.takes_all_below(folder_id):
            return False
        sets = [self._include] if self._select is None else [self._include, self._select]
        if folder_id.rpartition("/")[2].startswith(".") and not any(each.names_hidden for each in sets):
            return False
        return all(each.may_match_below(folder_id) for each in sets)

    @property
    def folder(self) -> str:
        """The folder in which everything that is wanted lies, with a `/` at its end; empty for the root."""
        folders = [self._include.folder] if self._select is None else [self._include.folder, self._select.folder]
        return max(folders, key=len)


def is_path(resource_id: str) -> bool:
    """Whether `resource_id` is a plain path below a root: one line, without empty parts, `.` and `..`."""
    return _NO_PATH.search(resource_id) is None


def checked_id(resource_id: str, connector: str, op: str) -> str:
    """`resource_id`, once it is sure that it does not leave the root.

    Raises:
        ConnectorError: it does, or it is no path.
    """
    if not is_path(resource_id):
        raise ConnectorError(
            f"{resource_id!r} is no path below the root of connector {connector!r}",
            op=op,
            code=Code.REFUSED,
            hint=f"take ids as `fmf connect ls {connector}` shows them",
        )
    return resource_id
