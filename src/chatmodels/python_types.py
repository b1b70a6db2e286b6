"""Python types as shapes of answers: the JSON Schema of one, its name, and the value of it that JSON stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from fmf_core.errors import ConfigurationError

T = TypeVar("T")

MOST_FAULTS = 5
"""How many faults of one value are told."""
LONGEST_FAULT = 200
"""How many characters of one fault are told."""

_OP = "chatmodels.python_types"
_INNER = ("items", "additionalProperties", "not", "contains", "propertyNames")
_INNER_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_INNER_MAPS = ("properties", "patternProperties", "$defs")
_TO_DEFS = "#/$defs/"


class FaultsError(ValueError):
    """A value does not fit a Python type; the message names the places and never shows the value."""


def is_python_type(thing: object) -> bool:
    """Whether `thing` is a class, a generic alias such as `list[Invoice]`, a union, or a `TypeAdapter`."""
    return isinstance(thing, type | TypeAdapter | UnionType) or get_origin(thing) is not None


def name_of(shape: Any) -> str:
    """A short name for `shape`: that of the class, or `"answer"`."""
    return shape.__name__ if isinstance(shape, type) and get_origin(shape) is None else "answer"


def schema_of(shape: Any) -> dict[str, Any]:
    """The JSON Schema of a Python type, written so that as many providers as possible can enforce it.

    Objects are closed unless the type allows further keys, a field whose default is `None` must be there (and may be
    null), and descriptions stand beside no reference.

    Raises:
        ConfigurationError: pydantic can make no schema of `shape`.
    """
    adapter = adapter_of(shape)
    try:
        schema = adapter.json_schema()
    except PydanticUserError as error:
        raise _unusable(shape, error) from error
    tidied: dict[str, Any] = _Tidier(schema.get("$defs", {})).tidied(schema)
    return tidied


def value_of(shape: Any, plain: Any) -> Any:
    """The value of the Python type that the JSON value `plain` stands for.

    Raises:
        FaultsError: `plain` does not fit; the message lists the first faults with their places.
    """
    try:
        # As JSON and not as Python: a strict model takes its dates and tuples from texts and arrays then.
        return adapter_of(shape).validate_json(json.dumps(plain))
    except ValidationError as error:
        faults = list(_told(error))
    except RecursionError:
        faults = ["it is nested too deeply"]
    # Without its cause: pydantic's own message shows the value, which may hold text of a document.
    raise FaultsError("; ".join(faults)) from None


def adapter_of(shape: Any) -> TypeAdapter[Any]:
    """Pydantic's validator of a Python type.

    Raises:
        ConfigurationError: pydantic can make none.
    """
    if isinstance(shape, TypeAdapter):
        return shape
    if not is_python_type(shape):
        kind = type(shape).__name__
        raise ConfigurationError(
            f"the shape of an answer must be a type or a JSON Schema, got a value of type {kind}",
            op=_OP,
            hint=f"give the class itself: {kind}" if isinstance(shape, BaseModel) else "give a class, or a mapping",
        )
    return _adapter(shape)


@lru_cache(maxsize=128)
def _adapter(shape: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(shape)
    except PydanticUserError as error:
        raise _unusable(shape, error) from error


def _unusable(shape: Any, error: PydanticUserError) -> ConfigurationError:
    return ConfigurationError(
        f"no JSON Schema can be made of {shape!r}: {error.message}",
        op=_OP,
        hint="use types that JSON can express: models, dataclasses, lists, texts, numbers, dates, enums",
    )


def _told(error: ValidationError) -> Iterator[str]:
    from fmf_core.redact import shortened

    faults = error.errors(include_url=False, include_context=False, include_input=False)
    for fault in faults[:MOST_FAULTS]:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
        told = f"at ${place}: {fault['msg']}"
        yield shortened(told, LONGEST_FAULT)
    if len(faults) > MOST_FAULTS:
        yield f"and {len(faults) - MOST_FAULTS} more"


class _Tidier:
    """Rewrites one of pydantic's schemas without a change of what it means to the type it was made of."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._within: list[str] = []

    def tidied(self, schema: Any) -> Any:
        """`schema` with closed objects, without lone titles, without words beside a reference."""
        if not isinstance(schema, dict):
            return schema
        made = {word: self._inner(word, value) for word, value in schema.items()}
        reference = made.get("$ref")
        if len(made) > 1 and isinstance(reference, str) and reference.startswith(_TO_DEFS):
            made = self._in_place(reference.removeprefix(_TO_DEFS), made)
        if made.get("type") == "object" and "properties" in made:
            made.setdefault("additionalProperties", False)
            _settle_properties(made)
        return made

    def _inner(self, word: str, value: Any) -> Any:
        if word in _INNER:
            return self.tidied(value)
        if word in _INNER_LISTS and isinstance(value, list):
            return [self.tidied(inner) for inner in value]
        if word in _INNER_MAPS and isinstance(value, dict):
            return {name: self.tidied(inner) for name, inner in value.items()}
        return value

    def _in_place(self, name: str, made: dict[str, Any]) -> dict[str, Any]:
        """What the reference stands for, with the words beside it; the bare reference where it would not end."""
        beside = {word: value for word, value in made.items() if word != "$ref"}
        if name in self._within or name not in self._definitions:
            return {"$ref": f"{_TO_DEFS}{name}"}
        self._within.append(name)
        try:
            return {**self.tidied(self._definitions[name]), **beside}
        finally:
            self._within.pop()


def _settle_properties(schema: dict[str, Any]) -> None:
    required = list(schema.get("required", ()))
    for name, inner in schema["properties"].items():
        if not isinstance(inner, dict):
            continue
        if inner.get("title") == name.replace("_", " ").title():
            del inner["title"]
        if name not in required and "default" in inner and inner["default"] is None and _may_be_null(inner):
            # Null says the same as a missing key, and a schema that leaves no key open can be enforced strictly.
            del inner["default"]
            required.append(name)
    if required:
        schema["required"] = [name for name in schema["properties"] if name in required]


def _may_be_null(schema: dict[str, Any]) -> bool:
    return {"type": "null"} in schema.get("anyOf", ())
