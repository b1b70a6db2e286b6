"""What is wrong with settings: one line for each real mistake, with the place, what is allowed and what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from fmf_core import shapes
from fmf_core.errors import ConfigurationError
from fmf_core.nearest import nearest
from fmf_core.redact import redact, redact_value
from fmf_core.secret_shapes import MASK, secret_key
from fmf_core.yaml_text import KeyPath, path_text

LONGEST_VALUE = 80
"""Longer values are cut in messages."""
LIKE_ELSEWHERE = 0.75
"""How alike a key of another section must be to be named; in the same section less will do."""
DEEPEST = 8
"""How deep sections are looked through for a key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting was given."""

    source: str
    """A file, `environment NAME` or `--set key=...`."""
    line: int | None = None
    """From 1; `None` where there are no lines."""
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line is not None else self.source


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in settings."""

    path: str
    """The key path, as `connectors[0].type`; empty for the whole."""
    message: str
    """What is wrong there."""
    value: Any = None
    """What stands there, secrets masked; `None` when nothing does."""
    allowed: tuple[str, ...] = ()
    """The keys or values that may stand there, where they can be listed."""
    nearest: str | None = None
    """The allowed one that was probably meant."""
    source: str = ""
    """Where it was given: a file, `environment NAME`, `--set key=...`."""
    line: int | None = None
    """Line in the file, from 1."""
    column: int | None = None
    """Column in the file, from 1."""

    @classmethod
    def at(
        cls,
        place: Place,
        path: KeyPath,
        message: str,
        *,
        value: Any = None,
        allowed: tuple[str, ...] = (),
        near: str | None = None,
    ) -> Fault:
        """Make the fault of what was given at `place` for `path`."""
        return cls(path_text(path), message, value, allowed, near, place.source, place.line, place.column)

    def __str__(self) -> str:
        place = str(Place(self.source, self.line, self.column))
        said = ": ".join(part for part in (place, self.path, self.message) if part)
        allowed = f"; allowed: {', '.join(self.allowed)}" if self.allowed else ""
        guess = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{said}{allowed}{guess}"


class SettingsError(ConfigurationError):
    """Settings are wrong; `faults` has every mistake, the message one line for each."""

    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> SettingsError:
        """Make the error of these faults, which are put in the order of the file."""
        ordered = tuple(sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0, fault.column or 0)))
        count = "1 fault" if len(ordered) == 1 else f"{len(ordered)} faults"
        sources = {fault.source for fault in ordered}
        source = sources.pop() if len(sources) == 1 else "the settings"
        lines = "".join(f"\n  {fault}" for fault in ordered)
        error = cls(f"{count} in {source}{lines}", op="settings.validate", fields={"source": source})
        error.faults = ordered
        return error


class Locate(Protocol):
    """Gives the place of a value, or of its key."""

    def __call__(self, path: KeyPath, *, key: bool = False) -> Place:
        """Where `path` was given."""


def faults_of(error: ValidationError, model: type[BaseModel], data: Any, locate: Locate) -> list[Fault]:
    """Turn what pydantic found into one readable fault for each real mistake."""
    details = [detail for detail in error.errors(include_url=False) if not _is_consequence(detail)]
    findings = [_Finding.of(detail, model, data) for detail in details]
    return [finding.fault(locate) for finding in _without_noise(findings)]


def faults_text(error: ValidationError, model: type[BaseModel], data: Any) -> str:
    """What pydantic found in `data`, which a program gave: every real mistake on one line, in the words of settings."""
    return "; ".join(str(fault) for fault in faults_of(error, model, data, _nowhere))


def _nowhere(path: KeyPath, *, key: bool = False) -> Place:  # noqa: ARG001 - the signature is that of `Locate`
    return Place("")


def _is_consequence(detail: Any) -> bool:
    """Whether pydantic only repeats that something else is wrong."""
    if detail["type"] == "too_short":
        # It counts the items that are right; a list with wrong ones may be long enough.
        given = detail["input"]
        return isinstance(given, Sized) and len(given) >= detail["ctx"]["min_length"]
    return bool(detail["type"] == "default_factory_not_called")


