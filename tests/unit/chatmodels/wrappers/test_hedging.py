from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import (
    ChatChunk,
    ChatModel,
    ChatModelConfig,
    ChatModelError,
    ChatRequest,
    ErrorCode,
    MockChatModel,
    TokenUsage,
    create_chat_model,
)
from chatmodels.factory import wrap
from chatmodels.pieces import joined
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers.hedge_budget import HedgeBudget
from chatmodels.wrappers.hedging import HedgingModel
from peers.scripted_server import Reply, ScriptedServer

REQUEST = ChatRequest(prompt="x", model="m-1")


def failure(text="overloaded"):
    return ChatModelError(text, op="vendor.complete", code=ErrorCode.UNAVAILABLE)


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


class Script(ChatModel):
    """Does each line of its script in turn: seconds to wait, and what to say or raise then."""

    def __init__(self, *lines):
        self.lines = list(lines)
        self.begun = 0
        self.cancelled = 0

    async def complete_async(self, request):
        seconds, said = self.lines[min(self.begun, len(self.lines) - 1)]
        self.begun += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(said, Exception):
            raise said
        return await MockChatModel(said).complete_async(request)


class TestExam(ChatModelExam):
    def make_model(self):
        return HedgingModel(MockChatModel("Hello to you.", capabilities=("chat", "stream")), 30)

    def make_failing_model(self):
        return HedgingModel(MockChatModel(fail_with=failure()), 30)


class TestBudget:
    def test_one_may_be_sent_at_once_and_a_share_after_that(self):
        budget = HedgeBudget(0.25)
        sent = 0
        for _ in range(101):
            budget.begin()
            if budget.take():
                sent += 1
                budget.give_back()
            budget.end()
        assert sent == 26

    def test_no_more_are_under_way_than_the_share(self):
        budget = HedgeBudget(0.125)
        for _ in range(48):
            budget.begin()
        assert [budget.take() for _ in range(8)] == [True] * 6 + [False] * 2
        budget.give_back()
        assert budget.take()

    @given(st.lists(st.sampled_from(["begin", "end", "take", "give_back"]), max_size=200), st.floats(0.01, 1))
    def test_the_share_holds_whatever_happens(self, steps, share):
        budget = HedgeBudget(share)
        calls = begun = under_way = sent = 0
        for step in steps:
            if step == "begin":
                calls, begun = calls + 1, begun + 1
                budget.begin()
            elif step == "end" and calls:
                calls -= 1
                budget.end()
            elif step == "give_back" and under_way:
                under_way -= 1
                budget.give_back()
            elif step == "take" and calls and budget.take():
                under_way, sent = under_way + 1, sent + 1
                assert under_way <= max(1, share * calls)
            assert sent <= 1 + share * begun + 1e-6


