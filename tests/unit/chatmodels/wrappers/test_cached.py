from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import openai
import pytest

from chatmodels import (
    ChatModel,
    ChatModelConfig,
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
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.caches import single_flight
from chatmodels.caches.single_flight import SingleFlight
from chatmodels.factory import wrap
from chatmodels.request_facts import distinct_json
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers import cached
from chatmodels.wrappers.cached import CachedModel
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


class Kept:
    """A cache of a caller's own."""

    def __init__(self):
        self.held = {}

    async def get(self, key):
        return self.held.get(key)

    async def put(self, key, response):
        self.held[key] = response


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
            turn = Message(role="user", content=(ImagePart(data=byte * cached.LARGE_BYTES, media_type="image/png"),))
            assert model.complete(ChatRequest(messages=(turn,), model="m")).content == said


class TestToolCallsOfOnesOwn:
    ANSWER = ToolCall(id="1", name="pay", arguments={"amount": 1, "to": {"iban": "A"}})

    def spoil(self, call):
        call.arguments["amount"] = 999
        call.arguments["to"]["iban"] = "EVIL"

    @pytest.mark.parametrize("kind", [MemoryCache, Kept])
    def test_whoever_changes_one_changes_no_kept_answer(self, kind):
        model = CachedModel(MockChatModel(self.ANSWER), kind())
        for _ in range(3):
            (call,) = model.complete(REQUEST).tool_calls
            assert call.arguments == self.ANSWER.arguments
            self.spoil(call)
            (call,) = [call for chunk in model.stream(REQUEST) for call in chunk.tool_calls]
            assert call.arguments == self.ANSWER.arguments
            self.spoil(call)

    def test_a_stream_that_is_kept(self):
        model = CachedModel(MockChatModel(lambda _: self.ANSWER.model_copy(deep=True)), MemoryCache())
        for chunk in model.stream(REQUEST):
            for call in chunk.tool_calls:
                self.spoil(call)
        assert model.complete(REQUEST).tool_calls[0].arguments == self.ANSWER.arguments
        assert model.call_count == 1

    def test_those_who_waited(self):
        answers = run(at_once(CachedModel(MockChatModel(self.ANSWER, latency_s=0.01), MemoryCache())))
        assert len({id(answer.tool_calls[0].arguments["to"]) for answer in answers}) == 5


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

    def test_a_failure_that_hits_many_is_told_once(self, capsys):
        class Locked(MemoryCache):
            async def get(self, key):
                await asyncio.sleep(0.01)
                raise OSError("locked")

        async def ask_all(model):
            return await asyncio.gather(*(model.ainvoke(f"question {number}") for number in range(20)))

        configure_logging("DEBUG")
        try:
            answers = run(ask_all(CachedModel(MockChatModel("fine"), Locked())))
        finally:
            reset_logging()
        assert {answer.content for answer in answers} == {"fine"}
        assert capsys.readouterr().err.count('"llm.cache"') == 1

    def test_a_file_that_is_no_database(self, tmp_path):
        (tmp_path / "answers.sqlite").write_text("a letter" * 1000)
        model = create_chat_model("mock", responses="fine", cache=tmp_path)
        assert [model.invoke("x").content for _ in range(2)] == ["fine", "fine"]
        assert model.call_count == 2

    def test_a_setting_that_is_no_cache(self):
        with pytest.raises(ValueError, match=r"cache: .*give a folder, a file, \"memory\""):
            create_chat_model("mock", cache=3)


async def at_once(model):
    return await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(5)), return_exceptions=True)


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

    def test_all_get_the_failure_of_a_server_that_does_not_answer(self):
        model = CachedModel(MockChatModel([failure(ErrorCode.TIMEOUT), "fine"], latency_s=0.01), MemoryCache())
        errors = run(at_once(model))
        assert model.call_count == 1
        assert {error.code for error in errors} == {ErrorCode.TIMEOUT}
        assert len({id(error.fields) for error in errors}) == 5
        assert model.complete(REQUEST).content == "fine"

    def test_what_a_failure_took_is_told_to_the_one_who_asked(self):
        paid = ChatModelError("no", op="v.complete", code=ErrorCode.INVALID, fields={"usage": USAGE, "model": "m"})
        first, *others = run(at_once(CachedModel(MockChatModel(fail_with=paid, latency_s=0.01), MemoryCache())))
        assert first.fields["usage"] == USAGE
        assert [error.fields for error in others] == [{"model": "m"}] * 4

    @pytest.mark.parametrize("error", [failure(ErrorCode.BAD_REPLY), ZeroDivisionError()])
    def test_after_a_failure_by_chance_the_others_ask_for_themselves(self, error):
        model = CachedModel(MockChatModel([error, error, "fine"], latency_s=0.01), MemoryCache())
        answers = run(at_once(model))
        assert [isinstance(answer, Exception) for answer in answers] == [True, True, False, False, False]
        assert model.call_count == 5

    def test_an_asker_whose_loop_is_blocked_holds_nobody_up(self, monkeypatch):
        monkeypatch.setattr(single_flight, "BLOCKED_S", 0.1)
        monkeypatch.setattr(single_flight, "LOOK_AGAIN_S", 0.05)
        flights: SingleFlight[str] = SingleFlight()
        blocked, over = threading.Event(), threading.Event()

        async def never():
            blocked.set()
            over.wait(60)  # on the event loop
            return "late"

        async def now():
            return "fine"

        thread = threading.Thread(target=lambda: run(flights.fetch("k", never)))
        thread.start()
        assert blocked.wait(30)
        try:
            assert run(asyncio.wait_for(flights.fetch("k", now), 30)) == ("fine", True)
        finally:
            over.set()
            thread.join(30)

    def test_an_asker_that_the_garbage_collector_ends_may_end_at_any_moment(self):
        flights: SingleFlight[str] = SingleFlight()

        async def never():
            await asyncio.sleep(3600)

        async def now():
            return "fine"

        async def go():
            left = flights.fetch("k", never)
            left.send(None)
            with flights._lock:  # as if in the middle of another caller's look
                left.close()
            return await flights.fetch("k", now)

        answers = []
        thread = threading.Thread(target=lambda: answers.append(run(go())), daemon=True)
        thread.start()
        thread.join(30)
        assert answers == [("fine", True)]

    def test_an_asker_that_only_takes_long_is_waited_for(self, monkeypatch):
        monkeypatch.setattr(single_flight, "BLOCKED_S", 0.05)
        monkeypatch.setattr(single_flight, "LOOK_AGAIN_S", 0.01)
        model = CachedModel(MockChatModel("fine", latency_s=0.3), MemoryCache())
        assert [answer.content for answer in run(at_once(model))] == ["fine"] * 5
        assert model.call_count == 1

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

    def test_a_value_that_is_no_json_is_the_same_error_as_without_a_cache(self):
        with ScriptedServer(default="fine") as server:
            for value in (object(), {1, 2}, b"\xff"):
                said = []
                for more in ({}, {"cache": "memory"}):
                    model = create_chat_model("openai", base_url=server.base_url, api_key="k", model="m", **more)
                    with pytest.raises(ChatModelError) as caught:
                        model.invoke("x", extra_params={"x": value})
                    said.append((caught.value.code, caught.value.message))
                assert said[0] == said[1]
                assert said[0][0] == ErrorCode.INVALID
            assert server.count == 0


