from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from chatmodels import (
    ChatChunk,
    ChatModel,
    ChatModelError,
    ChatRequest,
    ErrorCode,
    MockChatModel,
    RateLimit,
    RetryPolicy,
    TokenUsage,
)
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.limiting import LimitingModel
from chatmodels.wrappers.measured import MeasuredModel
from chatmodels.wrappers.preset import PresetModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.timed import TimedModel
from chatmodels.wrappers.translating import TranslatingModel
from fmf_core.errors import FrameworkError

FAST = RetryPolicy(max_attempts=3, first_wait_s=0.0)
REQUEST = ChatRequest(prompt="x", model="m-1")


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def failure(code=ErrorCode.UNAVAILABLE, **more):
    return ChatModelError("overloaded", op="vendor.complete", code=code, **more)


def end(text=""):
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    return ChatChunk(text=text, finish_reason="stop", usage=usage)


class Streaming(ChatModel):
    """Streams each script in turn: texts are pieces, exceptions are raised."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.closed = 0
        self.opened = 0

    async def complete_async(self, request):
        raise AssertionError("not streamed")

    async def stream_async(self, request):
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        try:
            for item in script:
                if isinstance(item, BaseException):
                    raise item
                yield item if isinstance(item, ChatChunk) else ChatChunk(text=item)
        finally:
            self.closed += 1


def wrapped_by_all(model):
    return PresetModel(
        MeasuredModel(LimitingModel(RetryingModel(TranslatingModel(model), FAST), RateLimit(requests_per_minute=1e9))),
        {"seed": 1},
    )


class TestAllTogether(ChatModelExam):
    def make_model(self):
        return wrapped_by_all(MockChatModel())

    def make_failing_model(self):
        return wrapped_by_all(MockChatModel(fail_with=failure()))


class TestWrappedModel:
    def test_it_passes_everything_on(self):
        events = []

        class Tracked(MockChatModel):
            async def initialize(self):
                events.append("initialize")

            async def cleanup(self):
                events.append("cleanup")

        model = WrappedModel(WrappedModel(Tracked("a")))
        assert model.complete(REQUEST).content == "a"
        assert "".join(c.text for c in model.stream("x")) == "a"
        assert model.get_model_info().provider == "mock"
        assert model.check_health().status == "healthy"
        assert (model.provider_name, model.in_process, model.call_count) == ("mock", True, 2)
        assert isinstance(model.unwrapped, Tracked)
        in_own_loop(model.initialize())
        in_own_loop(model.cleanup())
        assert events == ["initialize", "cleanup"]

    def test_what_nobody_knows_is_an_attribute_error(self):
        with pytest.raises(AttributeError):
            _ = WrappedModel(MockChatModel()).nothing
        assert not hasattr(WrappedModel(MockChatModel()), "_private")


class TestPresetModel:
    def test_presets_fill_what_is_open(self):
        inner = MockChatModel()
        PresetModel(inner, {"temperature": 0.0, "max_tokens": None}).invoke("x")
        assert (inner.call_log[0].temperature, inner.call_log[0].max_tokens) == (0.0, None)

    def test_what_was_given_wins_in_streams_too(self):
        inner = MockChatModel()
        list(PresetModel(inner, {"temperature": 0.0}).stream("x", temperature=0.4))
        assert inner.call_log[0].temperature == 0.4


class TestTimedModel:
    def test_an_answer_in_time(self):
        assert TimedModel(MockChatModel("a"), 5).complete(REQUEST).content == "a"
        assert "".join(c.text for c in TimedModel(MockChatModel("a b"), 5).stream(REQUEST)) == "a b"

    @pytest.mark.parametrize("slow", [{"latency_s": 5}, {"chunk_delay_s": 5}])
    def test_a_late_stream_is_closed(self, slow):
        model = RetryingModel(
            TimedModel(MockChatModel("a b", **slow), 0.02), RetryPolicy(max_attempts=2, first_wait_s=0)
        )
        with pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST))
        assert caught.value.code is ErrorCode.TIMEOUT
        assert model.call_count == (2 if "latency_s" in slow else 1)

    def test_a_time_out_of_the_models_own_is_no_other(self):
        with pytest.raises(TimeoutError, match="own"):
            TimedModel(MockChatModel(fail_with=TimeoutError("own")), 5).complete(REQUEST)


class TestRetryingModel:
    def test_the_answer_says_how_many_attempts_it_took(self):
        model = RetryingModel(MockChatModel([failure(), failure(ErrorCode.RATE_LIMIT), "done"]), FAST)
        response = model.complete(REQUEST)
        assert (response.content, response.attempts) == ("done", 3)
        assert RetryingModel(MockChatModel(), FAST).complete(REQUEST).attempts == 1

    def test_the_last_error_tells_everything(self):
        inner = MockChatModel(fail_with=failure())
        with pytest.raises(ChatModelError) as caught:
            RetryingModel(inner, FAST).complete(REQUEST)
        error = caught.value
        assert inner.call_count == 3
        assert (error.op, error.code) == ("vendor.complete", ErrorCode.UNAVAILABLE)
        assert error.fields == {"attempts": 3, "provider": "mock", "model": "m-1"}
        assert "3 attempts" in str(error)

    @pytest.mark.parametrize("code", [ErrorCode.INVALID, ErrorCode.AUTH, ErrorCode.INTERNAL, ErrorCode.TRUNCATED])
    def test_hopeless_calls_are_made_once(self, code):
        inner = MockChatModel(fail_with=failure(code))
        with pytest.raises(ChatModelError) as caught:
            RetryingModel(inner, FAST).complete(REQUEST)
        assert inner.call_count == 1
        assert caught.value.fields["attempts"] == 1
        assert "attempts" not in str(caught.value)

    def test_what_the_provider_asks_for_is_waited(self):
        model = RetryingModel(MockChatModel([failure(retry_after=0.05), "done"]), FAST)
        started = time.monotonic()
        model.complete(REQUEST)
        assert time.monotonic() - started >= 0.05

    def test_a_wait_beyond_the_longest_ends_the_retries(self):
        inner = MockChatModel(fail_with=failure(retry_after=31.0))
        with pytest.raises(ChatModelError):
            RetryingModel(inner, FAST).complete(REQUEST)
        assert inner.call_count == 1

    @pytest.mark.parametrize(
        ("raised", "code", "calls"),
        [
            (ValueError("bad"), ErrorCode.INTERNAL, 1),
            (SystemExit(3), ErrorCode.INTERNAL, 1),
            (TimeoutError("slow"), ErrorCode.TIMEOUT, 3),
            (ConnectionResetError("gone"), ErrorCode.UNAVAILABLE, 3),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    def test_foreign_exceptions_become_ours(self, raised, code, calls, streamed):
        inner = MockChatModel(fail_with=raised)
        model = RetryingModel(TranslatingModel(inner), FAST)
        with pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST)) if streamed else model.complete(REQUEST)
        error = caught.value
        assert (error.code, inner.call_count, error.fields["attempts"]) == (code, calls, calls)
        assert error.__cause__ is raised
        assert error.op
        assert "MockChatModel" in str(error)

    @pytest.mark.parametrize("passing", [asyncio.CancelledError, KeyboardInterrupt])
    def test_decisions_to_stop_pass(self, passing):
        async def go():
            await RetryingModel(MockChatModel(fail_with=passing), FAST).complete_async(REQUEST)

        with pytest.raises(passing):
            in_own_loop(go())

    def test_errors_of_other_rooms_keep_their_class(self):
        class AbortedError(FrameworkError):
            pass

        with pytest.raises(AbortedError):
            RetryingModel(MockChatModel(fail_with=AbortedError("stop")), FAST).complete(REQUEST)

    def test_an_answer_of_another_kind_is_refused(self):
        class Wrong(ChatModel):
            async def complete_async(self, request):
                return "text"

        with pytest.raises(ChatModelError, match="Wrong answered with str") as caught:
            TranslatingModel(Wrong()).complete(REQUEST)
        assert caught.value.code is ErrorCode.BAD_REPLY

    def test_a_stream_is_retried_before_its_first_text(self):
        inner = Streaming([failure()], ["", failure()], ["", "a", "b", end()])
        chunks = list(RetryingModel(inner, FAST).stream(REQUEST))
        assert [c.text for c in chunks] == ["", "a", "b", ""]
        assert (inner.opened, inner.closed) == (3, 3)

    def test_a_stream_is_never_retried_after_its_first_text(self):
        inner = Streaming(["a", failure()], ["b", end()])
        got = []
        with pytest.raises(ChatModelError) as caught:
            got.extend(chunk.text for chunk in RetryingModel(inner, FAST).stream(REQUEST))
        assert got == ["a"]
        assert (inner.opened, inner.closed, caught.value.fields["provider"]) == (1, 1, "unknown")

    def test_a_foreign_failure_amid_a_stream_becomes_ours(self):
        with pytest.raises(ChatModelError) as caught:
            list(TranslatingModel(Streaming(["a", OSError("cut")])).stream(REQUEST))
        assert isinstance(caught.value.__cause__, OSError)

    def test_an_empty_stream_stays_empty(self):
        assert list(RetryingModel(Streaming([]), FAST).stream(REQUEST)) == []


class TestStreamsThroughAll:
    def test_the_first_piece_comes_before_the_last_is_made(self):
        made = []

        class Slow(ChatModel):
            async def complete_async(self, request):
                raise AssertionError

            async def stream_async(self, request):
                for text in "abc":
                    made.append(text)
                    yield ChatChunk(text=text)
                    await asyncio.sleep(0)
                yield end()

        async def go():
            stream = wrapped_by_all(Slow()).stream_async(REQUEST)
            first = await anext(stream)
            seen = list(made)
            await stream.aclose()
            return first.text, seen

        assert in_own_loop(go()) == ("a", ["a"])

    def test_leaving_early_closes_the_vendors_stream_at_once(self):
        inner = Streaming(["a", "b", end()])

        async def go():
            stream = wrapped_by_all(inner).stream_async(REQUEST)
            await anext(stream)
            await stream.aclose()
            return inner.closed

        assert in_own_loop(go()) == 1

    def test_leaving_early_from_blocking_code_closes_it_too(self):
        inner = Streaming(["a", "b", end()])
        for _ in wrapped_by_all(inner).stream(REQUEST):
            break
        gc.collect()
        assert inner.closed == 1


class TestLimitingModel:
    def test_the_start_rate_is_kept(self):
        times = []

        class Clocked(ChatModel):
            async def complete_async(self, request):
                times.append(time.monotonic())
                await asyncio.sleep(0.005)
                return await MockChatModel().complete_async(request)

        model = LimitingModel(Clocked(), RateLimit(requests_per_minute=20 * 60))
        started = time.monotonic()
        model.batch(["x"] * 26, max_concurrency=8)
        assert time.monotonic() - started < 3.0
        for start in times:
            assert sum(1 for other in times if start <= other < start + 1.0) <= 20

    def test_first_come_first_served(self):
        order = []

        class Ordered(ChatModel):
            async def complete_async(self, request):
                order.append(request.prompt)
                return await MockChatModel().complete_async(request)

        async def go():
            model = LimitingModel(Ordered(), RateLimit(requests_per_minute=6000))
            await asyncio.gather(*(model.ainvoke(str(number)) for number in range(20)))

        in_own_loop(go())
        assert order == [str(number) for number in range(20)]

    def test_a_cancelled_caller_gives_up_its_place(self):
        async def go():
            model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=600))
            await model.ainvoke("first")
            tasks = [asyncio.create_task(model.ainvoke(str(n))) for n in range(50)]
            await asyncio.sleep(0)
            for task in tasks[:-1]:
                task.cancel()
            started = time.monotonic()
            await tasks[-1]
            return time.monotonic() - started, model.inner.call_count

        waited, calls = in_own_loop(go())
        assert calls == 2
        assert waited < 1.0

    def test_threads_and_loops_share_one_limit(self):
        model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=6000))
        started = time.monotonic()

        def work(own_loop):
            for _ in range(5):
                in_own_loop(model.ainvoke("x")) if own_loop else model.invoke("x")

        threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert model.inner.call_count == 30
        assert time.monotonic() - started >= 29 * 0.01

    def test_a_loop_that_is_gone_blocks_nobody(self):
        model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=600))

        async def wait_for_ever():
            await model.ainvoke("first")
            asyncio.get_running_loop().abandoned = asyncio.create_task(model.ainvoke("abandoned"))
            await asyncio.sleep(0.01)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(wait_for_ever())
        loop.abandoned._log_destroy_pending = False
        loop.close()
        assert model.invoke("next").content

    def test_tokens_that_were_not_taken_are_given_back(self):
        model = LimitingModel(MockChatModel("two words"), RateLimit(tokens_per_minute=60_000))
        started = time.monotonic()
        for _ in range(5):
            model.invoke("x", max_tokens=10_000)
            list(model.stream("x", max_tokens=10_000))
        assert time.monotonic() - started < 2.0

    def test_a_waiting_stream_starts_in_its_turn(self):
        model = LimitingModel(MockChatModel("a b"), RateLimit(requests_per_minute=1200))
        model.invoke("x")
        started = time.monotonic()
        assert "".join(c.text for c in model.stream("x")) == "a b"
        assert time.monotonic() - started >= 0.04


class TestMeasuredModel:
    def test_the_answer_knows_time_and_price(self):
        model = MeasuredModel(MockChatModel("a", latency_s=0.02))
        response = model.complete(ChatRequest(prompt="x", model="gpt-4o-mini"))
        assert response.latency_ms >= 20
        assert response.cost_usd == pytest.approx((1 * 0.15 + 1 * 0.6) / 1e6)

    def test_an_unknown_price_is_none(self):
        assert MeasuredModel(MockChatModel()).complete(REQUEST).cost_usd is None
