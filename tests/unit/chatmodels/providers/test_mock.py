from __future__ import annotations

import asyncio
import time

import pytest
from pydantic import BaseModel

from chatmodels import (
    AdvancedMockChatModel,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    HealthStatus,
    MockChatModel,
    ProviderAuthError,
    ResponseFormat,
    TokenUsage,
    Tool,
    ToolCall,
    create_chat_model,
)
from chatmodels.providers.mock_answers import BrokenAnswer, scripted_error
from chatmodels.testing import ChatModelExam
from fmf_core.errors import ConfigurationError


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def request(prompt="x", **more):
    return ChatRequest(prompt=prompt, **more)


class TestExam(ChatModelExam):
    def make_model(self):
        return MockChatModel()

    def make_failing_model(self):
        return MockChatModel(fail_with=ChatModelError("no", op="mock.complete", code=ErrorCode.INVALID))

    def make_models_failing_with(self):
        return {code: MockChatModel(fail_with=code) for code in ErrorCode}

    def make_slow_model(self):
        return create_chat_model("mock", latency_s=600, timeout_s=0.05, retry=None)

    def make_hanging_model(self):
        return MockChatModel(latency_s=600)


def test_both_names_are_one_class():
    assert AdvancedMockChatModel is MockChatModel


def test_it_answers_without_a_script():
    assert MockChatModel().complete(request()).content


def test_exact_prompts_then_default():
    model = MockChatModel({"What is 2+2?": "4", "default": "?"})
    assert model.complete(request("What is 2+2?")).content == "4"
    assert model.complete(request("What is 2+3?")).content == "?"
    assert MockChatModel({"a": "b"}).complete(request("c")).content == "Mock response"


def test_a_sequence_is_given_in_turn_and_its_last_answer_stays():
    model = MockChatModel(["one", "two"])
    assert [model.complete(request()).content for _ in range(3)] == ["one", "two", "two"]


def test_a_script_may_mix_answers_and_failures():
    whole = ChatResponse(
        content="whole", model="z", usage=TokenUsage(prompt_tokens=9, completion_tokens=9, model="z", provider="z")
    )
    model = MockChatModel(["text", ConnectionError("gone"), whole, lambda r: r.prompt.upper(), ValueError])
    assert model.complete(request()).content == "text"
    with pytest.raises(ConnectionError):
        model.complete(request())
    assert model.complete(request()) is whole
    assert model.complete(request("loud")).content == "LOUD"
    with pytest.raises(ValueError):
        model.complete(request())


def test_tool_calls():
    response = MockChatModel(ToolCall(id="1", name="clock")).complete(request())
    assert response.finish_reason == "tool_calls"
    assert response.tool_calls[0].name == "clock"


@pytest.mark.parametrize("failure", [RuntimeError("boom"), RuntimeError])
def test_fail_with_fails_every_call_and_counts_it(failure):
    model = MockChatModel(fail_with=failure)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            model.complete(request())
    with pytest.raises(RuntimeError):
        list(model.stream("x"))
    assert model.call_count == 3
    assert model.check_health().status == "unhealthy"


def test_the_log_holds_requests_until_reset():
    model = MockChatModel(["one", "two"])
    model.complete(request("a"))
    in_own_loop(model.complete_async(request("b")))
    assert model.call_count == 2
    assert [r.prompt for r in model.call_log] == ["a", "b"]
    model.reset()
    assert (model.call_count, model.call_log) == (0, [])
    assert model.complete(request()).content == "one"


def test_tokens_are_words():
    usage = MockChatModel("three words here").complete(request("two words", system_prompt="be kind")).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 3, 7)


def test_the_answer_names_the_model_that_was_asked_for():
    assert MockChatModel().complete(request(model="gpt-4o")).usage.model == "gpt-4o"
    assert MockChatModel(model="own").complete(request(model="gpt-4o")).model == "gpt-4o"
    assert MockChatModel(model="own").complete(request()).model == "own"


def test_a_stream_comes_in_pieces_that_keep_every_space():
    text = "  a  b\n\tc "
    chunks = list(MockChatModel(text).stream("x"))
    assert "".join(c.text for c in chunks) == text
    assert len(chunks) > 3


def test_latency_and_pace():
    model = MockChatModel("a b c", latency_s=0.03, chunk_delay_s=0.02)
    started = time.monotonic()
    times = [time.monotonic() - started for _ in model.stream("x")]
    assert times[0] >= 0.03
    assert times[2] >= 0.07


def test_chance_failures_are_repeatable():
    def outcomes(seed):
        model = MockChatModel(error_rate=0.5, seed=seed)
        out = []
        for _ in range(40):
            try:
                model.complete(request())
                out.append(True)
            except ChatModelError as error:
                out.append(not error.retryable)
        return out

    assert outcomes(1) == outcomes(1)
    assert len(set(outcomes(1))) == 2
    assert outcomes(1) != outcomes(2)


def every_way(model, prompt="x"):
    """The same question, blocking, awaited and streamed."""
    yield lambda: model.complete(request(prompt)).content
    yield lambda: in_own_loop(model.complete_async(request(prompt))).content
    yield lambda: "".join(chunk.text for chunk in model.stream(prompt))


