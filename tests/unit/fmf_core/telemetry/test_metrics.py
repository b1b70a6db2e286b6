"""Measurements wait until enough have come together, or until the provider collects; none is lost or changed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest
from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from fmf_core import telemetry
from fmf_core.telemetry import metrics as rooms
from observed import Observed


@pytest.fixture
def observed(monkeypatch):
    return Observed(monkeypatch)


def test_what_waits_is_there_when_the_provider_collects(observed):
    length = telemetry.histogram("length", buckets=[1, 2])
    for value in (0.5, 1.5, 5):
        length.record(value, {"a": "b"})
    assert len(rooms._waiting) == 3
    ((_, point),) = observed.points("length")
    assert (point.count, point.sum, point.bucket_counts) == (3, 7, (1, 1, 1))
    assert not rooms._waiting
    assert set(observed.metrics) == {"length"}, "nothing of the waiting room itself is a metric"


def test_no_more_wait_than_are_allowed(observed):
    length = telemetry.histogram("length")
    for _ in range(3 * rooms.MOST_WAITING + 5):
        length.record(1)
        assert len(rooms._waiting) < rooms.MOST_WAITING
    assert observed.points("length")[0][1].count == 3 * rooms.MOST_WAITING + 5


def test_sums_of_a_counter_are_added_up_by_attributes(observed):
    calls = telemetry.counter("calls")
    one, two = telemetry.plain({"n": 1}), telemetry.plain({"n": 2})
    for _ in range(10):
        calls.add(1, one)
        calls.add(5, two)
        calls.add(0.5, {"n": 1})
    assert {point.attributes["n"]: point.value for _, point in observed.points("calls")} == {1: 15, 2: 50}


def test_a_measurement_keeps_the_span_that_it_was_taken_in(observed):
    length = telemetry.histogram("length")
    with telemetry.span("first"):
        length.record(1)
    with telemetry.span("second", current=False) as second:
        length.record(1_000_000, context=second.context)
    exemplars = {exemplar.value: exemplar.span_id for exemplar in observed.points("length")[0][1].exemplars}
    assert exemplars == dict(zip((1, 1_000_000), (span.context.span_id for span in observed.spans), strict=True))


def test_all_threads_together(observed):
    length, calls = telemetry.histogram("length"), telemetry.counter("calls")

    def work():
        for _ in range(2000):
            length.record(1)
            calls.add(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        observed.points("length")
    assert observed.points("length")[0][1].count == 8000
    assert observed.points("calls")[0][1].value == 8000


def test_another_provider_gets_its_own_only(observed, monkeypatch):
    length = telemetry.histogram("length")
    length.record(1)
    reader = InMemoryMetricReader()
    other = MeterProvider([reader])
    monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: other)
    length.record(2)
    data = reader.get_metrics_data()
    assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].sum == 2
    assert observed.points("length")[0][1].sum == 1
    other.shutdown()


def test_a_provider_of_another_make_gets_everything_at_once(monkeypatch):
    seen = []

    class Meter:
        def create_histogram(self, name, unit, description):  # an API older than bucket advice
            return self

        create_counter = create_histogram

        def record(self, value, attributes, context):
            seen.append((value, dict(attributes)))

        add = record

    class Provider:
        def get_meter(self, name):
            return Meter()

    provider = Provider()
    monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: provider)
    telemetry.histogram("h", buckets=[1]).record(1, {"a": None, "b": 2})
    telemetry.counter("c").add(2)
    assert seen == [(1, {"b": 2}), (2, {})]


def test_the_last_measurements_are_exported_when_the_program_ends():
    code = """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
        metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter(), 3_600_000)]))
        from fmf_core import telemetry
        telemetry.histogram("length").record(7)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"sum": 7' in done.stdout


def test_a_child_does_not_hand_over_what_its_parent_took():
    code = """
        import os, sys
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        from fmf_core import telemetry
        length = telemetry.histogram("length")
        length.record(1)
        child = os.fork()
        length.record(2)
        (metric,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        os.write(1, b"%d\\n" % metric.data.data_points[0].sum)
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["2", "3"]


class TestEvents:
    def test_an_event_goes_to_the_hosts_logs(self, observed):
        with telemetry.span("outer") as outer:
            assert telemetry.emit("it.happened", {"key": "sk-abcdefgh12345678", "deep": [{"a": 1}]}, severity="WARN")
        telemetry.emit("later", None, context=outer.context)
        first, second = observed.events
        assert (first.event_name, first.severity_text, first.attributes["deep"]) == ("it.happened", "WARN", ({"a": 1},))
        assert "abcdefgh" not in str(dict(first.attributes))
        assert first.span_id == second.span_id == observed.span().context.span_id

    def test_nobody_takes_it(self, monkeypatch):
        assert not telemetry.emit("it.happened", {})
        monkeypatch.setattr(logs_api, "get_logger_provider", logs_api.NoOpLoggerProvider)
        assert not telemetry.emit("it.happened", {})

    def test_an_api_older_than_events(self, observed, monkeypatch):
        def refuse(**_):
            raise TypeError("unexpected keyword argument 'event_name'")

        monkeypatch.setattr(logs_api, "LogRecord", refuse)
        assert not telemetry.emit("it.happened", {})


def test_only_the_first_failure_of_a_span_counts(observed):
    with telemetry.span("x") as span:
        span.error(ValueError("one"))
        span.error(KeyError("two"))
    assert observed.span().attributes["error.type"] == "ValueError"
    assert len(observed.span().events) == 1


def test_a_span_lasts_as_long_as_it_is_told(observed):
    with telemetry.span("x", attributes=lambda: {"a": 1}) as span:
        span.stop(2.5)
    done = observed.span()
    assert done.end_time - done.start_time == 2_500_000_000
    assert done.attributes["a"] == 1
