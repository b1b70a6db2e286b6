"""JSON in the text of an answer: the whole of it, in a code fence, or amid prose; never a piece of a broken value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from chatmodels.json_keywords import short
from chatmodels.json_values import DEEPEST, is_too_deep

T = TypeVar("T")

Place = Literal["whole", "fence", "prose"]
Accept = Callable[[Any], T]
"""What the caller makes of a JSON value; raises `MisfitError` where it does not fit."""

MOST_CANDIDATES = 1000
"""How many brackets and tags of an answer are looked at; where there are more, no value is taken."""
MOST_TOKENS = 200_000
"""How many strings and brackets behind broken values are read; where there are more, no value is taken."""
MOST_READ = 4
"""How often, as a multiple of its length, a long answer is read in search of a value."""
SHORT_ANSWER = 250_000
"""Answers of up to this many characters are searched as if they had this many."""
SURELY_FINITE = 300
"""Whole numbers of up to this many characters are within what a float can hold."""
BYTE_ORDER_MARK = "\ufeff"

_WHOLE_FENCE = re.compile(r"\A\s*```(?:[ \t]*+[\w+-]*+[ \t]*+\r?\n|json\b)?(.*)```\s*\Z", re.DOTALL)
_FENCE_OPENS = re.compile(r"```[ \t]*+[\w+-]*+[ \t]*+\r?\n\s*+")
_FENCE_CLOSES = re.compile(r"\s*+```")
_OPENING = re.compile(r"[\[{]")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*+("?)|[\[\]{}]', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_CLOSED_BY = {"[": "]", "{": "}"}
# Brackets that plainly open nothing: one between quotes, a smiley before a word or at the end, a half-open interval.
_OPENS_NOTHING = re.compile(
    r"""(?<=(["'`]))[\[{](?=\1)"""
    r"""|(?:(?<=\s[:;])|(?<=\s[:;]-))[\[{](?=[ \t]+[A-Z]|\s*\Z)"""
    r"""|\[(?=\s*-?[\w.∞]+\s*,\s*[-+]?[\w.∞]+\s*\))"""
)
_THOUGHT = re.compile(r"<(/?)think(?:ing)?>")
_MARK = re.compile(rf"[\[{{]|{_THOUGHT.pattern}")
_THOUGHTS_AHEAD = re.compile(r"\A\s*<think(?:ing)?>")
# Some servers leave out the opening tag. Inside a string of JSON nothing of the kind follows a tag.
_THOUGHTS_END = re.compile(r"</think(?:ing)?>(?=[ \t]*(?:[\n\[{`]|\Z))")
# Strings and holes come first, so that only a comma behind a value and before a closing bracket is the third kind. A
# string that nothing closes reaches to the end.
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*+"?|[\[{,:]\s*+,|(,)(?=\s*+[\]}])', re.DOTALL)


class MisfitError(ValueError):
    """A text holds no JSON value, or none of the expected shape; the message tells a model what to correct."""


class HopelessError(MisfitError):
    """A misfit that ends the search: the other values of the text are likely to take as long to look at."""


class _Candidate(NamedTuple):
    """A value that stands in a text."""

    value: Any
    mended: bool = False


class _Fence(NamedTuple):
    """A code fence of a text, and what can be read in it."""

    start: int
    end: int
    values: list[_Candidate]


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value that was found in a text and fits, and where."""

    value: T
    place: Place
    mended: bool
    """Whether commas before closing brackets were left out to read it."""


def find(text: str, accept: Accept[T]) -> Found[T]:
    """The value in `text` that `accept` takes; of several, the last, for models correct themselves.

    Code fences go before prose, and a footnote such as `[1]` behind an object that fits too does not count. Thoughts
    (`<think>…</think>`) are left out. A text is never completed: only a comma right before a closing bracket is looked
    over, for it cannot mean anything. Where a bracket, a fence or a thought has no end, the text was broken off, and
    nothing is taken of it.

    Raises:
        MisfitError: no value in `text` fits.
    """
    misfit: MisfitError | None = None
    for place, candidates in _PLACES:
        fitting: list[tuple[Any, Found[T]]] = []
        try:
            found = list(candidates(text))
        except MisfitError as error:
            raise misfit or error from None
        for candidate in found:
            try:
                value = accept(candidate.value)
            except HopelessError:
                raise
            except MisfitError as error:
                misfit = misfit or error
            else:
                fitting.append((candidate.value, Found(value, place, candidate.mended)))
        if fitting:
            return _last(fitting)
    raise misfit or _unreadable(text)


def _last(fitting: list[tuple[Any, Found[T]]]) -> Found[T]:
    value, last = fitting[-1]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], int):
        return next((found for value, found in reversed(fitting) if isinstance(value, dict)), last)
    return last


def _whole(text: str) -> Iterator[_Candidate]:
    """The text as one value."""
    yield from _read(text)


def _answer(text: str) -> Iterator[_Candidate]:
    """What is left as one value when the thoughts are gone."""
    answer = _without_thoughts(text)
    if answer != text:
        yield from _read(answer)


def _fenced(text: str) -> Iterator[_Candidate]:
    """The inside of the fence around the whole answer, or else of each fence in it."""
    answer = _without_thoughts(text)
    whole = _WHOLE_FENCE.match(answer)
    found = list(_read(whole[1])) if whole else []
    if not found:
        end = behind = 0
        for fence in _fences(answer):
            if fence.values:
                _check_thoughts(answer[end : fence.start])
                found += fence.values
                behind = fence.end
            end = fence.end
        if found:
            _check_rest(answer[behind:], answer[end:])
    yield from found


def _fences(text: str) -> Iterator[_Fence]:
    """Each fence that is closed; one that begins with a value ends behind it, whatever stands in its strings."""
    left = MOST_READ * max(len(text), SHORT_ANSWER)
    place = 0
    while opening := _FENCE_OPENS.search(text, place):
        start, inside = opening.span()
        closing = None
        if left > 0:
            try:
                place = _decoder.raw_decode(text, inside)[1]
                closing = _FENCE_CLOSES.match(text, place)
            except (ValueError, RecursionError) as error:
                place = getattr(error, "pos", None) or len(text)
            left -= place - inside + inside // 16  # an error counts the lines in front of it
        end = closing.end() - len("```") if closing else text.find("```", inside)
        if end < 0:
            return
        place = end + len("```")
        yield _Fence(start, place, list(_read(text[inside:end])))


def _check_rest(behind: str, unfenced: str) -> None:
    """Make sure that no correction is broken off behind the last fence that holds a value."""
    if "```" in unfenced:
        raise MisfitError("its last code fence has no end")
    for _ in _embedded(behind):
        return


def _without_thoughts(text: str) -> str:
    """`text` behind the thoughts that it begins with."""
    ends = list(_THOUGHTS_END.finditer(text))
    if _THOUGHTS_AHEAD.match(text) and not ends:
        closing = next((tag for tag in _THOUGHT.finditer(text) if tag[1]), None)
        if closing is None:
            raise _endless_thoughts()
        return text[closing.end() :]
    return text[ends[-1].end() :] if ends else text


def _check_thoughts(prose: str) -> None:
    tags = [tag[1] for tag in _THOUGHT.finditer(prose)]
    if tags and not tags[-1]:
        raise _endless_thoughts()


def _endless_thoughts() -> MisfitError:
    return MisfitError("its thoughts (<think>) have no end")


def _embedded(text: str) -> Iterator[_Candidate]:
    """Objects and arrays amid prose; none of them where one of the brackets is never closed."""
    answer = _without_thoughts(text)
    brackets = _Brackets(answer)
    left = MOST_READ * max(len(answer), SHORT_ANSWER)
    found: list[_Candidate] = []
    start = 0
    for _ in range(MOST_CANDIDATES):
        mark = _MARK.search(answer, start)
        if mark is None:
            yield from found
            return
        start = mark.start()
        if mark[0] not in _CLOSED_BY:
            found, start = _behind_thought(answer, mark, found)
            continue
        try:
            value, end = _decoder.raw_decode(answer, start)
            _walkable(value, answer[start:end])
        except RecursionError:
            raise MisfitError("it is nested too deeply") from None
        except ValueError as error:
            left -= (getattr(error, "pos", None) or len(answer)) - start
            if left < 0:
                break
            start = start + 1 if _OPENS_NOTHING.match(answer, start) else brackets.end_of(start, error)
            continue
        if _is_encodable(value, answer[start:end]):
            found.append(_Candidate(value))
        start = end
    raise MisfitError("it holds too many brackets to tell the answer among them")


def _behind_thought(text: str, tag: re.Match[str], found: list[_Candidate]) -> tuple[list[_Candidate], int]:
    """What counts of `found`, and where to read on: nothing counts before a tag that only closes."""
    if tag[1]:
        return [], tag.end()
    closing = next((other for other in _THOUGHT.finditer(text, tag.end()) if other[1]), None)
    if closing is None:
        raise _endless_thoughts()
    return found, closing.end()


class _Brackets:
    """Where the brackets of a text are closed, found out in time that is linear in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MOST_TOKENS

    def end_of(self, start: int, error: ValueError) -> int:
        """The place behind the bracket that closes the one at `start`, where JSON broke off with `error`.

        Raises:
            MisfitError: none does, or there are too many to tell.
        """
        still_open: list[str] = []
        for token in self._tokens(start):
            self._left -= 1
            if self._left < 0:
                raise MisfitError("it holds too many brackets to tell the answer among them")
            bracket = token[0]
            if bracket in _CLOSED_BY:
                still_open.append(_CLOSED_BY[bracket])
            elif bracket in "]}":
                if still_open.pop() != bracket:
                    break
                if not still_open:
                    return token.end()
        raise MisfitError(f"it is no valid JSON: {error}") from error

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
            value = _walkable(_decoder.decode(tried), tried)
        except RecursionError:
            return
        except ValueError:
            continue
        if _is_encodable(value, text):
            yield _Candidate(value, mended)
        return


def _walkable(value: Any, text: str) -> Any:
    """`value`, which stands in `text`; raises `RecursionError` where it is nested too deeply for what comes after."""
    if text.count("{") + text.count("[") > DEEPEST and is_too_deep(value):
        raise RecursionError
    return value


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


def _whole_number(digits: str) -> int:
    # One that no float can hold would become infinite where a float is wanted.
    if len(digits) > SURELY_FINITE:
        _finite(digits)
    return int(digits)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


# Not strict: small models write line breaks into strings, and their meaning is plain.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole_number, strict=False)


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


_PLACES: tuple[tuple[Place, Callable[[str], Iterator[_Candidate]]], ...] = (
    ("whole", _whole),
    ("prose", _answer),
    ("fence", _fenced),
    ("prose", _embedded),
)
