from __future__ import annotations

import io
import json
import logging

import pytest
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from chatmodels import ChatModelError, ChatRequest, ErrorCode, MockChatModel, TokenUsage, ToolCall, create_chat_model
from chatmodels.conventions import DURATION_BUCKETS, TOKEN_BUCKETS
from fmf_core import telemetry
from fmf_core.logs import configure_logging, log_context, reset_logging

KEY = "sk-proj-" + "a1B2c3D4" * 6


class Observed:
    """What the host program's telemetry has got."""

    def __init__(self, monkeypatch):
        self.spans_seen = InMemorySpanExporter()
        tracer_provider = TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans_seen))
        self.reader = InMemoryMetricReader()
        meter_provider = MeterProvider([self.reader])
        monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: tracer_provider)
        monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: meter_provider)

    @property
    def spans(self):
        return self.spans_seen.get_finished_spans()

    def span(self):
        (span,) = self.spans
        return span

    def points(self, name):
        data = self.reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
        return [(m.unit, point) for m in found for point in m.data.data_points]


@pytest.fixture
def observed(monkeypatch):
    return Observed(monkeypatch)


@pytest.fixture
def log_lines():
    stream = io.StringIO()
    yield (
        lambda level: (
            configure_logging(level, stream=stream)
            or (lambda: [json.loads(line) for line in stream.getvalue().splitlines()])
        )
    )
    reset_logging()


def vendor(**settings):
    usage = TokenUsage(
        prompt_tokens=10,
        completion_tokens=20,
        model="gpt-4o-mini-2024-07-18",
        provider="openai",
        cached_tokens=4,
        reasoning_tokens=5,
    )
    whole = MockChatModel("Hello there").complete(ChatRequest(prompt="x"))
    whole = whole.model_copy(update={"usage": usage, "model": usage.model, "response_id": "resp-1"})

    class Vendor(MockChatModel):
        provider_name = "openai"
        in_process = False
        endpoint = "http://127.0.0.1:8080/v1"

    return Vendor(whole, **settings)


@pytest.fixture
def make(monkeypatch):
    from chatmodels import register_chat_model
    from chatmodels.registry import models

    def make(answering, /, **settings):
        register_chat_model("vendor", answering, replace=True)
        return create_chat_model("vendor", **settings)

    yield make
    models.clear()


class TestSpans:
    def test_a_call(self, observed, make):
        model = make(vendor(), model="gpt-4o-mini", temperature=0.0, seed=3)
        model.invoke("Hi", stop="END")
        span = observed.span()
        assert (span.name, span.kind) == ("chat gpt-4o-mini", SpanKind.CLIENT)
        assert dict(span.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.request.temperature": 0.0,
            "gen_ai.request.max_tokens": 1024,
            "gen_ai.request.seed": 3,
            "gen_ai.request.stop_sequences": ("END",),
            "server.address": "127.0.0.1",
            "server.port": 8080,
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": "resp-1",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 5,
        }

    def test_retries_are_inside_one_span(self, observed, make):
        failure = ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE)
        model = make(MockChatModel([failure, failure, "done"]), retry={"first_wait_s": 0})
        assert model.invoke("x").attempts == 3
        assert observed.span().status.status_code is StatusCode.UNSET

    def test_a_failure(self, observed, make):
        model = make(MockChatModel(fail_with=ChatModelError(f"key {KEY}", op="o", code=ErrorCode.AUTH)))
        with pytest.raises(ChatModelError):
            model.invoke("x")
        span = observed.span()
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "auth"
        assert KEY not in span.to_json()
        ((_, point),) = observed.points("gen_ai.client.operation.duration")
        assert point.attributes["error.type"] == "auth"

    def test_a_model_in_this_process_is_no_client(self, observed):
        create_chat_model("mock").invoke("x")
        assert observed.span().kind is SpanKind.INTERNAL
        assert observed.span().attributes["gen_ai.provider.name"] == "mock"

    def test_providers_have_their_conventional_names(self, observed, make):
        class Azure(MockChatModel):
            provider_name = "azure_openai"

        make(Azure()).invoke("x")
        assert observed.span().attributes["gen_ai.provider.name"] == "azure.ai.openai"

    def test_a_stream(self, observed, make):
        model = make(vendor(), model="gpt-4o-mini")
        with trace_api.get_tracer_provider().get_tracer("test").start_as_current_span("outer") as outer:
            for _ in model.stream("x"):
                assert trace_api.get_current_span() is outer
        span = observed.spans[0]
        assert span.attributes["gen_ai.request.stream"] is True
        assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
        assert span.attributes["gen_ai.usage.output_tokens"] == 20
        assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
        assert span.parent.span_id == outer.get_span_context().span_id

    def test_a_stream_left_early_is_no_failure(self, observed, make):
        stream = make(vendor()).stream("x")
        next(stream)
        stream.close()
        assert observed.span().status.status_code is StatusCode.UNSET

    def test_json_answers_are_told(self, observed, make):
        make(vendor()).invoke("x", response_format={"type": "json_object"})
        assert observed.span().attributes["gen_ai.output.type"] == "json"