class TestWhole:
    def test_a_call_that_is_cancelled_twice_costs_the_budget_nothing(self):
        class Stubborn(ChatModel):
            begun = 0

            async def complete_async(self, request):
                self.begun += 1
                try:
                    await asyncio.sleep(60)
                finally:
                    await asyncio.sleep(0.05)

        inner = Stubborn()
        model = HedgingModel(inner, 0.01, 1.0)

        async def go():
            for _ in range(5):
                call = asyncio.create_task(model.complete_async(REQUEST))
                before = inner.begun
                while inner.begun < before + 2:
                    await asyncio.sleep(0.005)
                for _ in range(2):
                    call.cancel()
                    await asyncio.sleep(0)
                await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(0.2)

        with asyncio.Runner() as runner:
            runner.run(asyncio.wait_for(go(), 30))
        assert inner.begun == 10

    def test_a_stream_that_is_cancelled_twice_is_cancelled(self):
        class Stubborn(ChatModel):
            begun = ended = 0

            async def complete_async(self, request):
                raise AssertionError("not streamed")

            async def stream_async(self, request):
                self.begun += 1
                try:
                    await asyncio.sleep(60)
                    yield ChatChunk(text="never")
                finally:
                    await asyncio.sleep(0.05)
                    self.ended += 1

        inner = Stubborn()

        async def go():
            call = asyncio.create_task(anext(HedgingModel(inner, 0.01, 1.0).stream_async(REQUEST)))
            while inner.begun < 2:
                await asyncio.sleep(0.005)
            for _ in range(2):
                call.cancel()
                await asyncio.sleep(0)
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(0.2)
            return outcome

        assert isinstance(run(asyncio.wait_for(go(), 30)), asyncio.CancelledError)

    def test_a_quick_answer_needs_no_second_request(self):
        inner = Script((0, "quick"))
        answer = HedgingModel(inner, 30).complete(REQUEST)
        assert (answer.content, answer.attempts, inner.begun) == ("quick", 1, 1)

    def test_the_second_one_wins_and_the_first_is_cancelled(self):
        inner = Script((60, "slow"), (0, "quick"))
        answer = HedgingModel(inner, 0.02).complete(REQUEST)
        assert (answer.content, answer.attempts) == ("quick", 2)
        assert (inner.begun, inner.cancelled) == (2, 1)

    def test_the_first_one_may_still_win(self):
        inner = Script((0.6, "first"), (60, "slow"))
        answer = HedgingModel(inner, 0.02).complete(REQUEST)
        assert (answer.content, inner.begun, inner.cancelled) == ("first", 2, 1)

    def test_when_one_fails_the_other_is_waited_for(self):
        assert HedgingModel(Script((0.6, "late"), (0, failure())), 0.02).complete(REQUEST).content == "late"
        assert HedgingModel(Script((0.6, failure()), (1.0, "late")), 0.02).complete(REQUEST).content == "late"

    def test_when_both_fail_the_error_is_the_first_ones(self):
        with pytest.raises(ChatModelError, match="one"):
            HedgingModel(Script((0.6, failure("one")), (0, failure("two"))), 0.02).complete(REQUEST)

    def test_an_early_failure_is_the_retries_business(self):
        inner = Script((0, failure()))
        with pytest.raises(ChatModelError):
            HedgingModel(inner, 30).complete(REQUEST)
        assert inner.begun == 1

    def test_beyond_the_share_nothing_is_sent_twice(self):
        inner = Script((0.05, "slow"))
        model = HedgingModel(inner, 0.01, 0.1)
        for _ in range(5):
            model.complete(REQUEST)
        assert inner.begun == 6

    def test_models_of_one_endpoint_have_one_share(self):
        inner = Script((0.05, "slow"))
        inner.endpoint = "http://shared.example"
        for _ in range(5):
            HedgingModel(inner, 0.01, 0.1).complete(REQUEST)
        assert inner.begun == 6

    def test_models_of_several_endpoints_have_several(self):
        inner = Script((0.05, "slow"))
        for number in range(3):
            inner.endpoint = f"http://several.example/{number}"
            HedgingModel(inner, 0.01, 0.1).complete(REQUEST)
        assert inner.begun == 6

    def test_what_requests_within_a_failed_one_were_charged_for_counts(self):
        earlier = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
        last = TokenUsage(prompt_tokens=2, completion_tokens=2, model="m", provider="p")
        failed = failure()
        failed.fields.update(usage=last, failed_usage=(earlier,))
        answer = HedgingModel(Script((0.1, "slow"), (0.0, failed)), 0.01).complete(REQUEST)
        assert answer.failed_usage == (earlier, last)

    def test_cancelling_leaves_nothing_behind(self):
        inner = Script((60, "slow"))

        async def cancelled():
            task = asyncio.create_task(HedgingModel(inner, 0.01).complete_async(REQUEST))
            while inner.begun < 2:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1

        run(cancelled())
        assert inner.cancelled == 2


class TestStreams:
    def test_leaving_a_stream_early_closes_both(self):
        async def left():
            closed = []

            class Model(ChatModel):
                begun = 0

                async def complete_async(self, request):
                    raise AssertionError("not streamed")

                async def stream_async(self, request):
                    Model.begun += 1
                    number = Model.begun
                    try:
                        if number == 1:
                            await asyncio.sleep(60)
                        async for chunk in MockChatModel("a b c").stream_async(request):
                            yield chunk
                    finally:
                        closed.append(number)

            stream = HedgingModel(Model(), 0.01).stream_async(REQUEST)
            assert (await anext(stream)).text == "a "
            assert closed == [1]
            await stream.aclose()
            assert len(asyncio.all_tasks()) == 1
            return closed

        assert run(left()) == [1, 2]


