"""What a provider charges for attempts that fail is counted, whatever becomes of the call."""

from __future__ import annotations

import asyncio

import pytest

from chatmodels import (
    ChatChunk,
    ChatModel,
    ChatModelConfig,
    ChatModelError,
    ChatResponse,
    ErrorCode,
    MemoryCache,
    MockChatModel,
    TokenUsage,
    create_chat_model,
)
from chatmodels.factory import wrap
from chatmodels.testing import ModelBudget, allow_model_requests
from chatmodels.wrappers.fallback import Fallback, FallbackModel
from chatmodels.wrappers.hedging import HedgingModel
from chatmodels.wrappers.retrying import RetryingModel
from peers.raw_server import RawServer
from unit.chatmodels.wrappers.scripts import FAST, REQUEST, Streaming, failure, in_own_loop

PRICES = {"m-1": {"input_per_1m": 1.0, "output_per_1m": 2.0}}
LOST = TokenUsage(prompt_tokens=1_000_000, completion_tokens=500_000, model="m-1", provider="p")  # 2 dollars
GOOD = TokenUsage(prompt_tokens=0, completion_tokens=1_000_000, model="m-1", provider="p")  # 2 dollars, too
QUICK = {"max_attempts": 3, "first_wait_s": 0}


ANSWER = ChatResponse(content="fine", model="m-1", usage=GOOD)


def charged(code=ErrorCode.UNAVAILABLE, usage=LOST):
    return failure(code, fields={"usage": usage})


def ending():
    return ChatChunk(text="", finish_reason="stop", usage=GOOD)


def made(inner, **settings):
    return wrap(
        inner, ChatModelConfig(**{"provider": "mock", "retry": QUICK, "prices": PRICES, "model": "m-1", **settings})
    )


def streamed(model):
    *_, last = model.stream(REQUEST)
    return last


class TestRetries:
    def test_the_answer_tells_it_apart_from_its_own(self):
        model = RetryingModel(
            MockChatModel([charged(), failure(), charged(), "fine"]), FAST.model_copy(update={"max_attempts": 4})
        )
        answer = model.complete(REQUEST)
        assert answer.failed_usage == (LOST, LOST)
        assert answer.usage.model == "m-1"
        assert answer.usage.prompt_tokens < 10
        assert "failed_usage" not in answer.model_dump()

    def test_cost_and_budget_hold_it(self):
        with ModelBudget() as budget:
            answer = made(MockChatModel([charged(), charged(), ANSWER])).complete(REQUEST)
        assert answer.cost_usd == pytest.approx(6.0)
        assert answer.usage == GOOD
        assert (budget.spent_usd, budget.calls) == (pytest.approx(6.0), 1)

    def test_a_stream_as_well(self):
        inner = Streaming([charged()], ["fine", ending()])
        with ModelBudget() as budget:
            last = streamed(made(inner))
        assert (last.failed_usage, last.usage) == ((LOST,), GOOD)
        assert (budget.spent_usd, budget.calls) == (pytest.approx(4.0), 1)

    def test_a_stream_that_breaks_off(self):
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            streamed(made(Streaming([charged()], ["fine", charged()])))
        assert caught.value.fields["cost_usd"] == pytest.approx(4.0)
        assert budget.spent_usd == pytest.approx(4.0)

    def test_a_call_that_fails_in_the_end(self):
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            made(MockChatModel([charged(), charged(), charged()])).complete(REQUEST)
        fields = caught.value.fields
        assert (fields["usage"], fields["failed_usage"]) == (LOST, (LOST, LOST))
        assert fields["cost_usd"] == pytest.approx(6.0)
        assert (budget.spent_usd, budget.calls) == (pytest.approx(6.0), 1)

    def test_a_last_failure_that_costs_nothing(self):
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            made(MockChatModel([charged(), failure(ErrorCode.INVALID)])).complete(REQUEST)
        assert "usage" not in caught.value.fields
        assert caught.value.fields["cost_usd"] == pytest.approx(2.0)
        assert budget.spent_usd == pytest.approx(2.0)

    def test_one_error_raised_again_and_again_counts_anew(self):
        model = made(MockChatModel(fail_with=charged()))
        for _ in range(3):
            with ModelBudget() as budget, pytest.raises(ChatModelError):
                model.complete(REQUEST)
            assert budget.spent_usd == pytest.approx(6.0)

    def test_an_unknown_price_is_none(self):
        unknown = LOST.model_copy(update={"model": "of-nobody"})
        with ModelBudget() as budget:
            answer = made(MockChatModel([charged(usage=unknown), ANSWER])).complete(REQUEST)
        assert answer.cost_usd is None
        assert (budget.spent_usd, budget.unpriced_models) == (pytest.approx(2.0), ("of-nobody",))
        with ModelBudget(prices={**PRICES, "of-nobody": PRICES["m-1"]}) as budget:
            made(MockChatModel([charged(usage=unknown), ANSWER])).complete(REQUEST)
        assert (budget.spent_usd, budget.unpriced_models) == (pytest.approx(4.0), ())