class TestContent:
    def test_it_is_left_out_unless_asked_for(self, observed, make):
        make(vendor()).invoke("a private word", system_prompt="another private word")
        assert "private" not in observed.span().to_json()
        assert "Hello there" not in observed.span().to_json()

    @pytest.mark.parametrize("value", ["SPAN_ONLY", "span_and_event", "true"])
    def test_it_is_captured_when_asked_for(self, observed, make, monkeypatch, value):
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
        make(MockChatModel(["text", ToolCall(id="1", name="t", arguments={"a": 1})])).invoke(
            f"Hi {KEY}", system_prompt="Be kind"
        )
        attributes = observed.span().attributes
        assert json.loads(attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be kind"}]
        (message,) = json.loads(attributes["gen_ai.input.messages"])
        assert message["role"] == "user"
        assert message["parts"][0]["content"].startswith("Hi ")
        assert KEY not in attributes["gen_ai.input.messages"]
        assert json.loads(attributes["gen_ai.output.messages"]) == [
            {"role": "assistant", "parts": [{"type": "text", "content": "text"}], "finish_reason": "stop"}
        ]


class TestHistograms:
    def test_duration_and_tokens(self, observed, make):
        make(vendor(), model="gpt-4o-mini").invoke("x")
        ((unit, duration),) = observed.points("gen_ai.client.operation.duration")
        assert unit == "s"
        assert duration.explicit_bounds == DURATION_BUCKETS
        assert duration.attributes["gen_ai.request.model"] == "gpt-4o-mini"
        tokens = observed.points("gen_ai.client.token.usage")
        assert {(unit, p.attributes["gen_ai.token.type"], p.sum) for unit, p in tokens} == {
            ("{token}", "input", 10),
            ("{token}", "output", 20),
        }
        assert all(p.explicit_bounds == TOKEN_BUCKETS for _, p in tokens)

    def test_streams_measure_their_pieces(self, observed, make):
        list(make(vendor()).stream("x"))
        assert observed.points("gen_ai.client.operation.time_to_first_chunk")[0][1].count == 1
        assert observed.points("gen_ai.client.operation.time_per_output_chunk")[0][1].count == 2

    def test_the_buckets_are_those_of_the_conventions(self):
        assert TOKEN_BUCKETS[:5] == (1, 4, 16, 64, 256)
        assert TOKEN_BUCKETS[-1] == 67108864
        assert (
            pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92])
            == DURATION_BUCKETS
        )


def test_a_fallback_shows_who_really_answered(observed, make):
    make(MockChatModel(fail_with=TimeoutError()), model="first", retry=None, fallbacks=[vendor()]).invoke("x")
    (span,) = observed.spans
    assert span.attributes["gen_ai.request.model"] == "first"
    assert span.attributes["gen_ai.response.model"] == "gpt-4o-mini-2024-07-18"
    assert span.attributes["fmf.chat.fell_back_from"] == ("mock/first: timeout",)


class TestLogLines:
    def test_a_call_at_debug(self, log_lines, make):
        lines = log_lines("DEBUG")
        with log_context(correlation_id="c-1"):
            make(vendor(), model="gpt-4o-mini", temperature=0.0).invoke("a private word")
        (line,) = [line for line in lines() if line["event"] == "llm.call"]
        assert line["level"] == "debug"
        assert line["correlation_id"] == "c-1"
        assert line["timestamp"]
        assert (line["provider"], line["model"], line["temperature"], line["max_tokens"]) == (
            "openai",
            "gpt-4o-mini",
            0.0,
            1024,
        )
        assert (line["prompt_tokens"], line["completion_tokens"], line["finish_reason"]) == (10, 20, "stop")
        assert (line["attempts"], line["latency_ms"] >= 0, line["cost_usd"] > 0) == (1, True, True)
        assert "private" not in json.dumps(line)

    def test_a_stream_at_debug(self, log_lines, make):
        lines = log_lines("DEBUG")
        list(make(vendor()).stream("x"))
        (line,) = [line for line in lines() if line["event"] == "llm.call"]
        assert (line["completion_tokens"], line["finish_reason"]) == (20, "stop")

    def test_a_failure_at_info(self, log_lines, make):
        lines = log_lines("INFO")
        failure = ChatModelError(f"key {KEY}", op="v.c", code=ErrorCode.UNAVAILABLE)
        with pytest.raises(ChatModelError):
            make(MockChatModel(fail_with=failure), retry={"first_wait_s": 0}).invoke("x")
        make(vendor()).invoke("x")
        (line,) = lines()
        assert (line["event"], line["level"], line["code"], line["op"]) == ("llm.call", "info", "unavailable", "v.c")
        assert line["attempts"] == 3
        assert KEY not in json.dumps(line)

    def test_the_hosts_logging_is_used_when_nothing_is_configured(self, caplog, make):
        with caplog.at_level(logging.DEBUG, logger="chatmodels"):
            make(vendor()).invoke("x")
        assert [record.name for record in caplog.records] == ["chatmodels"]
        assert caplog.records[0].getMessage().startswith("llm.call")


def test_without_listeners_nothing_is_built(make, monkeypatch):
    from chatmodels import metrics

    def refuse(*_, **__):
        raise AssertionError("built for nobody")

    assert not telemetry.recording()
    monkeypatch.setattr(metrics, "span", refuse)
    for name in ("_observe", "_describe", "_say"):
        monkeypatch.setattr(metrics.MeasuredCall, name, refuse)
    assert make(vendor()).invoke("x").content == "Hello there"
    assert list(make(vendor()).stream("x"))