@dataclass(slots=True)
class _Finding:
    """One error of pydantic, brought from places of the schema to places of the data."""

    detail: Mapping[str, Any]
    path: KeyPath
    shape: Any
    parent: Any
    unions: tuple[tuple[KeyPath, str, Any], ...]
    root: type[BaseModel]
    whole: Any
    combined: bool = False

    @classmethod
    def of(cls, detail: Any, model: type[BaseModel], data: Any) -> _Finding:
        path: list[str | int] = []
        shape: Any = model
        parent: Any = shapes.UNKNOWN
        unions: list[tuple[KeyPath, str, Any]] = []
        here = data
        for part in detail["loc"]:
            if part == "[key]":
                continue
            if len(shapes.members(shape)) > 1:
                if shapes.discriminator(shape) is None:
                    unions.append((tuple(path), str(part), shape))
                shape = shapes.labelled(shape, part)
                continue
            if shapes.bare(shape) is shapes.UNKNOWN and not _holds(here, part) and detail["type"] != "missing":
                continue
            parent = shape
            shape = shapes.child(shape, part, here)
            here = here[part] if _holds(here, part) else None
            path.append(part)
        return cls(detail, tuple(path), shape, parent, tuple(unions), model, data)

    @property
    def kind(self) -> str:
        return str(self.detail["type"])

    @property
    def mismatch(self) -> bool:
        """Whether the value is of another kind altogether, such as text where a list should be."""
        return self.kind.endswith("_type")

    def fault(self, locate: Locate) -> Fault:
        """The fault that a person can act on."""
        if self.kind.startswith("union_tag"):
            return self._tag_fault(locate)
        if self.kind == "extra_forbidden":
            return self._unknown_key(locate)
        if self.kind == "missing":
            return Fault.at(locate(self.path[:-1]), self.path, "is missing")
        value = _shown(self.detail["input"], self.path, self.shape)
        allowed = shapes.literals(self.shape)
        near = nearest(str(self.detail["input"]), allowed) if allowed and value is not MASK else None
        message = self._message(value, allowed)
        return Fault.at(locate(self.path), self.path, message, value=value, allowed=allowed, near=near)

    def _message(self, value: Any, allowed: tuple[str, ...]) -> str:
        if allowed:
            return f"{_quoted(value)} is not allowed"
        if self.mismatch or self.combined or self.kind.endswith("_parsing"):
            return self._kind_message(value)
        text = str(self.detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if text.startswith("Input should "):
            return f"{_quoted(value)} should {text.removeprefix('Input should ')}"
        # A validator's own words may repeat the value.
        return "is not valid" if value is MASK else redact(text)

    def _kind_message(self, value: Any) -> str:
        given = self.detail["input"]
        empty = given is None and not shapes.nullable(self.shape)
        advice = ""
        if empty and shapes.model_of(self.shape) is not None:
            advice = "; give it settings or remove the key"
        elif isinstance(given, int | float) and shapes.may_be_text(self.shape):
            advice = "; put it in quotes"
        what = "is empty" if empty else f"is {_quoted(value)}"
        return f"{what}, but should be {shapes.describe(self.shape)}{advice}"

    def _tag_fault(self, locate: Locate) -> Fault:
        key = shapes.tag_key(self.shape)
        allowed = shapes.tags(self.shape)
        item = self.detail["input"]
        path = (*self.path, key) if key else self.path
        if key is None or not isinstance(item, Mapping) or key not in item:
            return Fault.at(locate(self.path), path, "is missing", allowed=allowed)
        value = _shown(item[key], path, shapes.UNKNOWN)
        message = f"{_quoted(value)} is not allowed"
        return Fault.at(
            locate(path), path, message, value=value, allowed=allowed, near=nearest(str(item[key]), allowed)
        )

    def _unknown_key(self, locate: Locate) -> Fault:
        model = shapes.model_of(self.parent)
        allowed = tuple(shapes.fields_of(model)) if model is not None else ()
        key = self.path[-1]
        known = getattr(model, "other_words", {}).get(key)
        near = known or nearest(str(key), allowed)
        meant = (*self.path[:-1], near) if near else self.path
        # A misspelt `pasword` holds a password all the same.
        value = _shown(self.detail["input"], meant, shapes.child(self.parent, near) if near else shapes.UNKNOWN)
        value = _shown(value, self.path, shapes.UNKNOWN)
        message = f"unknown key (value {_quoted(value)})"
        other = _elsewhere(self.path, self.root, self.whole)
        if other is not None and (near is None or (other[-1] == key and known is None)):
            near = path_text(other)
        return Fault.at(locate(self.path, key=True), self.path, message, value=value, allowed=allowed, near=near)


def _elsewhere(path: KeyPath, root: type[BaseModel], data: Any) -> KeyPath | None:
    """Where in the schema the last key of `path` was probably meant to stand; `None` when no key is like it.

    Of several places the one nearest to `path` is taken, and of these one whose section is given in `data`.
    """
    places = list(_places(root, ()))
    near = nearest(str(path[-1]), {str(place[-1]) for place in places}, cutoff=LIKE_ELSEWHERE)
    found = [place for place in places if place[-1] == near]

    def fit(place: KeyPath) -> tuple[int, bool, int]:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(place, path, strict=False)))
        return shared, _reaches(data, place[:-1]), -len(place)

    return max(found, key=fit) if found else None


