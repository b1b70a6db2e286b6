from __future__ import annotations

import asyncio
import time

import pytest

from chatmodels import (
    AdvancedMockChatModel,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    MockChatModel,
    TokenUsage,
    ToolCall,
)
from chatmodels.testing import ChatModelExam
from fmf_core.errors import ConfigurationError


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def request(prompt="x", **more):
    return ChatRequest(prompt=prompt, **more)


class TestExam(ChatModelExam):
    def make_model(self):
        return MockChatModel("Hello to you.")

    def make_failing_model(self):
        return MockChatModel(fail_with=ChatModelError("no", op="mock.complete", code=ErrorCode.INVALID))


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


@pytest.mark.parametrize("wrong", [{"latency_s": -1}, {"error_rate": 1.5}, {"chunk_delay_s": -0.1}])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        MockChatModel(**wrong)
