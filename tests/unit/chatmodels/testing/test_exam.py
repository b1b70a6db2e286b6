from __future__ import annotations

import asyncio
import contextlib
import threading
from email.message import Message
from typing import ClassVar
from urllib.error import HTTPError, URLError

import pytest

from chatmodels import (
    ChatChunk,
    ChatModelError,
    ErrorCode,
    MockChatModel,
    TokenUsage,
    ToolCall,
    create_chat_model,
)
from chatmodels.guard import check_allowed
from chatmodels.testing import ChatModelExam, allow_model_requests


def exams():
    return [name for name in dir(ChatModelExam) if name.startswith("test_")]


def grade(make_model, make_failing_model=lambda: None, **more):
    """The tests of the exam that a model fails; `more` are attributes of the exam."""

    class Candidate(ChatModelExam):
        threads = 2
        patience_s = 0.3

        def make_model(self):
            return make_model()

        def make_failing_model(self):
            return make_failing_model()

    for name, value in more.items():
        setattr(Candidate, name, value)
    failed = []
    for name in exams():
        try:
            getattr(Candidate(), name)()
        except AssertionError:
            failed.append(name)
    return failed


def sit(make_model, name):
    """One test of the exam."""

    class Candidate(ChatModelExam):
        def make_model(self):
            return make_model()

    getattr(Candidate(), name)()


class Good(MockChatModel):
    provider_name = "good"


class TestTheExam:
    def test_a_foreign_exception_is_told_in_a_sentence(self):
        class Foreign(Good):
            async def complete_async(self, request):
                raise OSError("cut")

        class Candidate(ChatModelExam):
            def make_failing_model(self):
                return Foreign()

        said = "expected a ChatModelError, got OSError: raise ProviderError with a code"
        with pytest.raises(AssertionError, match=said) as caught:
            Candidate().test_failures_are_chat_model_errors()
        assert isinstance(caught.value.__cause__, OSError)

    def test_a_good_model_passes(self):
        failing = MockChatModel(fail_with=ChatModelError("x", op="o", code=ErrorCode.INVALID))
        assert grade(Good, lambda: failing) == []

    def test_a_model_without_a_provider_name(self):
        class Nameless(Good):
            provider_name = "unknown"

        assert grade(Nameless) == ["test_it_describes_itself"]

    def test_a_model_that_counts_no_tokens(self):
        class Uncounted(Good):
            async def complete_async(self, request):
                response = await super().complete_async(request)
                usage = response.usage.model_copy(update={"prompt_tokens": 0, "completion_tokens": 0})
                return response.model_copy(update={"usage": usage})

        assert grade(Uncounted) == ["test_usage_adds_up"]

    def test_a_stream_that_counts_no_tokens(self):
        class Uncounted(Good):
            async def stream_async(self, request):
                usage = TokenUsage(prompt_tokens=1, completion_tokens=0, model="m", provider="good")
                yield ChatChunk(text="a")
                calls = (await self.complete_async(request)).tool_calls
                yield ChatChunk(text="", finish_reason="stop", usage=usage, tool_calls=calls)

        assert grade(Uncounted) == ["test_usage_adds_up"]

    def test_a_stream_without_an_end(self):
        class Endless(Good):
            async def stream_async(self, request):
                yield ChatChunk(text="a")

        assert set(grade(Endless)) == {
            "test_a_stream_joins_to_a_text_and_ends_with_reason_and_usage",
            "test_tools_are_called_when_they_can_be",
            "test_usage_adds_up",
        }

    def test_foreign_exceptions(self):
        failing = MockChatModel(fail_with=ValueError("x"))
        assert grade(Good, lambda: failing) == ["test_failures_are_chat_model_errors"]

    def test_a_failing_model_that_answers(self):
        assert grade(Good, Good) == ["test_failures_are_chat_model_errors"]

    def test_answers_of_another_kind(self):
        class Wrong(Good):
            async def complete_async(self, request):
                return "text"

        with pytest.raises(AssertionError, match="expected a ChatResponse"):
            sit(Wrong, "test_blocking_and_awaited_answers_have_one_shape")

    def test_a_model_that_fails_in_threads(self):
        class Fragile(Good):
            def complete(self, request):
                if threading.current_thread() is not threading.main_thread():
                    raise RuntimeError("not here")
                return super().complete(request)

        assert grade(Fragile) == ["test_threads_share_one_model"]

    def test_an_exam_without_a_model(self):
        with pytest.raises(AssertionError, match="must define make_model"):
            ChatModelExam().test_usage_adds_up()


class Text(Good):
    """Says the same to everything."""

    def __init__(self, text="Hello to you.", **settings):
        super().__init__(text, **settings)


