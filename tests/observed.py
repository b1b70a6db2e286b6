"""What a host program's OpenTelemetry has got: the SDK with everything in memory, and its content as plain values."""

from __future__ import annotations

from typing import Any

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TIMES = ("gen_ai.response.time_to_first_chunk",)


class Observed:
    """The SDK set up as the host's: spans, metrics and, where wanted, logs.

    Args:
        monkeypatch: gives the providers back when the test is over.
        logs: whether the host takes events.
        sampler: of the spans; without it all are kept.
    """

    def __init__(self, monkeypatch: Any, *, logs: bool = True, sampler: Any = None) -> None:
        self._spans = InMemorySpanExporter()
        tracer_provider = TracerProvider(sampler=sampler)
        tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        meter_provider = MeterProvider([self._reader])
        monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: tracer_provider)
        monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: meter_provider)
        self._logs = InMemoryLogRecordExporter()
        if logs:
            logger_provider = LoggerProvider()
            logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
            monkeypatch.setattr(logs_api, "get_logger_provider", lambda: logger_provider)
        self._metrics: Any = None

    @property
    def spans(self) -> tuple[Any, ...]:
        """All finished spans."""
        return self._spans.get_finished_spans()

    def span(self) -> Any:
        """The only span."""
        (span,) = self.spans
        return span

    @property
    def events(self) -> list[Any]:
        """All events that the host's logs got."""
        return [entry.log_record for entry in self._logs.get_finished_logs()]

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics by name."""
        data = self._reader.get_metrics_data()
        found = [m for r in (data.resource_metrics if data else ()) for s in r.scope_metrics for m in s.metrics]
        return {metric.name: metric for metric in found}

    def points(self, name: str) -> list[tuple[str, Any]]:
        """Unit and data point of each series of a metric."""
        metric = self.metrics.get(name)
        return [(metric.unit, point) for point in metric.data.data_points] if metric else []

    def facts(self, port: int = 0) -> dict[str, Any]:
        """Everything as JSON values, without what differs from run to run: times, ids, traces and the `port`."""
        names = {span.context.span_id: span.name for span in self.spans}
        facts = {
            "spans": [_span(span, names) for span in sorted(self.spans, key=lambda span: span.start_time)],
            "metrics": [_metric(metric) for _, metric in sorted(self.metrics.items())],
            "events": [_event(event, names) for event in self.events],
        }
        return _without(facts, str(port))


def _span(span: Any, names: dict[int, str]) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "parent": names.get(span.parent.span_id, "?") if span.parent else None,
        "status": {"code": span.status.status_code.name, "description": span.status.description},
        "attributes": _attributes(span.attributes),
        "events": [{"name": event.name, "attributes": _attributes(event.attributes)} for event in span.events],
    }


def _event(event: Any, names: dict[int, str]) -> dict[str, Any]:
    return {
        "name": event.event_name,
        "severity": [event.severity_number.value, event.severity_text],
        "span": names.get(event.span_id),
        "attributes": _attributes(event.attributes),
    }


def _metric(metric: Any) -> dict[str, Any]:
    points = [_point(point, metric.unit) for point in metric.data.data_points]
    return {
        "name": metric.name,
        "unit": metric.unit,
        "description": metric.description,
        "kind": type(metric.data).__name__,
        "points": sorted(points, key=lambda point: repr(sorted(point["attributes"].items()))),
    }


def _point(point: Any, unit: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"attributes": _attributes(point.attributes)}
    if not hasattr(point, "count"):
        return {**facts, "value": point.value}
    facts |= {"count": point.count, "bounds": list(point.explicit_bounds)}
    if unit != "s":
        facts |= {"sum": point.sum, "buckets": list(point.bucket_counts)}
    return facts


def _attributes(attributes: Any) -> dict[str, Any]:
    facts = {name: _plain(value) for name, value in sorted((attributes or {}).items())}
    for name in TIMES:
        if name in facts:
            assert facts[name] > 0
            facts[name] = "(seconds)"
    if "exception.stacktrace" in facts:
        assert facts["exception.stacktrace"].strip()
        facts["exception.stacktrace"] = "(trace)"
    return facts


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if hasattr(value, "items") else value


def _without(value: Any, port: str) -> Any:
    if isinstance(value, dict):
        return {
            key: "(port)" if key == "server.port" and str(item) == port else _without(item, port)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without(item, port) for item in value]
    return value.replace(f":{port}", ":(port)") if isinstance(value, str) else value
