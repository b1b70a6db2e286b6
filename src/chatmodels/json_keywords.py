"""Keywords of JSON Schema that are checked otherwise than by the library: exactly, in linear time, within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from time import perf_counter
from typing import Any, NamedTuple

from chatmodels.ecma_patterns import compiled
from fmf_core.redact import shortened

PATTERN_LIMIT_S = 1.0
"""How long the patterns of a schema may take together over one answer, in seconds."""
MOST_STEPS = 1_000_000
"""How many keywords may be looked at, and patterns searched for, over one answer; a few seconds."""
MOST_EXPLAINED = 200
"""How many choices (`anyOf`, `oneOf`) that nothing fits are told why."""
QUICK_S = 0.02
QUICK_STEPS = 5_000
"""The limit of checks that nobody can be kept waiting for, as on an event loop."""
LONGEST_SHOWN = 120
"""How many characters of a value, a pattern or a rule an error shows."""

Check = Callable[[Any, Any, Any, Any], Any]


def short(text: str) -> str:
    """The beginning of `text`, as errors show it."""
    return shortened(text, LONGEST_SHOWN)


class SlowCheckError(Exception):
    """It took too long to compare a value with a schema; the message says what did."""


class Limit:
    """What is left of the time for one answer, whatever the number of its values.

    Args:
        seconds: for patterns.
        steps: for keywords and searches.
    """

    __slots__ = ("explained", "seconds", "steps")

    def __init__(self, seconds: float = PATTERN_LIMIT_S, steps: int = MOST_STEPS) -> None:
        self.seconds = seconds
        self.steps = steps
        self.explained = MOST_EXPLAINED

    def step(self) -> None:
        """Take one step."""
        self.steps -= 1
        if self.steps < 0:
            raise SlowCheckError("it took too many steps to compare it with the schema")


_limit: ContextVar[Limit | None] = ContextVar("chatmodels.json_keywords.limit", default=None)


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Keep all checks inside to one limit."""
    before = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(before)


class _Run(NamedTuple):
    """One check of one value."""

    limit: Limit
    fitting: dict[tuple[int, int], tuple[Any, Any, bool]]
    """By the identities of a value and a schema: both, so that they stay what they are, and whether they fit."""


_run: ContextVar[_Run] = ContextVar("chatmodels.json_keywords.run")


@contextmanager
def running() -> Iterator[None]:
    """Check one value inside, within the limit in force."""
    before = _run.set(_Run(_limit.get() or Limit(), {}))
    try:
        yield
    finally:
        _run.reset(before)


def keywords(known: Mapping[str, Check], patterns: dict[str, Any], *, remember: bool) -> dict[str, Check]:
    """The checks of a draft with ours in the place of the library's; all of them are counted.

    Args:
        known: the library's checks of the draft.
        patterns: those of the schema, compiled.
        remember: whether a value that fits a schema does so wherever they meet, so that it need not be found out twice.
    """
    searches = _Searches(patterns)
    ours: dict[str, Check] = {
        "pattern": searches.pattern,
        "patternProperties": searches.pattern_properties,
        "multipleOf": _multiple_of,
        "divisibleBy": _multiple_of,
        "uniqueItems": _unique_items,
        "enum": _Enum(),
    }
    if "additionalProperties" in known:
        ours["additionalProperties"] = searches.additional_properties(known["additionalProperties"])
    if remember:
        ours |= {"anyOf": _any_of, "oneOf": _one_of}
    return {word: _counted(ours.get(word, check)) for word, check in known.items()}


def _counted(check: Check) -> Check:
    def counted(validator: Any, rule: Any, value: Any, schema: Any) -> Any:
        _run.get().limit.step()
        return check(validator, rule, value, schema)

    return counted


# ------------------------------------------------------------------------------------------------------------ choices


def _fits(validator: Any, value: Any, schema: Any) -> bool:
    """Whether `value` fits `schema`: found out once for each pair, or a tree would take as long as it has branches."""
    fitting = _run.get().fitting
    key = (id(value), id(schema))
    known = fitting.get(key)
    if known is None:
        known = (value, schema, next(iter(validator.descend(value, schema)), None) is None)
        fitting[key] = known
    return known[2]


