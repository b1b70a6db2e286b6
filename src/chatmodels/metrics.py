"""What is measured about one chat call: span, histograms and log line, under the OpenTelemetry GenAI names (v1.41)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from chatmodels.config import Price
from chatmodels.pricing import cost_of
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, Message, TokenUsage
from fmf_core.errors import FrameworkError
from fmf_core.logs import LEVELS, get_logger
from fmf_core.redact import redact
from fmf_core.telemetry import histogram, recording, span

PROVIDER_NAMES = {"azure_openai": "azure.ai.openai", "aws_bedrock": "aws.bedrock"}
"""Our names of providers to those that the conventions prescribe, where they differ."""
TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
DURATION_BUCKETS = tuple(0.01 * 2**power for power in range(14))
CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = frozenset({"true", "span_only", "span_and_event"})

_log = get_logger("chatmodels")
_DEBUG, _INFO = LEVELS["DEBUG"], LEVELS["INFO"]


class Meter:
    """Whose calls are measured.

    Args:
        provider: our name of the vendor.
        endpoint: tells the address of the server, as it holds now and where it is known.
        in_process: whether the model runs in this process.
        prices: model name to price; adds to the shipped table.
    """

    __slots__ = ("endpoint", "in_process", "prices", "provider")

    def __init__(
        self,
        provider: str,
        endpoint: Callable[[], str | None],
        *,
        in_process: bool = False,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self.provider = provider
        self.in_process = in_process
        self.prices = prices or {}
        self.endpoint = endpoint


class MeasuredCall:
    """One logical call, retries included, while it is being measured; a context manager around it."""

    __slots__ = ("_first_at", "_last_at", "_request", "_span", "_span_manager", "_started", "_streamed", "_subject")

    def __init__(self, subject: Meter, request: ChatRequest, *, streamed: bool = False) -> None:
        self._subject = subject
        self._request = request
        self._streamed = streamed
        self._span_manager: Any = None
        self._span: Any = None
        self._first_at = self._last_at = 0.0

    def __enter__(self) -> Self:
        self._started = perf_counter()
        if recording():
            self._span_manager = span(
                f"chat {self._request.model}",
                kind="internal" if self._subject.in_process else "client",
                attributes=self._request_attributes(),
                # What the consumer of a stream does between two pieces is no part of the call.
                current=not self._streamed,
            )
            self._span = self._span_manager.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self._fail(error)
        if self._span_manager is not None:
            self._span_manager.__exit__(kind, error, traceback)

    def done(self, response: ChatResponse) -> ChatResponse:
        """The response with the facts that only the whole call knows: `latency_ms` and `cost_usd`."""
        seconds = perf_counter() - self._started
        cost = 0.0 if response.cached else response.cost_usd
        if cost is None:
            cost = cost_of(response.usage, self._subject.prices)
        measured = response.model_copy(update={"latency_ms": seconds * 1000.0, "cost_usd": cost})
        if self._span is not None:
            self._span.set("gen_ai.response.model", response.model)
            if response.response_id:
                self._span.set("gen_ai.response.id", response.response_id)
            if _captures_content():
                self._span.set("gen_ai.output.messages", _as_json([_as_output(response)]))
            self._finish(seconds, response.usage, response.finish_reason)
        if _log.enabled(_DEBUG):
            _log.debug(
                "llm.call", **self._facts(seconds, response.usage, response.finish_reason, cost, response.attempts)
            )
        return measured

    def chunk(self) -> None:
        """A piece of a streamed answer has come."""
        now = perf_counter()
        if not self._first_at:
            self._first_at = now
            if self._span is not None:
                self._span.set("gen_ai.response.time_to_first_chunk", now - self._started)
                _first_chunk_histogram().record(now - self._started, self._metric_attributes())
        elif self._span is not None:
            _chunk_histogram().record(now - self._last_at, self._metric_attributes())
        self._last_at = now

    def done_streaming(self, last: ChatChunk | None) -> None:
        """The stream has ended, with `last` as the piece that carried usage and finish reason."""
        seconds = perf_counter() - self._started
        usage = last.usage if last else None
        finish_reason = (last.finish_reason if last else None) or "unknown"
        if self._span is not None:
            if usage is not None:
                self._span.set("gen_ai.response.model", usage.model)
            self._finish(seconds, usage, finish_reason)
        if _log.enabled(_DEBUG):
            cost = cost_of(usage, self._subject.prices) if usage else None
            _log.debug("llm.call", **self._facts(seconds, usage, finish_reason, cost, None))

    def _finish(self, seconds: float, usage: TokenUsage | None, finish_reason: str) -> None:
        self._span.set("gen_ai.response.finish_reasons", [finish_reason])
        attributes = self._metric_attributes()
        _duration_histogram().record(seconds, attributes)
        if usage is None:
            return
        self._span.set("gen_ai.usage.input_tokens", usage.prompt_tokens)
        self._span.set("gen_ai.usage.output_tokens", usage.completion_tokens)
        if usage.cached_tokens:
            self._span.set("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens)
        if usage.reasoning_tokens:
            self._span.set("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens)
        attributes = {**attributes, "gen_ai.response.model": usage.model}
        tokens = _token_histogram()
        tokens.record(usage.prompt_tokens, {**attributes, "gen_ai.token.type": "input"})
        tokens.record(usage.completion_tokens, {**attributes, "gen_ai.token.type": "output"})

    def _fail(self, error: BaseException) -> None:
        seconds = perf_counter() - self._started
        if self._span is not None:
            kind = error_type(error)
            self._span.set("error.type", kind)
            _duration_histogram().record(seconds, {**self._metric_attributes(), "error.type": kind})
        if _log.enabled(_INFO):
            facts = {
                name: value for name, value in self._facts(seconds, None, None, None, None).items() if value is not None
            }
            if isinstance(error, FrameworkError):
                facts |= {"op": error.op, "attempts": error.fields.get("attempts", 1)}
            _log.info("llm.call", status="failed", code=error_type(error), error=str(error), **facts)

    def _facts(
        self,
        seconds: float,
        usage: TokenUsage | None,
        finish_reason: str | None,
        cost: float | None,
        attempts: int | None,
    ) -> dict[str, Any]:
        request = self._request
        return {
            "provider": self._subject.provider,
            "model": request.model,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "latency_ms": round(seconds * 1000.0, 3),
            "finish_reason": finish_reason,
            "cost_usd": cost,
            "attempts": attempts,
        }

    def _metric_attributes(self) -> dict[str, Any]:
        subject = self._subject
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER_NAMES.get(subject.provider, subject.provider),
            "gen_ai.request.model": self._request.model,
            **_server(subject.endpoint()),
        }

    def _request_attributes(self) -> dict[str, Any]:
        request = self._request
        optional = {
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.seed": request.seed,
            "gen_ai.request.stop_sequences": list(request.stop) or None,
            "gen_ai.request.stream": self._streamed or None,
            "gen_ai.output.type": _output_type(request),
        }
        attributes = {**self._metric_attributes(), **{name: v for name, v in optional.items() if v is not None}}
        if _captures_content():
            system = [{"type": "text", "content": redact(m.text)} for m in request.messages if m.role == "system"]
            if system:
                attributes["gen_ai.system_instructions"] = _as_json(system)
            attributes["gen_ai.input.messages"] = _as_json(
                [_as_input(m) for m in request.messages if m.role != "system"]
            )
        return attributes


def error_type(error: BaseException) -> str:
    """What telemetry calls a failure: the code of one of our errors, else the exception's class."""
    return str(error.code) if isinstance(error, FrameworkError) else type(error).__name__


