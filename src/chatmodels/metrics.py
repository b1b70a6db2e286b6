"""What is measured about one chat call: span, metrics, events and log line, named as the GenAI conventions say."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from chatmodels.call_attributes import Ending, Vocabulary
from chatmodels.config import ENDPOINT_HOLDS_S, Price
from chatmodels.content import answered, as_text, asked
from chatmodels.conventions import DETAILS_EVENT, EXCEPTION_EVENT, PROVIDER_NAMES, chosen_content, chosen_profiles
from chatmodels.instruments import AnswerAttributes, Instruments, Series
from chatmodels.pricing import cost_of_answer
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, RateLimitStatus, TokenUsage
from fmf_core.errors import FrameworkError
from fmf_core.logs import LEVELS, get_logger
from fmf_core.portal import LeftError
from fmf_core.telemetry import Plain, Span, emit, error_type, metering, recording, span

MOST_SERIES = 256
"""How many pairs of model and server are kept ready for one chat model."""

_log = get_logger("chatmodels")
_DEBUG, _INFO = LEVELS["DEBUG"], LEVELS["INFO"]


class Meter:
    """Whose calls are measured, and how: the settings of the environment count as they are when it is made.

    Args:
        provider: our name of the vendor.
        endpoint: tells the address of the server, as it holds now and where it is known.
        in_process: whether the model runs in this process.
        prices: model name to price; adds to the shipped table.
        api_type: which of OpenAI's interfaces is used, where it is one of them.

    Raises:
        ConfigurationError: the environment asks for names that do not exist.
    """

    __slots__ = (
        "_known",
        "_looked",
        "_own",
        "_series",
        "content",
        "endpoint",
        "instruments",
        "kind",
        "prices",
        "provider",
        "vocabulary",
    )

    def __init__(
        self,
        provider: str,
        endpoint: Callable[[], str | None],
        *,
        in_process: bool = False,
        prices: Mapping[str, Price] | None = None,
        api_type: str | None = None,
        capture_content: bool = False,
    ) -> None:
        self.provider = provider
        self.kind: Any = "internal" if in_process else "client"
        self.prices = prices or {}
        self.endpoint = endpoint
        self.content = chosen_content(on_spans=capture_content)
        profiles = chosen_profiles()
        self.vocabulary = Vocabulary(profiles)
        self.instruments = Instruments(profiles)
        self._own = {"openai.api.type": api_type} if api_type else {}
        self._looked = float("-inf")
        self._known: str | None = None
        self._series: dict[tuple[str, str | None], Series] = {}

    def series(self, model: str, now: float) -> Series:
        """What all calls of `model` have in common, at the server that holds `now` (of the performance counter)."""
        if now - self._looked > ENDPOINT_HOLDS_S:
            self._known, self._looked = self.endpoint(), now
        key = (model, self._known)
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= MOST_SERIES:
                self._series.clear()
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": PROVIDER_NAMES.get(self.provider, self.provider),
                "gen_ai.request.model": model,
                **_server(key[1]),
            }
            found = self._series[key] = Series(attributes, self._own, self.instruments)
        return found


class MeasuredCall:
    """One logical call, retries included, while it is being measured; a context manager around it."""

    __slots__ = ("_began", "_last", "_meter", "_pieces", "_request", "_requested", "_series", "_span", "_streamed",
                 "_texts")  # fmt: skip

    def __init__(self, meter: Meter, request: ChatRequest, *, streamed: bool = False) -> None:
        self._meter = meter
        self._request = request
        self._streamed = streamed
        self._series: Series | None = None
        self._span: Span
        self._requested: Plain | None = None
        self._pieces: list[float] = []
        self._texts: list[str] = []

    def __enter__(self) -> Self:
        self._began = self._last = perf_counter()
        if recording():
            self._observe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left = isinstance(error, GeneratorExit | LeftError)
        if left:
            # Whoever leaves a stream has what was wanted: that is no failure, and nobody knows what it took.
            self._report(perf_counter() - self._began, Ending())
        elif error is not None:
            self._fail(error)
        if self._series is not None:
            self._span.__exit__(kind, None if left else error, traceback)

    def done(self, response: ChatResponse) -> ChatResponse:
        """The response with the facts that only the whole call knows: `latency_ms` and `cost_usd`."""
        seconds = perf_counter() - self._began
        cost = cost_of_answer(
            response.usage,
            self._meter.prices,
            failed=response.failed_usage,
            told=response.cost_usd,
            cached=response.cached,
        )
        logged = _log.enabled(_DEBUG)
        if logged or self._series is not None:
            ending = Ending.of(response, cost)
            self._report(seconds, ending)
            if logged:
                self._say(seconds, ending)
        return response.model_copy(update={"latency_ms": seconds * 1000.0, "cost_usd": cost})

    def chunk(self, chunk: ChatChunk | None = None) -> None:
        """A piece of a streamed answer has come."""
        if self._series is None:
            return
        now = perf_counter()
        self._pieces.append(now - self._last)
        self._last = now
        if chunk is not None and self._meter.content.wanted:
            self._texts.append(chunk.text)

    def done_streaming(self, last: ChatChunk | None) -> float | None:
        """The stream has ended, with `last` as the piece that carried usage and finish reason; its price is given."""
        seconds = perf_counter() - self._began
        cost = cost_of_last(last, self._meter.prices)
        logged = _log.enabled(_DEBUG)
        if logged or self._series is not None:
            ending = Ending() if last is None else Ending.of_stream(last, "".join(self._texts), cost)
            self._report(seconds, ending)
            if logged:
                self._say(seconds, ending)
        return cost

    def _observe(self) -> None:
        meter = self._meter
        self._series = series = meter.series(self._request.model, self._began)
        self._span = span(
            series.title,
            kind=meter.kind,
            attributes=self._asked_for,
            # What the consumer of a stream does between two pieces is no part of the call.
            current=not self._streamed,
        )
        self._span.__enter__()

    def _asked_for(self) -> Plain:
        """What the span says when it begins; kept for the event that says all of it."""
        meter, series = self._meter, self._series
        common = series.started if series is not None else Plain()
        self._requested = meter.vocabulary.requested(common, self._request, meter.provider, streamed=self._streamed)
        return self._requested

    def _report(self, seconds: float, ending: Ending) -> None:
        """Tell span, metrics and event how the call ended."""
        series = self._series
        if series is None:
            return
        answers = series.answers(ending.model)
        self._count(seconds, answers.attributes, answers, ending.counted)
        if self._span.recording or self._meter.content.event:
            self._describe(seconds, self._meter.vocabulary.answered(ending), ending)

    def _count(self, seconds: float, attributes: Plain, answers: AnswerAttributes, usage: TokenUsage | None) -> None:
        """Tell the metrics: the duration under `attributes`, everything else as of `answers`."""
        if not metering():
            return
        instruments, context = self._meter.instruments, self._span.context
        instruments.record_duration(seconds, attributes, context)
        if self._pieces:
            instruments.record_pieces(self._pieces, answers.attributes, context)
        text_only = not instruments.totals or not self._request.images
        instruments.record_tokens(usage, answers, context, text_only=text_only)

    def _describe(self, seconds: float, attributes: Plain, ending: Ending | None) -> None:
        """Put `attributes` on the span, with the messages where that is allowed; and send the event if it is wanted."""
        content = self._meter.content
        if self._pieces:
            attributes["gen_ai.response.time_to_first_chunk"] = self._pieces[0]
        told: dict[str, Any] = {}
        if content.wanted:
            told = asked(self._request)
            if ending is not None and ending.finish_reason:
                told |= answered(ending.text, ending.tool_calls, ending.finish_reason)
        self._span.set_all(Plain({**attributes, **as_text(told)}) if content.on_span else attributes)
        self._span.stop(seconds)
        if content.event:
            facts = Plain(
                {**(self._requested or self._asked_for()), **attributes, **(told if content.on_event else {})}
            )
            emit(DETAILS_EVENT, facts, severity="DEBUG", context=self._span.context)

    def _fail(self, error: BaseException) -> None:
        seconds = perf_counter() - self._began
        kind = error_type(error)
        series = self._series
        if series is not None:
            self._count(seconds, series.failures(kind), series.answers(None), None)
            self._span.error(error, EXCEPTION_EVENT)
            if self._span.recording or self._meter.content.event:
                self._describe(seconds, _failed(error, kind), None)
        if isinstance(error, CancelledError):
            # Whoever gave the call up knows, as does a batch that one of its requests stopped.
            if _log.enabled(_DEBUG):
                _log.debug("llm.call", status="cancelled", code="cancelled", **self._present(seconds))
        elif _log.enabled(_INFO):
            self._say_failed(seconds, error, kind)

    def _say(self, seconds: float, ending: Ending) -> None:
        usage = ending.usage
        limits = ending.rate_limit.model_dump(exclude_none=True) if ending.rate_limit else {}
        origin: dict[str, Any] = {"cached": True} if ending.cached else {}
        if ending.fell_back_from:
            origin["fell_back_from"] = list(ending.fell_back_from)
        _log.debug(
            "llm.call",
            **self._asked(),
            response_model=ending.model,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            latency_ms=round(seconds * 1000.0, 3),
            finish_reason=ending.finish_reason,
            cost_usd=ending.cost_usd,
            attempts=ending.attempts,
            **origin,
            **limits,
        )

    def _say_failed(self, seconds: float, error: BaseException, kind: str) -> None:
        facts = self._present(seconds)
        if isinstance(error, FrameworkError):
            limits = error.fields.get("rate_limit")
            facts |= {"op": error.op, "attempts": error.fields.get("attempts", 1)}
            facts |= limits.model_dump(exclude_none=True) if isinstance(limits, RateLimitStatus) else {}
        _log.info("llm.call", status="failed", code=kind, error=str(error), **facts)

    def _present(self, seconds: float) -> dict[str, Any]:
        """How long it took, and what was asked for, without what was left open."""
        asked = {name: value for name, value in self._asked().items() if value is not None}
        return {"latency_ms": round(seconds * 1000.0, 3), **asked}

    def _asked(self) -> dict[str, Any]:
        request = self._request
        return {
            "provider": self._meter.provider,
            "model": request.model,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }


def cost_of_last(last: ChatChunk | None, prices: Mapping[str, Price]) -> float | None:
    """What a stream cost in US dollars, as its last piece tells; `None` without one, or where a price is unknown."""
    if last is None:
        return None
    return cost_of_answer(last.usage, prices, failed=last.failed_usage, cached=last.cached)


def _failed(error: BaseException, kind: str) -> Plain:
    attributes = Plain({"error.type": kind})
    attempts = error.fields.get("attempts", 1) if isinstance(error, FrameworkError) else 1
    if isinstance(attempts, int) and attempts > 1:
        attributes["fmf.chat.attempts"] = attempts
    return attributes


@cache
def _server(endpoint: str | None) -> Mapping[str, Any]:
    parts = urlsplit(endpoint or "")
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or (80 if parts.scheme == "http" else 443)}
