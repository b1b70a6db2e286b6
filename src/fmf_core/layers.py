"""Layers of settings and what each of them gave: merging, paths into data, values from text, references."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from fmf_core import shapes
from fmf_core.errors import ConfigurationError
from fmf_core.faults import Fault, Place
from fmf_core.nearest import nearest
from fmf_core.yaml_text import KeyPath, Yaml, load_yaml, parse_path

_REFERENCE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NULLS = ("null", "~")
_UNREADABLE = object()


@dataclass(slots=True)
class Layers:
    """Data that grows layer by layer, with the origin of everything in it."""

    model: type[BaseModel]
    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def merge(self, overlay: Mapping[str, Any], locate: Callable[[KeyPath], Place], path: KeyPath = ()) -> None:
        """Lay `overlay` over the data: mappings are merged, everything else replaces what was there."""
        target = self._at(path)
        for key, value in overlay.items():
            here = (*path, key)
            if isinstance(value, Mapping) and isinstance(target.get(key), dict):
                self.origins[here] = locate(here)
                self.merge(value, locate, here)
            else:
                self._forget(here)
                target[key] = _copied(value)
                self.origins.update((place, locate(place)) for place in _paths(value, here))

    def assign(self, path: KeyPath, text: str, place: Place) -> None:
        """Put what `text` means at `path`, leaving everything beside it alone; a fault when the path leads nowhere."""
        target: Any = self.data
        shape: Any = self.model
        for depth, part in enumerate(path):
            here, last = path[:depth], depth == len(path) - 1
            key = self._index(target, part, here, place) if isinstance(target, list) else str(part)
            if key is None:
                return
            inner = shapes.child(shape, key, target)
            value = self._parsed(text, inner, path, place) if last else self._container(target, key, shape, inner)
            if value is _UNREADABLE:
                return
            if not last and not isinstance(value, dict | list):
                self._fail((*here, part), f"is {value!r}, which has nothing inside", place)
                return
            new = key == len(target) if isinstance(target, list) else key not in target
            _put(target, key, value)
            if last:
                self._forget((*here, key))
                self.origins.update((inside, place) for inside in _paths(value, (*here, key)))
            elif new:
                # What was copied from a default to be changed inside is still a default.
                self.origins[(*here, key)] = Place("default") if value else place
            target, shape, path = value, inner, (*here, key, *path[depth + 1 :])

    def substitute(self, environ: Mapping[str, str], reserved: frozenset[str], skip: frozenset[str]) -> None:
        """Fill in `${NAME}` and `${NAME:-default}` in every text, once; `$${` stands for `${` itself."""
        for key, value in self.data.items():
            if key not in skip:
                self.data[key] = self._filled(value, (key,), environ, reserved)

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path` was given, or what it is part of."""
        for length in range(len(path), -1, -1):
            if (found := self.origins.get(path[:length])) is not None:
                return found
        return Place("")

    def _filled(self, value: Any, path: KeyPath, environ: Mapping[str, str], reserved: frozenset[str]) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item, (*path, key), environ, reserved) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, (*path, index), environ, reserved) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value

        def known(found: re.Match[str]) -> str:
            escaped, name, default = found.groups()
            if escaped:
                return found.group()[1:]
            if name in reserved:
                return found.group()
            if environ.get(name) or (name in environ and default is None):
                return environ[name]
            if default is None:
                self._fail(path, f"${{{name}}} is not set in the environment; set it or write ${{{name}:-default}}")
                return found.group()
            return str(default)

        return _REFERENCE.sub(known, value)

    def _at(self, path: KeyPath) -> dict[str, Any]:
        target: Any = self.data
        for part in path:
            target = target[part]
        found: dict[str, Any] = target
        return found

    def _container(self, target: Any, key: str | int, shape: Any, inner: Any) -> Any:
        """What stands at `key` and is to be changed inside: the present value, else the default, else something new."""
        if isinstance(target, dict) and key in target and target[key] is not None:
            return _copied(target[key])
        if isinstance(target, list) and isinstance(key, int) and key < len(target) and target[key] is not None:
            return _copied(target[key])
        found = default_of(shape, str(key), target)
        if isinstance(found, dict | list):
            return found
        kinds = [shapes.bare(member) for member in shapes.members(inner)]
        only_list = bool(kinds) and all(shapes.is_list(kind) for kind in kinds)
        return [] if only_list else {}

    def _index(self, target: list[Any], part: str | int, path: KeyPath, place: Place) -> int | None:
        if not re.fullmatch(r"[0-9]{1,6}", str(part)):
            self._fail(path, f"is a list: {part!r} is no index into it", place)
            return None
        index = int(part)
        if index > len(target):
            self._fail(
                (*path, index), f"the list has {len(target)} items: the next index is {len(target)}, not {index}", place
            )
            return None
        return index

    def _parsed(self, text: str, shape: Any, path: KeyPath, place: Place) -> Any:
        """What a text from the environment or from `--set` means where `shape` is wanted."""
        if shapes.nullable(shape) and shapes.bare(shape) is not shapes.UNKNOWN and text.strip() in _NULLS:
            return None
        if shapes.takes_text(shape):
            return text
        try:
            value = load_yaml(text, source="value").data
        except ConfigurationError as error:
            if shapes.may_be_text(shape):
                return text
            self._fail(path, f"the value is no YAML: {error.message.removeprefix('value:')}", place)
            return _UNREADABLE
        if shapes.may_be_text(shape) and not isinstance(value, dict | list | bool):
            return text
        return value

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]

    def _fail(self, path: KeyPath, message: str, place: Place | None = None) -> None:
        found = place or self.place(path)
        self.faults.append(Fault.at(found, path, message))


