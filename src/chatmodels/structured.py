"""Gets JSON out of a chat model: finds it in the answer, checks it against a schema, asks again when it is wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chatmodels.errors import ChatModelError
from chatmodels.json_schema import SlowPatternError, check_schema, fault_in
from chatmodels.types import ChatRequest, ChatResponse, Message, TokenUsage
from fmf_core.errors import Code

__all__ = ["Ask", "Expected", "JsonAnswer", "MisfitError", "answer_json", "check_schema", "parse_json"]

Ask = Callable[[ChatRequest], Awaitable[ChatResponse]]
Expected = Literal["json", "object", "array"]

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

_KINDS: Mapping[str, tuple[type, ...]] = {"object": (dict,), "array": (list,)}
_WHOLE_FENCE = re.compile(r"\A\s*```(?:[ \t]*+[\w+-]*+[ \t]*+\r?\n|json\b)?(.*)```\s*\Z", re.DOTALL)
_FENCE = re.compile(r"```[ \t]*+[\w+-]*+[ \t]*+\r?\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*+("?)|[\[\]{}]', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_CLOSED_BY = {"[": "]", "{": "}"}
# An opening bracket that is certainly meant as JSON: what follows it is then no place to look for other values.
_MEANT = re.compile(r'\{\s*"[^"\n]*"\s*:|\[\s*[\[{]')


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A JSON value that a model gave, and what it took to get it."""

    value: Any
    response: ChatResponse
    """The answer that held the value."""
    usage: TokenUsage
    """The tokens of all asks together."""
    asks: int = 1
    """How often the model was asked."""


class MisfitError(ValueError):
    """A text holds no JSON value, or none of the expected shape; the message tells a model what to correct."""


async def answer_json(
    ask: Ask,
    request: ChatRequest,
    *,
    schema: Mapping[str, Any] | None = None,
    parse_retries: int = 1,
    expects: Expected = "json",
) -> JsonAnswer:
    """Ask until the answer holds JSON that fits.

    The request is sent as it is: whether the provider is told the schema is up to its `response_format`. When an answer
    does not fit, the next request repeats it and says what is wrong with it.

    Args:
        ask: answers one request.
        request: the first request.
        schema: a JSON Schema (see `check_schema`) that the value must satisfy, formats included.
        parse_retries: how often to ask again.
        expects: `"json"` for any value, `"object"` or `"array"`.

    Raises:
        ChatModelError: `Code.TRUNCATED` when the answer was cut by `max_tokens` (it is never accepted, and not asked
            for again under the same limit), `Code.REFUSED` when the provider withheld it, `Code.BAD_REPLY` when no
            answer fitted. `fields["usage"]` holds the tokens of all asks.
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    if schema is not None:
        check_schema(schema)
    usage: TokenUsage | None = None
    asks = 0
    while True:
        response = await ask(request)
        asks += 1
        usage = response.usage if usage is None else usage + response.usage
        facts = {"usage": usage, "asks": asks, "model": response.model}
        _refuse_incomplete(response, request, facts)
        try:
            return JsonAnswer(parse_json(response.content, schema=schema, expects=expects), response, usage, asks)
        except MisfitError as misfit:
            if asks > parse_retries:
                raise ChatModelError(
                    f"the answer of {response.model} is not the expected JSON (asked {asks} times): {misfit}",
                    op="chatmodels.answer_json",
                    code=Code.BAD_REPLY,
                    hint="show the model an example of the wanted answer, loosen the schema, or raise parse_retries",
                    fields=facts,
                ) from misfit
            request = _again(request, response, misfit)


def parse_json(text: str, *, schema: Mapping[str, Any] | None = None, expects: Expected = "json") -> Any:
    """The JSON value in `text`: the whole of it, what stands in a code fence, or an object or array amid prose.

    Where several values amid prose fit, the longest is taken. `NaN`, `Infinity` and numbers too large for a float are
    refused; of equal keys the last one counts; line breaks inside strings are accepted.

    Raises:
        MisfitError: no value in `text` fits.
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    misfit: MisfitError | None = None
    for places in (_whole, _fenced, _embedded):
        fitting: list[tuple[int, Any]] = []
        for length, value in places(text):
            fault = _fault(value, schema, expects)
            if fault is None:
                fitting.append((length, value))
            else:
                misfit = misfit or fault
        if fitting:
            return max(fitting, key=lambda found: found[0])[1]
    raise misfit or _unreadable(text)