class TestFallbacks:
    def test_cost_and_budget_hold_it(self):
        first = MockChatModel(fail_with=charged(ErrorCode.BAD_REPLY))
        with ModelBudget() as budget:
            answer = made(first, fallbacks=[MockChatModel([charged(), ANSWER])]).complete(REQUEST)
        assert answer.failed_usage == (LOST, LOST)
        assert answer.cost_usd == pytest.approx(6.0)
        assert (budget.spent_usd, budget.calls) == (pytest.approx(6.0), 1)

    def test_a_stream_as_well(self):
        model = FallbackModel(Streaming([charged()]), [Fallback(Streaming(["fine", ending()]))])
        assert streamed(model).failed_usage == (LOST,)

    def test_all_of_them_fail(self):
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            made(
                MockChatModel(fail_with=charged(ErrorCode.BAD_REPLY)),
                fallbacks=[MockChatModel([charged(), charged(ErrorCode.BAD_REPLY)])],
            ).complete(REQUEST)
        assert caught.value.fields["failed_usage"] == (LOST, LOST)
        assert caught.value.fields["cost_usd"] == pytest.approx(6.0)
        assert budget.spent_usd == pytest.approx(6.0)


class Late(ChatModel):
    """Says each line of its script after so many seconds."""

    def __init__(self, *lines):
        self.lines = list(lines)

    async def complete_async(self, request):
        seconds, said = self.lines.pop(0)
        await asyncio.sleep(seconds)
        if isinstance(said, Exception):
            raise said
        return said


class TestHedging:
    def test_the_request_that_failed_counts(self):
        answer = HedgingModel(Late((0.05, charged()), (0.2, ANSWER)), 0.01, 1.0).complete(REQUEST)
        assert (answer.usage, answer.failed_usage, answer.attempts) == (GOOD, (LOST,), 2)

    def test_both_fail(self):
        with pytest.raises(ChatModelError) as caught:
            HedgingModel(Late((0.05, charged()), (0.1, charged(usage=GOOD))), 0.01, 1.0).complete(REQUEST)
        assert (caught.value.fields["usage"], caught.value.fields["failed_usage"]) == (LOST, (GOOD,))


class TestBrokenStreams:
    PIECES = (
        b'data: {"choices": [{"index": 0, "delta": {"content": "half "}}]}\n\n',
        b'data: {"choices": [], "usage": {"prompt_tokens": 1000000, "completion_tokens": 500000}}\n\n',
    )
    HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    @pytest.mark.parametrize(
        "end", [b"", b'data: {"error": {"message": "gone", "code": "server_error"}}\n\n', b"data: nonsense\n\n"]
    )
    def test_what_the_provider_had_counted_is_charged(self, end):
        def serve(peer):
            peer.request()
            peer.send(self.HEAD + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (*self.PIECES, end) if p))

        with allow_model_requests(), RawServer(serve) as server, ModelBudget() as budget:
            model = create_chat_model(
                "openai", base_url=f"{server.url}/v1", api_key="k", model="m-1", retry=None, prices=PRICES
            )
            with pytest.raises(ChatModelError) as caught:
                list(model.stream("x"))
        assert caught.value.fields["usage"].total_tokens == 1_500_000
        assert caught.value.fields["cost_usd"] == pytest.approx(2.0)
        assert (budget.calls, budget.spent_usd) == (1, pytest.approx(2.0))


class TestCache:
    def test_a_kept_answer_costs_nothing(self):
        model = made(MockChatModel([charged(), ANSWER]), cache=MemoryCache())
        first, second = model.complete(REQUEST), model.complete(REQUEST)
        assert (first.cost_usd, second.cost_usd) == (pytest.approx(4.0), 0.0)
        assert (second.cached, second.failed_usage) == (True, ())

    def test_who_waits_for_another_ones_answer_pays_nothing(self):
        model = made(MockChatModel([charged(), ANSWER], latency_s=0.01), cache=MemoryCache())

        async def at_once():
            return await asyncio.gather(*(model.complete_async(REQUEST) for _ in range(3)))

        with ModelBudget() as budget:
            answers = in_own_loop(at_once())
        assert sorted(answer.cost_usd for answer in answers) == [0.0, 0.0, pytest.approx(4.0)]
        assert budget.spent_usd == pytest.approx(4.0)


def test_a_typed_value_knows_what_all_of_it_cost():
    number = ANSWER.model_copy(update={"content": '{"answer": 7}'})
    parsed = made(MockChatModel([charged(), "seven", charged(), number])).parse("x", int)
    assert (parsed.value, parsed.asks) == (7, 2)
    assert parsed.cost_usd == pytest.approx(6.0, abs=0.01)
    assert (parsed.response.usage, parsed.response.failed_usage) == (GOOD, (LOST,))
    assert parsed.usage.prompt_tokens >= 2 * LOST.prompt_tokens


def test_a_value_that_never_comes_tells_what_it_cost():
    with pytest.raises(ChatModelError) as caught:
        made(MockChatModel([charged(), "seven", charged(), failure(ErrorCode.INVALID)])).parse("x", int)
    assert caught.value.fields["cost_usd"] == pytest.approx(4.0, abs=0.01)
    assert caught.value.fields["usage"].prompt_tokens >= 2 * LOST.prompt_tokens
    assert "failed_usage" not in caught.value.fields


def test_models_of_the_factory_do_the_same():
    model = create_chat_model("mock", model="m-1", responses=[charged(), "fine"], retry=QUICK, prices=PRICES)
    assert model.invoke("x").cost_usd == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("kind", ["complete", "stream"])
def test_a_call_given_up_between_two_attempts_is_charged_for_the_first(kind):
    patient = {"max_attempts": 2, "first_wait_s": 60}

    async def go():
        inner = (
            MockChatModel([charged(usage=LOST), "never"]) if kind == "complete" else Streaming([charged(usage=LOST)])
        )
        model = made(inner, retry=patient)
        asking = model.complete_async(REQUEST) if kind == "complete" else anext(model.stream_async(REQUEST))
        task = asyncio.ensure_future(asking)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ModelBudget() as budget:
        in_own_loop(go())
    assert budget.spent_usd == pytest.approx(2.0)
    assert budget.unknown == 0
