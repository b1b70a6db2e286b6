"""Spans, counters and histograms; silent and nearly free until the host program sets up OpenTelemetry."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from fmf_core.errors import FrameworkError
from fmf_core.redact import redact, redact_value

Kind = Literal["internal", "client", "server", "producer", "consumer"]
SCOPE = "frontier-model-framework"


class Span:
    """One piece of work on the trace; made by `span`, used as a context manager.

    An exception that leaves the block is recorded, redacted, and marks the span as failed.
    """

    __slots__ = ("_attributes", "_current", "_kind", "_name", "_recorded", "_span", "_token")

    def __init__(self, name: str, kind: Kind, attributes: Mapping[str, Any] | None, current: bool) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._current = current
        self._span: Any = None
        self._token: Any = None
        self._recorded: BaseException | None = None

    @property
    def recording(self) -> bool:
        """Whether anybody will see what is set on this span."""
        return self._span is not None

    def set(self, key: str, value: Any) -> None:
        """Set one attribute; `None` is skipped, text is redacted, other objects become text."""
        if self._span is not None and value is not None:
            self._span.set_attribute(key, _attribute(value))

    def error(self, error: BaseException) -> None:
        """Mark the span as failed by `error`, whose text and trace are redacted."""
        if self._span is None or error is self._recorded:
            return
        from opentelemetry.trace import Status, StatusCode

        self._recorded = error
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        message = redact(str(error))
        self._span.set_attribute("error.type", str(error.code) if isinstance(error, FrameworkError) else kind)
        self._span.set_status(Status(StatusCode.ERROR, message))
        trace = redact("".join(traceback.format_exception(error)))
        self._span.add_event(
            "exception",
            {"exception.type": kind, "exception.message": message, "exception.stacktrace": trace},
        )

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
            from opentelemetry import context

            context.detach(self._token)
            self._token = None
        self._span.end()

    def _begin(self, tracer: Any) -> None:
        from opentelemetry import context, trace

        attributes = {key: _attribute(value) for key, value in (self._attributes or {}).items() if value is not None}
        kind = trace.SpanKind[self._kind.upper()]
        self._span = tracer.start_span(
            self._name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        )
        if self._current:
            self._token = context.attach(trace.set_span_in_context(self._span))


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


def recording() -> bool:
    """Whether anybody listens to spans or metrics; ask before computing what only they need."""
    return _tracer() is not None or _meter_provider() is not None


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

    def record(self, value: float, attributes: Mapping[str, Any] | None = None) -> None:
        """Record one value under `attributes`, of which `None` values are left out."""
        instrument = self._current()
        if instrument is not None:
            instrument.record(value, _attributes(attributes))


class Counter(Instrument):
    """A sum that only grows."""

    __slots__ = ()

    def add(self, value: float = 1, attributes: Mapping[str, Any] | None = None) -> None:
        """Add `value` under `attributes`, of which `None` values are left out."""
        instrument = self._current()
        if instrument is not None:
            instrument.add(value, _attributes(attributes))


def histogram(name: str, *, unit: str = "", description: str = "", buckets: Sequence[float] | None = None) -> Histogram:
    """Give a histogram; `buckets` are the boundaries advised to the backend."""
    return Histogram("histogram", name, unit, description, buckets)


def counter(name: str, *, unit: str = "", description: str = "") -> Counter:
    """Give a counter."""
    return Counter("counter", name, unit, description, None)


class _Known:
    """The provider that was looked at last, and its tracer."""

    provider: Any = None
    tracer: Any = None


def _tracer() -> Any:
    """The host's tracer, or `None` when nobody set one up.

    A provider can only have been set by somebody who imported the API, so nothing is imported to look.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None or not hasattr(api, "get_tracer_provider"):
        return None
    provider = api.get_tracer_provider()
    if provider is not _Known.provider:
        silent = isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider)
        _Known.tracer = None if silent else provider.get_tracer(SCOPE)
        _Known.provider = provider
    return _Known.tracer


def _meter_provider() -> Any:
    api = sys.modules.get("opentelemetry.metrics")
    if api is None or not hasattr(api, "get_meter_provider"):
        return None
    provider = api.get_meter_provider()
    # The stand-in for a provider that nobody has set yet has no public name.
    silent = isinstance(provider, api.NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider"
    return None if silent else provider


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: _attribute(value) for key, value in (attributes or {}).items() if value is not None}


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
