"""Asks until the answer has the wanted shape: what is wrong is mended by its cause, and every ask is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from chatmodels.errors import ChatModelError, charges_in
from chatmodels.json_keywords import QUICK_S, QUICK_STEPS, Limit, limited
from chatmodels.structured.finding import Accept, Found, HopelessError, MisfitError, find
from chatmodels.structured.telling import RefusedFormats, refuses_the_format, ways_to_tell
from chatmodels.structured.wanted import Wanted, wanted_json
from chatmodels.types import ChatRequest, ChatResponse, Message, ModelInfo, TokenUsage
from fmf_core.errors import Code
from fmf_core.portal import in_thread

T = TypeVar("T")

Ask = Callable[[ChatRequest], Awaitable[ChatResponse]]
Cause = Literal["fence", "prose", "trailing_comma", "misfit", "truncated", "empty", "format_refused"]

MOST_MAX_TOKENS = 128_000
"""The largest `max_tokens` that a request takes."""
DEFAULT_CAP = 16_384
"""How far `max_tokens` is raised for a model whose limit is not known, unless a cap is given."""
LONGEST_AT_ONCE = 20_000
"""Answers of up to this many characters are looked at right away; a longer one is, in a thread."""
OP = "chatmodels.answer_json"
EMPTY = "the answer is empty"
"""How providers say that a model finished without a word."""
HINTS = {
    Code.TRUNCATED: (
        "give more room: raise max_tokens (and max_tokens_cap, parse_retries or the context, where they stopped it), "
        "or ask for a shorter answer"
    ),
    Code.BAD_REPLY: "show the model an example of the wanted answer, loosen the schema, or raise parse_retries",
    Code.REFUSED: "look at what the request asks for",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was done about an answer that could not be used as it was."""

    ask: int
    """After which ask, counted from 1."""
    cause: Cause
    action: str
    """What was done, in a few words."""

    def __str__(self) -> str:
        return f"ask {self.ask}: {self.cause}, {self.action}"


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A value of the wanted shape that a model gave, and what it took to get it."""

    value: T
    response: ChatResponse
    """The answer that held the value."""
    usage: TokenUsage
    """The tokens of all asks together, attempts that failed and were charged included."""
    asks: int = 1
    """How often the model answered."""
    repairs: tuple[Repair, ...] = ()
    """What was done about answers that could not be used as they were, in order; empty when all went well."""
    cost_usd: float | None = None
    """Estimated price of all asks in US dollars, attempts that failed included; `None` where any price is unknown."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to try.

    Args:
        parse_retries: how often to ask again, whatever the cause.
        max_tokens_cap: how far `max_tokens` may be raised for answers that were cut; `None` is the model's own limit,
            or `DEFAULT_CAP` where that is not known.
    """

    parse_retries: int = 1
    max_tokens_cap: int | None = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who is asked."""

    ask: Ask
    """Answers one request."""
    info: ModelInfo | None = None
    """What the model can do; without it, the first request goes out as it is."""
    refused_formats: RefusedFormats | None = None
    """The formats that its provider has refused so far; more are added."""


async def answer_json(
    answerer: Answerer,
    request: ChatRequest,
    *,
    schema: Mapping[str, Any] | None = None,
    effort: Effort | None = None,
) -> Parsed[Any]:
    """Ask until the answer holds JSON that fits, see `answer_wanted`.

    Args:
        answerer: who is asked.
        request: the first request.
        schema: a JSON Schema (see `check_schema`) that the value must satisfy, formats included.
        effort: how hard to try.

    Raises:
        ChatModelError: see `answer_wanted`.
        ConfigurationError: `schema` cannot be used, see `check_schema`.
    """
    name = request.response_format.name if request.response_format is not None else "answer"
    return await answer_wanted(answerer, request, wanted_json(schema, name), effort)


