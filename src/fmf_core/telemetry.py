"""Spans, counters, histograms and events; silent and nearly free until the host program sets up OpenTelemetry."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from time import time_ns
from types import TracebackType
from typing import Any, Literal, Self

from fmf_core.errors import FrameworkError
from fmf_core.redact import redact, redact_value

Kind = Literal["internal", "client", "server", "producer", "consumer"]
Severity = Literal["DEBUG", "INFO", "WARN", "ERROR"]
SCOPE = "frontier-model-framework"
EXCEPTION = "exception"


class Plain(dict[str, Any]):
    """Attributes that may go out as they are, because `plain` or their maker has looked at them before.

    Made once and used for many records, they save the look at each value.
    """

    __slots__ = ()


def plain(attributes: Mapping[str, Any] | None) -> Plain:
    """`attributes` fit to go out: `None` left out, text redacted, other objects as text."""
    if type(attributes) is Plain:
        return attributes
    return Plain({key: _attribute(value) for key, value in (attributes or {}).items() if value is not None})


class Span:
    """One piece of work on the trace; made by `span`, used as a context manager.

    An exception that leaves the block is recorded, redacted, and marks the span as failed.
    """

    __slots__ = ("_attributes", "_began_ns", "_context", "_current", "_ended_ns", "_kind", "_name", "_recorded",
                 "_recording", "_span", "_token")  # fmt: skip

    def __init__(self, name: str, kind: Kind, attributes: Mapping[str, Any] | None, current: bool) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._current = current
        self._span: Any = None
        self._context: Any = None
        self._token: Any = None
        self._recorded: BaseException | None = None
        self._recording = False
        self._ended_ns: int | None = None

    @property
    def recording(self) -> bool:
        """Whether anybody will see what is set on this span: somebody listens, and the sampler chose it."""
        return self._recording

    @property
    def context(self) -> Any:
        """The OpenTelemetry context in which this span is the current one; `None` when nobody listens."""
        return self._context

    def set(self, key: str, value: Any) -> None:
        """Set one attribute; `None` is skipped, text is redacted, other objects become text."""
        if self._recording and value is not None:
            self._span.set_attribute(key, _attribute(value))

    def set_all(self, attributes: Mapping[str, Any]) -> None:
        """Set many attributes at once, which costs far less than one by one."""
        if self._recording:
            self._span.set_attributes(plain(attributes))

    def stop(self, seconds: float) -> None:
        """Let the span have lasted `seconds`, so that it agrees with what metrics say; it ends with its block."""
        if self._recording:
            self._ended_ns = self._began_ns + round(seconds * 1e9)

    def error(self, error: BaseException, event: str = EXCEPTION) -> None:
        """Mark the span as failed by `error`, whose text and trace are redacted.

        Args:
            error: what happened; the same one is recorded only once.
            event: the name of the event that tells of it. Any other than `exception` goes to the host's logs, where
                events of the conventions belong, and stays on the span only where the host takes no logs.
        """
        if self._span is None or error is self._recorded:
            return
        self._recorded = error
        if not self._recording and event == EXCEPTION:
            return
        message = redact(str(error))
        facts = Plain(
            {
                "exception.type": type_name(error),
                "exception.message": message,
                "exception.stacktrace": redact("".join(traceback.format_exception(error))),
            }
        )
        told = event != EXCEPTION and emit(event, facts, severity="WARN", context=self._context)
        if not self._recording:
            return
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("error.type", error_type(error))
        self._span.set_status(Status(StatusCode.ERROR, message))
        if not told:
            self._span.add_event(event, facts)

    def __enter__(self) -> Self:
        tracer = _tracer()
        if tracer is not None:
            self._begin(tracer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is None:
            return
        if error is not None and not isinstance(error, GeneratorExit):
            self.error(error)
        if self._token is not None:
            _Known.contexts.detach(self._token)
            self._token = None
        self._span.end(self._ended_ns)

    def _begin(self, tracer: Any) -> None:
        if not _Known.kinds:
            _learn()
        self._began_ns = time_ns()
        self._span = made = tracer.start_span(
            self._name,
            kind=_Known.kinds[self._kind],
            attributes=plain(self._attributes),
            start_time=self._began_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._recording = made.is_recording()
        self._context = _Known.traces.set_span_in_context(made)
        if self._current:
            self._token = _Known.contexts.attach(self._context)


def type_name(error: BaseException) -> str:
    """The full name of the error's class, as the conventions want it."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def error_type(error: BaseException) -> str:
    """What telemetry calls a failure: the code of one of our errors, else the exception's class."""
    return str(error.code) if isinstance(error, FrameworkError) else type_name(error)


def span(
    name: str, *, kind: Kind = "internal", attributes: Mapping[str, Any] | None = None, current: bool = True
) -> Span:
    """Give the context manager of one span.

    Args:
        name: what is done, of few distinct values (`"chat gpt-4o-mini"`).
        kind: the OpenTelemetry span kind.
        attributes: known at the start, for samplers.
        current: whether spans begun within the block become its children. Say no around a `yield`: a generator may be
            closed in another context than the one it was begun in.
    """
    return Span(name, kind, attributes, current)


def tracing() -> bool:
    """Whether anybody listens to spans; ask before computing what only they need."""
    return _tracer() is not None


def recording() -> bool:
    """Whether anybody listens to spans or metrics; ask before computing what only they need."""
    return _tracer() is not None or _meter_provider() is not None