def _output_type(request: ChatRequest) -> str | None:
    if request.response_format is None:
        return None
    return "text" if request.response_format.type == "text" else "json"


@cache
def _server(endpoint: str | None) -> Mapping[str, Any]:
    parts = urlsplit(endpoint or "")
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or (80 if parts.scheme == "http" else 443)}


def _captures_content() -> bool:
    return os.environ.get(CAPTURE_VARIABLE, "").lower() in _CAPTURING


def _as_input(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": _parts(message)}


def _as_output(response: ChatResponse) -> dict[str, Any]:
    return {"role": "assistant", "parts": _parts(response.message), "finish_reason": response.finish_reason}


def _parts(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": redact(message.text)}]
    texts = [{"type": "text", "content": redact(message.text)}] if message.text else []
    calls = [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return [*texts, *calls]


def _as_json(value: Sequence[Mapping[str, Any]]) -> str:
    import orjson

    return orjson.dumps(value).decode()


@cache
def _duration_histogram() -> Any:
    return histogram(
        "gen_ai.client.operation.duration", unit="s", description="Duration of a chat call", buckets=DURATION_BUCKETS
    )


@cache
def _token_histogram() -> Any:
    return histogram(
        "gen_ai.client.token.usage", unit="{token}", description="Tokens of a chat call", buckets=TOKEN_BUCKETS
    )


@cache
def _first_chunk_histogram() -> Any:
    return histogram(
        "gen_ai.client.operation.time_to_first_chunk",
        unit="s",
        description="Time until the first piece of a streamed answer",
        buckets=DURATION_BUCKETS,
    )


@cache
def _chunk_histogram() -> Any:
    return histogram(
        "gen_ai.client.operation.time_per_output_chunk",
        unit="s",
        description="Time between two pieces of a streamed answer",
        buckets=DURATION_BUCKETS,
    )
