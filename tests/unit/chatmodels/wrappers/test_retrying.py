from __future__ import annotations

import asyncio
import time

import pytest

from chatmodels import ChatModelError, ErrorCode, MockChatModel
from chatmodels.wrappers.retrying import RetryingModel
from fmf_core.errors import FrameworkError
from unit.chatmodels.wrappers.scripts import FAST, REQUEST, Streaming, end, failure, in_own_loop


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

    def test_an_empty_stream_stays_empty(self):
        assert list(RetryingModel(Streaming([]), FAST).stream(REQUEST)) == []

    def test_attempts_of_every_failure_count(self):
        model = RetryingModel(MockChatModel([failure(fields={"attempts": 2}), failure(), "done"]), FAST)
        assert model.complete(REQUEST).attempts == 4
        failing = [failure(fields={"attempts": 2}), failure(), failure(fields={"attempts": 2})]
        with pytest.raises(ChatModelError, match="after 5 attempts") as caught:
            RetryingModel(MockChatModel(failing), FAST).complete(REQUEST)
        assert caught.value.fields["attempts"] == 5

    def test_one_error_raised_again_and_again_counts_anew(self):
        model = RetryingModel(MockChatModel(fail_with=failure()), FAST)
        for ask in (model.complete, model.complete, lambda request: list(model.stream(request))):
            with pytest.raises(ChatModelError) as caught:
                ask(REQUEST)
            assert caught.value.fields["attempts"] == 3
            assert str(caught.value).count("attempts") == 1

    def test_the_last_piece_of_a_stream_says_how_many_attempts_it_took(self):
        inner = Streaming([failure(fields={"attempts": 2})], ["a", end()])
        assert [chunk.attempts for chunk in RetryingModel(inner, FAST).stream(REQUEST)] == [1, 3]
        broken = Streaming([failure()], ["a", failure()])
        with pytest.raises(ChatModelError, match="after 2 attempts") as caught:
            list(RetryingModel(broken, FAST).stream(REQUEST))
        assert caught.value.fields["attempts"] == 2