async def answer_wanted(
    answerer: Answerer, request: ChatRequest, wanted: Wanted[T], effort: Effort | None = None
) -> Parsed[T]:
    """Ask until the answer is what is wanted.

    Where it is known that the model enforces schemas, it is told the schema; else JSON mode or the prompt must do. What
    comes back is checked all the same. An answer that was cut is asked for again with more `max_tokens` and never
    accepted, an empty one is asked for again once, and one that does not fit with what is wrong with it. A request
    whose format the provider refuses is made again in the next way, which counts for no ask, as it gave no answer.

    Raises:
        ChatModelError: `Code.TRUNCATED` when the last answer was cut, `Code.REFUSED` when the provider withheld one,
            `Code.BAD_REPLY` when none fitted. `fields` holds `usage`, `cost_usd` and `asks` of all asks together, and
            `repairs`. Other errors of the model pass.
    """
    return await _Ladder(answerer, request, wanted, effort or Effort()).climb()


class _Ladder(Generic[T]):
    """One value on its way: what has been asked, what it took, and what to ask next."""

    def __init__(self, answerer: Answerer, request: ChatRequest, wanted: Wanted[T], effort: Effort) -> None:
        self._ask = answerer.ask
        self._base = request
        self._info = answerer.info
        self._effort = effort
        self._refused_formats = answerer.refused_formats if answerer.refused_formats is not None else RefusedFormats()
        self._ways = self._refused_formats.without(ways_to_tell(wanted, request, answerer.info), request)
        self._told = self._ways[0].told(request)
        self._turns: tuple[Message, ...] = ()
        self._max_tokens: int | None = None
        self._raised_just_now = False
        self._empty_before = False
        self._model = request.model
        self._asks = 0
        self._usage: TokenUsage | None = None
        self._cost: float | None = 0.0
        self._repairs: list[Repair] = []

    async def climb(self) -> Parsed[T]:
        """Ask until there is a value, or an error."""
        while True:
            try:
                response = await self._ask(self._request())
            except ChatModelError as error:
                self._after_error(error)
                continue
            self._count((*response.failed_usage, response.usage), response.cost_usd, response.model)
            if response.finish_reason == "length":
                self._raise_max_tokens(response.usage)
            elif response.finish_reason == "content_filter":
                raise self._failure(Code.REFUSED, f"the provider of {self._model} withheld the answer")
            elif not response.content.strip() and not response.tool_calls:
                self._ask_once_more(None)
            else:
                try:
                    return self._parsed(await _found(response.content, self._ways[0].wanted.accept), response)
                except MisfitError as misfit:
                    self._complain(response, misfit)

    # What is asked, and what it took

    def _request(self) -> ChatRequest:
        changes = {} if self._max_tokens is None else {"max_tokens": self._max_tokens}
        if not self._turns and not changes:
            return self._told
        return self._told.remade(messages=(*self._told.messages, *self._turns), **changes)

    def _count(self, usages: Sequence[TokenUsage], cost: float | None, model: str) -> None:
        self._asks += 1
        self._model = model
        self._raised_just_now = False
        for usage in usages:
            self._usage = usage if self._usage is None else self._usage + usage
        self._cost = None if self._cost is None or cost is None else self._cost + cost

    def _parsed(self, found: Found[T], response: ChatResponse) -> Parsed[T]:
        if found.place != "whole":
            self._note(found.place, "what stood around the JSON was left out")
        if found.mended:
            self._note("trailing_comma", "commas before closing brackets were left out")
        usage = self._usage or response.usage
        return Parsed(found.value, response, usage, self._asks, tuple(self._repairs), self._cost)

    def _note(self, cause: Cause, action: str) -> None:
        self._repairs.append(Repair(self._asks, cause, action))

    # One method for each cause; all of them return when it is worth asking again

    def _after_error(self, error: ChatModelError) -> None:
        """The model raised: an answer that cannot be used, a format that it does not know, or something else."""
        spent, cost, charged = error.fields.get("usage"), error.fields.get("cost_usd"), charges_in(error)
        usage = spent if isinstance(spent, TokenUsage) else None
        if error.code is Code.INVALID and self._raised_just_now:
            raise self._truncated(f"the model takes no max_tokens of {self._max_tokens}") from error
        if refuses_the_format(error, self._model) and len(self._ways) > 1:
            refused = self._ways.pop(0)
            self._refused_formats.add(refused, self._base)
            self._told = self._ways[0].told(self._base)
            # What the model answered so far was of another shape.
            self._turns = () if refused.wanted is not self._ways[0].wanted else self._turns
            self._note("format_refused", f"the provider does not take {refused.name}, so {self._ways[0].name} is used")
        elif error.code is Code.TRUNCATED:
            self._count(charged, cost, self._model)
            self._raise_max_tokens(usage, error)
        elif error.code is Code.BAD_REPLY and EMPTY in error.message:
            self._count(charged, cost, self._model)
            self._ask_once_more(error)
        else:
            if error.code is Code.REFUSED or charged:
                self._count(charged, cost, self._model)
            if error.code is Code.REFUSED:
                error.hint = error.hint or HINTS[Code.REFUSED]
            if self._asks:
                error.fields.pop("failed_usage", None)  # `usage` holds it now
                error.fields.update({name: fact for name, fact in self._facts().items() if name != "model"})
            raise error

    def _raise_max_tokens(self, usage: TokenUsage | None, error: ChatModelError | None = None) -> None:
        """The answer was cut: ask again for the whole of it, with more room."""
        spent, prompt = (usage.completion_tokens, usage.prompt_tokens) if usage is not None else (0, 0)
        # A preset of the model does not show in the request, but in how much the model said.
        before = self._max_tokens or max(self._base.max_tokens or 0, spent)
        # Where nobody knows how much was not enough, as much as there may be.
        after = min(2 * before, self._cap(prompt)) if before else self._cap(prompt)
        if after <= before:
            raise self._truncated(f"max_tokens was {before}, and cannot be raised beyond {max(after, 0)}") from error
        if not self._may_ask_again():
            raise self._truncated(f"max_tokens was {before}") from error
        self._max_tokens = after
        self._note("truncated", f"asked again with max_tokens {after} instead of {before or None}")
        self._raised_just_now = True

    def _ask_once_more(self, error: ChatModelError | None) -> None:
        """The answer was empty: the same request again, but only once."""
        if self._empty_before or not self._may_ask_again():
            raise self._failure(Code.BAD_REPLY, f"the answer of {self._model} is empty") from error
        self._empty_before = True
        self._note("empty", "asked again")

    def _complain(self, response: ChatResponse, misfit: MisfitError) -> None:
        """The answer does not fit: repeat it and say what is wrong with it."""
        if not self._may_ask_again():
            raise self._failure(
                Code.BAD_REPLY,
                f"the answer of {self._model} is not the expected JSON (asked {self._asks} times): {misfit}",
            ) from misfit
        answer = (Message(role="assistant", content=response.content),) if response.content else ()
        complaint = (
            f"That answer cannot be used: {misfit}.\nAnswer again with the corrected JSON value and nothing else."
        )
        self._turns = (*self._turns, *answer, Message(role="user", content=complaint))
        self._note("misfit", f"asked again, because {misfit}")

    def _may_ask_again(self) -> bool:
        return self._asks <= self._effort.parse_retries

    # Limits and errors

    def _cap(self, prompt_tokens: int) -> int:
        known = self._info.max_tokens if self._info is not None else 0
        caps = [self._effort.max_tokens_cap or known or DEFAULT_CAP, MOST_MAX_TOKENS]
        if self._info is not None and self._info.context_tokens:
            caps.append(self._info.context_tokens - prompt_tokens)
        return min(caps)

    def _truncated(self, why: str) -> ChatModelError:
        return self._failure(Code.TRUNCATED, f"the answer of {self._model} was cut: {why}")

    def _failure(self, code: Code, message: str) -> ChatModelError:
        return ChatModelError(message, op=OP, code=code, hint=HINTS[code], fields=self._facts())

    def _facts(self) -> dict[str, Any]:
        usage = {} if self._usage is None else {"usage": self._usage}
        repairs = [str(repair) for repair in self._repairs]
        return {**usage, "cost_usd": self._cost, "asks": self._asks, "model": self._model, "repairs": repairs}


async def _found(text: str, accept: Accept[T]) -> Found[T]:
    """What is found in `text`; in a thread where that may take long, for the event loop has others to serve."""
    if len(text) <= LONGEST_AT_ONCE:
        with suppress(HopelessError), limited(Limit(QUICK_S, QUICK_STEPS)):
            return find(text, accept)
    return await in_thread(_find, text, accept)


def _find(text: str, accept: Accept[T]) -> Found[T]:
    with limited(Limit()):
        return find(text, accept)
