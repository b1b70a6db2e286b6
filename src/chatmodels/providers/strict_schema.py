"""OpenAI's `strict`: the part of JSON Schema that it enforces while the model writes, and refuses to go beyond."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

DEEPEST: Final = 10
"""How many levels of objects and arrays the provider takes."""
MOST_PROPERTIES: Final = 5000

# Source: OpenAI's guide to structured outputs, "Supported schemas". What is not named there counts as refused: a schema
# that is sent without `strict` is told to the model all the same, and the answer is checked here in either case.
_STRUCTURE: Final = frozenset(["type", "properties", "required", "additionalProperties", "items", "anyOf", "enum"])
_REFERENCES: Final = frozenset(["const", "$ref", "$defs", "definitions", "title", "description"])
_LIMITS: Final = frozenset(["pattern", "format", "multipleOf", "minItems", "maxItems"])
_BOUNDS: Final = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
_WORDS: Final = _STRUCTURE | _REFERENCES | _LIMITS | _BOUNDS
_SAY_WHAT_IT_IS: Final = ("type", "anyOf", "enum", "const", "$ref")
_FORMATS: Final = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])


def fits_strict(schema: object) -> bool:
    """Whether a JSON Schema may be sent as `strict`: an object, closed with all properties required at every level."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or "anyOf" in schema:
        return False
    properties = 0
    waiting: list[tuple[object, int]] = [(schema, 1)]
    while waiting:
        part, depth = waiting.pop()
        if not isinstance(part, Mapping) or depth > DEEPEST or not _fits(part):
            return False
        properties += len(part.get("properties") or ())
        waiting += [(inner, depth + step) for inner, step in _inner(part)]
    return properties <= MOST_PROPERTIES


def _fits(schema: Mapping[str, Any]) -> bool:
    """Whether the words of one level are taken."""
    if not set(schema) <= _WORDS or not any(word in schema for word in _SAY_WHAT_IT_IS):
        return False
    if "$ref" in schema and len(schema) > 1:
        return False
    if schema.get("format", "date") not in _FORMATS:
        return False
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema:
        named = schema.get("properties") or {}
        if not isinstance(named, Mapping) or schema.get("additionalProperties") is not False:
            return False
        return set(schema.get("required") or ()) == set(named)
    return True


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[object, int]]:
    """The schemas inside, and by how many levels they are deeper."""
    for word, step in (("properties", 1), ("$defs", 0), ("definitions", 0)):
        inner = schema.get(word) or {}
        # What is no mapping of schemas is handed on, to be refused.
        yield from ((value, step) for value in (inner.values() if isinstance(inner, Mapping) else [inner]))
    if "items" in schema:
        yield schema["items"], 1
    alternatives = schema.get("anyOf") or ()
    yield from ((value, 0) for value in (alternatives if isinstance(alternatives, (list, tuple)) else [None]))