def from_environment(layers: Layers, prefix: str, environ: Mapping[str, str]) -> None:
    """Lay the variables `PREFIX_TOP__SUB...` over the data; names are matched to fields whatever their case."""
    known = shapes.fields_of(layers.model)
    found: list[tuple[tuple[str, ...], str, str]] = []
    for name, text in environ.items():
        if not name.startswith(prefix) or name == prefix:
            continue
        parts = name.removeprefix(prefix).split("__")
        top = _matching(parts[0], known)
        if top is not None:
            found.append(((top, *parts[1:]), name, text))
        elif len(parts) > 1:
            place = Place(f"environment {name}")
            near = nearest(parts[0], known)
            layers.faults.append(Fault.at(place, (parts[0].lower(),), "unknown key", allowed=tuple(known), near=near))
    # Whole values before their parts, and items in the order of their numbers.
    for path, name, text in sorted(found, key=lambda row: [_numbered(part) for part in row[0]]):
        place = Place(f"environment {name}")
        if "" in path:
            layers.faults.append(Fault.at(place, path[:1], "a part of the variable's name is empty"))
        else:
            layers.assign(_spelled(layers, path), text, place)


def from_sets(layers: Layers, sets: Iterator[str] | list[str] | tuple[str, ...]) -> None:
    """Lay `key.path=value` texts over the data, in their order."""
    for given in sets:
        key, equals, text = _split_set(given)
        place = Place(f"--set {key}")
        try:
            path = parse_path(key)
        except ValueError:
            path = ()
        if not equals or not path:
            layers.faults.append(Fault.at(place, (), "expected key.path=value"))
            continue
        layers.assign(path, text, place)


def default_of(shape: Any, key: str, data: Any = None) -> Any:
    """The default of the field `key` as plain data, where it holds something; `None` otherwise."""
    model = shapes.model_of(shapes.container(shape, data))
    if model is None:
        return None
    for name, info in model.model_fields.items():
        if shapes.key_of(name, info) == key and not (
            info.default_factory and info.default_factory_takes_validated_data
        ):
            return _plain(info.get_default(call_default_factory=True))
    return None


def defaults_below(model: type[BaseModel]) -> dict[str, Any]:
    """What default values of sections say beyond the defaults of the section itself."""
    found: dict[str, Any] = {}
    for key, shape in shapes.fields_of(model).items():
        if shapes.model_of(shape) is not None:
            given = default_of(model, key)
            if given:
                found[key] = given
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True, by_alias=True)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _put(target: Any, key: str | int, value: Any) -> None:
    if isinstance(target, list) and key == len(target):
        target.append(value)
    else:
        target[key] = value


def _numbered(part: str | int) -> tuple[bool, int, str]:
    number = re.fullmatch(r"[0-9]{1,6}", str(part))
    return not number, int(part) if number else 0, str(part)


def _spelled(layers: Layers, path: KeyPath) -> KeyPath:
    """The path with the spelling that fields, and keys that are there, have."""
    data: Any = layers.data
    shape: Any = layers.model
    spelled: list[str | int] = []
    for part in path:
        key: str | int = part
        if isinstance(data, list) or (str(part).isdigit() and not isinstance(data, dict)):
            key = int(part) if str(part).isdigit() else part
        else:
            names = shapes.keys_of(shapes.container(shape, data))
            present = data if isinstance(data, dict) else {}
            key = _matching(str(part), names) or _matching(str(part), present) or (str(part).lower() if names else part)
        shape = shapes.child(shape, key, data)
        if isinstance(data, dict):
            data = data.get(str(key))
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            data = None
        spelled.append(key)
    return tuple(spelled)


def _matching(name: str, known: Mapping[str, Any]) -> str | None:
    if name in known:
        return name
    return next((other for other in known if other.lower() == name.lower()), None)


def _split_set(given: str) -> tuple[str, str, str]:
    """Split at the first `=` outside quotes and brackets."""
    quote = ""
    for position, character in enumerate(given):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "=":
            return given[:position].strip(), "=", given[position + 1 :]
    return given.strip(), "", ""


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def place_in(yaml: Yaml, path: KeyPath, *, key: bool = False) -> Place:
    """Where `path` stands in a file, or the nearest thing around it that does."""
    for length in range(len(path), -1, -1):
        found = yaml.position(path[:length], key=key and length == len(path))
        if found is not None:
            return Place(yaml.source, *found)
    return Place(yaml.source)
