from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading

import pytest

from chatmodels import (
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    ImagePart,
    MemoryCache,
    Message,
    MockChatModel,
    ResponseCache,
    TokenUsage,
    ToolCall,
    create_chat_model,
)
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers import cached
from chatmodels.wrappers.cached import CachedModel
from chatmodels.wrappers.single_flight import SingleFlight
from fmf_core.logs import configure_logging, reset_logging
from fmf_core.redact import add_secret
from peers.scripted_server import Reply, ScriptedServer

REQUEST = ChatRequest(prompt="x", model="m-1")
USAGE = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p")


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def failure(code=ErrorCode.UNAVAILABLE):
    return ChatModelError("overloaded", op="vendor.complete", code=code)


def text_of(chunks):
    return "".join(chunk.text for chunk in chunks)


class TestExam(ChatModelExam):
    def make_model(self):
        return CachedModel(MockChatModel("Hello to you.", capabilities=("chat", "stream")), MemoryCache())

    def make_failing_model(self):
        return CachedModel(MockChatModel(fail_with=failure()), MemoryCache())


class TestHits:
    def test_the_second_answer_is_free(self):
        model = create_chat_model("mock", responses="a b", cache="memory", prices={"mock": {"input_per_1m": 1,
                                  "output_per_1m": 1}})  # fmt: skip
        first, second = model.invoke("x"), model.invoke("x")
        assert model.call_count == 1
        assert (first.cached, second.cached) == (False, True)
        assert first.cost_usd > 0
        assert (second.content, second.usage, second.cost_usd) == ("a b", first.usage, 0.0)
        assert (second.attempts, second.finish_reason) == (1, "stop")

    def test_another_question_is_asked(self):
        model = CachedModel(MockChatModel(lambda request: f"{request.prompt} {request.seed}"), MemoryCache())
        answers = [model.invoke("x", seed=seed).content for seed in (1, 2, 1)]
        assert answers == ["x 1", "x 2", "x 1"]
        assert model.call_count == 2

    def test_streams_and_whole_answers_share(self):
        model = CachedModel(MockChatModel("a b c"), MemoryCache())
        assert text_of(model.stream(REQUEST)) == "a b c"
        assert model.complete(REQUEST).cached
        *texts, last = model.stream(REQUEST)
        assert text_of(texts) == "a b c"
        assert (last.cached, last.finish_reason, last.usage.completion_tokens) == (True, "stop", 3)
        assert model.call_count == 1

    def test_tool_calls_are_kept(self):
        model = CachedModel(MockChatModel(ToolCall(id="1", name="t", arguments={"a": 1})), MemoryCache())
        assert [call.arguments for _ in range(2) for call in model.complete(REQUEST).tool_calls] == [{"a": 1}] * 2
        assert model.call_count == 1

    def test_what_the_model_is_belongs_to_the_question(self):
        cache = MemoryCache()
        one = create_chat_model("mock", responses="one", cache=cache)
        other = create_chat_model("mock", responses="other", cache=cache)
        again = create_chat_model("mock", responses="one", cache=cache)
        assert [model.invoke("x").content for model in (one, other, again)] == ["one", "other", "one"]
        assert again.call_count == 0
        assert isinstance(cache, ResponseCache)

    def test_other_weights_in_the_same_place_are_another_model(self, tmp_path):
        weights = tmp_path / "own.gguf"
        model = CachedModel(MockChatModel(["one", "two"]), MemoryCache())
        answers = []
        for held in (b"1", b"1", b"22"):
            weights.write_bytes(held)
            os.utime(weights, (1, 1))
            answers.append(model.invoke("x", model=str(weights)).content)
        assert answers == ["one", "one", "two"]

    def test_a_large_picture_is_part_of_the_question(self):
        model = CachedModel(MockChatModel(["one", "two"]), MemoryCache())
        for byte, said in ((b"a", "one"), (b"b", "two"), (b"a", "one")):
            turn = Message(role="user", content=(ImagePart(data=byte * cached.LARGE_BYTES),))
            assert model.complete(ChatRequest(messages=(turn,), model="m")).content == said


