"""JSON Schemas: whether one can be used at all, and what is wrong with a value; patterns have a time limit."""

from __future__ import annotations

import graphlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chatmodels import json_formats
from chatmodels.ecma_patterns import compiled
from chatmodels.json_keywords import keywords, running, short
from fmf_core.errors import ConfigurationError

if TYPE_CHECKING:
    from referencing._core import Resolver
    from referencing.jsonschema import Schema

_OP = "chatmodels.check_schema"
_KEYWORDS = "see https://json-schema.org for its keywords"
_DYNAMIC = ("$dynamicRef", "$recursiveRef")
_REFERENCES = ("$ref", *_DYNAMIC)
# What stands under these keywords looks at the same value again, so a circle through them never ends.
_SAME_VALUE = ("not", "if", "then", "else")
_SAME_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_VALUE_MAPS = ("dependentSchemas", "dependencies")


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
        SlowCheckError: it took longer than the limit in force.
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    return faults_by(schema)(value)


def faults_by(schema: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """`fault_in` for many values: `schema` is read once.

    Raises:
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    validator = _validator(_text_of(schema))
    return lambda value: _fault(validator, value)


def _fault(validator: Any, value: Any) -> str | None:
    from jsonschema.exceptions import best_match

    try:
        with running():
            error = best_match(validator.iter_errors(value))
            return None if error is None else _described(error)
    except RecursionError:
        return "it is nested too deeply"


def _described(error: Any) -> str:
    value = short(json.dumps(error.instance, ensure_ascii=False))
    rule = f"{error.validator}: {short(json.dumps(error.validator_value, ensure_ascii=False, default=str))}"
    missing = ""
    if error.validator == "required":
        missing = f"the key {next(k for k in error.validator_value if k not in error.instance)!r} is missing; "
    elif error.validator == "format" and error.validator_value in json_formats.EXAMPLES:
        rule += f" (such as {json_formats.EXAMPLES[error.validator_value]})"
    elif error.validator == "additionalProperties":
        missing = f"{short(error.message)}; "
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
        used, patterns = _Check(kind, schema).run()
    except RecursionError as error:
        raise _unusable("it is nested too deeply", "put its parts under $defs") from error
    # Where a dynamic reference leads depends on the way there.
    ours = keywords(kind.VALIDATORS, patterns, remember=used.isdisjoint(_DYNAMIC))
    # An empty registry: a reference to another address is an error, never a request.
    checking = extend(kind, ours)  # type: ignore[no-untyped-call]
    return checking(schema, registry=Registry(), format_checker=_format_checker(kind))


def _format_checker(kind: Any) -> Any:
    from jsonschema import Draft3Validator, FormatChecker

    checker = FormatChecker(())
    checker.checkers = dict(kind.FORMAT_CHECKER.checkers)
    if kind is not Draft3Validator:  # its formats are others under the same names
        for name, check in json_formats.checks().items():
            checker.checkers[name] = (_of_texts(check), ())
    return checker


def _of_texts(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)


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
        self._patterns: dict[str, Any] = {}

    def run(self) -> tuple[set[str], dict[str, Any]]:
        """Raise what makes the schema useless; else the keywords that it uses, and its patterns, compiled."""
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
        return self._keywords, self._patterns

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
        # The draft is known by now; where a schema names one again, the library would go on with its own checks,
        # and its searches have no time limit.
        schema.pop("$schema", None)
        patterns = [*schema.get("patternProperties", ())]
        if "pattern" in schema:
            patterns.append(schema["pattern"])
        for pattern in patterns:
            try:
                self._patterns[pattern] = compiled(pattern)
            except ValueError as error:
                raise _unusable(f"the pattern {short(pattern)} cannot be read: {error}", _KEYWORDS) from error
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
