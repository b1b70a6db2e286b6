"""JSON Schemas: whether one can be used at all, and what is wrong with a value; patterns have a time limit."""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fmf_core.errors import ConfigurationError

if TYPE_CHECKING:
    from referencing._core import Resolver
    from referencing.jsonschema import Schema

PATTERN_LIMIT_S = 1.0
"""How long the patterns of a schema may take together over one value, in seconds."""
LONGEST_SHOWN = 120
"""How many characters of a wrong value a fault shows."""

_OP = "chatmodels.check_schema"
_KEYWORDS = "see https://json-schema.org for its keywords"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# What stands under these keywords looks at the same value again, so a circle through them never ends.
_SAME_VALUE = ("not", "if", "then", "else")
_SAME_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_VALUE_MAPS = ("dependentSchemas", "dependencies")

_left: ContextVar[list[float]] = ContextVar("chatmodels.json_schema.left")


class SlowPatternError(Exception):
    """The patterns of a schema took too long over a value; the message names the one that did."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Make sure that answers can be checked against `schema`.

    It must be a valid JSON Schema (draft 2020-12 unless `$schema` says otherwise) whose patterns can be read and whose
    references lead to places inside it; a schema may mention itself below `properties` or `items`, as a tree does.

    Raises:
        ConfigurationError: it is something else.
    """
    _validator(_text_of(schema))


