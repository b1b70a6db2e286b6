"""The declared input of a workflow: names with JSON-Schema types and defaults, and whether what a run is given fits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel

from chatmodels.json_schema import check_schema, faults_by
from fmf_core.errors import FrameworkError
from fmf_core.nearest import known_hint, nearest
from generative_ai_workflow.exceptions import ConfigurationError, DefinitionError

TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
"""What a name may be declared as in short."""

MOST_TOLD = 20
"""How many faults of one input an error tells."""

_PYTHON = {
    "str": "string",
    "text": "string",
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "mapping": "object",
}


class InputSchema:
    """What a workflow may be given.

        InputSchema.of({"text": "string", "lang": {"type": "string", "default": "en"}})

    Args:
        schema: a JSON Schema of type `object` with its `properties`.

    Raises:
        DefinitionError: it cannot be used.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema: dict[str, Any] = copy.deepcopy(dict(schema))
        self.properties: Mapping[str, Any] = self.schema["properties"]
        self.closed = self.schema.get("additionalProperties") is False
        """Whether names that are not declared are refused."""
        self._required = tuple(self.schema.get("required", ()))
        self._defaults = {
            name: declared["default"]
            for name, declared in self.properties.items()
            if isinstance(declared, Mapping) and "default" in declared
        }
        shared = {key: self.schema[key] for key in ("$schema", "$defs", "definitions") if key in self.schema}
        self._parts: dict[str, Callable[[Any], str | None]] = {}
        for name, declared in self.properties.items():
            self._parts[name] = _checked({**shared, **declared} if isinstance(declared, Mapping) else declared, name)
        self._whole = _checked(self.schema, "")
        for name, default in self._defaults.items():
            if (fault := self._parts[name](default)) is not None:
                raise _wrong(name, f"the default does not fit: {fault}")

    @classmethod
    def of(cls, declared: Any) -> InputSchema:
        """Read what was declared.

        Args:
            declared: names to their types (`{"text": "string"}`) or to JSON Schemas that may also say
                `required: false`; a whole JSON Schema of type `object`; or a pydantic model. Names that have a default
                need not be given, all others must; with names alone, others are refused.

        Raises:
            DefinitionError: it is none of these, or a schema cannot be used; names the input.
        """
        if isinstance(declared, type) and issubclass(declared, BaseModel):
            return cls(declared.model_json_schema())
        if not isinstance(declared, Mapping):
            raise DefinitionError(
                f"the input is declared by a mapping of names to types, got {declared!r}",
                op="workflow.define",
                hint="write {'text': 'string'}",
            )
        if declared.get("type") == "object" and isinstance(declared.get("properties"), Mapping):
            return cls(declared)
        return cls(_whole(declared))

    def checked(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """`data` with the defaults of what it lacks.

        Raises:
            ConfigurationError: it does not fit; the message tells every name that is wrong.
        """
        given = {**copy.deepcopy({k: v for k, v in self._defaults.items() if k not in data}), **data}
        # A tuple is an array to whoever writes Python.
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        faults = list(islice(self._faults(shown), MOST_TOLD + 1))
        if len(faults) > MOST_TOLD:
            faults[MOST_TOLD] = "and more"
        if not faults and (whole := self._whole(shown)) is not None:
            faults = [whole]
        if faults:
            raise ConfigurationError(
                f"the input does not fit: {'; '.join(faults)}", op="workflow.run", hint=f"declared: {self.described()}"
            )
        return given

    def described(self) -> str:
        """The declared names with their types, in short."""
        return ", ".join(f"{name} ({self._word(name)})" for name in self.properties) or "nothing"

    def _word(self, name: str) -> str:
        declared = self.properties[name]
        kind = declared.get("type", "any") if isinstance(declared, Mapping) else "any"
        word = kind if isinstance(kind, str) else " or ".join(map(str, kind))
        return word if name in self._required else f"{word}, optional"

    def _faults(self, given: Mapping[str, Any]) -> Iterator[str]:
        for name in self._required:
            if name not in given:
                yield f"{name!r} is missing"
        for name, value in given.items():
            if name in self._parts:
                if (fault := self._parts[name](value)) is not None:
                    yield f"{name!r}: {fault.removeprefix('at $: ')}"
            elif self.closed:
                near = nearest(name, self.properties)
                yield f"{name!r} is not declared" + (f" (did you mean {near!r}?)" if near else "")


def _whole(declared: Mapping[Any, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, written in declared.items():
        if not isinstance(name, str) or not name:
            raise DefinitionError(f"a name of the input must be a text, got {name!r}", op="workflow.define")
        schema = {"type": written} if isinstance(written, str) else written
        if not isinstance(schema, Mapping):
            raise _wrong(name, f"it is declared by a type or a JSON Schema, got {written!r}")
        schema = dict(schema)
        _check_type(name, schema.get("type"))
        needed = schema.pop("required", None) if not isinstance(schema.get("required"), list) else None
        if needed is not None and not isinstance(needed, bool):
            raise _wrong(name, f"required is true or false, got {needed!r}")
        properties[name] = schema
        if needed is True and "default" in schema:
            raise _wrong(name, "what has a default is not required")
        if needed is not False and "default" not in schema:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _check_type(name: str, kind: Any) -> None:
    for one in kind if isinstance(kind, list | tuple) else (kind,):
        if one is not None and one not in TYPES:
            meant = _PYTHON.get(str(one).lower())
            hint = f"did you mean {meant!r}?" if meant else known_hint(str(one), TYPES)
            raise _wrong(name, f"there is no type {one!r}", hint)


def _checked(schema: Any, name: str) -> Callable[[Any], str | None]:
    try:
        if isinstance(schema, Mapping):
            check_schema(schema)
        find = faults_by(schema)
    except FrameworkError as error:
        raise _wrong(name, error.message, error.hint) from error

    def fault(value: Any) -> str | None:
        try:
            return find(value)
        except (TypeError, ValueError):
            # What is no JSON cannot be shown as JSON.
            return f"a value of type {type(value).__name__} does not fit"

    return fault


def _wrong(name: str, complaint: str, hint: str = "") -> DefinitionError:
    what = f"the input {name!r}" if name else "the input"
    return DefinitionError(f"{what}: {complaint}", op="workflow.define", hint=hint, fields={"input": name})
