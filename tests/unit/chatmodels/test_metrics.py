from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import textwrap
import time

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from chatmodels import (
    ChatModelError,
    ChatRequest,
    ErrorCode,
    MockChatModel,
    TokenUsage,
    ToolCall,
    create_chat_model,
    telemetry_context,
)
from chatmodels.conventions import DURATION_BUCKETS, EVENT_VARIABLE, PROFILE_VARIABLE, TOKEN_BUCKETS
from chatmodels.metrics import Meter
from chatmodels.types import RateLimitStatus
from fmf_core import telemetry
from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, log_context, reset_logging
from observed import Observed

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
KEY = "sk-proj-" + "a1B2c3D4" * 6


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


def vendor(counts=None, **settings):
    usage = TokenUsage(
        prompt_tokens=10,
        completion_tokens=20,
        model="gpt-4o-mini-2024-07-18",
        provider="openai",
        cached_tokens=4,
        reasoning_tokens=5,
        **counts or {},
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

    @pytest.mark.parametrize("leave", ["close", "break"])
    def test_a_stream_left_while_its_next_piece_is_on_the_way_is_no_failure(self, observed, make, leave):
        stream = make(MockChatModel("a b c", chunk_delay_s=60.0)).stream("x")
        for _ in stream:
            time.sleep(0.05)  # so that the mock waits in its delay
            break
        if leave == "close":
            stream.close()
        del stream
        gc.collect()
        assert observed.span().status.status_code is StatusCode.UNSET
        ((_, point),) = observed.points("gen_ai.client.operation.duration")
        assert "error.type" not in point.attributes

    def test_json_answers_are_told(self, observed, make):
        make(vendor()).invoke("x", response_format={"type": "json_object"})
        assert observed.span().attributes["gen_ai.output.type"] == "json"

    def test_a_stream_left_early_has_lasted_and_nobody_knows_what_it_took(self, observed, make):
        stream = make(vendor()).stream("x")
        next(stream)
        stream.close()
        ((_, point),) = observed.points("gen_ai.client.operation.duration")
        assert "error.type" not in point.attributes
        assert observed.points("gen_ai.client.token.usage") == []
        assert "gen_ai.usage.input_tokens" not in observed.span().attributes

    def test_a_stream_tells_its_id(self, observed, make):
        list(make(vendor()).stream("x"))
        assert observed.span().attributes["gen_ai.response.id"] == "resp-1"

    def test_the_span_is_as_long_as_the_duration_says(self, observed, make):
        list(make(vendor()).stream("x"))
        ((_, point),) = observed.points("gen_ai.client.operation.duration")
        span = observed.span()
        assert span.end_time - span.start_time == round(point.sum * 1e9)

    def test_samplers_see_what_is_asked(self, monkeypatch, make):
        seen = []

        class Choosy(Sampler):
            def should_sample(self, parent, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
                seen.append((name, dict(attributes)))
                return SamplingResult(Decision.DROP)

            def get_description(self):
                return "none"

        observed = Observed(monkeypatch, sampler=Choosy())
        make(vendor(), model="gpt-4o-mini").invoke("x")
        ((name, attributes),) = seen
        assert name == "chat gpt-4o-mini"
        assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address",
                "server.port"} <= set(attributes)  # fmt: skip
        assert observed.spans == ()
        assert observed.points("gen_ai.client.operation.duration")[0][1].count == 1

    def test_the_event_of_a_failure_stays_on_the_span_where_no_logs_are_taken(self, monkeypatch, make):
        observed = Observed(monkeypatch, logs=False)
        model = make(MockChatModel(fail_with=ChatModelError(f"key {KEY}", op="o", code=ErrorCode.AUTH)))
        with pytest.raises(ChatModelError):
            model.invoke("x")
        (event,) = observed.span().events
        assert event.name == "gen_ai.client.operation.exception"
        assert event.attributes["exception.type"] == "chatmodels.errors.ChatModelError"
        assert KEY not in str(dict(event.attributes))

    def test_exceptions_of_others_are_told_by_their_full_name(self, observed, make):
        class Broken(MockChatModel):
            async def complete_async(self, request):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make(Broken()).invoke("x")
        assert observed.span().attributes["error.type"] == "KeyboardInterrupt"

    def test_what_a_call_belongs_to(self, observed, make):
        model = make(vendor())
        with telemetry_context(conversation_id="c-1", prompt_name="greet"):
            with telemetry_context(prompt_version="v1"):
                model.invoke("x")
            model.invoke("x")
        model.invoke("x")
        found = [dict(span.attributes) for span in observed.spans]
        assert [attributes.get("gen_ai.conversation.id") for attributes in found] == ["c-1", "c-1", None]
        assert [attributes.get("gen_ai.prompt.name") for attributes in found] == ["greet", "greet", None]
        assert not any("gen_ai.prompt.version" in attributes for attributes in found)

    @pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
    def test_a_conversation_that_the_provider_keeps(self, observed, make, conversation):
        make(vendor()).invoke("x", extra_params={"conversation": conversation, "n": 1, "service_tier": "auto"})
        attributes = observed.span().attributes
        assert attributes["gen_ai.conversation.id"] == "conv_1"
        assert "gen_ai.request.choice.count" not in attributes
        assert "openai.request.service_tier" not in attributes

    def test_extra_parameters_that_fit_no_attribute_are_text(self, observed, make):
        make(vendor()).invoke("x", extra_params={"stop": "END", "top_p": {"odd": 1}, "top_k": "many", "reasoning": 3})
        attributes = observed.span().attributes
        assert attributes["gen_ai.request.stop_sequences"] == ("END",)
        assert attributes["gen_ai.request.top_p"] == "{'odd': 1}"
        assert attributes["gen_ai.request.top_k"] == "many"

    @pytest.mark.parametrize(
        ("profile", "names"),
        [
            ("released", {"cache_creation"}),
            ("genai-main", {"cache_write"}),
            ("both", {"cache_creation", "cache_write"}),
        ],
    )
    def test_tokens_written_to_a_cache(self, observed, make, monkeypatch, profile, names):
        monkeypatch.setenv(PROFILE_VARIABLE, profile)
        make(vendor({"cache_write_tokens": 3})).invoke("x")
        found = {name.split(".")[2] for name in observed.span().attributes if "cache_" in name and "read" not in name}
        assert found == names

    def test_an_unknown_profile_is_refused(self, make, monkeypatch):
        monkeypatch.setenv(PROFILE_VARIABLE, "newest")
        with pytest.raises(ConfigurationError, match=r"'newest'.*released, genai-main, both"):
            make(vendor())


class TestContent:
    def test_it_is_left_out_unless_asked_for(self, observed, make):
        make(vendor()).invoke("a private word", system_prompt="another private word")
        assert "private" not in observed.span().to_json()
        assert "Hello there" not in observed.span().to_json()

    @pytest.mark.parametrize("value", ["SPAN_ONLY", "span_and_event", "true"])
    def test_it_is_captured_when_asked_for(self, observed, make, monkeypatch, value):
        monkeypatch.setenv(CAPTURE, value)
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

    def test_on_events_alone(self, observed, make, monkeypatch):
        monkeypatch.setenv(CAPTURE, "EVENT_ONLY")
        make(vendor()).invoke("Hi", system_prompt="Be kind")
        assert "gen_ai.input.messages" not in observed.span().attributes
        (event,) = observed.events
        assert event.event_name == "gen_ai.client.inference.operation.details"
        assert event.span_id == observed.span().context.span_id
        assert event.attributes["gen_ai.input.messages"][0]["parts"][0] == {"type": "text", "content": "Hi"}
        assert event.attributes["gen_ai.output.messages"][0]["finish_reason"] == "stop"

    def test_a_stream_is_told_whole(self, observed, make, monkeypatch):
        monkeypatch.setenv(CAPTURE, "SPAN_AND_EVENT")
        list(make(vendor()).stream("Hi"))
        (message,) = json.loads(observed.span().attributes["gen_ai.output.messages"])
        assert message["parts"] == [{"type": "text", "content": "Hello there"}]
        assert observed.events[0].attributes["gen_ai.output.messages"][0]["parts"][0]["content"] == "Hello there"

    def test_a_failure_tells_what_was_asked(self, observed, make, monkeypatch):
        monkeypatch.setenv(CAPTURE, "EVENT_ONLY")
        model = make(MockChatModel(fail_with=ChatModelError("no", op="o", code=ErrorCode.AUTH)))
        with pytest.raises(ChatModelError):
            model.invoke("Hi")
        exception, details = observed.events
        assert exception.event_name == "gen_ai.client.operation.exception"
        assert details.attributes["error.type"] == "auth"
        assert details.attributes["gen_ai.input.messages"]
        assert "gen_ai.output.messages" not in details.attributes

    @pytest.mark.parametrize(("asked", "mode", "count"), [("true", "", 1), ("false", "EVENT_ONLY", 0), ("", "", 0)])
    def test_the_event_can_be_had_without_content(self, observed, make, monkeypatch, asked, mode, count):
        monkeypatch.setenv(EVENT_VARIABLE, asked)
        monkeypatch.setenv(CAPTURE, mode)
        make(vendor()).invoke("a private word")
        assert len(observed.events) == count
        assert "private" not in str([dict(event.attributes) for event in observed.events])

    def test_metrics_alone_do_not_keep_the_event_away(self, observed, make, monkeypatch):
        monkeypatch.setenv(EVENT_VARIABLE, "true")
        monkeypatch.setattr(trace_api, "get_tracer_provider", trace_api.NoOpTracerProvider)
        make(vendor(), model="gpt-4o-mini").invoke("x")
        assert observed.events[0].attributes["gen_ai.request.model"] == "gpt-4o-mini"
        assert observed.spans == ()


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

    @pytest.mark.parametrize("answer", [{"estimated": True}, {}])
    def test_nothing_is_guessed_and_nothing_counted_twice(self, observed, make, monkeypatch, answer):
        monkeypatch.setenv(PROFILE_VARIABLE, "both")
        whole = vendor(answer).complete(ChatRequest(prompt="x"))
        make(MockChatModel(whole if answer else whole.model_copy(update={"cached": True}))).invoke("x")
        assert observed.points("gen_ai.client.token.usage") == []
        assert observed.points("gen_ai.client.inference.operation.input_tokens") == []
        totals = observed.points("gen_ai.client.inference.usage.input_tokens")
        assert [(p.value, p.attributes["gen_ai.token.modality"]) for _, p in totals] == [(0, "unknown")]

    def test_tokens_of_pictures_and_text_are_of_unknown_modality(self, observed, make, monkeypatch):
        monkeypatch.setenv(PROFILE_VARIABLE, "genai-main")
        picture = {"type": "image", "url": "https://example.org/cat.png"}
        make(vendor()).complete(ChatRequest(messages=({"role": "user", "content": [picture]},)))
        name = "gen_ai.client.inference.usage.{}_tokens"
        found = {
            kind: [point.attributes["gen_ai.token.modality"] for _, point in observed.points(name.format(kind))]
            for kind in ("input", "output")
        }
        assert found == {"input": ["unknown"], "output": ["text"]}

    def test_a_series_for_each_model_and_failure(self, observed, make, monkeypatch):
        from chatmodels import instruments

        monkeypatch.setattr(instruments, "MOST_NAMES", 2)
        model = make(vendor())
        for number in range(4):
            model.invoke("x", model=f"m{number}")
        points = observed.points("gen_ai.client.operation.duration")
        assert {point.attributes["gen_ai.request.model"] for _, point in points} == {"m0", "m1", "m2", "m3"}

    def test_the_address_is_looked_at_again_after_a_second(self):
        addresses = iter(["http://one/v1", "https://two:8443/v1"])
        meter = Meter("openai", lambda: next(addresses))
        found = [meter.series("m", now).attributes for now in (10.0, 10.9, 11.1)]
        assert [(a["server.address"], a["server.port"]) for a in found] == [("one", 80), ("one", 80), ("two", 8443)]

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
        *retries, line = lines()
        assert (line["event"], line["level"], line["code"], line["op"]) == ("llm.call", "info", "unavailable", "v.c")
        assert line["attempts"] == 3
        assert [retry["event"] for retry in retries] == ["llm.retry"] * 2
        assert KEY not in json.dumps([*retries, line])

    def test_a_cancelled_call_is_no_news(self, log_lines, make):
        lines = log_lines("DEBUG")

        class Stuck(MockChatModel):
            async def complete_async(self, request):
                if request.prompt == "bad":
                    await asyncio.sleep(0)
                    raise ChatModelError("no", op="v.c", code=ErrorCode.INVALID)
                await asyncio.Event().wait()

        with pytest.raises(ChatModelError):
            make(Stuck()).batch(["a", "b", "bad"])
        found = [line for line in lines() if line["event"] == "llm.call"]
        told = sorted((line["level"], line["status"], line["code"]) for line in found)
        assert told == [("debug", "cancelled", "cancelled")] * 2 + [("info", "failed", "invalid")]

    def test_what_the_provider_says_of_its_limits(self, log_lines, make):
        lines = log_lines("DEBUG")
        limits = RateLimitStatus(limit_requests=100, remaining_tokens=99, reset_requests_s=1.5)
        whole = vendor().complete(ChatRequest(prompt="x")).model_copy(update={"rate_limit": limits})
        failure = ChatModelError("slow down", op="v.c", code=ErrorCode.AUTH, fields={"rate_limit": limits})
        model = make(MockChatModel([whole, failure]))
        model.invoke("x")
        with pytest.raises(ChatModelError):
            model.invoke("x")
        found = [line for line in lines() if line["event"] == "llm.call"]
        for line in found:
            assert (line["limit_requests"], line["remaining_tokens"], line["reset_requests_s"]) == (100, 99, 1.5)
            assert not {"limit_tokens", "remaining_requests", "rate_limit"} & set(line)
        assert [line["level"] for line in found] == ["debug", "info"]

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


@pytest.mark.parametrize("profile", ["released", "both"])
def test_without_opentelemetry_calls_are_as_ever(profile):
    code = f"""
        import os, sys
        sys.modules["opentelemetry"] = None
        os.environ.update({PROFILE_VARIABLE}="{profile}", {CAPTURE}="SPAN_AND_EVENT", {EVENT_VARIABLE}="true")
        from chatmodels import ChatModelError, create_chat_model, telemetry_context
        from generative_ai_workflow import LLMStep, Workflow, WorkflowEngine
        model = create_chat_model("mock", responses="Hello")
        with telemetry_context(conversation_id="c"):
            assert model.invoke("x").content == "Hello"
            assert "".join(chunk.text for chunk in model.stream("x")) == "Hello"
        try:
            create_chat_model("mock", fail_with="auth").invoke("x")
        except ChatModelError as error:
            assert error.code == "auth"
        assert WorkflowEngine().run(Workflow([LLMStep("a", "x", model)], name="w")).succeeded
        assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
