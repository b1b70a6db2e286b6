from __future__ import annotations

import asyncio
import json

import pytest

from chatmodels import (
    ChatModel,
    ChatModelConfig,
    ChatModelError,
    ChatRequest,
    ErrorCode,
    HealthStatus,
    MockChatModel,
    ProviderAuthError,
    TokenUsage,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.config import FALLBACK_ON
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers.adaptive import AdaptiveModel
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.breaker import BreakerModel, BreakerOpenError
from chatmodels.wrappers.fallback import Fallback, FallbackModel
from chatmodels.wrappers.hedging import HedgingModel
from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, reset_logging
from peers.scripted_server import Reply, ScriptedServer
from unit.chatmodels.wrappers.scripts import Streaming

REQUEST = ChatRequest(prompt="x", model="m-1")
FAST = {"max_attempts": 2, "first_wait_s": 0}


def failure(code=ErrorCode.UNAVAILABLE, text="overloaded", **more):
    return ChatModelError(text, op="vendor.complete", code=code, hint="have patience", **more)


def behind(first, *others, **more):
    return FallbackModel(first, [Fallback(other) for other in others], **more)


def layers_of(model):
    found = {}
    while isinstance(model, WrappedModel):
        found[type(model)] = model
        model = model.inner
    return found


def standing_by(model, number):
    """The layers of the fallback with that number."""
    return layers_of(layers_of(model)[FallbackModel].fallbacks[number].model)


def text_of(chunks):
    return "".join(chunk.text for chunk in chunks)


class TestExam(ChatModelExam):
    def make_model(self):
        able = {"capabilities": ("chat", "stream")}
        return behind(MockChatModel(fail_with=failure(), **able), MockChatModel("Hello to you.", **able))

    def make_failing_model(self):
        return behind(MockChatModel(fail_with=failure()), MockChatModel(fail_with=failure()))


class TestWhoAnswers:
    def test_the_first_one_while_it_can(self):
        second = MockChatModel("second")
        answer = behind(MockChatModel("first"), second).complete(REQUEST)
        assert (answer.content, answer.fell_back_from, second.call_count) == ("first", (), 0)

    @pytest.mark.parametrize("code", sorted(FALLBACK_ON))
    def test_the_next_one_after_a_failure_of_the_provider(self, code):
        model = behind(MockChatModel(fail_with=failure(code)), MockChatModel("second", model="m-2"))
        answer = model.complete(REQUEST)
        assert (answer.content, answer.model) == ("second", "m-2")
        assert answer.fell_back_from == (f"mock/m-1: {code}",)
        *_, last = model.stream(REQUEST)
        assert last.fell_back_from == (f"mock/m-1: {code}",)

    @pytest.mark.parametrize("code", sorted(set(ErrorCode) - FALLBACK_ON))
    def test_nobody_else_after_any_other_failure(self, code):
        second = MockChatModel("second")
        error = failure(code)
        model = behind(MockChatModel(fail_with=error), second)
        with pytest.raises(ChatModelError) as caught:
            model.complete(REQUEST)
        assert caught.value is error
        with pytest.raises(ChatModelError):
            list(model.stream(REQUEST))
        assert second.call_count == 0

    def test_the_codes_are_a_setting(self):
        model = behind(MockChatModel(fail_with=failure(ErrorCode.AUTH)), MockChatModel("b"), codes={ErrorCode.AUTH})
        assert model.complete(REQUEST).content == "b"

    def test_attempts_count_all(self):
        first = failure(fields={"attempts": 3})
        assert behind(MockChatModel(fail_with=first), MockChatModel("b")).complete(REQUEST).attempts == 4


class TestAllFailed:
    def test_the_error_names_all_that_were_tried(self):
        errors = [failure(text="one", retry_after=9), failure(ErrorCode.RATE_LIMIT, "two", retry_after=4)]
        model = behind(*(MockChatModel(fail_with=error, model=f"m-{n}") for n, error in enumerate(errors, 1)))
        with pytest.raises(ChatModelError) as caught:
            model.complete(REQUEST)
        error = caught.value
        tried = ["mock/m-1: unavailable", "mock/m-2: rate_limit"]
        assert (error.op, error.code, error.hint) == ("chatmodels.fallback", ErrorCode.RATE_LIMIT, "have patience")
        assert error.__cause__ is errors[1]
        assert all(name in error.message for name in [*tried, "two"])
        assert error.fields == {"provider": "mock", "model": "m-1", "tried": tried, "attempts": 2}
        assert error.retry_after == 4
        assert "one" in error.__notes__[0]
        with pytest.raises(ChatModelError, match="no model answered"):
            list(model.stream(REQUEST))

    def test_a_failure_that_another_model_must_not_hide_ends_the_search(self):
        third = MockChatModel("third")
        model = behind(MockChatModel(fail_with=failure()), MockChatModel(fail_with=failure(ErrorCode.AUTH)), third)
        with pytest.raises(ProviderAuthError, match="mock/m-1: unavailable, mock/mock: auth"):
            model.complete(REQUEST)
        assert third.call_count == 0


class Broken(ChatModel):
    """Streams some pieces and then fails."""

    provider_name = "broken"

    def __init__(self, *texts):
        self.texts = texts
        self.closed = 0

    async def complete_async(self, request):
        raise failure()

    async def stream_async(self, request):
        try:
            for text in self.texts:
                async for chunk in MockChatModel(text).stream_async(request):
                    yield chunk.model_copy(update={"finish_reason": None, "usage": None})
            raise failure()
        finally:
            self.closed += 1


class TestStreams:
    def test_before_the_first_text_another_one_answers(self):
        first = Broken("")
        assert text_of(behind(first, MockChatModel("all of it")).stream(REQUEST)) == "all of it"
        assert first.closed == 1

    def test_after_it_the_error_is_the_callers(self):
        second = MockChatModel("all of it")
        stream = behind(Broken("half "), second).stream(REQUEST)
        assert next(stream).text == "half "
        with pytest.raises(ChatModelError, match="overloaded"):
            list(stream)
        assert second.call_count == 0

    def test_leaving_early_and_cancelling_leave_nothing_behind(self):
        first = Broken("a ", "b ")
        stream = behind(first, MockChatModel("c")).stream(REQUEST)
        next(stream)
        stream.close()
        assert first.closed == 1

        async def cancelled():
            second = MockChatModel("b", latency_s=60)
            task = asyncio.create_task(behind(MockChatModel(fail_with=failure()), second).complete_async(REQUEST))
            while not second.call_count:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1

        with asyncio.Runner() as runner:
            runner.run(cancelled())


class TestAround:
    def test_it_is_healthy_while_one_of_them_is(self):
        down = HealthStatus(status="unhealthy", detail="down")
        assert behind(MockChatModel(health=down), MockChatModel()).check_health().status == "healthy"
        assert "mock/mock" in behind(MockChatModel(health=down), MockChatModel()).check_health().detail
        assert behind(MockChatModel(health=down), MockChatModel(health=down)).check_health() == down
        assert behind(MockChatModel(), MockChatModel(health=down)).check_health().status == "healthy"

    def test_all_are_made_ready_and_only_its_own_are_cleaned_up(self):
        events = []

        class Tracked(MockChatModel):
            async def initialize(self):
                events.append("ready")

            async def cleanup(self):
                events.append("clean")

        others = [Fallback(Tracked(), owned=True), Fallback(Tracked())]

        async def use():
            async with FallbackModel(Tracked(), others):
                pass

        with asyncio.Runner() as runner:
            runner.run(use())
        assert events == ["ready"] * 3 + ["clean"] * 2


class TestSettings:
    def test_names_of_providers_configs_mappings_and_models(self):
        for other in ("mock", ChatModelConfig(provider="mock"), {"provider": "mock"}, MockChatModel("Mock response")):
            model = create_chat_model("mock", model="a", fail_with=failure(), retry=None, fallbacks=[other])
            answer = model.invoke("x")
            assert (answer.content, answer.fell_back_from) == ("Mock response", ("mock/a: unavailable",))

    def test_presets_of_its_own_win_over_those_of_the_first(self):
        second = MockChatModel("b")
        other = create_chat_model("mock", model="n", temperature=0.1)
        other.unwrapped.reset()
        model = create_chat_model(
            "mock", model="m", temperature=0.9, max_tokens=5, fail_with=failure(), retry=None, fallbacks=[other]
        )
        model.invoke("x")
        (asked,) = other.call_log
        assert (asked.model, asked.temperature, asked.max_tokens) == ("n", 0.1, 5)
        model.invoke("x", temperature=0.3)
        assert other.call_log[1].temperature == 0.3
        bare = create_chat_model("mock", temperature=0.9, fail_with=failure(), retry=None, fallbacks=second)
        bare.invoke("x")
        assert second.call_log[0].temperature == 0.9

    def test_what_the_caller_gave_stays_also_where_it_equals_what_would_have_been_filled_in(self):
        presets = {"temperature": 0.0, "max_tokens": 100, "seed": 7}
        other = create_chat_model("mock", temperature=1.5, max_tokens=5, model="n")
        model = create_chat_model("mock", fail_with=failure(), retry=None, **presets, fallbacks=[other])
        for given, expected in (({}, (1.5, 5, 7)), (presets, (0.0, 100, 7)), ({"max_tokens": 100}, (1.5, 100, 7))):
            other.unwrapped.reset()
            model.invoke("x", **given)
            list(model.stream("x", **given))
            for asked in other.call_log:
                assert (asked.temperature, asked.max_tokens, asked.seed) == expected

    def test_a_fallback_takes_the_hedging_of_the_first(self):
        model = create_chat_model("mock", hedge_after_s=5, hedge_share=0.7, fallbacks=["mock", MockChatModel()])
        hedging = [standing_by(model, number)[HedgingModel] for number in (0, 1)]
        assert [(layer.after_s, layer._budgets.of(layer, "m").share) for layer in hedging] == [(5, 0.7), (5, 0.7)]

    @pytest.mark.parametrize(("budget", "asked"), [(None, 6), ({"reserve": 2}, 3)])
    def test_a_fallback_given_as_a_model_takes_the_retry_budget(self, budget, asked):
        class Another(MockChatModel):
            provider_name = f"another with {asked}"

        second = Another(fail_with=failure())
        model = create_chat_model(
            "mock",
            fail_with=ErrorCode.BAD_REPLY,
            retry={"max_attempts": 6, "first_wait_s": 0},
            retry_budget=budget,
            fallbacks=[second],
        )
        with pytest.raises(ChatModelError):
            model.invoke("x")
        assert second.call_count == asked

    @pytest.mark.parametrize(("settings", "learns"), [({"concurrency": None}, False), ({}, True)])
    def test_a_fallback_given_as_a_model_takes_the_concurrency(self, settings, learns):
        class Remote(MockChatModel):
            in_process = False

        model = create_chat_model("mock", fallbacks=[Remote()], **settings)
        assert (AdaptiveModel in standing_by(model, 0)) is learns

    def test_the_last_fallback_given_as_a_model_waits_for_its_circuit(self):
        model = create_chat_model("mock", breaker={"failures": 2}, fallbacks=[MockChatModel(), MockChatModel()])
        found = [standing_by(model, number)[BreakerModel].breaker for number in (0, 1)]
        assert [(breaker.failures, breaker.fail_fast) for breaker in found] == [(2, True), (2, False)]

    def test_a_model_that_measures_itself_counts_once(self, capsys):
        configure_logging("DEBUG")
        try:
            other = create_chat_model(
                "mock", model="priced", prices={"priced": {"input_per_1m": 1, "output_per_1m": 2}}
            )
            model = create_chat_model("mock", model="a", fail_with=failure(), retry=None, fallbacks=[other])
            answer = model.invoke("x")
        finally:
            reset_logging()
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["event"] for line in lines] == ["llm.fallback", "llm.call"]
        assert (lines[0]["model"], lines[0]["to"], lines[0]["code"]) == ("mock/a", "mock/priced", "unavailable")
        assert (lines[1]["model"], lines[1]["response_model"]) == ("a", "priced")
        assert lines[1]["fell_back_from"] == ["mock/a: unavailable"]
        assert answer.cost_usd == pytest.approx((1 + 2 * 2) / 1e6)

    @pytest.mark.parametrize(
        "wrong",
        [
            3,
            {"cache": "memory"},
            {"provider": "mock", "fallbacks": ["a"]},
            ChatModelConfig(provider="mock", cache="memory"),
        ],
    )
    def test_what_is_no_fallback_is_refused(self, wrong):
        with pytest.raises(ConfigurationError, match="fallbacks: "):
            create_chat_model("mock", fallbacks=[wrong])

    def test_a_decision_to_stop_is_no_reason_for_another_model(self):
        with pytest.raises(ConfigurationError, match="somebody decided to stop"):
            create_chat_model("mock", fallback_on=["budget"])

    def test_an_open_circuit_is_not_waited_for_while_another_model_stands_by(self):
        model = create_chat_model(
            "mock",
            model="a",
            fail_with=failure(),
            retry={"max_attempts": 2, "first_wait_s": 0},
            breaker={"failures": 2, "open_s": 25},
            fallbacks=[MockChatModel("b")],
        )
        assert [model.invoke("x").attempts for _ in range(2)] == [3, 1]
        assert model.call_count == 2
        alone = create_chat_model("mock", fail_with=failure(), retry=None, breaker={"failures": 1, "open_s": 25})
        for kind in (ChatModelError, BreakerOpenError):
            with pytest.raises(kind):
                alone.invoke("x")

    def test_a_registered_model_of_ones_own_knows_several_names(self):
        def answer(request):
            if request.model == "a":
                raise failure()
            return f"from {request.model}"

        own = MockChatModel(answer)
        register_chat_model("own", own)
        try:
            model = create_chat_model("own", model="a", retry=None, fallbacks=["b"])
            assert model.invoke("x").content == "from b"
        finally:
            unregister_chat_model("own")
        assert own.call_count == 2


