"""The plainest value that fits a JSON Schema, for answers that nobody has scripted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

DEEPEST = 24
"""How many levels are followed; deeper ones, as of schemas that hold themselves, are left empty."""


def example_of(schema: Mapping[str, Any]) -> Any:
    """The same plain value for the same schema: required properties only, shortest lists, smallest numbers.

    What only patterns, formats and conditions demand is not looked at.
    """
    return _example(schema, schema, 0)


def _example(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    for several in ("enum", "examples"):
        if schema.get(several):
            return schema[several][0]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            # Nothing, where nothing is allowed: a schema that holds itself ends there.
            plainest = {"type": "null"} if {"type": "null"} in schema[choice] else schema[choice][0]
            return _example(plainest, root, depth + 1)
    parts = [{"$ref": schema["$ref"]}] if "$ref" in schema else schema.get("allOf", ())
    if parts:
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        for part in parts:
            merged |= _referred(part["$ref"], root) if "$ref" in part else part
        return _example(merged, root, depth + 1)
    return _by_type(schema, root, depth)


def _by_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            return {name: _example(properties.get(name, {}), root, depth + 1) for name in schema.get("required", ())}
        case "array":
            first = list(schema.get("prefixItems", ()))
            rest = max(0, schema.get("minItems", 0) - len(first))
            return [_example(item, root, depth + 1) for item in [*first, *[schema.get("items", {})] * rest]]
        case "string":
            shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
            return "text"[:longest].ljust(shortest, "x")
        case "integer" | "number":
            return _number(schema, whole=kind != "number")
        case "boolean":
            return False
        case _:
            return None


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf", 1)
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    floor, ceiling = max(low, above), min(high, below)
    tried = [0, *(end for end in (floor, ceiling) if math.isfinite(end))]
    on_steps = [(math.floor(number / step) + shift) * step for number in tried for shift in (0, 1, -1)]
    between = [] if whole or len(tried) < 3 else [(floor + ceiling) / 2]
    fitting = (
        number
        for number in [*on_steps, *between]
        if low <= number <= high and above < number < below and (not whole or number == int(number))
    )
    return next(fitting, 0)


def _referred(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        if name:
            found = found.get(name.replace("~1", "/").replace("~0", "~"), {})
    return found if isinstance(found, Mapping) else {}