@pytest.mark.parametrize("code", list(ErrorCode))
@pytest.mark.parametrize("where", ["script", "default", "fail_with", "function"])
def test_a_code_fails_with_the_error_that_has_it(code, where):
    model = {
        "script": lambda: MockChatModel([code]),
        "default": lambda: MockChatModel({"default": code}),
        "fail_with": lambda: MockChatModel(fail_with=code),
        "function": lambda: MockChatModel(lambda _: code),
    }[where]()
    for ask in every_way(model):
        with pytest.raises(ChatModelError) as caught:
            ask()
        assert caught.value.code is code
        assert isinstance(caught.value, ProviderAuthError) == (code is ErrorCode.AUTH)
        assert caught.value.op == "mock.complete"


def test_a_rate_limit_that_says_how_long_to_wait_is_retried():
    busy = scripted_error(ErrorCode.RATE_LIMIT, retry_after=0.01)
    model = create_chat_model("mock", responses=[busy, ErrorCode.TIMEOUT, "there"], retry={"first_wait_s": 0.001})
    response = model.invoke("x")
    assert (response.content, response.attempts, model.call_count) == ("there", 3, 3)


def test_mappings_and_records_are_answered_as_json():
    class Verdict(BaseModel):
        label: str
        score: float

    model = MockChatModel([{"a": ["ü"]}, Verdict(label="good", score=1.5)])
    assert model.complete(request()).content == '{"a": ["ü"]}'
    assert Verdict.model_validate_json(model.complete(request()).content).score == 1.5


SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "number", "minimum": 2}},
    "required": ["label", "score"],
}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (ResponseFormat(type="json_schema", json_schema=SCHEMA), '{"label": "good", "score": 2}'),
        (ResponseFormat(type="json_object"), "{}"),
        (ResponseFormat(), "Mock response"),
    ],
)
def test_without_a_script_a_response_format_is_kept(wanted, text):
    assert MockChatModel().complete(request(response_format=wanted)).content == text
    assert MockChatModel({"y": "z"}).complete(request(response_format=wanted)).content == text
    assert MockChatModel("as told").complete(request(response_format=wanted)).content == "as told"


def test_without_a_script_a_tool_that_must_be_called_is_called():
    tools = (Tool(name="a"), Tool(name="b", parameters=SCHEMA))
    called = MockChatModel().complete(request(tools=tools, tool_choice="required"))
    assert (called.tool_calls[0].name, called.tool_calls[0].arguments) == ("a", {})
    called = MockChatModel().complete(request(tools=tools, tool_choice="b"))
    assert (called.tool_calls[0].name, called.tool_calls[0].arguments) == ("b", {"label": "good", "score": 2})
    assert MockChatModel().complete(request(tools=tools, tool_choice="auto")).content == "Mock response"


def test_several_tool_calls_at_once():
    calls = [ToolCall(id="1", name="clock"), ToolCall(id="2", name="map", arguments={"at": "Ulm"})]
    model = MockChatModel([calls, "It is noon in Ulm."])
    assert model.complete(request()).tool_calls == tuple(calls)
    assert model.complete(request()).content == "It is noon in Ulm."
    assert list(MockChatModel([calls]).stream("x"))[-1].tool_calls == tuple(calls)


def test_functions_may_be_async_and_fail():
    async def slowly(asked):
        await asyncio.sleep(0)
        return asked.prompt.upper() if asked.prompt != "no" else ErrorCode.REFUSED

    model = MockChatModel(slowly)
    assert [ask() for ask in every_way(model, "loud")] == ["LOUD"] * 3
    with pytest.raises(ChatModelError) as caught:
        model.invoke("no")
    assert caught.value.code is ErrorCode.REFUSED


def test_an_answer_that_breaks_off():
    model = MockChatModel(BrokenAnswer("half of it", ErrorCode.UNAVAILABLE))
    got = []
    with pytest.raises(ChatModelError) as caught:
        got.extend(chunk.text for chunk in model.stream("x"))
    assert ("".join(got), caught.value.code) == ("half of it", ErrorCode.UNAVAILABLE)
    with pytest.raises(ChatModelError):
        model.complete(request())


@pytest.mark.parametrize("answer", [7, [], ["a", "b"], None])
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(ConfigurationError, match="cannot answer with"):
        MockChatModel([answer]).complete(request())


@pytest.mark.parametrize(("at_end", "then"), [("repeat", ["b", "b", "b"]), ("cycle", ["a", "b", "a"])])
def test_what_comes_after_the_last_answer(at_end, then):
    model = MockChatModel(["a", "b"], at_end=at_end)
    assert [model.complete(request()).content for _ in range(5)] == ["a", "b", *then]


def test_a_script_may_end_for_good():
    model = MockChatModel(["a", "b"], at_end="fail")
    assert [model.complete(request()).content for _ in range(2)] == ["a", "b"]
    with pytest.raises(ChatModelError, match="ends after 2 answers"):
        model.complete(request())