class TestAbilities:
    @pytest.mark.parametrize(
        ("ability", "test"),
        [
            ("tools", "test_tools_are_called_when_they_can_be"),
            ("json", "test_json_is_json_when_it_can_be"),
            ("json_schema", "test_json_is_json_when_it_can_be"),
        ],
    )
    def test_what_it_only_says_that_it_can(self, ability, test):
        assert grade(lambda: Text(capabilities=["chat", ability])) == [test]
        assert grade(lambda: Text(capabilities=["chat"])) == []
        assert grade(Text, capabilities=["chat", ability]) == [test]

    @pytest.mark.parametrize("text", ["[1]", '{"color": "red"}', '{"colour": 1}'])
    def test_json_that_does_not_fit(self, text):
        assert grade(lambda: Text(text, capabilities=["json_schema"])) == ["test_json_is_json_when_it_can_be"]

    def test_another_tool_than_the_one_it_has(self):
        def radio(request):
            return ToolCall(id="1", name="radio") if request.tools else "Hello."

        assert grade(lambda: Good(radio), capabilities=["tools"]) == ["test_tools_are_called_when_they_can_be"]

    def test_a_picture_that_it_cannot_see(self):
        class Blind(Good):
            async def complete_async(self, request):
                if any(not isinstance(message.content, str) for message in request.messages):
                    raise AssertionError("a picture")
                return await super().complete_async(request)

        assert grade(Blind) == ["test_pictures_are_seen_when_they_can_be"]


class TestFailing:
    def test_the_wrong_code(self):
        assert grade(
            Good, make_models_failing_with=lambda _: {ErrorCode.TIMEOUT: MockChatModel(fail_with=ErrorCode.AUTH)}
        ) == ["test_failures_have_the_fitting_code"]

    @pytest.mark.parametrize("facts", [("another",), (), ("x", threading.Lock())])
    def test_an_error_that_is_lost_when_it_is_pickled(self, facts):
        class LossyError(ChatModelError):
            def __reduce__(self):
                return ChatModelError, facts

        failing = MockChatModel(fail_with=LossyError("x", op="o", code=ErrorCode.INVALID))
        assert grade(Good, lambda: failing) == ["test_failures_are_chat_model_errors"]

    def test_an_error_that_says_the_key(self):
        failing = MockChatModel(fail_with=ChatModelError("the key key-4711", op="o", code=ErrorCode.AUTH))
        assert grade(Good, lambda: failing, secrets=["key-4711"]) == ["test_failures_are_chat_model_errors"]

    def test_a_model_that_says_the_key(self):
        class Talkative(Good):
            def __repr__(self):
                return "Talkative(key-4711)"

        assert grade(Talkative, secrets=["key-4711"]) == ["test_no_text_shows_a_key"]


class TestTime:
    def test_a_time_limit_that_holds(self):
        slow = lambda _: create_chat_model("mock", latency_s=600, timeout_s=0.05, retry=None)
        assert grade(Good, make_slow_model=slow) == []

    def test_a_time_limit_that_does_not_hold(self):
        assert grade(Good, make_slow_model=lambda _: MockChatModel(latency_s=3)) == ["test_time_limits_are_kept"]

    def test_a_model_that_does_not_let_itself_be_cancelled(self):
        class Stubborn(Good):
            async def complete_async(self, request):
                end = asyncio.get_running_loop().time() + 2
                while asyncio.get_running_loop().time() < end:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(0.1)
                return await super().complete_async(request)

        assert grade(Good, make_hanging_model=lambda _: Stubborn()) == ["test_a_cancelled_call_leaves_nothing"]

    def test_a_model_that_leaves_a_task_behind(self):
        class Littering(Good):
            tasks: ClassVar = []

            async def complete_async(self, request):
                self.tasks.append(asyncio.create_task(asyncio.sleep(3)))
                return await super().complete_async(request)

        assert "test_a_cancelled_call_leaves_nothing" in grade(Littering)


class Remote(Good):
    in_process = False


class Asking(Remote):
    async def complete_async(self, request):
        check_allowed("asking", request.model)
        return await super().complete_async(request)

    async def stream_async(self, request):
        check_allowed("asking", request.model)
        async for chunk in super().stream_async(request):
            yield chunk


def test_a_remote_model_asks_whether_it_may():
    with allow_model_requests():
        assert grade(Asking) == []
        assert grade(Remote) == ["test_forbidden_requests_are_not_made"]


class Raising(MockChatModel):
    """Lets an exception of another library through, as `urllib` has it."""

    def __init__(self, error):
        super().__init__("x")
        self.error = error

    async def complete_async(self, request):
        raise self.error

    async def stream_async(self, request):
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError("timed out"), ErrorCode.TIMEOUT),
        (URLError(ConnectionRefusedError(111, "refused")), ErrorCode.UNAVAILABLE),
        (HTTPError("http://x", 429, "slow down", Message(), None), ErrorCode.RATE_LIMIT),
    ],
)
def test_what_is_read_from_other_libraries_passes(error, code):
    failed = grade(
        lambda: MockChatModel("x"),
        lambda: Raising(error),
        make_models_failing_with=lambda _: {code: Raising(error)},
        capabilities=("chat",),
    )
    assert not failed


def test_what_says_nothing_is_still_told():
    failed = grade(lambda: MockChatModel("x"), lambda: Raising(ValueError("?")), capabilities=("chat",))
    assert failed == ["test_failures_are_chat_model_errors"]