def _whole(text: str) -> Iterator[tuple[int, Any]]:
    """The text as one value."""
    yield from _read(text)


def _fenced(text: str) -> Iterator[tuple[int, Any]]:
    """The inside of the fence around the whole text, or else of each fence in it."""
    whole = _WHOLE_FENCE.match(text)
    found = list(_read(whole[1])) if whole else []
    if not found:
        for fence in _FENCE.finditer(text):
            found.extend(_read(fence[1]))
    yield from found


def _embedded(text: str) -> Iterator[tuple[int, Any]]:
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
            yield end - start, value
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


def _read(text: str) -> Iterator[tuple[int, Any]]:
    """The value that `text` is, if it is one."""
    try:
        value = _decoder.decode(text.strip().strip(BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return
    if _is_encodable(value, text):
        yield len(text), value


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
        raise ValueError(f"{_short(digits)} is too large for a number")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


# Not strict: small models write line breaks into strings, and their meaning is plain.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, strict=False)


def _unreadable(text: str) -> MisfitError:
    opening = _OPENING.search(text)
    if opening is None:
        shown = _short(text.strip())
        return MisfitError(f"it holds no JSON value: {shown}" if shown else "it is empty")
    try:
        _decoder.raw_decode(text, opening.start())
    except RecursionError:
        return MisfitError("it is nested too deeply")
    except ValueError as error:
        return MisfitError(f"it is no valid JSON: {error}")
    return MisfitError("it holds half a character (a lone surrogate escape)")


def _fault(value: Any, schema: Mapping[str, Any] | None, expects: Expected) -> MisfitError | None:
    kinds = _KINDS.get(expects)
    if kinds and not isinstance(value, kinds):
        return MisfitError(f"it must be a JSON {expects}, got {_short(json.dumps(value, ensure_ascii=False))}")
    if schema is None:
        return None
    try:
        fault = fault_in(value, schema)
    except SlowPatternError as slow:
        # Raised, not returned: the other values of the answer are likely to take as long.
        raise MisfitError(str(slow)) from slow
    return None if fault is None else MisfitError(fault)


def _refuse_incomplete(response: ChatResponse, request: ChatRequest, facts: Mapping[str, Any]) -> None:
    if response.finish_reason == "length":
        raise ChatModelError(
            f"the answer of {response.model} was cut after {response.usage.completion_tokens} tokens",
            op="chatmodels.answer_json",
            code=Code.TRUNCATED,
            hint=f"raise max_tokens (it was {request.max_tokens}), or ask for a shorter answer",
            fields=facts,
        )
    if response.finish_reason == "content_filter":
        raise ChatModelError(
            f"the provider of {response.model} withheld the answer",
            op="chatmodels.answer_json",
            code=Code.REFUSED,
            hint="look at what the request asks for",
            fields=facts,
        )


def _again(request: ChatRequest, response: ChatResponse, misfit: MisfitError) -> ChatRequest:
    """The conversation so far, the answer, and what is wrong with it."""
    answer = (Message(role="assistant", content=response.content),) if response.content else ()
    complaint = Message(
        role="user",
        content=f"That answer cannot be used: {misfit}.\nAnswer again with the corrected JSON value and nothing else.",
    )
    given = {
        name: getattr(request, name) for name in request.model_fields_set - {"prompt", "system_prompt", "messages"}
    }
    return ChatRequest(**given, messages=(*request.messages, *answer, complaint))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
