"""A chat model without a network: scripted answers, failures and delays, and a log of what was asked."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo, TokenUsage, ToolCall
from fmf_core.errors import Code, ConfigurationError

if TYPE_CHECKING:
    from random import Random

Failure = BaseException | type[BaseException]
Answer = str | ChatResponse | ToolCall | Failure | Callable[[ChatRequest], "str | ChatResponse | ToolCall"]
"""One scripted answer: a text, a whole response, a tool call, an error to raise, or a function of the request."""

DEFAULT_ANSWER = "Mock response"
LOG_LIMIT = 10_000


class MockChatModel(ChatModel):
    """Answers from a script, and remembers what it was asked; blocking, awaited and streamed alike.

        model = MockChatModel({"What is 2+2?": "4", "default": "I do not know"})
        assert model.complete(ChatRequest(prompt="What is 2+2?")).content == "4"
        assert model.call_count == 1

    Tokens are counted as words, so that the same conversation always takes the same number of them.

    Args:
        responses: a mapping from exact prompts, with `"default"` for all others; a sequence whose answers are given in
            turn, the last one again and again; or one answer for everything. Answers are texts, `ChatResponse`s,
            `ToolCall`s, errors to raise and functions of the request.
        fail_with: an exception, or a class of one, that every call raises.
        model: the name that answers carry when a request names none.
        latency_s: seconds that every answer takes.
        chunk_delay_s: seconds between the pieces of a stream, on top of `latency_s` before the first.
        error_rate: the share of calls, from 0 to 1, that fail with `Code.UNAVAILABLE` instead of answering.
        seed: makes the choice of failing calls repeatable.
    """

    provider_name = "mock"
    in_process = True

    def __init__(
        self,
        responses: Mapping[str, Answer] | Sequence[Answer] | Answer | None = None,
        fail_with: Failure | None = None,
        *,
        model: str | None = None,
        latency_s: float = 0.0,
        chunk_delay_s: float = 0.0,
        error_rate: float = 0.0,
        seed: int | None = None,
    ) -> None:
        _check_numbers(latency_s=latency_s, chunk_delay_s=chunk_delay_s, error_rate=error_rate)
        self._by_prompt: Mapping[str, Answer] = responses if isinstance(responses, Mapping) else {}
        self._script: tuple[Answer, ...] = _as_script(responses)
        self._fail_with = fail_with
        self._model = model
        self._latency_s = latency_s
        self._chunk_delay_s = chunk_delay_s
        self._error_rate = error_rate
        self._seed = seed
        self._lock = threading.Lock()
        self._count = 0
        self._log: deque[ChatRequest] = deque(maxlen=LOG_LIMIT)
        self._random: Random | None = None

    @property
    def call_count(self) -> int:
        """How many requests were made since the last `reset`, failed ones included."""
        return self._count

    @property
    def call_log(self) -> list[ChatRequest]:
        """The requests since the last `reset` in the order they came, the newest 10,000 at most."""
        with self._lock:
            return list(self._log)

    def reset(self) -> None:
        """Forget the requests, and start the script and the choice of failures from the beginning."""
        with self._lock:
            self._count = 0
            self._log.clear()
            self._random = None

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` from the script."""
        answer = self._next(request)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        return self._respond(request, answer)

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` word by word; the last piece carries the finish reason and the usage."""
        answer = self._next(request)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        response = self._respond(request, answer)
        for number, piece in enumerate(_pieces(response.content)):
            if number and self._chunk_delay_s:
                await asyncio.sleep(self._chunk_delay_s)
            yield ChatChunk(text=piece)
        yield ChatChunk(
            text="", finish_reason=response.finish_reason, usage=response.usage, tool_calls=response.tool_calls
        )

    def get_model_info(self) -> ModelInfo:
        """What this mock is."""
        return ModelInfo(
            name=self._model or "mock", provider="mock", capabilities=("chat", "stream", "tools", "json", "images")
        )

    def check_health(self) -> HealthStatus:
        """Healthy, unless every call is told to fail."""
        if self._fail_with is not None:
            return HealthStatus(status="unhealthy", detail="fail_with is set")
        return HealthStatus(status="healthy")

    def _next(self, request: ChatRequest) -> Answer:
        with self._lock:
            number = self._count
            self._count += 1
            self._log.append(request)
            unlucky = self._error_rate > 0 and self._draw() < self._error_rate
        if self._fail_with is not None:
            return self._fail_with
        if unlucky:
            return ChatModelError("the mock failed by chance", op="mock.complete", code=Code.UNAVAILABLE)
        if self._by_prompt:
            return self._by_prompt.get(request.prompt, self._by_prompt.get("default", DEFAULT_ANSWER))
        return self._script[min(number, len(self._script) - 1)] if self._script else DEFAULT_ANSWER

    def _draw(self) -> float:
        if self._random is None:
            from random import Random

            self._random = Random(self._seed)  # noqa: S311 - a repeatable choice is the point
        return self._random.random()

    def _respond(self, request: ChatRequest, answer: Answer) -> ChatResponse:
        if isinstance(answer, type | BaseException):
            raise answer
        given = answer if isinstance(answer, str | ChatResponse | ToolCall) else answer(request)
        if isinstance(given, ChatResponse):
            return given
        calls = (given,) if isinstance(given, ToolCall) else ()
        content = "" if isinstance(given, ToolCall) else given
        model = request.model if self._model is None or "model" in request.model_fields_set else self._model
        usage = TokenUsage(
            prompt_tokens=sum(count_words(message.text) for message in request.messages),
            completion_tokens=count_words(content) + len(calls),
            model=model,
            provider="mock",
        )
        finish_reason = "tool_calls" if calls else "stop" if content else "length"
        return ChatResponse(content=content, model=model, usage=usage, finish_reason=finish_reason, tool_calls=calls)


def count_words(text: str) -> int:
    """The mock's token count: how many words, separated by white space, `text` has."""
    return len(text.split())


def _as_script(responses: object) -> tuple[Answer, ...]:
    if responses is None or isinstance(responses, Mapping):
        return ()
    if isinstance(responses, Sequence) and not isinstance(responses, str):
        return tuple(responses)
    return (responses,)  # type: ignore[return-value]


def _check_numbers(**numbers: float) -> None:
    for name, number in numbers.items():
        if number < 0 or (name == "error_rate" and number > 1):
            allowed = "between 0 and 1" if name == "error_rate" else "0 or more"
            raise ConfigurationError(f"{name} of the mock must be {allowed}, got {number!r}", op="mock.create")


def _pieces(text: str) -> list[str]:
    """Cut `text` behind every run of white space; the pieces join to the whole."""
    pieces: list[str] = []
    start = 0
    for index in range(1, len(text)):
        if text[index - 1].isspace() and not text[index].isspace():
            pieces.append(text[start:index])
            start = index
    return [*pieces, text[start:]] if text else []
