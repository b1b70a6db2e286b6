"""The declared input of a workflow: names with JSON-Schema types and defaults, and whether what a run is given fits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from pydantic import AliasChoices, BaseModel
from pydantic_core import to_jsonable_python

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
        makers: what makes the default of a name for each run, where the schema has none.

    Raises:
        DefinitionError: it cannot be used.
    """

    def __init__(self, schema: Mapping[str, Any], makers: Mapping[str, Callable[[], Any]] = {}) -> None:
        self.schema: dict[str, Any] = copy.deepcopy(dict(schema))
        self.properties: Mapping[str, Any] = self.schema["properties"]
        self._makers = dict(makers)
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
            if not isinstance(declared, Mapping | bool):
                raise _no_schema(name, declared)
            self._parts[name] = _checked({**shared, **declared} if isinstance(declared, Mapping) else declared, name)
        self._whole = _checked(self.schema, "")
        for name, default in self._defaults.items():
            if (fault := self._parts[name](_as_json(default))) is not None:
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
            return cls(_schema_of(declared), _makers_of(declared))
        if not isinstance(declared, Mapping):
            raise DefinitionError(
                f"the input is declared by a mapping of names to types, got {declared!r}",
                op="workflow.define",
                hint="write {'text': 'string'}",
            )
        return cls(declared if is_whole(declared) else _whole(declared))

    def checked(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """`data` with the defaults of what it lacks.

        Raises:
            ConfigurationError: it does not fit; the message tells every name that is wrong.
        """
        given = {**copy.deepcopy({k: v for k, v in self._defaults.items() if k not in data}), **data}
        for name, make in self._makers.items():
            if name not in given:
                given[name] = make()
        shown = {name: _as_json(value) for name, value in given.items()}
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


def is_whole(declared: Mapping[str, Any]) -> bool:
    """Whether the input is declared by one JSON Schema, and not name by name."""
    return declared.get("type") == "object" and isinstance(declared.get("properties"), Mapping)


def _as_json(value: Any) -> Any:
    """`value` with lists and dicts for all tuples and mappings: that is what they are to whoever writes Python."""
    if isinstance(value, list | tuple):
        items = [_as_json(item) for item in value]
        same = isinstance(value, list) and all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    if isinstance(value, Mapping):
        kept = {key: _as_json(inner) for key, inner in value.items()}
        same = isinstance(value, dict) and all(kept[key] is inner for key, inner in value.items())
        return value if same else kept
    return value


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    reference = schema.get("$ref")
    if isinstance(reference, str):  # a model that mentions itself
        schema = {**schema["$defs"][reference.rpartition("/")[2]], "$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise DefinitionError(
            f"the input is declared by a model with fields, and {model.__name__} has none",
            op="workflow.define",
            hint="make what it stands for a field of a model",
        )
    return {"properties": {}, **schema}


def _makers_of(model: type[BaseModel]) -> dict[str, Callable[[], Any]]:
    """What makes the defaults of the fields that have a `default_factory`, by the names that a run is given."""
    makers: dict[str, Callable[[], Any]] = {}
    for name, field in model.model_fields.items():
        if field.default_factory is None:
            continue
        called = field.validation_alias or field.alias or name
        if isinstance(called, AliasChoices):
            called = called.choices[0]
        makers[called if isinstance(called, str) else name] = partial(_made, model, name)
    return makers


def _made(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    try:
        return to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
    except Exception as error:
        raise ConfigurationError(
            f"the input: the default of {name!r} could not be made: {type(error).__name__}: {error}",
            op="workflow.run",
            hint="give it, or mend the default_factory of the model; it gets no other fields",
        ) from error


def _whole(declared: Mapping[Any, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, written in declared.items():
        if not isinstance(name, str) or not name:
            raise DefinitionError(f"a name of the input must be a text, got {name!r}", op="workflow.define")
        schema = {"type": written} if isinstance(written, str) else written
        if not isinstance(schema, Mapping):
            raise _no_schema(name, written)
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


def _no_schema(name: str, written: Any) -> DefinitionError:
    hint = f"inside of properties write {{type: {written}}}" if isinstance(written, str) else "write {type: string}"
    return _wrong(name, f"it is declared by a type or a JSON Schema, got {written!r}", hint)


def _wrong(name: str, complaint: str, hint: str = "") -> DefinitionError:
    what = f"the input {name!r}" if name else "the input"
    return DefinitionError(f"{what}: {complaint}", op="workflow.define", hint=hint, fields={"input": name})
