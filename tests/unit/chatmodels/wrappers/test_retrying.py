from __future__ import annotations

import asyncio
import io
import json
import time

import pytest

from chatmodels import ChatModelError, ErrorCode, MockChatModel
from chatmodels.wrappers.retry_lines import MOST_LINES, RetryLines
from chatmodels.wrappers.retrying import RetryingModel
from fmf_core.errors import FrameworkError
from fmf_core.logs import configure_logging, reset_logging
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

    def test_the_last_error_is_no_consequence_of_the_first(self):
        model = RetryingModel(MockChatModel([failure(), failure(ErrorCode.AUTH)]), FAST)
        for ask in (model.complete, lambda request: list(model.stream(request))):
            with pytest.raises(ChatModelError) as caught:
                ask(REQUEST)
            assert caught.value.__context__ is None
            model.inner.reset()

    def test_a_pause_can_be_cancelled(self):
        patient = FAST.model_copy(update={"first_wait_s": 30.0})
        inner = Streaming([failure(retry_after=20.0)])

        async def cancelled(work):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await work
            assert len(asyncio.all_tasks()) == 1

        in_own_loop(cancelled(RetryingModel(MockChatModel(fail_with=failure(retry_after=20.0)), patient).ainvoke("x")))

        async def first():
            return await anext(RetryingModel(inner, patient).stream_async(REQUEST))

        in_own_loop(cancelled(first()))
        assert (inner.opened, inner.closed) == (1, 1)

    def test_what_nobody_was_asked_for_is_no_request(self):
        def refused():
            error = failure()
            error.was_asked = False
            return error

        model = RetryingModel(MockChatModel([failure(), refused(), "done"]), FAST)
        assert model.complete(REQUEST).attempts == 2
        with pytest.raises(ChatModelError) as caught:
            RetryingModel(MockChatModel([refused(), refused(), refused()]), FAST).complete(REQUEST)
        assert caught.value.fields["attempts"] == 0
        assert "attempts" not in caught.value.message

    def test_a_circuit_that_this_side_keeps_open_is_waited_for(self):
        closed = failure()
        closed.closed_for_s = 31.0
        inner = MockChatModel(fail_with=closed)
        with pytest.raises(ChatModelError) as caught:
            RetryingModel(inner, FAST).complete(REQUEST)
        assert (inner.call_count, caught.value.retry_after) == (1, 31.0)


@pytest.fixture
def lines():
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    reset_logging()


class TestLines:
    def test_every_retry_is_one(self, lines):
        wait = FAST.model_copy(update={"first_wait_s": 0.001})
        model = RetryingModel(MockChatModel([failure(), failure(ErrorCode.RATE_LIMIT, retry_after=0.01), "done"]), wait)
        for ask in (model.complete, lambda request: list(model.stream(request))):
            ask(REQUEST.model_copy(update={"prompt": "private"}))
            model.inner.reset()
        first, second, *streamed = lines()
        facts = ("event", "level", "provider", "model", "attempt", "code")
        assert [first[fact] for fact in facts] == ["llm.retry", "info", "mock", "m-1", 1, "unavailable"]
        assert [second[fact] for fact in facts] == ["llm.retry", "info", "mock", "m-1", 2, "rate_limit"]
        assert second["wait_s"] >= 0.01
        assert [line["attempt"] for line in streamed] == [1, 2]
        assert "private" not in json.dumps([first, second])

    def test_what_is_not_tried_again_is_none(self, lines):
        with pytest.raises(ChatModelError):
            RetryingModel(MockChatModel(fail_with=failure()), FAST.model_copy(update={"max_attempts": 1})).invoke("x")
        assert lines() == []

    def test_a_storm_is_counted_and_not_told(self, lines):
        now = [100.0]
        told = RetryLines(clock=lambda: now[0])
        for number in range(5 * MOST_LINES):
            told.say(number, failure(), 0.5, "p", "m")
        assert [line["attempt"] for line in lines()] == list(range(MOST_LINES))
        now[0] += 1.0
        told.say(1, failure(), 0.5, "p", "m")
        told.say(2, failure(), 0.5, "p", "m")
        assert [line.get("left_out") for line in lines()[-2:]] == [4 * MOST_LINES, None]
