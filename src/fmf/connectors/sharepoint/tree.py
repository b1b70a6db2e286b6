"""What Graph tells of a folder in any order, put together: items by their ids, and their paths below the folder."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from fmf.connectors.names import part_of

FOLDER, FILE, PACKAGE, SHORTCUT, OTHER = "d", "f", "p", "s", "o"
"""Kinds of items; a package is a notebook of OneNote, a shortcut leads to another library."""

_LARGEST: Final = 1 << 30
_FORMAT: Final = 1


class Node(NamedTuple):
    """One item as it was last told."""

    parent: str
    """The key of its folder; empty where Graph does not say."""
    name: str
    """As it stands in ids."""
    kind: str
    folder: str | None = None
    """Its folder below the root, with a `/` at its end, where Graph gives a path; needed when the parent is unknown."""
    size: int | None = None
    modified_at: datetime | None = None
    etag: str | None = None


class Tree:
    """The items below a folder.

    Args:
        root: the key of the folder; None where its id is not known.
        root_path: the folder's path in its library, without slashes at its ends.
        nodes: items by their keys.
    """

    def __init__(self, root: str | None, root_path: str, nodes: Mapping[str, Node] | None = None) -> None:
        self.root = root
        self.root_path = root_path
        self.nodes: dict[str, Node] = dict(nodes or {})

    def apply(self, item: Mapping[str, Any]) -> str | None:
        """Take what a page of changes says of one item, and return its key; None where it says nothing.

        The same item may come several times; the last time counts.
        """
        item_id = text_of(item, "id")
        if not item_id:
            return None
        key = key_of(item_id)
        if "deleted" in item:
            self.nodes.pop(key, None)
        elif "root" in item:
            if not self.root_path:
                self.root = key
        elif key != self.root and (node := node_of(item, self.root_path)) is not None:
            self.nodes[key] = node
        return key

    def paths(self) -> Iterator[tuple[str, str, Node]]:
        """Path, key and node of everything below the root, except what is inside of packages; in no order."""
        known: dict[str, str | None] = {} if self.root is None else {self.root: ""}
        for key, node in self.nodes.items():
            folder = self._folder_of(node, known)
            if folder is not None:
                yield folder + node.name, key, node

    def _folder_of(self, node: Node, known: dict[str, str | None]) -> str | None:
        """The folder of a node, with a `/` at its end; None where it lies outside. `known` has those found before."""
        chain: dict[str, None] = {}
        parent, given = node.parent, node.folder
        found: str | None = None
        while parent not in known:
            above = self.nodes.get(parent)
            if above is None:
                found = given
                break
            if above.kind != FOLDER or parent in chain:  # a package, or a circle: nothing lies below it
                known.setdefault(parent, None)
                break
            chain[parent] = None
            parent, given = above.parent, above.folder
        else:
            found = known[parent]
        for key in reversed(chain):
            found = None if found is None else f"{found}{self.nodes[key].name}/"
            known[key] = found
        # Where nobody knows which item the root is, only the paths tell what lies below it.
        return node.folder if found is None and self.root is None else found


def node_of(item: Mapping[str, Any], root_path: str = "") -> Node | None:
    """The node for an item; None for one without a name."""
    name = text_of(item, "name")
    if not name:
        return None
    parent = item.get("parentReference")
    parent = parent if isinstance(parent, Mapping) else {}
    parent_id = text_of(parent, "id")
    size = item.get("size")
    return Node(
        parent=key_of(parent_id) if parent_id else "",
        name=part_of(name),
        kind=_kind(item),
        folder=_below(text_of(parent, "path"), root_path),
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        modified_at=_time(text_of(item, "lastModifiedDateTime")),
        etag=text_of(item, "cTag") or text_of(item, "eTag") or None,
    )


def key_of(item_id: str) -> str:
    """An item's key: as good as its id, and shorter."""
    digest = hashlib.blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=9).digest()
    return base64.urlsafe_b64encode(digest).decode("ascii")


def text_of(item: Mapping[str, Any], key: str) -> str:
    """The text under a key; empty where there is none."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def packed(state: Mapping[str, Any], tree: Tree) -> str:
    """`state` and the names and places of the items of `tree`, as one line of text."""
    ordered = sorted(tree.nodes, key=lambda key: (tree.nodes[key].parent, tree.nodes[key].name))
    numbers = {key: number for number, key in enumerate(ordered)}
    rows: list[list[Any]] = []
    for key in ordered:
        parent, name, kind, folder, *_ = tree.nodes[key]
        known = parent in numbers or (parent == tree.root and tree.root is not None)
        rows.append([key, numbers.get(parent, parent), name, kind, *([] if folder is None or known else [folder])])
    whole = {"format": _FORMAT, "root": tree.root, "root_path": tree.root_path, **state, "items": rows}
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 6)).decode("ascii")


def unpacked(text: str) -> tuple[Mapping[str, Any], Tree] | None:
    """What `packed` put into `text`; None for any other text."""
    with suppress(ValueError, TypeError, KeyError, IndexError, zlib.error, RecursionError):
        plain = zlib.decompressobj().decompress(base64.urlsafe_b64decode(text), _LARGEST)
        state = json.loads(plain)
        if state["format"] == _FORMAT:
            rows = state["items"]
            nodes = {
                key: Node(rows[parent][0] if isinstance(parent, int) else parent, name, kind, *rest)
                for key, parent, name, kind, *rest in rows
            }
            return state, Tree(state["root"], state["root_path"], nodes)
    return None


def _kind(item: Mapping[str, Any]) -> str:
    for key, kind in (("remoteItem", SHORTCUT), ("package", PACKAGE), ("folder", FOLDER), ("file", FILE)):
        if key in item:
            return kind
    return OTHER


def _below(path: str, root_path: str) -> str | None:
    """A path such as `/drive/root:/a/b` as a folder below the root."""
    _, marker, inside = path.partition("root:")
    if not marker:
        return None
    parts = [unquote(part) for part in inside.split("/") if part]
    root = [part for part in root_path.split("/") if part]
    if [part.casefold() for part in parts[: len(root)]] != [part.casefold() for part in root]:
        return None
    return "".join(f"{part_of(part)}/" for part in parts[len(root) :])


def _time(text: str) -> datetime | None:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