class TestWhatIsNotKept:
    @pytest.mark.parametrize("finish_reason", ["length", "content_filter", "unknown"])
    def test_an_answer_that_is_not_whole(self, finish_reason):
        answer = ChatResponse(content="half", model="m", usage=USAGE, finish_reason=finish_reason)
        model = CachedModel(MockChatModel(answer), MemoryCache())
        assert [model.complete(REQUEST).cached for _ in range(2)] == [False, False]
        list(model.stream(REQUEST))
        list(model.stream(REQUEST))
        assert model.call_count == 4

    def test_a_failure(self):
        model = CachedModel(MockChatModel([failure(), "fine"]), MemoryCache())
        with pytest.raises(ChatModelError):
            model.complete(REQUEST)
        assert model.complete(REQUEST).content == "fine"

    def test_a_stream_that_was_left_early_or_broke(self):
        model = CachedModel(MockChatModel("a b c"), MemoryCache())
        stream = model.stream(REQUEST)
        next(stream)
        stream.close()
        list(model.stream(REQUEST))
        assert model.call_count == 2

    def test_the_answer_of_a_fallback(self):
        model = create_chat_model(
            "mock", responses=[failure(), "from the first"], retry=None, cache="memory",
            fallbacks=[MockChatModel("from another")],
        )  # fmt: skip
        assert [model.invoke("x").content for _ in range(3)] == ["from another", "from the first", "from the first"]
        assert model.invoke("x").cached

    def test_an_answer_that_says_a_secret(self):
        add_secret("correct-horse-battery")
        cache = MemoryCache()
        CachedModel(MockChatModel("it is correct-horse-battery"), cache).complete(REQUEST)
        assert len(cache) == 0


class Broken:
    def __init__(self, error):
        self.error = error
        self.asked = 0

    async def get(self, key):
        self.asked += 1
        raise self.error

    async def put(self, key, response):
        self.asked += 1
        raise self.error

    async def close(self):
        raise self.error


class TestTroubles:
    def test_a_broken_cache_is_a_warning_and_is_left_alone_for_a_while(self, capsys):
        now = [0.0]
        configure_logging("DEBUG")
        try:
            cache = Broken(OSError("disk on fire"))
            model = CachedModel(MockChatModel("fine"), cache, clock=lambda: now[0])
            assert [model.complete(REQUEST).content for _ in range(3)] == ["fine"] * 3
            assert text_of(model.stream(REQUEST)) == "fine"
            assert cache.asked == 1
            now[0] = 61
            model.complete(REQUEST)
            assert cache.asked == 2
            now[0] = 200
            run(model.cleanup())
        finally:
            reset_logging()
        lines = [line for line in capsys.readouterr().err.splitlines() if '"llm.cache"' in line]
        assert len(lines) == 3
        assert "disk on fire" in lines[0]
        assert '"warning"' in lines[0]

    def test_a_hanging_cache_costs_its_time_limit_once(self, monkeypatch):
        monkeypatch.setattr(cached, "CACHE_TIMEOUT_S", 0.02)

        class Hanging(MemoryCache):
            async def get(self, key):
                await asyncio.sleep(3600)

        model = CachedModel(MockChatModel("fine"), Hanging())
        assert [model.complete(REQUEST).content for _ in range(3)] == ["fine"] * 3

    def test_a_file_that_is_no_database(self, tmp_path):
        (tmp_path / "answers.sqlite").write_text("a letter" * 1000)
        model = create_chat_model("mock", responses="fine", cache=tmp_path)
        assert [model.invoke("x").content for _ in range(2)] == ["fine", "fine"]
        assert model.call_count == 2

    def test_a_setting_that_is_no_cache(self):
        with pytest.raises(ValueError, match=r"cache: .*give a folder, a file, \"memory\""):
            create_chat_model("mock", cache=3)