class TestAtAServer:
    def test_servers_are_told_apart_where_names_do_not(self):
        with ScriptedServer(default=Reply(status=503)) as first, ScriptedServer(default=Reply(status=503)) as second:
            model = create_chat_model(
                "openai", base_url=first.base_url, api_key="k", model="a", retry=None,
                fallbacks=["b", {"base_url": second.base_url}],
            )  # fmt: skip
            with pytest.raises(ChatModelError) as caught:
                model.invoke("x")
        assert caught.value.fields["tried"] == [
            f"openai/a at {first.base_url}: unavailable",
            "openai/b: unavailable",
            f"openai/a at {second.base_url}: unavailable",
        ]

    def test_both_models_are_asked_as_often_as_the_retries_say(self):
        def reply(request):
            return Reply(status=503) if request.body["model"] == "a" else Reply(text=f"from {request.body['model']}")

        with ScriptedServer(reply) as server:
            model = create_chat_model(
                "openai", base_url=server.base_url, api_key="k", model="a", temperature=0.2, fallbacks=["b"], retry=FAST
            )
            answer = model.invoke("x")
            assert (answer.content, answer.model, answer.attempts) == ("from b", "b", 3)
            assert [body["model"] for body in server.bodies] == ["a", "a", "b"]
            assert {body["temperature"] for body in server.bodies} == {0.2}
            assert text_of(model.stream("x")) == "from b"
            assert [body["model"] for body in server.bodies[3:]] == ["a", "a", "b"]

    def test_another_server_may_stand_by(self):
        with ScriptedServer(default=Reply(status=500)) as down, ScriptedServer(default="fine") as well:
            model = create_chat_model(
                "openai", base_url=down.base_url, api_key="k", model="a", retry=FAST,
                fallbacks=[{"base_url": well.base_url}],
            )  # fmt: skip
            assert model.invoke("x").content == "fine"
            assert (down.count, well.count) == (2, 1)


def test_the_last_piece_of_a_stream_counts_the_requests_to_all():
    first = failure(fields={"attempts": 3})
    assert list(behind(MockChatModel(fail_with=first), MockChatModel("b")).stream(REQUEST))[-1].attempts == 4
    with pytest.raises(ChatModelError) as caught:
        list(behind(MockChatModel(fail_with=first), Streaming(["half", failure()])).stream(REQUEST))
    assert caught.value.fields["attempts"] == 4


def test_what_the_last_one_took_is_told_when_all_failed():
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    last = MockChatModel(fail_with=failure(fields={"usage": usage}))
    with pytest.raises(ChatModelError, match="no model answered") as caught:
        behind(MockChatModel(fail_with=failure()), last).complete(REQUEST)
    assert caught.value.fields["usage"] == usage