class Crowd(ChatModel):
    """Answers its first request too late, and counts how many are under way at once."""

    def __init__(self):
        self.begun = self.under_way = self.most = 0

    async def complete_async(self, request):
        return joined([chunk async for chunk in self.stream_async(request)])

    async def stream_async(self, request):
        self.begun += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0.5 if self.begun == 1 else 0.05)
            async for chunk in MockChatModel("a b c").stream_async(request):
                yield chunk
        finally:
            self.under_way -= 1


class TestPlaces:
    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize(("largest", "calls", "begun"), [(1, 4, 4), (2, 1, 2)])
    def test_no_more_are_under_way_than_may_be(self, largest, calls, begun, streamed):
        inner = Crowd()
        settings = {"concurrency": {"max": largest}, "hedge_after_s": 0.01, "hedge_share": 1.0}
        model = wrap(inner, ChatModelConfig(**settings))
        gate = model.spare_places._gates.of(model, REQUEST.model)

        async def ask():
            if not streamed:
                return (await model.complete_async(REQUEST)).content
            return "".join([chunk.text async for chunk in model.stream_async(REQUEST)])

        async def go():
            return await asyncio.gather(*(ask() for _ in range(calls)))

        assert set(run(go())) == {"a b c"}
        assert (inner.most, inner.begun) == (largest, begun)
        assert (inner.under_way, gate.throttle.window.in_flight) == (0, 0)

    def test_a_place_is_given_back_when_the_call_is_cancelled(self):
        inner = Crowd()
        model = wrap(inner, ChatModelConfig(concurrency={"max": 2}, hedge_after_s=0.01, hedge_share=1.0))
        gate = model.spare_places._gates.of(model, REQUEST.model)

        async def go():
            call = asyncio.create_task(model.complete_async(REQUEST))
            while inner.begun < 2:
                await asyncio.sleep(0.001)
            assert gate.throttle.window.in_flight == 2
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

        run(go())
        assert gate.throttle.window.in_flight == 0

    def test_what_finds_no_place_costs_no_share(self):
        budget = HedgeBudget(0.1)
        budget.begin()
        assert budget.take()
        budget.give_back(sent=False)
        assert budget.take()


def hedging(server, **more):
    return create_chat_model("openai", base_url=server.base_url, api_key="k", model="m", hedge_after_s=0.1, **more)


class TestAtAServer:
    def test_a_slow_reply_is_overtaken_and_its_connection_closed(self):
        with ScriptedServer([Reply(latency_s=60), Reply(text="quick")]) as server:
            answer = hedging(server).invoke("x")
            assert (answer.content, answer.attempts, server.count) == ("quick", 2, 2)
            server.wait_for(lambda server: server.chats[0].closed_early)

    def test_a_stream_that_does_not_begin_is_overtaken(self):
        with ScriptedServer([Reply(latency_s=60), Reply(text="quick words")]) as server:
            chunks = list(hedging(server).stream("x"))
            assert "".join(chunk.text for chunk in chunks) == "quick words"
            assert server.count == 2
            server.wait_for(lambda server: server.chats[0].closed_early)

    def test_attempts_count_every_request(self):
        replies = [Reply(latency_s=0.3, status=503), Reply(latency_s=0.3, status=503), Reply(text="fine")]
        with ScriptedServer(replies) as server:
            answer = hedging(server, retry={"max_attempts": 2, "first_wait_s": 0}).invoke("x")
            assert (answer.content, answer.attempts, server.count) == ("fine", 3, 3)
        with ScriptedServer(default=Reply(latency_s=0.3, status=503)) as server:
            with pytest.raises(ChatModelError) as caught:
                hedging(server, retry=None).invoke("x")
            assert caught.value.fields["attempts"] == server.count == 2

    def test_a_stream_tells_how_many_requests_it_took(self):
        replies = [Reply(latency_s=0.3, status=503), Reply(latency_s=0.3, status=503), Reply(text="fine")]
        with ScriptedServer(replies) as server:
            last = list(hedging(server, retry={"max_attempts": 2, "first_wait_s": 0}).stream("x"))[-1]
            assert (last.attempts, server.count) == (3, 3)
        with ScriptedServer(default=Reply(latency_s=0.3, status=503)) as server:
            with pytest.raises(ChatModelError) as caught:
                list(hedging(server, retry=None).stream("x"))
            assert caught.value.fields["attempts"] == server.count == 2
            assert "hedges" not in caught.value.fields