class Persona(ChatModel):
    provider_name = "persona"

    def __init__(self, persona=None):
        self.persona = persona
        self.asked = 0

    def complete(self, request):
        self.asked += 1
        return ChatResponse(content=f"I am {self.persona!r}", model="p", usage=USAGE)


class Telling(Persona):
    def __init__(self, persona):
        super().__init__(persona)

    @property
    def cache_facts(self):
        return {"persona": self.persona}


class Silent(Telling):
    def __init__(self, persona, mood):
        super().__init__(persona)
        self.mood = mood


class Named:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


@pytest.fixture
def persona():
    register_chat_model("persona", Persona)
    yield lambda **more: create_chat_model("persona", **more)
    unregister_chat_model("persona")


class TestOneModelDoesNotAnswerForAnother:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (b"one", b"two"),
            ("a", Path("a")),
            (Path("/a"), Path("/b")),
            ({1: "a"}, {"1": "a"}),
            ({"token_style": "formal"}, {"token_style": "informal"}),
            ("api_key=hunter1aaaa", "api_key=hunter2aaaa"),
            ([1], (1,)),
        ],
    )
    def test_settings_are_told_apart(self, persona, tmp_path, one, other):
        said = [persona(persona=value, cache=tmp_path).invoke("x") for value in (one, other, one)]
        assert [answer.content for answer in said] == [f"I am {value!r}" for value in (one, other, one)]
        assert [answer.cached for answer in said] == [False, False, True]

    def test_objects_keep_their_answers_to_themselves_and_to_memory(self, persona, tmp_path, capsys):
        configure_logging("DEBUG")
        try:
            for cache in (MemoryCache(), tmp_path):
                for name in ("Ann", "Bob"):
                    model = persona(persona=Named(name), cache=cache)
                    answers = [model.invoke("x") for _ in range(2)]
                    streamed = text_of(model.stream("x"))
                    assert {answer.content for answer in answers} == {f"I am {name}"} == {streamed}
                    assert answers[1].cached is isinstance(cache, MemoryCache)
        finally:
            reset_logging()
        lines = [line for line in capsys.readouterr().err.splitlines() if '"llm.cache"' in line]
        assert len(lines) == 2  # one for each model
        assert "nothing tells one" in lines[0]
        assert "Named" in lines[0]

    def test_functions(self, tmp_path):
        models = [create_chat_model("mock", responses=lambda _, said=said: said, cache=tmp_path) for said in "AB"]
        assert [model.invoke("x").content for model in models] == ["A", "B"]

    def test_models_that_were_made_elsewhere(self, tmp_path):
        def kept(model):
            wrapped = wrap(model, ChatModelConfig(provider="mock", model="m", cache=tmp_path))
            return [(answer.content, answer.cached) for answer in (wrapped.invoke("x"), wrapped.invoke("x"))]

        assert kept(Persona("Ann")) == [("I am 'Ann'", False)] * 2
        assert kept(Persona("Bob")) == [("I am 'Bob'", False)] * 2
        assert kept(Telling("Ann")) == [("I am 'Ann'", False), ("I am 'Ann'", True)]
        assert kept(Telling("Bob")) == [("I am 'Bob'", False), ("I am 'Bob'", True)]
        assert kept(Silent("Ann", "sad")) == [("I am 'Ann'", False)] * 2
        assert kept(MockChatModel("one")) == [("one", False), ("one", True)]
        assert kept(MockChatModel("two")) == [("two", False), ("two", True)]

    def test_settings_that_fail_to_be_said_cost_a_warning(self, tmp_path, capsys):
        class Failing(Persona):
            @property
            def cache_facts(self):
                raise ZeroDivisionError("no facts")

        configure_logging("DEBUG")
        try:
            model = wrap(Failing("Ann"), ChatModelConfig(cache=tmp_path))
            assert [model.invoke("x").cached for _ in range(2)] == [False, False]
        finally:
            reset_logging()
        lines = [line for line in capsys.readouterr().err.splitlines() if '"llm.cache"' in line]
        assert len(lines) == 1
        assert "ZeroDivisionError: no facts" in lines[0]

    def test_registered_instances(self, tmp_path):
        said = []
        for name in ("Ann", "Bob"):
            register_chat_model("instance", Persona(name))
            said.append(create_chat_model("instance", cache=tmp_path).invoke("x").content)
            unregister_chat_model("instance")
        assert said == ["I am 'Ann'", "I am 'Bob'"]

    def test_tenants_of_one_server(self, tmp_path, monkeypatch):
        def tenant(request):
            names = ("x-session-token", "openai-organization", "openai-project")
            return Reply(text="/".join(request.headers.get(name) or "-" for name in names))

        with ScriptedServer(tenant) as server:

            def ask(**more):
                model = create_chat_model("openai", base_url=server.base_url, api_key="k", cache=tmp_path, **more)
                return model.invoke("x").content

            assert ask(default_headers={"X-Session-Token": "alice-1234567"}) == "alice-1234567/-/-"
            assert ask(default_headers={"X-Session-Token": "bob-123456789"}) == "bob-123456789/-/-"
            for organization, project in (("a", "p"), ("b", "p"), ("b", "q")):
                monkeypatch.setenv("OPENAI_ORG_ID", organization)
                monkeypatch.setenv("OPENAI_PROJECT_ID", project)
                assert ask() == f"-/{organization}/{project}"

    def test_clients_of_the_callers_own(self, tmp_path):
        def ask(server, **more):
            client = openai.AsyncOpenAI(base_url=server.base_url, api_key="k", **more)
            answer = create_chat_model("openai", client=client, cache=tmp_path).invoke("x")
            run(client.close())
            return answer.content, answer.cached

        with ScriptedServer(default="one") as one, ScriptedServer(default="other") as other:
            assert ask(one) == ("one", False)
            assert ask(one) == ("one", True)
            assert ask(other) == ("other", False)
            assert ask(one, organization="o") == ("one", False)
            assert ask(one, default_headers={"X-Tenant": "t"}) == ("one", False)

    @pytest.mark.parametrize(
        "more",
        [
            {"params": {"tenant": "a"}},
            {"auth": ("user", "password")},
            {"cookies": {"tenant": "a"}},
            {"transport": httpx.MockTransport(lambda _: httpx.Response(500))},
        ],
    )
    def test_a_client_that_may_do_anything_says_nothing(self, more):
        for given, known in (({}, True), (more, False)):
            client = openai.AsyncOpenAI(api_key="k", http_client=httpx.AsyncClient(**given))
            model = create_chat_model("openai", client=client)
            assert (model.unwrapped.cache_facts is not None) is known
            run(client.close())

    @pytest.mark.parametrize(
        ("provider", "one", "other"),
        [
            ("openai", {"base_url": "http://a/v1?tenant=a"}, {"base_url": "http://a/v1?tenant=b"}),
            ("openai", {"model": "a"}, {"model": "b"}),
            ("openai", {"api": "chat"}, {"api": "responses"}),
            ("azure_openai", {"endpoint": "https://a.azure.com"}, {"endpoint": "https://b.azure.com"}),
            ("azure_openai", {"api_version": "v1"}, {"api_version": "2024-10-21"}),
            ("azure_openai", {"default_headers": {"x": "a"}}, {"default_headers": {"x": "b"}}),
            ("aws_bedrock", {"region": "us-east-1"}, {"region": "eu-west-1"}),
            ("aws_bedrock", {"profile": "a"}, {"profile": "b"}),
            ("local", {"model": "a.gguf"}, {"model": "b.gguf"}),
            ("local", {"context": 1024}, {"context": 2048}),
            ("mock", {"responses": {"x": "a"}}, {"responses": {"x": "b"}}),
            ("mock", {"error_rate": 0.5, "seed": 1}, {"error_rate": 0.5, "seed": 2}),
        ],
    )
    def test_the_providers_of_the_house_say_their_settings(self, provider, one, other):
        made = [create_chat_model(provider, **settings).unwrapped for settings in (one, other, one)]
        facts = [distinct_json(model.cache_facts) for model in made]
        assert facts[0] == facts[2] != facts[1]

    @pytest.mark.parametrize(
        ("provider", "keys"),
        [
            ("openai", ({"api_key": "sk-1"}, {"api_key": "sk-2"})),
            ("azure_openai", ({"token": "token-1"}, {"token": "token-2"})),
            ("aws_bedrock", ({"api_key": "key-1"}, {"aws_access_key_id": "id", "aws_secret_access_key": "secret-2"})),
        ],
    )
    def test_a_new_key_does_not_make_answers_strangers(self, provider, keys):
        one, other = (distinct_json(create_chat_model(provider, **settings).unwrapped.cache_facts) for settings in keys)
        assert one == other
