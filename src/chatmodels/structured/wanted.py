"""What a caller wants of an answer: a JSON Schema to tell the provider, and what is made of a value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from chatmodels.json_keywords import SlowCheckError
from chatmodels.json_schema import faults_by
from chatmodels.python_types import FaultsError, adapter_of, name_of, schema_of, value_of
from chatmodels.structured.finding import Accept, HopelessError, MisfitError

T = TypeVar("T")

WRAPPED_UNDER = "answer"
"""The key under which a value stands that is no object, where a provider takes objects only."""

_MOVED_OUT = ("$schema", "$defs", "definitions")
_REFERENCE = re.compile(r'"\$(?:ref|dynamicRef|recursiveRef)":\s*"(?!#/(?:\$defs|definitions)/)')


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """The shape that an answer must have."""

    accept: Accept[T]
    schema: Mapping[str, Any] | None = None
    """What a provider can be told; `None` is any JSON value."""
    name: str = "answer"

    @property
    def is_object(self) -> bool:
        """Whether the schema asks for an object and nothing else, as the providers' own formats demand."""
        return self.schema is not None and self.schema.get("type") == "object"

    def as_object(self) -> Wanted[T] | None:
        """The same value as the only key of an object; `None` where the schema cannot be moved."""
        if self.is_object:
            return self
        if self.schema is None or "$id" in self.schema or _points_elsewhere(self.schema):
            return None
        outside = {word: self.schema[word] for word in _MOVED_OUT if word in self.schema}
        inside = {word: value for word, value in self.schema.items() if word not in _MOVED_OUT}
        schema = {
            **outside,
            "type": "object",
            "properties": {WRAPPED_UNDER: inside},
            "required": [WRAPPED_UNDER],
            "additionalProperties": False,
        }
        return Wanted(self._accept_wrapped, schema, self.name)

    def _accept_wrapped(self, value: Any) -> T:
        if not isinstance(value, dict) or set(value) != {WRAPPED_UNDER}:
            raise MisfitError(f"it must be an object with the one key {WRAPPED_UNDER!r}")
        return self.accept(value[WRAPPED_UNDER])


def wanted_json(schema: Mapping[str, Any] | None, name: str = "answer") -> Wanted[Any]:
    """Plain JSON that fits `schema`.

    Raises:
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    return Wanted(accept_json(schema), schema, name)


def wanted_shape(shape: Any) -> Wanted[Any]:
    """A value of the Python type `shape`, or plain JSON where `shape` is a JSON Schema.

    Raises:
        ConfigurationError: `shape` is neither, or cannot be used.
    """
    if isinstance(shape, Mapping):
        title = shape.get("title")
        return wanted_json(shape, name=title if isinstance(title, str) else "answer")
    adapter_of(shape)  # what is no type may not be hashable either
    return _wanted_type(shape)


@lru_cache(maxsize=128)
def _wanted_type(shape: Any) -> Wanted[Any]:
    def accept(value: Any) -> Any:
        try:
            return value_of(shape, value)
        except FaultsError as faults:
            raise MisfitError(str(faults)) from faults

    return Wanted(accept, schema_of(shape), name_of(shape))


def accept_json(schema: Mapping[str, Any] | None) -> Accept[Any]:
    """Takes the values that fit `schema`, as they are.

    Raises:
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    fault_in = None if schema is None else faults_by(schema)

    def accept(value: Any) -> Any:
        try:
            fault = None if fault_in is None else fault_in(value)
        except SlowCheckError as slow:
            raise HopelessError(str(slow)) from slow
        if fault is not None:
            raise MisfitError(fault)
        return value

    return accept


def _points_elsewhere(schema: Mapping[str, Any]) -> bool:
    """Whether a reference leads to a place that moves along; one that only looks like it, in an example, counts too."""
    return _REFERENCE.search(json.dumps(schema)) is not None
