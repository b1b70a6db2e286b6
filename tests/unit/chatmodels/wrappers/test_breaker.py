from __future__ import annotations

import asyncio
import gc
import pickle
import threading

import pytest

from chatmodels import Breaker, ChatModelError, ChatRequest, ErrorCode, MockChatModel, create_chat_model
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers.breaker import BreakerModel, BreakerOpenError
from fmf_core.portal import in_thread
from peers.scripted_server import Reply, ScriptedServer
from unit.chatmodels.wrappers.scripts import Streaming, end, in_own_loop

REQUEST = ChatRequest(prompt="x", model="m-1")
DOWN = ErrorCode.UNAVAILABLE


def failure(code=DOWN):
    return ChatModelError("overloaded", op="vendor.complete", code=code)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def breaking(inner, clock=None, **settings):
    return BreakerModel(inner, Breaker(**{"failures": 2, "open_s": 30, **settings}), clock=clock or Clock())


def ask(model, code, times=1):
    for _ in range(times):
        with pytest.raises(ChatModelError) as caught:
            model.complete(REQUEST)
        assert caught.value.code is code
    return caught.value


class TestExam(ChatModelExam):
    def make_model(self):
        return breaking(MockChatModel("Hello to you.", capabilities=("chat", "stream")))

    def make_failing_model(self):
        return breaking(MockChatModel(fail_with=failure()))


class TestOpening:
    @pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT])
    def test_an_open_circuit_asks_nobody_and_says_for_how_long(self, code):
        clock = Clock()
        model = breaking(MockChatModel(fail_with=failure(code)), clock)
        ask(model, code, times=2)
        clock.now = 10
        error = ask(model, DOWN)
        assert isinstance(error, BreakerOpenError)
        assert (error.op, error.retry_after, error.retryable) == ("chatmodels.breaker", 20, True)
        assert "2 times in a row" in error.message
        assert "fallbacks" in error.hint
        assert error.fields == {"provider": "mock", "model": "m-1"}
        assert model.call_count == 2
        assert pickle.loads(pickle.dumps(error)).retryable

    @pytest.mark.parametrize("code", [ErrorCode.RATE_LIMIT, ErrorCode.INVALID, ErrorCode.AUTH, ErrorCode.BAD_REPLY])
    def test_a_server_that_answers_is_not_left_alone(self, code):
        model = breaking(MockChatModel(fail_with=failure(code)))
        ask(model, code, times=5)
        assert model.call_count == 5

    def test_a_good_probe_closes_it(self):
        clock = Clock()
        model = breaking(MockChatModel([failure(), failure(), "well again"]), clock)
        ask(model, DOWN, times=2)
        clock.now = 30
        assert model.complete(REQUEST).content == "well again"
        assert model.complete(REQUEST).content == "well again"

    def test_a_probe_that_asked_nobody_leaves_it_open(self):
        unasked = failure(ErrorCode.AUTH)
        unasked.was_asked = False
        clock = Clock()
        model = breaking(MockChatModel([failure(), failure(), unasked, failure(), "well again"]), clock)
        ask(model, DOWN, times=2)
        clock.now = 30
        ask(model, ErrorCode.AUTH)
        ask(model, DOWN)  # the next probe
        assert isinstance(ask(model, DOWN), BreakerOpenError)
        assert model.call_count == 4

    def test_each_model_has_its_own_circuit(self):
        def answer(request):
            if request.model == "m-1":
                raise failure()
            return "fine"

        model = breaking(MockChatModel(answer))
        ask(model, DOWN, times=3)
        assert model.complete(REQUEST.model_copy(update={"model": "m-2"})).content == "fine"

    def test_a_failed_stream_counts_and_a_begun_one_is_a_success(self):
        model = breaking(MockChatModel([failure(), "fine", failure(), failure()]))
        for number in range(4):
            if number == 1:
                assert "".join(chunk.text for chunk in model.stream(REQUEST)) == "fine"
                continue
            with pytest.raises(ChatModelError):
                list(model.stream(REQUEST))
        assert isinstance(ask(model, DOWN), BreakerOpenError)
        with pytest.raises(BreakerOpenError):
            list(model.stream(REQUEST))
        assert model.call_count == 4

    def test_leaving_a_stream_or_cancelling_a_call_says_nothing(self):
        model = breaking(MockChatModel("a b c", chunk_delay_s=0.001), failures=1)
        stream = model.stream(REQUEST)
        next(stream)
        stream.close()

        async def cancelled():
            slow = breaking(MockChatModel("a", latency_s=30), failures=1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await slow.complete_async(REQUEST)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await slow.complete_async(REQUEST)
            assert len(asyncio.all_tasks()) == 1
            return slow.call_count

        with asyncio.Runner() as runner:
            assert runner.run(cancelled()) == 2
        assert model.complete(REQUEST).content == "a b c"


class TestProbing:
    def test_the_others_wait_for_the_probe(self):
        clock = Clock()
        begun, go_on = threading.Event(), threading.Event()

        def probe(_):
            begun.set()
            assert go_on.wait(30)
            return "well again"

        model = breaking(Threaded([failure(), failure(), probe, "later"]), clock)
        ask(model, DOWN, times=2)
        clock.now = 30
        answers = []
        callers = [threading.Thread(target=lambda: answers.append(model.complete(REQUEST).content)) for _ in range(4)]
        callers[0].start()
        assert begun.wait(30)
        for caller in callers[1:]:
            caller.start()
        go_on.set()
        for caller in callers:
            caller.join(30)
        assert sorted(answers) == ["later", "later", "later", "well again"]

    def test_with_fail_fast_nobody_waits(self):
        clock = Clock()

        async def all_at_once():
            model = breaking(MockChatModel([failure(), failure(), "well again"], latency_s=0.02), clock, fail_fast=True)
            for _ in range(2):
                with pytest.raises(ChatModelError):
                    await model.complete_async(REQUEST)
            clock.now = 30
            return await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(3)), return_exceptions=True)

        with asyncio.Runner() as runner:
            first, *others = runner.run(all_at_once())
        assert first.content == "well again"
        assert [type(other) for other in others] == [BreakerOpenError, BreakerOpenError]
        assert not others[0].retryable

    def test_those_who_wait_can_be_cancelled(self):
        clock = Clock()

        async def cancelled():
            model = breaking(MockChatModel([failure(), failure(), "slow"], latency_s=0.05), clock)
            for _ in range(2):
                with pytest.raises(ChatModelError):
                    await model.complete_async(REQUEST)
            clock.now = 30
            probe = asyncio.create_task(model.complete_async(REQUEST))
            await asyncio.sleep(0)
            waiting = asyncio.create_task(model.complete_async(REQUEST))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await probe).content == "slow"
            assert len(asyncio.all_tasks()) == 1

        with asyncio.Runner() as runner:
            runner.run(cancelled())

    def test_a_probe_whose_stream_is_empty_closes_it(self):
        clock = Clock()
        inner = Streaming([failure()], [failure()], [], ["fine", end()])
        model = breaking(inner, clock)
        for _ in range(2):
            with pytest.raises(ChatModelError):
                list(model.stream(REQUEST))
        clock.now = 30
        assert list(model.stream(REQUEST)) == []
        assert "".join(chunk.text for chunk in model.stream(REQUEST)) == "fine"

    def test_a_call_that_the_garbage_collector_ends_may_end_at_any_moment(self):
        class Collecting(Clock):
            abandoned = None

            def __call__(self):
                abandoned, self.abandoned = self.abandoned, None
                if abandoned is not None:
                    abandoned.close()
                return self.now

        clock = Collecting()
        model = breaking(MockChatModel("fine", latency_s=0.001), clock)

        async def go():
            left = model.complete_async(REQUEST)
            left.send(None)
            clock.abandoned = left
            return (await model.complete_async(REQUEST)).content

        answers = []
        thread = threading.Thread(target=lambda: answers.append(in_own_loop(go())), daemon=True)
        thread.start()
        thread.join(30)
        assert answers == ["fine"]