def fault_in(value: Any, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with `value`, in a few words; `None` where it fits `schema`.

    A value that is nested too deeply is a fault.

    Raises:
        SlowPatternError: the patterns took longer than `PATTERN_LIMIT_S`.
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    from jsonschema.exceptions import best_match

    validator = _validator(_text_of(schema))
    before = _left.set([PATTERN_LIMIT_S])
    try:
        error = best_match(validator.iter_errors(value))
        return None if error is None else _described(error)
    except RecursionError:
        return "it is nested too deeply"
    except ArithmeticError:
        return "it holds a number that is too large to be divided by multipleOf"
    finally:
        _left.reset(before)


def _described(error: Any) -> str:
    value = _short(json.dumps(error.instance, ensure_ascii=False))
    rule = f"{error.validator}: {_short(json.dumps(error.validator_value, ensure_ascii=False, default=str))}"
    missing = ""
    if error.validator == "required":
        missing = f"the key {next(k for k in error.validator_value if k not in error.instance)!r} is missing; "
    elif error.validator == "additionalProperties":
        missing = f"{_short(error.message)}; "
    return f"at {error.json_path}: {missing}{value} does not satisfy {rule}"


def _text_of(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise _unusable(f"it is no JSON ({error})", "put dates and the like in quotes") from error


def _unusable(why: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"the JSON Schema cannot be used: {why}", op=_OP, hint=hint)


@lru_cache(maxsize=128)
def _validator(schema_text: str) -> Any:
    from jsonschema.validators import Draft202012Validator, extend, validator_for
    from referencing import Registry

    schema = json.loads(schema_text)
    if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
        raise _unusable(f"its $schema is {schema['$schema']!r}", "give the address of a draft, or leave it out")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        _Check(kind, schema).run()
    except RecursionError as error:
        raise _unusable("it is nested too deeply", "put its parts under $defs") from error
    ours = {"pattern": _pattern, "patternProperties": _pattern_properties}
    if "additionalProperties" in kind.VALIDATORS:
        ours["additionalProperties"] = _additional_properties(kind.VALIDATORS["additionalProperties"])
    # An empty registry: a reference to another address is an error, never a request.
    checking = extend(kind, ours)  # type: ignore[no-untyped-call]
    return checking(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)


class _Check:
    """Looks at every schema inside a schema, and at where its references lead.

    Args:
        kind: the validator class of the draft.
        schema: the parsed schema.
    """

    def __init__(self, kind: Any, schema: Schema) -> None:
        from referencing import Registry
        from referencing.jsonschema import specification_with

        self._kind = kind
        self._root = schema
        self._draft = specification_with(kind.META_SCHEMA.get("$id") or kind.META_SCHEMA["id"])
        self._resolver = Registry().resolver_with_root(self._draft.create_resource(schema))
        # Schemas by identity: the same text may stand in two places with different bases.
        self._seen: set[int] = set()
        self._leads_to: dict[int, list[int]] = {}
        self._references: dict[int, str] = {}
        self._waiting: list[tuple[dict[str, Any], str, Resolver[Schema]]] = []
        self._keywords: set[str] = set()

    def run(self) -> None:
        """Raise what makes the schema useless."""
        self._accept(self._root)
        self._walk(self._root, self._resolver)
        while self._waiting:
            self._follow(*self._waiting.pop())
        try:
            graphlib.TopologicalSorter(self._leads_to).prepare()
        except graphlib.CycleError as circle:
            reference = next(self._references[place] for place in circle.args[1] if place in self._references)
            raise _unusable(
                f"the reference {reference!r} leads back to itself and to nothing else",
                "let it pass through properties or items, or name what is meant",
            ) from None
        if {"patternProperties", "unevaluatedProperties"} <= self._keywords:
            # The library would search these patterns without a time limit.
            raise _unusable(
                "it has both patternProperties and unevaluatedProperties", "use additionalProperties with the patterns"
            )

    def _accept(self, schema: Schema) -> None:
        from jsonschema import FormatChecker
        from jsonschema.exceptions import SchemaError

        try:
            # Formats are left out: they would judge patterns by another dialect than the one they are used in.
            self._kind.check_schema(schema, format_checker=FormatChecker(()))
        except SchemaError as error:
            raise ConfigurationError(
                f"this is no valid JSON Schema at {error.json_path}: {error.message}", op=_OP, hint=_KEYWORDS
            ) from error

    def _walk(self, schema: Schema, resolver: Resolver[Schema]) -> None:
        unseen: list[tuple[Schema, Resolver[Schema]]] = [(schema, resolver)]
        while unseen:
            schema, resolver = unseen.pop()
            if not isinstance(schema, dict) or id(schema) in self._seen:
                continue
            self._seen.add(id(schema))
            self._look_at(schema, resolver)
            unseen += [
                (inner, resolver.in_subresource(self._draft.create_resource(inner)))
                for inner in self._draft.subresources_of(schema)
            ]

    def _look_at(self, schema: dict[str, Any], resolver: Resolver[Schema]) -> None:
        self._keywords.update(schema)
        patterns = [*schema.get("patternProperties", ())]
        if "pattern" in schema:
            patterns.append(schema["pattern"])
        for pattern in patterns:
            _compiled(pattern)
        self._leads_to[id(schema)] = [id(inner) for inner in _same_value(schema)]
        self._waiting += [(schema, schema[word], resolver) for word in _REFERENCES if isinstance(schema.get(word), str)]

    def _follow(self, schema: dict[str, Any], reference: str, resolver: Resolver[Schema]) -> None:
        from referencing.exceptions import Unresolvable

        try:
            found = resolver.lookup(reference)
        except (Unresolvable, ValueError, TypeError, LookupError) as error:
            raise _unusable(
                f"it refers to {reference!r}, which it does not contain", "put the schema it refers to under $defs"
            ) from error
        target = found.contents
        if not isinstance(target, dict | bool):
            raise _unusable(f"it refers to {reference!r}, which is no schema", "put the schema under $defs")
        if isinstance(target, dict) and id(target) not in self._seen:
            # It stands where no schema is expected, so nobody has looked at it yet.
            self._accept(target)
            self._walk(target, found.resolver)
        self._leads_to[id(schema)].append(id(target))
        self._references[id(schema)] = reference


def _same_value(schema: dict[str, Any]) -> Iterator[Any]:
    """The schemas in `schema` that look at the same value."""
    yield from (schema[word] for word in _SAME_VALUE if word in schema)
    for word in _SAME_VALUE_LISTS:
        yield from schema.get(word, ())
    for word in _SAME_VALUE_MAPS:
        yield from schema.get(word, {}).values()


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    import regex

    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError) as error:
        raise _unusable(f"the pattern {_short(pattern)} cannot be read: {error}", _KEYWORDS) from error


def _found(pattern: str, text: str) -> bool:
    """Whether `pattern` is somewhere in `text`, found out in the time that is left for this value."""
    left = _left.get()
    began = perf_counter()
    try:
        # Python's own `re` knows no time limit, and holds the interpreter while it searches.
        return _compiled(pattern).search(text, timeout=max(left[0], 0.001)) is not None
    except TimeoutError:
        raise SlowPatternError(
            f"it took longer than {PATTERN_LIMIT_S:g} s to compare it with the pattern {_short(pattern)}"
        ) from None
    finally:
        left[0] -= perf_counter() - began


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 - the library's order
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and not _found(pattern, value):
        yield ValidationError(f"it does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in patterns.items():
        for key, item in value.items():
            if _found(pattern, key):
                yield from validator.descend(item, inner, path=key, schema_path=pattern)


def _additional_properties(original: Any) -> Any:
    """The library's check of `additionalProperties`, given only what no pattern covers."""

    def check(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
        if not validator.is_type(value, "object"):
            return
        patterns = schema.get("patternProperties", {})
        rest = {key: item for key, item in value.items() if not any(_found(pattern, key) for pattern in patterns)}
        without = {word: rule for word, rule in schema.items() if word != "patternProperties"}
        yield from original(validator, allowed, rest, without) or ()

    return check


def _short(text: str) -> str:
    from fmf_core.redact import shortened

    return shortened(text, LONGEST_SHOWN)
