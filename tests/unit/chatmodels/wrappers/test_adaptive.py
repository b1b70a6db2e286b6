from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import threading
import time

import pytest

from chatmodels import (
    ChatModel,
    ChatModelConfig,
    ChatModelError,
    Concurrency,
    ErrorCode,
    MockChatModel,
    create_chat_model,
)
from chatmodels.factory import wrap
from chatmodels.testing import ChatModelExam
from chatmodels.types import RateLimitStatus
from chatmodels.wrappers.adaptive import AdaptiveModel
from chatmodels.wrappers.gate import Gate
from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, reset_logging
from peers.scripted_server import Reply, ScriptedServer
from unit.chatmodels.wrappers.scripts import REQUEST, Streaming, end, failure, in_own_loop

BUSY = Reply(status=429, body={"error": {"message": "slow down"}})


def busy(**headers):
    return Reply(status=429, body={"error": {"message": "slow down"}}, headers=headers)


def model_at(server, **settings):
    settings = {"retry": {"max_attempts": 3, "first_wait_s": 0.0}, **settings}
    return create_chat_model("openai", base_url=server.base_url, api_key="key-of-nobody", model="m", **settings)


def adaptive(inner, **settings):
    return AdaptiveModel(inner, Concurrency(**settings))


class Held(ChatModel):
    """Answers when it is told to, and counts who is inside."""

    def __init__(self):
        self.inside = self.most = 0
        self.open = asyncio.Event()

    async def complete_async(self, request):
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return await MockChatModel("done").complete_async(request)


class TestAdaptiveModel(ChatModelExam):
    def make_model(self):
        return adaptive(MockChatModel())

    def make_failing_model(self):
        return adaptive(MockChatModel(fail_with=failure()))


