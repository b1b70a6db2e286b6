"""JSON in the text of an answer: the whole of it, in a code fence, or amid prose; never a piece of a broken value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Place = Literal["whole", "fence", "prose"]
Accept = Callable[[Any], T]
"""What the caller makes of a JSON value; raises `MisfitError` where it does not fit."""

LONGEST_SHOWN = 120
"""How many characters of a wrong value an error shows."""
MOST_CANDIDATES = 100
"""How many brackets of an answer are tried as the start of a value."""
MOST_TOKENS = 200_000
"""How many strings and brackets behind broken values are read; what lies further on is not looked at."""
MOST_READ = 4
"""How often, as a multiple of its length, a long answer is read in search of a value."""
SHORT_ANSWER = 250_000
"""Answers of up to this many characters are searched as if they had this many."""
BYTE_ORDER_MARK = "\ufeff"

_WHOLE_FENCE = re.compile(r"\A\s*```(?:[ \t]*+[\w+-]*+[ \t]*+\r?\n|json\b)?(.*)```\s*\Z", re.DOTALL)
_FENCE = re.compile(r"```[ \t]*+[\w+-]*+[ \t]*+\r?\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*+("?)|[\[\]{}]', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_CLOSED_BY = {"[": "]", "{": "}"}
# An opening bracket that is certainly meant as JSON: what follows it is then no place to look for other values.
_MEANT = re.compile(r'\{\s*"[^"\n]*"\s*:|\[\s*[\[{]')
# Strings and holes come first, so that only a comma behind a value and before a closing bracket is the third kind. A
# string that nothing closes reaches to the end.
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*+"?|[\[{,:]\s*+,|(,)(?=\s*+[\]}])', re.DOTALL)


class MisfitError(ValueError):
    """A text holds no JSON value, or none of the expected shape; the message tells a model what to correct."""


class HopelessError(MisfitError):
    """A misfit that ends the search: the other values of the text are likely to take as long to look at."""


class _Candidate(NamedTuple):
    """A value that stands in a text."""

    length: int
    value: Any
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value that was found in a text and fits, and where."""

    value: T
    place: Place
    mended: bool
    """Whether commas before closing brackets were left out to read it."""


def find(text: str, accept: Accept[T]) -> Found[T]:
    """The value in `text` that `accept` takes; of several amid prose, the longest.

    A text is never completed: only a comma right before a closing bracket is looked over, for it cannot mean anything.

    Raises:
        MisfitError: no value in `text` fits.
    """
    misfit: MisfitError | None = None
    for place, candidates in _PLACES.items():
        fitting: list[tuple[int, Found[T]]] = []
        for candidate in candidates(text):
            try:
                value = accept(candidate.value)
            except HopelessError:
                raise
            except MisfitError as error:
                misfit = misfit or error
            else:
                fitting.append((candidate.length, Found(value, place, candidate.mended)))
        if fitting:
            return max(fitting, key=lambda found: found[0])[1]
    raise misfit or _unreadable(text)


def _whole(text: str) -> Iterator[_Candidate]:
    """The text as one value."""
    yield from _read(text)


def _fenced(text: str) -> Iterator[_Candidate]:
    """The inside of the fence around the whole text, or else of each fence in it."""
    whole = _WHOLE_FENCE.match(text)
    found = list(_read(whole[1])) if whole else []
    if not found:
        for fence in _FENCE.finditer(text):
            found.extend(_read(fence[1]))
    yield from found


def _embedded(text: str) -> Iterator[_Candidate]:
    """Objects and arrays amid prose, none of them a piece of a larger one that is broken."""
    brackets = _Brackets(text)
    left = MOST_READ * max(len(text), SHORT_ANSWER)
    start = 0
    for _ in range(MOST_CANDIDATES):
        opening = _OPENING.search(text, start)
        if opening is None or left < 0:
            return
        start = opening.start()
        try:
            value, end = _decoder.raw_decode(text, start)
        except RecursionError:
            return
        except ValueError as error:
            stuck = getattr(error, "pos", None)
            left -= (len(text) if stuck is None else stuck) - start
            behind = brackets.end_of(start)
            if brackets.too_many:
                return
            if behind is None:
                behind = max(start + 1, stuck or 0) if _MEANT.match(text, start) else start + 1
            start = behind
            continue
        if _is_encodable(value, text):
            yield _Candidate(end - start, value)
        start = end


class _Brackets:
    """Where the brackets of a text are closed, found out in time that is linear in the text."""

    def __init__(self, text: str) -> None:
        self.too_many = False
        """Whether there are more of them than are read."""
        self._text = text
        self._ends: dict[int, int | None] = {}
        self._left = MOST_TOKENS

    def end_of(self, start: int) -> int | None:
        """The place behind the bracket that closes the one at `start`; `None` where none does."""
        if start not in self._ends:
            self._read_on(start)
        return self._ends[start]

    def _read_on(self, start: int) -> None:
        still_open: list[tuple[int, str]] = []
        for token in self._tokens(start):
            self._left -= 1
            if self._left < 0:
                self.too_many = True
                break
            bracket = token[0]
            if bracket in _CLOSED_BY:
                still_open.append((token.start(), _CLOSED_BY[bracket]))
            elif bracket in "]}":
                if still_open[-1][1] != bracket:
                    break
                self._ends[still_open.pop()[0]] = token.end()
                if not still_open:
                    return
        self._ends.update((place, None) for place, _ in [(start, ""), *still_open])

    def _tokens(self, start: int) -> Iterator[re.Match[str]]:
        for token in _TOKEN.finditer(self._text, start):
            if token[1] == "":
                # A quote that nothing closes begins no string, and neither does any behind it.
                yield from _BRACKET.finditer(self._text, token.start())
                return
            yield token


def _read(text: str) -> Iterator[_Candidate]:
    """The value that `text` is, if it is one."""
    bare = text.strip().strip(BYTE_ORDER_MARK)
    for mended in (False, True):
        tried = _without_trailing_commas(bare) if mended else bare
        if mended and tried == bare:
            return
        try:
            value = _decoder.decode(tried)
        except RecursionError:
            return
        except ValueError:
            continue
        if _is_encodable(value, text):
            yield _Candidate(len(text), value, mended)
        return


def _without_trailing_commas(text: str) -> str:
    """`text` without commas between a value and a closing bracket; strings stay as they are wherever it is JSON."""
    if not text.startswith(("{", "[")):
        return text
    return _TRAILING_COMMA.sub(lambda token: "" if token[1] else token[0], text)


def _is_encodable(value: Any, text: str) -> bool:
    """Whether `value` can be written again: an escape may stand for half a character."""
    if "\\u" not in text and text.isascii():
        return True
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{short(digits)} is too large for a number")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


# Not strict: small models write line breaks into strings, and their meaning is plain.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, strict=False)


def _unreadable(text: str) -> MisfitError:
    opening = _OPENING.search(text)
    if opening is None:
        shown = short(text.strip())
        return MisfitError(f"it holds no JSON value: {shown}" if shown else "it is empty")
    try:
        _decoder.raw_decode(text, opening.start())
    except RecursionError:
        return MisfitError("it is nested too deeply")
    except ValueError as error:
        return MisfitError(f"it is no valid JSON: {error}")
    return MisfitError("it holds half a character (a lone surrogate escape)")


def short(text: str) -> str:
    """The beginning of `text`, as errors show it."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


_PLACES: Mapping[Place, Callable[[str], Iterator[_Candidate]]] = {
    "whole": _whole,
    "fence": _fenced,
    "prose": _embedded,
}