def emit(name: str, attributes: Mapping[str, Any] | None, *, severity: Severity = "INFO", context: Any = None) -> bool:
    """Send one event to the host's logs.

    Args:
        name: the event, as the conventions call it.
        attributes: its facts; mappings and sequences may be nested. As with spans, text is redacted unless `Plain`.
        severity: of the log record.
        context: the OpenTelemetry context that it belongs to; `None` is the current one.

    Returns:
        Whether a host takes logs.
    """
    logger = _event_logger()
    if logger is None:
        return False
    from opentelemetry import _logs

    facts = attributes if type(attributes) is Plain else redact_value(dict(attributes or {}))
    number = _logs.SeverityNumber[severity]
    try:
        record = _logs.LogRecord(
            timestamp=time_ns(),
            context=context,
            severity_number=number,
            severity_text=severity,
            attributes=facts,
            event_name=name,
        )
    except TypeError:  # an API older than events
        return False
    logger.emit(record)
    return True


class Instrument:
    """A counter or a histogram of the host's meter provider, made when it is first used."""

    __slots__ = ("_buckets", "_description", "_instrument", "_kind", "_name", "_provider", "_unit")

    def __init__(self, kind: str, name: str, unit: str, description: str, buckets: Sequence[float] | None) -> None:
        self._kind = kind
        self._name = name
        self._unit = unit
        self._description = description
        self._buckets = buckets
        self._provider: Any = None
        self._instrument: Any = None

    def _current(self) -> Any:
        provider = _meter_provider()
        if provider is None:
            return None
        if provider is not self._provider:
            self._instrument = self._make(provider.get_meter(SCOPE))
            self._provider = provider
        return self._instrument

    def _make(self, meter: Any) -> Any:
        if self._kind == "counter":
            return meter.create_counter(self._name, unit=self._unit, description=self._description)
        try:
            return meter.create_histogram(
                self._name,
                unit=self._unit,
                description=self._description,
                explicit_bucket_boundaries_advisory=self._buckets,
            )
        except TypeError:  # an API older than bucket advice
            return meter.create_histogram(self._name, unit=self._unit, description=self._description)


class Histogram(Instrument):
    """A distribution of measured values."""

    __slots__ = ()

    def record(self, value: float, attributes: Mapping[str, Any] | None = None, *, context: Any = None) -> None:
        """Record one value under `attributes`, of which `None` values are left out.

        Args:
            value: what was measured.
            attributes: of few distinct values each.
            context: the OpenTelemetry context that it belongs to (`Span.context`); `None` is the current one.
        """
        instrument = self._current()
        if instrument is not None:
            instrument.record(value, plain(attributes), context)


class Counter(Instrument):
    """A sum that only grows."""

    __slots__ = ()

    def add(self, value: float = 1, attributes: Mapping[str, Any] | None = None, *, context: Any = None) -> None:
        """Add `value` under `attributes`, of which `None` values are left out; `context` as with `Histogram.record`."""
        instrument = self._current()
        if instrument is not None:
            instrument.add(value, plain(attributes), context)


def histogram(name: str, *, unit: str = "", description: str = "", buckets: Sequence[float] | None = None) -> Histogram:
    """Give a histogram; `buckets` are the boundaries advised to the backend."""
    return Histogram("histogram", name, unit, description, buckets)


def counter(name: str, *, unit: str = "", description: str = "") -> Counter:
    """Give a counter."""
    return Counter("counter", name, unit, description, None)


class _Known:
    """The providers that were looked at last and what belongs to them, so that nothing is looked up twice."""

    provider: Any = None
    tracer: Any = None
    traces: Any = None
    contexts: Any = None
    kinds: Mapping[str, Any] = {}
    meter_provider: Any = None
    listens: bool = False
    logger_provider: Any = None
    logger: Any = None


def _tracer() -> Any:
    """The host's tracer, or `None` when nobody set one up.

    A provider can only have been set by somebody who imported the API, so nothing is imported to look.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        provider = api.get_tracer_provider()
    except AttributeError:  # it is being imported right now
        return None
    if provider is not _Known.provider:
        silent = isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider)
        _Known.tracer = None if silent else provider.get_tracer(SCOPE)
        _Known.provider = provider
    return _Known.tracer


def _learn() -> None:
    from opentelemetry import context, trace

    _Known.traces, _Known.contexts = trace, context
    _Known.kinds = {kind.name.lower(): kind for kind in trace.SpanKind}


def _meter_provider() -> Any:
    api = sys.modules.get("opentelemetry.metrics")
    if api is None:
        return None
    try:
        provider = api.get_meter_provider()
    except AttributeError:
        return None
    if provider is not _Known.meter_provider:
        # The stand-in for a provider that nobody has set yet has no public name.
        silent = isinstance(provider, api.NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider"
        _Known.listens = not silent
        _Known.meter_provider = provider
    return provider if _Known.listens else None


def _event_logger() -> Any:
    api = sys.modules.get("opentelemetry._logs")
    if api is None or not hasattr(api, "get_logger_provider"):
        return None
    provider = api.get_logger_provider()
    if provider is not _Known.logger_provider:
        silent = isinstance(provider, api.NoOpLoggerProvider) or type(provider).__name__ == "ProxyLoggerProvider"
        _Known.logger = None if silent else provider.get_logger(SCOPE)
        _Known.logger_provider = provider
    return _Known.logger


def _attribute(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool | int | float):
        return value
    clean = redact_value(value)
    if isinstance(clean, list | tuple) and clean and all(isinstance(item, str) for item in clean):
        return [str(item) for item in clean]
    if isinstance(clean, list | tuple) and clean and all(type(item) in (int, float, bool) for item in clean):
        return list(clean)
    return redact(str(clean))
