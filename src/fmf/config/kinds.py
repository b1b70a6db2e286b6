"""Which types of connector, sink and secret provider a configuration may name.

The registries themselves belong to rooms above this one; each announces here how to ask it for its names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from fmf_core.registry import Registry

GROUPS: Final = {
    "connector": "fmf.connectors",
    "sink": "fmf.exporters",
    "secret provider": "fmf.secrets",
}
"""Kind of plugin to the entry-point group in which installed distributions publish it."""

_published = {kind: Registry[object](kind, {}, group=group) for kind, group in GROUPS.items()}
_announced: dict[str, list[Callable[[], Iterable[str]]]] = {}


def announce(kind: str, names: Callable[[], Iterable[str]]) -> None:
    """Let configurations name what `names()` returns as types of `kind`, besides what distributions publish."""
    _announced.setdefault(kind, []).append(names)


def known_types(kind: str) -> set[str]:
    """Every type of `kind` that installed distributions publish or this process has registered."""
    known = set(_published[kind].names())
    for names in _announced.get(kind, ()):
        known.update(names())
    return known
