"""A chat model without a network: scripted answers, failures and delays, and a log of what was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from chatmodels.capabilities import provider_capabilities
from chatmodels.iface import ChatModel
from chatmodels.providers.mock_answers import (
    BrokenAnswer,
    Failure,
    ScriptedAnswer,
    Span,
    as_failure,
    check_span,
    count_words,
    cut_text,
    draw,
    exception_of,
    resolve,
    respond,
    scripted_error,
)
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo, TokenUsage, ToolCall
from fmf_core.errors import Code, ConfigurationError
from fmf_core.forks import Lock

if TYPE_CHECKING:
    from random import Random

Ending = Literal["repeat", "cycle", "fail"]

DEFAULT_ANSWER = "Mock response"
CAPABILITIES = provider_capabilities("mock")


class MockChatModel(ChatModel):
    """Answers from a script, and remembers what it was asked; blocking, awaited and streamed alike.

        model = MockChatModel({"What is 2+2?": "4", "default": "I do not know"})
        assert model.complete(ChatRequest(prompt="What is 2+2?")).content == "4"
        assert model.call_count == 1

    Tokens are counted as words, so that the same conversation always takes the same number of them. Without a script,
    a request that must have a tool called gets such a call, one with a `response_format` the plainest JSON that fits,
    every other one the same sentence.

    Args:
        responses: a mapping from exact prompts, with `"default"` for all others; a sequence whose answers are given in
            turn; or one answer for everything. Answers are texts, `ChatResponse`s, `ToolCall`s or a list of them,
            mappings and pydantic models (answered as JSON), codes and exceptions to fail with (`scripted_error` makes
            one with a `retry_after`), `BrokenAnswer`s, and functions of the request.
        fail_with: a code or its text (`"rate_limit"`), an exception, or a class of one, that every call fails with.
        model: the name that answers carry when a request names none.
        latency_s: seconds that every answer takes: a number, a range `(0.1, 0.5)`, or a function that draws them
            from a `random.Random`.
        chunk_delay_s: seconds between the pieces of a stream, on top of `latency_s` before the first; as `latency_s`.
        error_rate: the share of calls, from 0 to 1, that fail with `error` instead of answering.
        seed: makes delays and the choice of failing calls repeatable.
        error: what calls fail with by chance; as `fail_with`.
        at_end: what comes after the last answer of a sequence: the last one again and again, the first one again, or
            an error.
        chunk_chars: characters in each piece of a stream; `None` cuts it into words.
        usage: the tokens of every answer, instead of those that `count_tokens` counts.
        count_tokens: counts the tokens of a text; words by default.
        log_limit: how many requests `call_log` keeps, the newest ones.
        health: what `check_health` says; worked out from the failures by default.
        capabilities: what `get_model_info` says that the model can do.
    """

    provider_name = "mock"
    in_process = True

    def __init__(
        self,
        responses: Mapping[str, ScriptedAnswer] | Sequence[ScriptedAnswer] | ScriptedAnswer | None = None,
        fail_with: Failure | str | None = None,
        *,
        model: str | None = None,
        latency_s: Span = 0.0,
        chunk_delay_s: Span = 0.0,
        error_rate: float = 0.0,
        seed: int | None = None,
        error: Failure | str = Code.UNAVAILABLE,
        at_end: Ending = "repeat",
        chunk_chars: int | None = None,
        usage: TokenUsage | None = None,
        count_tokens: Callable[[str], int] = count_words,
        log_limit: int = 10_000,
        health: HealthStatus | None = None,
        capabilities: Sequence[str] = CAPABILITIES,
    ) -> None:
        _check(error_rate=error_rate, at_end=at_end, chunk_chars=chunk_chars, log_limit=log_limit)
        check_span("latency_s", latency_s)
        check_span("chunk_delay_s", chunk_delay_s)
        self._by_prompt: Mapping[str, ScriptedAnswer] = responses if isinstance(responses, Mapping) else {}
        self._script: tuple[ScriptedAnswer, ...] = _as_script(responses)
        self._fail_with = None if fail_with is None else as_failure("fail_with", fail_with)
        self._model = model
        self._latency_s = latency_s
        self._chunk_delay_s = chunk_delay_s
        self._error_rate = error_rate
        self._error = as_failure("error", error)
        self._at_end = at_end
        self._chunk_chars = chunk_chars
        self._usage = usage
        self._count_tokens = count_tokens
        self._health = health
        self._capabilities = tuple(capabilities)
        self._seed = seed
        self._lock = Lock()
        self._count = 0
        self._log: deque[ChatRequest] = deque(maxlen=log_limit)
        self._total: TokenUsage | None = None
        self._random: Random | None = None

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """The script."""
        chance = (self._error_rate, self._error, self._seed) if self._error_rate else None
        count = None if self._count_tokens is count_words else self._count_tokens
        script = (self._by_prompt, self._script, self._at_end, self._fail_with)
        return {"model": self._model, "script": script, "chance": chance, "usage": self._usage, "count": count}

    @property
    def call_count(self) -> int:
        """How many requests were made since the last `reset`, failed ones included."""
        return self._count

    @property
    def call_log(self) -> list[ChatRequest]:
        """The requests since the last `reset` in the order they came, the newest `log_limit` at most."""
        with self._lock():
            return list(self._log)

    @property
    def last_request(self) -> ChatRequest | None:
        """The newest request; `None` before the first."""
        with self._lock():
            return self._log[-1] if self._log else None

    @property
    def total_usage(self) -> TokenUsage | None:
        """The tokens of all answers since the last `reset`; `None` before the first."""
        return self._total

    def reset(self) -> None:
        """Forget the requests, and start the script, the delays and the choice of failures from the beginning."""
        with self._lock():
            self._count = 0
            self._log.clear()
            self._total = None
            self._random = None

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` from the script."""
        answer, delay_s = self._next(request)
        if delay_s:
            await asyncio.sleep(delay_s)
        given = await self._answered(request, answer)
        if isinstance(given, BrokenAnswer):
            raise exception_of(given.failure)
        return given

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; the last piece carries the finish reason and the usage."""
        answer, delay_s = self._next(request)
        if delay_s:
            await asyncio.sleep(delay_s)
        given = await self._answered(request, answer)
        text = given.text if isinstance(given, BrokenAnswer) else given.content
        for number, piece in enumerate(cut_text(text, self._chunk_chars)):
            pause_s = self._drawn(self._chunk_delay_s) if number else 0.0
            if pause_s:
                await asyncio.sleep(pause_s)
            yield ChatChunk(text=piece)
        if isinstance(given, BrokenAnswer):
            raise exception_of(given.failure)
        yield ChatChunk(
            text="",
            finish_reason=given.finish_reason,
            usage=given.usage,
            tool_calls=given.tool_calls,
            response_id=given.response_id,
        )

    def get_model_info(self) -> ModelInfo:
        """What this mock is."""
        return ModelInfo(name=self._model or "mock", provider=self.provider_name, capabilities=self._capabilities)

    def check_health(self) -> HealthStatus:
        """What `health` says; else healthy, unless every call is told to fail."""
        if self._health is not None:
            return self._health
        if self._fail_with is not None:
            return HealthStatus(status="unhealthy", detail="fail_with is set")
        if self._error_rate == 1:
            return HealthStatus(status="unhealthy", detail="error_rate is 1")
        return HealthStatus(status="healthy")

    def _next(self, request: ChatRequest) -> tuple[ScriptedAnswer, float]:
        """The answer whose turn it is, and the seconds that it takes."""
        with self._lock():
            number = self._count
            self._count += 1
            self._log.append(request)
            unlucky = self._error_rate > 0 and self._dice().random() < self._error_rate
            delay_s = draw(self._latency_s, self._dice()) if self._latency_s else 0.0
        if self._fail_with is not None:
            return self._fail_with, delay_s
        return (self._error if unlucky else self._scripted(request, number)), delay_s

    def _scripted(self, request: ChatRequest, number: int) -> ScriptedAnswer:
        if self._by_prompt:
            return self._by_prompt.get(request.prompt, self._by_prompt.get("default", _unscripted))
        if not self._script:
            return _unscripted
        if number < len(self._script):
            return self._script[number]
        if self._at_end == "fail":
            return scripted_error(
                Code.INVALID, message=f"the script of the mock ends after {len(self._script)} answers"
            )
        return self._script[number % len(self._script) if self._at_end == "cycle" else -1]

    def _drawn(self, span: Span) -> float:
        if not span:
            return 0.0
        with self._lock():
            return draw(span, self._dice())

    def _dice(self) -> Random:
        if self._random is None:
            from random import Random

            self._random = Random(self._seed)  # noqa: S311 - a repeatable choice is the point
        return self._random

    async def _answered(self, request: ChatRequest, answer: ScriptedAnswer) -> ChatResponse | BrokenAnswer:
        given = await resolve(answer, request)
        if isinstance(given, BrokenAnswer):
            return given
        if not isinstance(given, ChatResponse):
            model = request.named_model or self._model or request.model
            given = respond(given, request, model=model, provider=self.provider_name, count=self._count_tokens)
            if self._usage is not None:
                given = given.model_copy(update={"usage": self._usage})
        with self._lock():
            self._total = given.usage if self._total is None else self._total + given.usage
        return given


def _unscripted(request: ChatRequest) -> str | ToolCall:
    from chatmodels.providers.schema_example import example_of

    if request.tools and request.tool_choice not in (None, "auto", "none"):
        named = (tool for tool in request.tools if tool.name == request.tool_choice)
        tool = next(named, request.tools[0])
        return ToolCall(id="call_1", name=tool.name, arguments=example_of(tool.parameters))
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return DEFAULT_ANSWER
    return json.dumps(example_of(wanted.json_schema or {"type": "object"}), ensure_ascii=False)


def _as_script(responses: object) -> tuple[ScriptedAnswer, ...]:
    if responses is None or isinstance(responses, Mapping):
        return ()
    if isinstance(responses, Sequence) and not isinstance(responses, str):
        return tuple(responses)
    return (responses,)  # type: ignore[return-value]


def _check(*, error_rate: float, at_end: str, chunk_chars: int | None, log_limit: int) -> None:
    faults = {
        f"error_rate must be between 0 and 1, got {error_rate!r}": 0 <= error_rate <= 1,
        f"at_end must be one of {', '.join(get_args(Ending))}, got {at_end!r}": at_end in get_args(Ending),
        f"chunk_chars must be 1 or more, got {chunk_chars!r}": chunk_chars is None or chunk_chars >= 1,
        f"log_limit must be 0 or more, got {log_limit!r}": log_limit >= 0,
    }
    for fault, fine in faults.items():
        if not fine:
            raise ConfigurationError(f"{fault} (the mock)", op="mock.create")