def _any_of(validator: Any, choices: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 - the library's order
    if not any(_fits(validator, value, choice) for choice in choices):
        yield _fits_none(validator, choices, value)


def _one_of(validator: Any, choices: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    count = sum(_fits(validator, value, choice) for choice in choices)
    if count == 0:
        yield _fits_none(validator, choices, value)
    elif count > 1:
        yield _error(f"it fits {count} of the choices, and must fit one")


def _fits_none(validator: Any, choices: Any, value: Any) -> Any:
    limit = _run.get().limit
    limit.explained -= 1
    context = []
    if limit.explained >= 0:
        for place, choice in enumerate(choices):
            context += list(validator.descend(value, choice, schema_path=place))
    return _error("it fits none of the choices", context=context)


# ------------------------------------------------------------------------------------------------------------ values


def _multiple_of(validator: Any, step: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    if validator.is_type(value, "number") and not _is_multiple(value, step):
        yield _error(f"it is no multiple of {step}")


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    # As they are written: 19.99 is a multiple of 0.01, although no two floats say so.
    return (_as_written(value) / _as_written(step)).denominator == 1


def _as_written(number: float) -> Fraction:
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _unique_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    if wanted and validator.is_type(value, "array") and len({_frozen(item) for item in value}) < len(value):
        yield _error("its items are not unique")


class _Enum:
    """Compares with the values of an enumeration; each list of them is gone through once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, frozenset[Any]]] = {}

    def __call__(self, validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG002
        known = self._known.get(id(allowed))
        if known is None:
            known = self._known[id(allowed)] = (allowed, frozenset(map(_frozen, allowed)))
        if _frozen(value) not in known[1]:
            yield _error("it is not among the allowed values")


def _frozen(value: Any) -> Any:
    """What equal JSON values have in common, and no others: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return ("object", frozenset((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(map(_frozen, value)))
    return value


# ---------------------------------------------------------------------------------------------------------- patterns


class _Searches:
    """The checks of patterns, all within the time that is left for an answer.

    Args:
        patterns: those of the schema, compiled: a cache of limited size would compile them again and again.
    """

    def __init__(self, patterns: dict[str, Any]) -> None:
        self._patterns = patterns

    def pattern(self, validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG002
        if validator.is_type(value, "string") and not self._found(pattern, value):
            yield _error(f"it does not match {pattern!r}")

    def pattern_properties(self, validator: Any, patterns: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG002
        if not validator.is_type(value, "object"):
            return
        for pattern, inner in patterns.items():
            for key, item in value.items():
                if self._found(pattern, key):
                    yield from validator.descend(item, inner, path=key, schema_path=pattern)

    def additional_properties(self, original: Check) -> Check:
        """The library's check of `additionalProperties`, given only what no pattern covers."""

        def check(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
            if not validator.is_type(value, "object"):
                return
            patterns = schema.get("patternProperties", {})
            rest = {key: item for key, item in value.items() if not any(self._found(one, key) for one in patterns)}
            without = {word: rule for word, rule in schema.items() if word != "patternProperties"}
            yield from original(validator, allowed, rest, without) or ()

        return check

    def _found(self, pattern: str, text: str) -> bool:
        """Whether `pattern` is somewhere in `text`, found out in the time that is left for this answer."""
        limit = _run.get().limit
        limit.step()
        if limit.seconds <= 0:  # many short searches: none of them meets a time limit of its own
            raise _too_slow(pattern)
        began = perf_counter()
        try:
            # Python's own `re` knows no time limit, and holds the interpreter while it searches.
            return self._compiled(pattern).search(text, timeout=max(limit.seconds, 0.001)) is not None
        except TimeoutError:
            raise _too_slow(pattern) from None
        finally:
            limit.seconds -= perf_counter() - began

    def _compiled(self, pattern: str) -> Any:
        known = self._patterns.get(pattern)
        if known is None:  # a schema in a place of draft 3 that nobody looks into beforehand
            known = self._patterns[pattern] = compiled(pattern)
        return known


def _too_slow(pattern: str) -> SlowCheckError:
    return SlowCheckError(
        f"it took longer than {PATTERN_LIMIT_S:g} s to compare it with patterns, such as {short(pattern)}"
    )


def _error(message: str, **more: Any) -> Any:
    from jsonschema.exceptions import ValidationError  # its import costs more than that of the rest

    return ValidationError(message, **more)
