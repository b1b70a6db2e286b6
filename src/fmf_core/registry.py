"""One registry for every kind of plugin: names to things, thread-safe, importing a thing only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from fmf_core.errors import Code, PluginError, PluginNotFoundError, PluginRegistrationError
from fmf_core.forks import Lock
from fmf_core.nearest import known_hint

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
DISTRIBUTION = "frontier-model-framework"


def install_hint(extra: str) -> str:
    """What to do where the packages of `extra` are missing."""
    return f"pip install -e '.[{extra}]' in a clone of {DISTRIBUTION}"


class Entry(NamedTuple):
    """Something the house ships: where it is, which extra it needs, and what it can do without importing it."""

    target: str
    """`"module:attribute"`."""
    extra: str = ""
    """The extra of this distribution whose packages the module imports; empty when it needs none."""
    metadata: Mapping[str, Any] = MappingProxyType({})
    replaceable: bool = False
    """Whether a registration under the same name takes its place without `replace=True`."""


class Registry(Generic[T]):
    """Names to things of one kind.

    Three sources, looked up in this order: what was added in this process, what the house ships (`builtin`), and what
    installed distributions publish in the entry-point group.

    Args:
        kind: what the things are, for messages (`"connector"`).
        builtin: what the house ships.
        group: the entry-point group of third parties.
        check: called with (name, item) before an item is added or after it is loaded; raises when it is no such thing.
        advise: called with a name that nobody knows and those that are known; says what to write instead, or nothing.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, Entry],
        *,
        group: str | None = None,
        check: Callable[[str, Any], None] | None = None,
        advise: Callable[[str, list[str]], str] | None = None,
    ) -> None:
        self.kind = kind
        self._builtin = dict(builtin)
        self._group = group
        self._check = check
        self._advise = advise
        self._added: dict[str, T] = {}
        self._metadata: dict[str, dict[str, Any]] = {}
        self._loaded: dict[str, T] = {}
        self._published: dict[str, EntryPoint] | None = None
        self._lock = Lock(reentrant=True)

    def add(self, name: str, item: T, *, metadata: Mapping[str, Any] | None = None, replace: bool = False) -> None:
        """Publish `item` under `name`; a taken name is refused unless `replace`."""
        if not str(name or "").strip():
            raise PluginRegistrationError(
                f"a {self.kind} needs a non-empty name, got {name!r}", op="registry.add", code=Code.INVALID
            )
        if self._check:
            self._check(name, item)
        with self._lock():
            if not replace and self._taken(name):
                raise PluginRegistrationError(
                    f"{self.kind} {name!r} is already registered",
                    op="registry.add",
                    hint="choose another name, or pass replace=True",
                )
            self._added[name] = item
            self._metadata[name] = dict(metadata or {})

    def get(self, name: str) -> T:
        """The thing called `name`, imported if need be."""
        with self._lock():
            if name in self._added:
                return self._added[name]
            if name in self._loaded:
                return self._loaded[name]
        # Outside the lock: a plugin may register itself while it is imported, from whichever thread imports it first.
        item = self._load(name)
        with self._lock():
            return self._added[name] if name in self._added else self._loaded.setdefault(name, item)

    def remove(self, name: str) -> None:
        """Take back what `add` published under `name`; what the house ships stays."""
        with self._lock():
            if name not in self._added:
                raise self._unknown(name, "registry.remove", sorted(self._added))
            del self._added[name]
            del self._metadata[name]

    def clear(self) -> None:
        """Take back everything that `add` published."""
        with self._lock():
            self._added.clear()
            self._metadata.clear()

    def registered(self) -> set[str]:
        """The names that were added in this process; no other process knows what they stand for."""
        return set(self._added)

    def names(self) -> list[str]:
        """Every name that `get` knows, sorted, without importing anything."""
        with self._lock():
            return sorted({*self._added, *self._builtin, *self._entry_points()})

    def metadata(self, name: str) -> dict[str, Any]:
        """What is known of `name` without importing it: `name`, `extra` and whatever its publisher declared."""
        with self._lock():
            if name in self._added:
                return {"name": name, "extra": "", "source": "registered", **self._metadata[name]}
            if name in self._builtin:
                entry = self._builtin[name]
                return {"name": name, "extra": entry.extra, "source": "built-in", **entry.metadata}
            if name in self._entry_points():
                point = self._entry_points()[name]
                return {"name": name, "extra": "", "source": point.dist.name if point.dist else "entry point"}
            raise self._unknown(name, "registry.metadata", self.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.names()

    def _taken(self, name: str) -> bool:
        if name in self._added:
            return True
        if name in self._builtin:
            return not self._builtin[name].replaceable
        return name in self._entry_points()

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._published is None:
            self._published = _published(self._group) if self._group else {}
        return self._published

    def _load(self, name: str) -> T:
        if name in self._builtin:
            entry = self._builtin[name]
            target, extra = entry.target, entry.extra
        elif name in self._entry_points():
            target, extra = self._entry_points()[name].value, ""
        else:
            raise self._unknown(name, "registry.get", self.names())
        module, _, attribute = target.partition(":")
        try:
            item: T = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise self._unusable(name, target, extra, error) from error
        if self._check:
            self._check(name, item)
        return item

    def _unusable(self, name: str, target: str, extra: str, error: Exception) -> PluginError:
        missing = getattr(error, "name", None) or target
        hint = install_hint(extra) if extra else f"look at {target}"
        return PluginError(
            f"{self.kind} {name!r} needs {missing!r}, which cannot be imported: {error}",
            op="registry.get",
            code=Code.UNSUPPORTED,
            hint=hint,
            fields={"extra": extra},
        )

    def _unknown(self, name: str, op: str, known: list[str]) -> PluginNotFoundError:
        advice = self._advise(str(name), known) if self._advise else ""
        hint = f"{advice}; {known_hint('', known)}" if advice else known_hint(str(name), known)
        return PluginNotFoundError(f"unknown {self.kind} {name!r}", op=op, hint=hint)


def _published(group: str) -> dict[str, EntryPoint]:
    # importlib.metadata costs 30 ms of import time, so it is met only when a table is first looked through.
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=group)}
