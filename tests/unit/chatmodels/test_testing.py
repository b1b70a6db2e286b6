from __future__ import annotations

import threading

import pytest

from chatmodels import ChatChunk, ChatModel, ChatModelError, ErrorCode, MockChatModel
from chatmodels.guard import check_allowed, requests_allowed
from chatmodels.testing import ChatModelExam, allow_model_requests, forbid_model_requests


class Remote(ChatModel):
    """A provider that asks before it makes a request, as all of them do."""

    async def complete_async(self, request):
        check_allowed("remote", request.model)
        return await MockChatModel().complete_async(request)


class TestForbidModelRequests:
    def test_a_providers_request_fails(self):
        with forbid_model_requests(), pytest.raises(ChatModelError, match="'remote'") as caught:
            Remote().invoke("x")
        assert caught.value.code is ErrorCode.UNSUPPORTED
        assert not caught.value.retryable
        assert "MockChatModel" in caught.value.hint

    def test_the_mock_goes_on(self):
        with forbid_model_requests():
            assert MockChatModel().invoke("x").content

    def test_it_ends_with_the_block(self):
        with pytest.raises(KeyError), forbid_model_requests():
            raise KeyError
        with allow_model_requests():
            assert Remote().invoke("x").content

    def test_it_holds_in_other_threads(self):
        caught = []

        def work():
            try:
                check_allowed("remote")
            except ChatModelError as error:
                caught.append(error)

        with forbid_model_requests():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert caught

    def test_the_innermost_block_decides(self):
        with forbid_model_requests():
            with allow_model_requests():
                assert requests_allowed()
                with forbid_model_requests():
                    assert not requests_allowed()
            assert not requests_allowed()


def exams():
    return [name for name in dir(ChatModelExam) if name.startswith("test_")]


def grade(make_model, make_failing_model=lambda: None):
    """The tests of the exam that a model fails."""

    class Candidate(ChatModelExam):
        threads = 2

        def make_model(self):
            return make_model()

        def make_failing_model(self):
            return make_failing_model()

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

    def test_a_stream_without_an_end(self):
        class Endless(Good):
            async def stream_async(self, request):
                yield ChatChunk(text="a")

        assert grade(Endless) == ["test_a_stream_joins_to_a_text_and_ends_with_reason_and_usage"]

    def test_foreign_exceptions(self):
        with pytest.raises(ValueError):
            grade(Good, lambda: MockChatModel(fail_with=ValueError("x")))

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