class TestPlaces:
    def test_no_more_than_the_most_are_under_way(self):
        async def go():
            model = adaptive(Held(), max=3)
            tasks = [asyncio.create_task(model.complete_async(REQUEST)) for _ in range(10)]
            await asyncio.sleep(0.01)
            assert model.inner.inside == 3
            model.inner.open.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 5)
            return model.inner.most

        assert in_own_loop(go()) == 3

    def most_at_once(self, model, calls=300):
        """How many of `calls` begin before the first one ends."""

        async def go():
            tasks = [asyncio.create_task(model.complete_async(REQUEST)) for _ in range(calls)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            most = model.unwrapped.inside
            model.unwrapped.open.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
            return most

        return in_own_loop(go())

    @pytest.mark.parametrize(
        ("concurrency", "begin"),
        [({}, 300), ({"max": 200}, 200), ({"start": 64}, 8), ({"start": 3}, 3), ({"start": 300, "max": 300}, 8)],
    )
    def test_a_model_of_no_known_server_begins_with_the_most_unless_a_start_was_given(self, concurrency, begin):
        assert self.most_at_once(wrap(Held(), ChatModelConfig(concurrency=concurrency))) == begin

    def test_a_model_of_a_known_server_begins_with_few(self):
        inner = Held()
        inner.endpoint = "http://begins-with-few"
        assert self.most_at_once(wrap(inner, ChatModelConfig())) == 8

    def test_so_does_one_whose_address_cannot_be_told_yet(self):
        class Later(Held):
            @property
            def endpoint(self):
                return None

        assert self.most_at_once(wrap(Later(), ChatModelConfig())) == 8

    def test_what_is_refused_and_fails_is_learnt_from_without_a_server_too(self):
        inner = Held()
        model = adaptive(inner)
        assert self.most_at_once(model) == 300
        gate = model._gates.of(model, REQUEST.model)
        for _ in range(2):
            gate.failed(gate.start_now(), failure())
        gate.failed(gate.start_now(), failure(ErrorCode.RATE_LIMIT, retry_after=5.0))
        assert not gate.throttle.window.is_open
        assert gate.start_now() is None

    def test_cancelled_calls_give_their_places_back(self):
        async def go():
            model = adaptive(Held(), max=2)
            tasks = [asyncio.create_task(model.complete_async(REQUEST)) for _ in range(10)]
            await asyncio.sleep(0.01)
            for task in tasks[:-1]:
                task.cancel()
            model.inner.open.set()
            return (await asyncio.wait_for(tasks[-1], 5)).content

        assert in_own_loop(go()) == "done"

    @pytest.mark.parametrize("code", list(ErrorCode))
    def test_failures_of_every_kind_give_their_places_back(self, code):
        model = adaptive(MockChatModel([failure(code), failure(code), failure(code), "fine"]), max=1)
        for _ in range(3):
            with pytest.raises(ChatModelError):
                model.complete(REQUEST)
        assert model.complete(REQUEST).content == "fine"

    @pytest.mark.parametrize("raised", [ValueError("foreign"), SystemExit(3)])
    def test_foreign_failures_do_too(self, raised):
        model = adaptive(MockChatModel([raised, "fine"]), max=1)
        with pytest.raises(type(raised)):
            in_own_loop(model.complete_async(REQUEST))
        assert in_own_loop(model.complete_async(REQUEST)).content == "fine"

    def test_a_stream_keeps_its_place_until_it_is_closed(self):
        async def go():
            model = adaptive(Streaming(["a", "b", end()]), max=1)
            stream = model.stream_async(REQUEST)
            await anext(stream)
            waiting = asyncio.ensure_future(anext(model.stream_async(REQUEST)))
            await asyncio.sleep(0.02)
            assert (model.inner.opened, waiting.done()) == (1, False)
            await stream.aclose()
            return (await asyncio.wait_for(waiting, 5)).text

        assert in_own_loop(go()) == "a"

    def test_a_stream_gives_its_place_back_with_its_last_piece(self):
        async def go():
            model = adaptive(Streaming(["a", end()], ["b", end()]), max=1)
            first = model.stream_async(REQUEST)
            while (await anext(first)).finish_reason is None:
                pass
            second = [chunk.text async for chunk in model.stream_async(REQUEST)]
            await first.aclose()
            return second, model._gates.of(model, REQUEST.model).throttle.window.in_flight

        assert in_own_loop(asyncio.wait_for(go(), 30)) == (["b", ""], 0)

    @pytest.mark.parametrize("runs_again", [False, True])
    def test_a_loop_that_does_not_run_keeps_no_places(self, runs_again):
        inner = Held()
        inner.endpoint = f"http://stopped/{runs_again}"
        model = adaptive(inner, max=2)
        gate = model._gates.of(model, REQUEST.model)
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(model.complete_async(REQUEST)) for _ in range(2)]
        loop.run_until_complete(asyncio.sleep(0.01))
        assert gate.throttle.window.in_flight == 2
        inner.open.set()
        try:
            if not runs_again:
                loop.close()
            assert in_own_loop(asyncio.wait_for(model.complete_async(REQUEST), 30)).content == "done"
            assert gate.throttle.window.in_flight == 0
        finally:
            if runs_again:
                loop.run_until_complete(asyncio.gather(*tasks))
                loop.close()
            for task in tasks:
                task._log_destroy_pending = False
            del tasks, task
            gc.collect()
        assert gate.throttle.window.in_flight == 0

    def test_who_waits_too_long_fails_with_what_to_do(self):
        async def go():
            inner = Held()
            inner.endpoint = "http://never-ends"
            model = adaptive(inner, max=1)
            held = asyncio.create_task(model.complete_async(REQUEST))
            await asyncio.sleep(0.01)
            hasty = adaptive(inner, max=1, max_wait_s=0.05)
            with pytest.raises(ChatModelError) as caught:
                await hasty.complete_async(REQUEST)
            inner.open.set()
            await held
            return caught.value, (await hasty.complete_async(REQUEST)).content

        error, answer = in_own_loop(go())
        assert (error.code, error.retry_after, answer) == (ErrorCode.RATE_LIMIT, None, "done")
        assert "concurrency.max_wait_s" in error.hint

    def test_a_stream_that_fails_gives_its_place_back(self):
        model = adaptive(Streaming(["a", failure()], [failure()], ["a", end()]), max=1)
        for _ in range(2):
            with pytest.raises(ChatModelError):
                list(model.stream(REQUEST))
        assert [chunk.text for chunk in model.stream(REQUEST)] == ["a", ""]

    def test_a_stream_that_was_left_on_a_loop_that_is_gone_gives_its_place_back(self):
        model = adaptive(Streaming(["a", "b", end()]), max=1)

        async def leave_open():
            stream = model.stream_async(REQUEST)
            await anext(stream)
            return stream

        loop = asyncio.new_event_loop()
        stream = loop.run_until_complete(leave_open())
        loop.close()
        del stream
        gc.collect()
        assert [chunk.text for chunk in model.stream(REQUEST)] == ["a", "b", ""]

    def test_threads_and_loops_share_the_places(self):
        class Counted(ChatModel):
            inside, most, lock = 0, 0, threading.Lock()

            async def complete_async(self, request):
                with self.lock:
                    self.inside += 1
                    self.most = max(self.most, self.inside)
                await asyncio.sleep(0.002)
                with self.lock:
                    self.inside -= 1
                return await MockChatModel("done").complete_async(request)

        model = adaptive(Counted(), max=3)

        async def several():
            await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(10)))

        threads = [threading.Thread(target=in_own_loop, args=(several(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        model.batch(["x"] * 20, max_concurrency=10, model=REQUEST.model)
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert model.inner.most == 3

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_forked_child_has_places_of_its_own(self):
        async def go():
            model = adaptive(Held(), max=1)
            task = asyncio.create_task(model.complete_async(REQUEST))
            await asyncio.sleep(0.01)
            child = os.fork()
            if child == 0:
                os._exit(0 if model._gates.of(model, REQUEST.model).start_now() is not None else 1)
            model.inner.open.set()
            await task
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        assert in_own_loop(go()) == 0


class TestWhatIsLearnt:
    def gate(self):
        now = [100.0]
        gate = Gate(Concurrency(), clock=lambda: now[0])
        gate.start_now()
        gate.answered(100.0)
        return gate, now

    def test_limits_in_the_headers_of_an_answer(self):
        async def go():
            inner = MockChatModel()
            inner.endpoint = "http://limits-in-answers"
            model = adaptive(inner)
            gate = model._gates.of(model, REQUEST.model)
            gate.told(RateLimitStatus(limit_requests=10, remaining_requests=0, reset_requests_s=0.2), 0.0, 0)
            started = time.monotonic()
            await model.complete_async(REQUEST)
            return time.monotonic() - started

        assert in_own_loop(go()) >= 0.15

    def test_limits_in_the_headers_of_a_refusal(self):
        gate, now = self.gate()
        started = gate.start_now()
        limits = RateLimitStatus(remaining_requests=0, reset_requests_s=9.0, limit_requests=60)
        gate.failed(started, failure(ErrorCode.RATE_LIMIT, fields={"rate_limit": limits}))
        now[0] += 8.9
        assert gate.start_now() is None
        now[0] += 0.2
        assert gate.start_now() is not None

    def test_they_reach_the_error_as_they_are_read(self):
        headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
        with ScriptedServer([Reply(status=429, headers=headers)]) as server:
            model = create_chat_model("openai", base_url=server.base_url, api_key="k", model="m", retry=None)
            with pytest.raises(ChatModelError) as caught:
                model.invoke("x")
        assert caught.value.fields["rate_limit"] == RateLimitStatus(limit_requests=60, remaining_requests=59)

    def test_a_wait_that_is_asked_for_counts_more_than_the_headers(self):
        gate, now = self.gate()
        started = gate.start_now()
        limits = RateLimitStatus(remaining_requests=0, reset_requests_s=50.0)
        gate.failed(started, failure(ErrorCode.RATE_LIMIT, retry_after=2.0, fields={"rate_limit": limits}))
        now[0] += 3.5
        assert gate.start_now() is not None


@pytest.mark.peer
class TestAgainstAServer:
    def test_models_of_one_endpoint_wait_together(self):
        with ScriptedServer([busy(**{"Retry-After": "1"})]) as server:
            first, second = model_at(server, retry=None), model_at(server)
            with pytest.raises(ChatModelError):
                first.invoke("x")
            started = time.monotonic()
            second.invoke("x")
            assert time.monotonic() - started >= 0.9

    def test_a_pause_that_somebody_else_was_told_fails_who_cannot_wait_for_it(self):
        with ScriptedServer([busy(**{"Retry-After": "30"})]) as server:
            told = model_at(server, retry=None)  # what is learnt is kept as long as somebody has the model
            with pytest.raises(ChatModelError):
                told.invoke("x")
            hasty = model_at(server, concurrency={"max_wait_s": 2})
            started = time.monotonic()
            with pytest.raises(ChatModelError, match="wait") as caught:
                hasty.invoke("x")
            assert time.monotonic() - started < 20
            assert (server.count, caught.value.code) == (1, ErrorCode.RATE_LIMIT)
            assert 5 < caught.value.retry_after <= 30

    def test_readers_who_ask_again_wait_for_each_other_not_for_ever(self):
        with ScriptedServer() as server:
            model = model_at(server, concurrency={"start": 3})

            async def reader():
                async for chunk in model.astream("x"):
                    if chunk.text:
                        await both.wait()
                        return (await model.ainvoke("y")).content
                return None

            async def go():
                tasks = [asyncio.create_task(reader()) for _ in range(3)]
                await asyncio.sleep(0.5)
                both.set()
                return await asyncio.wait_for(asyncio.gather(*tasks), 60)

            both = asyncio.Event()
            assert len(in_own_loop(go())) == 3

    def test_other_keys_do_not_wait(self):
        with ScriptedServer([busy(**{"Retry-After": "30"})]) as server:
            with pytest.raises(ChatModelError):
                model_at(server, retry=None).invoke("x")
            other = create_chat_model("openai", base_url=server.base_url, api_key="another-key", model="m")
            started = time.monotonic()
            other.invoke("x")
            assert time.monotonic() - started < 10

    def test_the_wait_of_a_retry_and_the_pause_of_the_endpoint_overlap(self):
        with ScriptedServer([busy(**{"Retry-After": "1"})]) as server:
            started = time.monotonic()
            response = model_at(server).invoke("x")
            took = time.monotonic() - started
        assert response.attempts == 2
        assert 0.95 <= took < 1.9, "one after the other, they take 2 s"

    def test_so_many_attempts_are_so_many_requests(self):
        with ScriptedServer(lambda _: BUSY) as server:
            model = model_at(server, retry={"max_attempts": 4, "first_wait_s": 0.0})
            with pytest.raises(ChatModelError) as caught:
                model.invoke("x")
            assert (server.count, caught.value.fields["attempts"]) == (4, 4)

    def test_the_most_holds_at_the_server(self):
        with ScriptedServer(lambda _: Reply(latency_s=0.01)) as server:
            model_at(server, concurrency={"max": 5}).batch(["x"] * 60, max_concurrency=40)
            assert server.most_in_flight == 5

    def test_a_burst_against_a_small_limit_loses_no_call(self):
        lock, window = threading.Lock(), [0, 0]

        def limited(request):
            with lock:
                tenth = int(time.monotonic() * 10)
                window[0], window[1] = tenth, window[1] + 1 if window[0] == tenth else 1
                return "fine" if window[1] <= 4 else BUSY

        with ScriptedServer(limited) as server:
            model = model_at(server, retry={"max_attempts": 8, "first_wait_s": 0.05})
            answers = model.batch(["x"] * 80, max_concurrency=32)
            assert len(answers) == 80
            assert server.count < 200


class TestLines:
    @pytest.mark.parametrize("kind", ["complete", "stream"])
    def test_a_pace_is_told_once_and_so_is_its_end(self, kind):
        stream = io.StringIO()
        configure_logging("INFO", stream=stream)
        refusals = [failure(ErrorCode.RATE_LIMIT, retry_after=0.001) for _ in range(3)]
        model = adaptive(MockChatModel([*refusals, failure()]))

        def ask():
            with pytest.raises(ChatModelError):
                list(model.stream(REQUEST)) if kind == "stream" else model.complete(REQUEST)

        try:
            for _ in range(3):
                ask()
            model._gates.of(model, REQUEST.model).throttle.rate.rate = None
            ask()
        finally:
            reset_logging()
        paced, ended = [json.loads(line) for line in stream.getvalue().splitlines()]
        facts = ("event", "level", "provider", "model")
        assert [paced[fact] for fact in facts] == ["llm.pace", "info", "mock", "m-1"]
        assert paced["starts_per_s"] > 0
        assert "refused" in paced["reason"]
        assert (ended["event"], ended["starts_per_s"]) == ("llm.pace", None)


class TestSettings:
    def wrappers(self, model):
        while hasattr(model, "inner"):
            yield type(model)
            model = model.inner

    def test_remote_models_learn(self):
        model = create_chat_model("openai", base_url="http://127.0.0.1:9/v1")
        assert AdaptiveModel in self.wrappers(model)

    @pytest.mark.parametrize("off", [None, {"adaptive": False}, Concurrency(adaptive=False)])
    def test_it_can_be_switched_off(self, off):
        model = create_chat_model("openai", base_url="http://127.0.0.1:9/v1", concurrency=off)
        assert AdaptiveModel not in self.wrappers(model)

    def test_models_in_this_process_are_not_slowed_down(self):
        assert AdaptiveModel not in self.wrappers(create_chat_model("mock"))

    def test_a_wrong_setting_is_named_with_what_is_allowed(self):
        with pytest.raises(ConfigurationError, match=r"concurrency\.maximum.*adaptive, start, max, max_wait_s"):
            create_chat_model("mock", concurrency={"maximum": 3})