def test_tokens_may_be_set_or_counted_otherwise():
    told = TokenUsage(prompt_tokens=1000, completion_tokens=10, model="gpt-4o", provider="openai", cached_tokens=500)
    model = MockChatModel("a b", usage=told)
    assert model.complete(request()).usage == told
    assert list(model.stream("x"))[-1].usage == told
    assert model.total_usage == told + told
    counted = MockChatModel("four", count_tokens=len).complete(request("12345")).usage
    assert (counted.prompt_tokens, counted.completion_tokens) == (5, 4)
    model.reset()
    assert model.total_usage is None


def test_the_log_is_bounded():
    model = MockChatModel(log_limit=2)
    assert model.last_request is None
    for prompt in "abc":
        model.complete(request(prompt))
    assert (model.call_count, [asked.prompt for asked in model.call_log]) == (3, ["b", "c"])
    assert model.last_request.prompt == "c"


def test_pieces_of_a_fixed_size():
    assert [c.text for c in MockChatModel("abcdefg", chunk_chars=3).stream("x")] == ["abc", "def", "g", ""]


@pytest.mark.parametrize("latency_s", [(0.0, 0.004), lambda dice: dice.expovariate(1000)])
def test_delays_are_drawn_repeatably(latency_s, monkeypatch):
    async def note(seconds):
        slept.append(seconds)

    def delays(seed):
        slept.clear()
        model = MockChatModel("a b c d", latency_s=latency_s, chunk_delay_s=latency_s, seed=seed)
        in_own_loop(drain(model))
        return list(slept)

    async def drain(model):
        await model.complete_async(request())
        return [chunk async for chunk in model.stream_async(request())]

    slept = []
    monkeypatch.setattr("chatmodels.providers.mock.asyncio.sleep", note)
    first = delays(1)
    assert first == delays(1) != delays(2)
    assert len(set(first)) == len(first) == 5
    assert all(0 <= seconds < 0.1 for seconds in first)


def test_chance_failures_may_be_of_any_kind():
    with pytest.raises(ChatModelError) as caught:
        MockChatModel(error_rate=1, error=ErrorCode.RATE_LIMIT).invoke("x")
    assert caught.value.code is ErrorCode.RATE_LIMIT


def test_health_and_information_reflect_the_settings():
    assert MockChatModel(error_rate=1).check_health().status == "unhealthy"
    assert MockChatModel(error_rate=0.5).check_health().status == "healthy"
    told = HealthStatus(status="unhealthy", detail="maintenance")
    assert MockChatModel(health=told).check_health() is told
    info = MockChatModel(model="own", capabilities=["chat"]).get_model_info()
    assert (info.name, info.capabilities) == ("own", ("chat",))


def test_many_threads_and_tasks_share_one_script():
    model = MockChatModel([str(number) for number in range(200)])
    answers = [answer.content for answer in model.batch(["x"] * 200, max_concurrency=32)]
    assert sorted(answers, key=int) == [str(number) for number in range(200)]
    assert model.call_count == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_s": -1},
        {"latency_s": (0.5, 0.1)},
        {"error_rate": 1.5},
        {"chunk_delay_s": -0.1},
        {"at_end": "stop"},
        {"chunk_chars": 0},
        {"log_limit": -1},
    ],
)
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        MockChatModel(**wrong)


class TestFailuresFromConfiguration:
    @pytest.mark.parametrize("setting", [{"fail_with": "rate_limit"}, {"error": "rate_limit", "error_rate": 1.0}])
    def test_a_text_is_a_code(self, setting):
        with pytest.raises(ChatModelError) as caught:
            create_chat_model("mock", retry=None, **setting).invoke("x")
        assert caught.value.code is ErrorCode.RATE_LIMIT

    @pytest.mark.parametrize("setting", ["fail_with", "error"])
    def test_an_unknown_code_is_refused_with_the_known_ones(self, setting):
        with pytest.raises(ConfigurationError, match=f"{setting} of the mock: 'rate-limit' is no code") as caught:
            create_chat_model("mock", **{setting: "rate-limit"})
        assert "did you mean 'rate_limit'" in caught.value.hint
        assert all(code.value in caught.value.hint for code in ErrorCode)

    def test_a_seed_makes_chance_repeatable_through_the_factory(self):
        def outcomes(seed):
            model = create_chat_model("mock", error_rate=0.5, seed=seed, retry=None)
            return [type(one).__name__ for one in model.batch(["x"] * 40, max_concurrency=1, return_exceptions=True)]

        assert outcomes(1) == outcomes(1) != outcomes(2)


def test_one_error_for_all_calls_keeps_no_frames_of_earlier_ones():
    def depth(error):
        found, trace = 0, error.__traceback__
        while trace is not None:
            found, trace = found + 1, trace.tb_next
        return found

    error = ChatModelError("overloaded", op="vendor.complete", code=ErrorCode.UNAVAILABLE)
    model = create_chat_model("mock", fail_with=error, retry=None)
    depths = []
    for _ in range(5):
        try:
            raise KeyError("what the caller is busy with")
        except KeyError:
            with pytest.raises(ChatModelError) as caught:
                in_own_loop(model.ainvoke("x"))
        depths.append(depth(caught.value))
    assert caught.value is error
    assert len(set(depths)) == 1