def _places(model: type[BaseModel], path: KeyPath) -> Iterator[KeyPath]:
    """The path of every key of the schema that stands in no list and in no mapping of free keys."""
    for key, shape in shapes.fields_of(model).items():
        yield (*path, key)
        members = shapes.members(shape)
        inner = shapes.model_of(members[0]) if len(members) == 1 else None
        if inner is not None and len(path) < DEEPEST:
            yield from _places(inner, (*path, key))


def _reaches(data: Any, path: KeyPath) -> bool:
    for part in path:
        if not _holds(data, part):
            return False
        data = data[part]
    return True


def _without_noise(findings: list[_Finding]) -> list[_Finding]:
    """Keep, of what pydantic says about every member of a union, what concerns the member that was meant."""
    said: dict[KeyPath, dict[str, list[_Finding]]] = {}
    for finding in findings:
        for path, label, _ in finding.unions:
            said.setdefault(path, {}).setdefault(label, []).append(finding)
    meant = {path: _meant(path, labels) for path, labels in said.items()}
    kept: list[_Finding] = []
    for finding in findings:
        wrong = next(((path, shape) for path, label, shape in finding.unions if meant[path] != label), None)
        if wrong is None:
            kept.append(finding)
        elif meant[wrong[0]] is None and not any(other.combined and other.path == wrong[0] for other in kept):
            kept.append(
                _Finding(
                    finding.detail, wrong[0], wrong[1], shapes.UNKNOWN, (), finding.root, finding.whole, combined=True
                )
            )
    return kept


def _meant(path: KeyPath, labels: Mapping[str, list[_Finding]]) -> str | None:
    """The member that fits best; `None` when the value is of another kind than every member."""
    fitting = {
        label: findings
        for label, findings in labels.items()
        if not any(finding.path == path and finding.mismatch for finding in findings)
    }
    return min(fitting, key=lambda label: len(fitting[label])) if fitting else None


def _holds(data: Any, part: Any) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, list | tuple) and isinstance(part, int) and 0 <= part < len(data)


def _shown(value: Any, path: KeyPath, shape: Any) -> Any:
    """The value for a message: secrets masked, whatever is long cut."""
    secret = shapes.is_secret(shape) or any(isinstance(part, str) and secret_key(part) for part in path)
    if secret and value is not None:
        return MASK
    clean = redact_value(value)
    if isinstance(clean, str) and len(clean) > LONGEST_VALUE:
        return f"{clean[:LONGEST_VALUE]}…"
    return clean


def _quoted(value: object) -> str:
    if value is MASK:
        return MASK
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = f"{value!r}"
    return text if len(text) <= LONGEST_VALUE + 2 else f"{text[:LONGEST_VALUE]}…"
