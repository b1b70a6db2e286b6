from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import textwrap

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fmf_core import telemetry
from fmf_core.errors import Code, FrameworkError


@pytest.fixture
def spans(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter.get_finished_spans
    provider.shutdown()


@pytest.fixture
def measured(monkeypatch):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)

    def measured():
        data = reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    yield measured
    provider.shutdown()


class TestSpans:
    def test_name_kind_and_attributes(self, spans):
        with telemetry.span("chat x", kind="client", attributes={"a": 1, "none": None}) as span:
            span.set("text", "hello")
            span.set("flag", value=True)
            span.set("many", ["a", "b"])
            span.set("numbers", (1, 2))
            span.set("other", {"k": "v"})
            span.set("nothing", None)
            assert span.recording
        (done,) = spans()
        assert (done.name, done.kind) == ("chat x", trace.SpanKind.CLIENT)
        assert dict(done.attributes) == {
            "a": 1, "text": "hello", "flag": True, "many": ("a", "b"), "numbers": (1, 2), "other": "{'k': 'v'}",
        }  # fmt: skip
        assert done.status.status_code is trace.StatusCode.UNSET

    def test_spans_begun_inside_are_children(self, spans):
        with telemetry.span("outer"), telemetry.span("inner"):
            pass
        inner, outer = spans()
        assert inner.parent.span_id == outer.context.span_id

    def test_unless_it_is_not_made_current(self, spans):
        with telemetry.span("outer", current=False), telemetry.span("inner"):
            pass
        assert all(span.parent is None for span in spans())

    def test_errors_are_recorded_redacted_and_raised(self, spans):
        def fail():
            with telemetry.span("work"):
                raise ValueError("bad key sk-abcdefgh12345678")

        with pytest.raises(ValueError):
            fail()
        (done,) = spans()
        (event,) = done.events
        assert done.status.status_code is trace.StatusCode.ERROR
        assert done.attributes["error.type"] == "ValueError"
        assert event.name == "exception"
        assert event.attributes["exception.type"] == "ValueError"
        assert "sk-abc" not in done.status.description
        assert "sk-abcdefgh12345678" not in event.attributes["exception.message"]
        assert "test_telemetry" in event.attributes["exception.stacktrace"]

    def test_the_type_of_our_errors_is_their_code(self, spans):
        def fail():
            with telemetry.span("work") as span:
                error = FrameworkError("slow", code=Code.TIMEOUT)
                span.error(error)
                raise error

        with pytest.raises(FrameworkError):
            fail()
        (done,) = spans()
        assert done.attributes["error.type"] == "timeout"
        assert len(done.events) == 1

    def test_attributes_are_redacted(self, spans):
        with telemetry.span("x", attributes={"a": "Bearer abcdefgh123"}) as span:
            span.set("b", ["password=hunter2"])
            span.set("c", {"api_key": "xyz"})
        text = repr(dict(spans()[0].attributes))
        assert "abcdefgh" not in text
        assert "hunter2" not in text
        assert "xyz" not in text

    def test_an_error_that_cannot_be_told_is_raised_all_the_same_and_the_span_ends_once(self, spans):
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        before = trace.get_current_span()
        with pytest.raises(Mute), telemetry.span("work"):
            raise Mute
        (done,) = spans()
        assert done.status.status_code is trace.StatusCode.ERROR
        assert done.status.description == "<RuntimeError in its __str__>"
        assert trace.get_current_span() is before

    def test_a_cancelled_task_ends_its_span_once_and_leaves_no_context_to_others(self, spans):
        async def work(started):
            with telemetry.span("work"):
                started.set()
                await asyncio.Event().wait()

        async def main():
            before, started = trace.get_current_span(), asyncio.Event()
            task = asyncio.create_task(work(started))
            await started.wait()
            assert trace.get_current_span() is before
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert trace.get_current_span() is before

        with asyncio.Runner() as runner:
            runner.run(main())
        (done,) = spans()
        assert done.attributes["error.type"] == "asyncio.exceptions.CancelledError"

    @pytest.mark.parametrize("value", [[1, 2.5], [True, 1], [1, "a"], [None], {"k": [1]}])
    def test_what_is_of_mixed_kinds_goes_out_as_text(self, spans, value):
        with telemetry.span("x", attributes={"a": value}):
            pass
        assert spans()[0].attributes["a"] == str(value)

    @pytest.mark.parametrize("value", [[1, 2], [1.5], [True, False], ["a"], []])
    def test_what_is_of_one_kind_goes_out_as_a_sequence(self, spans, value):
        with telemetry.span("x", attributes={"a": value}):
            pass
        assert spans()[0].attributes["a"] == tuple(value)

    def test_a_generator_that_is_closed_did_not_fail(self, spans):
        def numbers():
            with telemetry.span("stream", current=False):
                yield 1

        items = numbers()
        next(items)
        items.close()
        assert spans()[0].status.status_code is trace.StatusCode.UNSET


class TestMetrics:
    def test_histogram(self, measured):
        duration = telemetry.histogram("d", unit="s", description="how long", buckets=[1, 2, 4])
        duration.record(1.5, {"model": "m", "none": None})
        duration.record(3)
        metric = measured()["d"]
        assert (metric.unit, metric.description) == ("s", "how long")
        points = {tuple(point.attributes): point for point in metric.data.data_points}
        assert points[("model",)].sum == 1.5
        assert points[("model",)].explicit_bounds == (1, 2, 4)
        assert points[()].count == 1

    def test_counter(self, measured):
        calls = telemetry.counter("c", unit="{call}")
        calls.add()
        calls.add(2, {"a": "b"})
        assert sum(point.value for point in measured()["c"].data.data_points) == 3

    def test_an_instrument_follows_the_provider(self, measured, monkeypatch):
        calls = telemetry.counter("c")
        calls.add()
        reader = InMemoryMetricReader()
        other = MeterProvider([reader])
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: other)
        calls.add(5)
        data = reader.get_metrics_data()
        assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 5
        other.shutdown()


class TestSilence:
    def test_the_api_alone_records_nothing(self):
        assert not telemetry.recording()
        with telemetry.span("x") as span:
            assert not span.recording
            span.set("a", 1)
            span.error(ValueError())
        telemetry.histogram("h").record(1)
        telemetry.counter("c").add()

    def test_recording_as_soon_as_somebody_listens_to_either(self, request):
        assert not telemetry.recording()
        request.getfixturevalue("measured")
        assert telemetry.recording()

    def test_and_to_spans(self, spans):
        assert telemetry.recording()

    @pytest.mark.parametrize("blocked", [False, True])
    def test_nothing_is_imported_to_find_out(self, blocked):
        code = f"""
            import sys
            if {blocked}:
                sys.modules["opentelemetry"] = None
            from fmf_core import telemetry
            with telemetry.span("x", attributes={{"a": 1}}) as span:
                span.set("a", 1)
            telemetry.histogram("h").record(1)
            telemetry.counter("c").add()
            assert not telemetry.recording()
            assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_provider_that_is_set_later_is_seen(self):
        code = """
            from fmf_core import telemetry
            calls = telemetry.counter("c")
            calls.add()
            from opentelemetry import metrics, trace
            assert not telemetry.recording()
            from opentelemetry.sdk.trace import TracerProvider
            trace.set_tracer_provider(TracerProvider())
            assert telemetry.recording()
            with telemetry.span("x") as span:
                assert span.recording
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