class Threaded(MockChatModel):
    """A mock whose functions may block."""

    async def complete_async(self, request):
        return await in_thread(self._blocking, request)

    def _blocking(self, request):
        with asyncio.Runner() as runner:
            return runner.run(super().complete_async(request))


class TestAtAServer:
    def test_an_open_circuit_stops_the_requests_of_all_models_of_the_endpoint(self):
        with ScriptedServer(default=Reply(status=503)) as server:
            settings = {"base_url": server.base_url, "api_key": "k", "retry": None, "breaker": {"failures": 3}}
            one = create_chat_model("openai", model="m", **settings)
            other = create_chat_model("openai", model="m", **settings)
            for model in (one, other, one, other, one):
                with pytest.raises(ChatModelError) as caught:
                    model.invoke("x")
            assert isinstance(caught.value, BreakerOpenError)
            assert server.count == 3
            third = create_chat_model("openai", model="another", **settings)
            with pytest.raises(ChatModelError):
                third.invoke("x")
            assert server.count == 4

    def test_the_retries_wait_until_it_closes(self):
        with ScriptedServer([Reply(status=503), Reply(status=503), Reply(text="well again")]) as server:
            model = create_chat_model(
                "openai",
                base_url=server.base_url,
                api_key="k",
                retry={"max_attempts": 3, "first_wait_s": 0},
                breaker={"failures": 2, "open_s": 0.2},
            )
            answer = model.invoke("x")
            assert (answer.content, answer.attempts, server.count) == ("well again", 3, 3)
            assert server.starts[2] - server.starts[1] > 0.19

    def test_what_is_known_of_a_server_outlives_the_model(self):
        with ScriptedServer([Reply(status=503)]) as server:
            settings = {"base_url": server.base_url, "api_key": "k", "retry": None, "breaker": {"failures": 1}}
            model = create_chat_model("openai", **settings)
            with pytest.raises(ChatModelError):
                model.invoke("x")
            del model
            gc.collect()
            with pytest.raises(BreakerOpenError):
                create_chat_model("openai", **settings).invoke("x")
            other = {**settings, "api_key": "of somebody else"}
            assert create_chat_model("openai", **other).invoke("x").content == "Scripted reply"