class TestSingleFlight:
    def test_equal_requests_under_way_are_asked_once(self):
        model = CachedModel(MockChatModel("fine", latency_s=0.05), MemoryCache())

        async def all_at_once():
            return await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(20)))

        answers = run(all_at_once())
        assert model.call_count == 1
        assert sorted(answer.cached for answer in answers) == [False] + [True] * 19
        assert {answer.cost_usd for answer in answers if answer.cached} == {0.0}

    def test_over_threads_and_loops(self):
        model = CachedModel(MockChatModel("fine", latency_s=0.2), MemoryCache())
        ready = threading.Barrier(5)
        answers = []

        def ask():
            ready.wait(30)
            answers.append(run(model.complete_async(REQUEST)))

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(answers) == 5
        assert model.call_count == 1

    def test_a_failure_lets_the_next_one_ask(self):
        model = CachedModel(MockChatModel([failure(), failure(), "fine"], latency_s=0.01), MemoryCache())

        async def all_at_once():
            return await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(5)), return_exceptions=True)

        answers = run(all_at_once())
        assert [isinstance(answer, ChatModelError) for answer in answers] == [True, True, False, False, False]
        assert model.call_count == 3

    def test_a_cancelled_asker_lets_the_next_one_ask(self):
        model = CachedModel(MockChatModel("fine", latency_s=0.05), MemoryCache())

        async def cancelled():
            leader = asyncio.create_task(model.complete_async(REQUEST))
            await asyncio.sleep(0.01)
            waiting = [asyncio.create_task(model.complete_async(REQUEST)) for _ in range(3)]
            await asyncio.sleep(0)
            leader.cancel()
            waiting[2].cancel()
            done = await asyncio.gather(leader, *waiting, return_exceptions=True)
            assert len(asyncio.all_tasks()) == 1
            return done

        leader, first, second, third = run(cancelled())
        assert isinstance(leader, asyncio.CancelledError)
        assert isinstance(third, asyncio.CancelledError)
        assert (first.content, first.cached, second.cached) == ("fine", False, True)
        assert model.call_count == 2

    def test_an_asker_whose_loop_was_stopped_holds_nobody_up(self):
        flights: SingleFlight[str] = SingleFlight()
        loop = asyncio.new_event_loop()

        async def never():
            loop.stop()
            await asyncio.sleep(3600)

        async def now():
            return "fine"

        task = loop.create_task(flights.fetch("k", never))
        loop.run_forever()
        assert run(flights.fetch("k", now)) == ("fine", True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()


ASK = """
import sys
from chatmodels import create_chat_model
model = create_chat_model("openai", base_url=sys.argv[1], api_key="k", model="m", cache=sys.argv[2])
answer = model.invoke("What is it?", temperature=0.0)
print(answer.content, answer.cached, answer.cost_usd)
"""


class TestAtAServer:
    def test_another_process_asks_nothing(self, tmp_path):
        with ScriptedServer([Reply(text="It is a bicycle.")]) as server:
            command = [sys.executable, "-W", "error", "-c", ASK, server.base_url, str(tmp_path / "cache")]
            said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
            assert said == ["It is a bicycle. False None\n", "It is a bicycle. True 0.0\n"]
            assert server.count == 1

    def test_another_address_or_model_is_another_question(self, tmp_path):
        with ScriptedServer(default="one") as one, ScriptedServer(default="other") as other:
            for server, name in ((one, "m"), (other, "m"), (one, "n")):
                model = create_chat_model("openai", base_url=server.base_url, api_key="k", model=name, cache=tmp_path)
                assert not model.invoke("x").cached
            assert (one.count, other.count) == (2, 1)

    def test_nothing_of_the_key_or_the_question_is_in_names_and_keys(self, tmp_path):
        with ScriptedServer(default="fine") as server:
            model = create_chat_model(
                "openai", base_url=server.base_url, api_key="sk-verysecret", model="m", cache=tmp_path
            )
            model.invoke("a private question")
        del model
        gc.collect()
        held = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.iterdir())
        assert b"verysecret" not in held
        assert b"private question" not in held
        assert b"fine" in held
