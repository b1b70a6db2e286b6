from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmodels import (
    Budget,
    ChatChunk,
    ChatModel,
    ChatModelConfig,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    MemoryCache,
    MockChatModel,
    ModelInfo,
    TokenUsage,
    create_chat_model,
)
from chatmodels.errors import is_free
from chatmodels.factory import wrap
from chatmodels.spending import CallBudget, OverBudgetError
from chatmodels.testing import allow_model_requests
from peers.raw_server import RawServer
from unit.chatmodels.wrappers.scripts import in_own_loop

PRICES = {"m-1": {"input_per_1m": 0.0, "output_per_1m": 1.0}}
TOKEN = 1e-6
"""What one token of an answer costs, in dollars."""


class Vendor(ChatModel):
    """Does what a script says for each request, and keeps the provider's own account of what it charges."""

    provider_name = "own"

    def __init__(self, chance, price=None, pause_s=0.0):
        self.chance = chance
        self.price = price or (0.0, 1.0)
        self.pause_s = pause_s
        self.charged_usd = 0.0
        self.most_at_once = self.at_once = 0
        self._lock = threading.Lock()

    def _charge(self, request, part=1.0):
        prompt = int(len(request.prompt.encode()) * self.chance.random() * part)
        answer = int(request.max_tokens * self.chance.random() * part)
        with self._lock:
            self.charged_usd += (prompt * self.price[0] + answer * self.price[1]) / 1e6
        return TokenUsage(prompt_tokens=prompt, completion_tokens=answer, model="m-1", provider="own")

    async def _work(self, request):
        fate = self.chance.random()
        if fate < 0.1:
            raise ChatModelError("slow down", op="own.complete", code=ErrorCode.RATE_LIMIT)
        if fate < 0.2:
            raise ChatModelError("no", op="own.complete", code=ErrorCode.UNAVAILABLE, fields={"status": 500})
        usage = self._charge(request)
        await asyncio.sleep(self.pause_s * self.chance.random())
        if fate < 0.3:
            raise ChatModelError("late", op="own.complete", code=ErrorCode.TIMEOUT)
        if fate < 0.4:
            raise ChatModelError("cut", op="own.complete", code=ErrorCode.BAD_REPLY, fields={"usage": usage})
        return usage

    async def complete_async(self, request):
        usage = await self._work(request)
        return ChatResponse(content="fine", model="m-1", usage=usage)

    async def stream_async(self, request):
        usage = await self._work(request)
        for word in ("a", "b"):
            yield ChatChunk(text=word)
            await asyncio.sleep(self.pause_s * self.chance.random())
        yield ChatChunk(text="", finish_reason="stop", usage=usage)


def around(vendor, prices=PRICES, **more):
    config = {"provider": "own", "model": "m-1", "prices": prices, "retry": {"max_attempts": 3, "first_wait_s": 0}}
    return wrap(vendor, ChatModelConfig(**{**config, **more}))


async def ask_in_many_ways(model, chance, calls, prompt):
    async def one(number):
        request = ChatRequest(prompt=prompt, model="m-1", max_tokens=chance.randint(1, 2000))
        if number % 3 == 1:
            stream = model.stream_async(request)
            async for _ in stream:
                if chance.random() < 0.2:
                    break
            await stream.aclose()
        elif number % 3 == 2:
            async with asyncio.timeout(chance.random() * 0.004):
                await model.complete_async(request)
        else:
            await model.complete_async(request)

    return await asyncio.gather(*map(one, range(calls)), return_exceptions=True)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit_usd=st.floats(0, 0.02),
    prices=st.tuples(st.floats(0, 50), st.floats(0, 50)),
    prompt=st.text(min_size=1, max_size=300),
    hedged=st.booleans(),
)
def test_what_is_charged_never_exceeds_the_limit(seed, limit_usd, prices, prompt, hedged):
    chance = random.Random(seed)
    vendor = Vendor(chance, prices, pause_s=0.003)
    told = {"m-1": {"input_per_1m": prices[0], "output_per_1m": prices[1]}}
    model = around(vendor, told, hedge_after_s=0.001 if hedged else None, hedge_share=1.0)
    with Budget(limit_usd=limit_usd, max_wait_s=0.05) as budget, Budget(limit_usd=limit_usd * 2) as outer:
        threads = [
            threading.Thread(target=lambda: in_own_loop(ask_in_many_ways(model, chance, 8, prompt))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for kept in (budget, outer):
        counted = kept.spent_usd + kept.assumed_usd
        assert vendor.charged_usd <= counted + 1e-9, "whatever was charged is counted"
        assert counted <= kept.limit_usd + 1e-12
        assert kept.reserved_usd == 0


class Gated(ChatModel):
    """Answers with as many tokens as it is told, once it is let go."""

    provider_name = "own"

    def __init__(self, tokens=10):
        self.tokens = tokens
        self.asked = 0
        self.let_go = asyncio.Event()

    async def complete_async(self, request):
        self.asked += 1
        await self.let_go.wait()
        usage = TokenUsage(prompt_tokens=1, completion_tokens=self.tokens, model="m-1", provider="own")
        return ChatResponse(content="fine", model="m-1", usage=usage)


def ask(model, max_tokens=100, **more):
    return model.ainvoke("x", max_tokens=max_tokens, **more)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_request_waits_until_those_under_way_make_room_for_it():
    async def main():
        vendor = Gated()
        model = around(vendor)
        with Budget(limit_usd=150 * TOKEN) as budget:
            calls = [asyncio.create_task(ask(model)) for _ in range(4)]
            await settle()
            assert (vendor.asked, budget.reserved_usd, budget.left_usd) == (1, 0.0001, 0.00005)
            vendor.let_go.set()
            await asyncio.gather(*calls)
            assert (budget.spent_usd, budget.reserved_usd, budget.refused) == (pytest.approx(40 * TOKEN), 0, 0)

    in_own_loop(main())


def test_what_would_not_fit_even_if_all_others_were_free_is_refused_at_once():
    async def main():
        vendor = Gated()
        model = around(vendor)
        with Budget(limit_usd=150 * TOKEN) as budget:
            under_way = asyncio.create_task(ask(model))
            await settle()
            with pytest.raises(OverBudgetError, match=r"it may cost \$0\.000151, and \$0\.000000 were spent") as caught:
                await ask(model, 151)
            assert (caught.value.code, caught.value.retryable) == (ErrorCode.BUDGET, False)
            assert "max_tokens" in caught.value.hint
            vendor.let_go.set()
            await under_way
            assert (vendor.asked, budget.refused, budget.exceeded) == (1, 1, True)

    in_own_loop(main())


def test_who_waits_is_refused_as_soon_as_there_will_be_no_room():
    async def main():
        vendor = Gated(tokens=100)
        model = around(vendor)
        with Budget(limit_usd=150 * TOKEN):
            calls = [asyncio.create_task(ask(model)) for _ in range(2)]
            await settle()
            vendor.let_go.set()
            first, second = await asyncio.gather(*calls, return_exceptions=True)
        assert first.content == "fine"
        assert isinstance(second, OverBudgetError)

    in_own_loop(main())


def test_the_wait_has_an_end():
    async def main():
        vendor = Gated()
        model = around(vendor)
        with Budget(limit_usd=150 * TOKEN, max_wait_s=0.02) as budget:
            under_way = asyncio.create_task(ask(model))
            await settle()
            with pytest.raises(OverBudgetError, match=r"no request under way ended in 0\.02 s"):
                await ask(model)
            vendor.let_go.set()
            await under_way
            assert budget.reserved_usd == 0

    in_own_loop(main())


def test_who_gives_up_waiting_holds_nobody_up():
    async def main():
        vendor = Gated()
        model = around(vendor)
        with Budget(limit_usd=150 * TOKEN) as budget:
            calls = [asyncio.create_task(ask(model)) for _ in range(3)]
            await settle()
            calls[1].cancel()
            vendor.let_go.set()
            await asyncio.gather(*calls, return_exceptions=True)
            assert (vendor.asked, budget.reserved_usd) == (2, 0)
            assert budget.assumed_usd == 0, "it had not been asked"

    in_own_loop(main())


def test_threads_wait_for_each_other():
    vendor = Vendor(random.Random(1), pause_s=0.002)
    vendor.chance.random = lambda: 0.5
    model = around(vendor)

    def work():
        with contextlib.suppress(OverBudgetError):
            model.invoke("x", max_tokens=900)

    with Budget(limit_usd=1000 * TOKEN) as budget:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert budget.spent_usd == pytest.approx(vendor.charged_usd)
    assert vendor.charged_usd == pytest.approx(450 * TOKEN)
    assert budget.refused == 7, "what is left does not hold 900 tokens once one of them was answered"


def test_a_retry_is_set_aside_for_as_well():
    failed = ChatModelError("late", op="own.complete", code=ErrorCode.TIMEOUT)
    model = around(MockChatModel(["never"], fail_with=failed))
    with Budget(limit_usd=250 * TOKEN) as budget:
        with pytest.raises(OverBudgetError):
            in_own_loop(ask(model))
        assert (budget.assumed_usd, budget.spent_usd) == (pytest.approx(200 * TOKEN), 0)
        assert "$0.000200 may have been spent besides" in budget.complaint


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (ChatModelError("x", op="o", code=ErrorCode.RATE_LIMIT), True),
        (ChatModelError("x", op="o", code=ErrorCode.AUTH), True),
        (ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE, fields={"status": 503}), True),
        (ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE, fields={"status": 504}), False),
        (ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE), False),
        (ChatModelError("x", op="o", code=ErrorCode.TIMEOUT), False),
        (ChatModelError("x", op="o", code=ErrorCode.BAD_REPLY), False),
        (OverBudgetError("x", op="o"), True),
        (ValueError("x"), False),
    ],
)
def test_a_failure_is_free_where_it_is_known_to_be(error, free):
    assert is_free(error) is free


def test_a_server_that_cannot_be_reached_costs_nothing():
    with allow_model_requests(), Budget(limit_usd=1) as budget:
        model = create_chat_model(
            "openai", base_url="http://127.0.0.1:1/v1", api_key="k", model="gpt-4o-mini", retry=None
        )
        with pytest.raises(ChatModelError):
            model.invoke("x")
    assert (budget.assumed_usd, budget.reserved_usd) == (0, 0)


def test_a_reply_that_breaks_off_stays_counted_with_the_most_it_can_have_cost():
    def serve(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")

    with allow_model_requests(), RawServer(serve) as server, Budget(limit_usd=1) as budget:
        model = create_chat_model(
            "openai", base_url=f"{server.url}/v1", api_key="k", model="gpt-4o-mini", retry=None, max_tokens=1000
        )
        with pytest.raises(ChatModelError):
            model.invoke("x")
    assert 0.0006 < budget.assumed_usd < 0.0007


def test_a_stream_that_is_left_stays_counted_and_one_that_is_read_does_not():
    model = create_chat_model("mock", model="gpt-4o-mini", responses="a b c", max_tokens=1000)
    with Budget(limit_usd=1) as budget:
        list(model.stream("x"))
        assert (budget.assumed_usd, budget.spent_usd > 0) == (0, True)
        stream = model.stream("x")
        next(stream)
        stream.close()
        assert 0.0006 < budget.assumed_usd < 0.0007


def test_a_request_without_max_tokens_is_refused_unless_the_model_says_its_own():
    class Limited(MockChatModel):
        def get_model_info(self):
            return super().get_model_info().model_copy(update={"max_tokens": 1000, "name": "m-1"})

    with Budget(limit_usd=1) as budget:
        model = create_chat_model("mock", model="gpt-4o-mini", max_tokens=None)
        with pytest.raises(OverBudgetError, match="no limit") as caught:
            model.invoke("x")
        assert "max_tokens" in caught.value.hint
        around(Limited("fine"), max_tokens=None).invoke("x")
        assert budget.calls == 1


def test_a_model_without_a_price_is_refused_before_its_first_call():
    vendor = Vendor(random.Random(1))
    with Budget(limit_usd=1) as budget:
        with pytest.raises(OverBudgetError, match="the price of 'm-2' is unknown") as caught:
            wrap(vendor, ChatModelConfig(provider="own", model="m-2")).invoke("x")
        assert "prices=" in caught.value.hint
    assert (vendor.charged_usd, budget.calls) == (0, 0)


def test_a_prompt_that_may_be_longer_than_its_price_holds_for_is_refused():
    model = create_chat_model("mock", model="gpt-5.4", responses="fine")
    with Budget(limit_usd=100):
        model.invoke("x" * 200_000)
    openai = create_chat_model("openai", model="gpt-5.4", api_key="k", base_url="http://127.0.0.1:1/v1", retry=None)
    with Budget(limit_usd=100), pytest.raises(OverBudgetError, match="for a prompt of"):
        openai.invoke("x" * 300_000)


def test_an_answer_from_a_cache_needs_no_budget():
    model = create_chat_model("mock", model="gpt-4o-mini", responses="fine", cache=MemoryCache())
    model.invoke("x")
    with Budget(limit_usd=0) as budget:
        assert model.invoke("x").cached
    assert (budget.spent_usd, budget.refused) == (0, 0)


def test_counts_that_are_a_guess_keep_the_rest_aside():
    guessed = TokenUsage(prompt_tokens=1, completion_tokens=10, model="m-1", provider="own", estimated=True)
    model = around(MockChatModel(["fine"], usage=guessed))
    with Budget(limit_usd=1) as budget:
        in_own_loop(ask(model))
    assert budget.spent_usd + budget.assumed_usd == pytest.approx(100 * TOKEN)


def test_prices_of_the_budget_come_first():
    model = around(MockChatModel(["fine"]))
    dear = {"m-1": {"input_per_1m": 0.0, "output_per_1m": 1000.0}}
    with Budget(limit_usd=0.05, prices=dear), pytest.raises(OverBudgetError):
        in_own_loop(ask(model))


def test_a_budget_of_one_call_is_in_force_for_that_call_alone():
    async def main():
        model = around(MockChatModel(["one two three"]))
        budget, other = Budget(limit_usd=1), Budget(limit_usd=1)
        CallBudget(budget).begin()
        CallBudget(other).begin()
        await asyncio.create_task(ask(model))
        call = CallBudget.end(budget)
        assert (call.counted, budget.spent_usd, CallBudget.end(budget)) == (True, pytest.approx(3 * TOKEN), None)
        await ask(model)
        assert (budget.spent_usd, other.spent_usd) == (pytest.approx(3 * TOKEN), pytest.approx(6 * TOKEN))

    in_own_loop(main())


class Book:
    """Keeps what it is told, in the order of the calls."""

    def __init__(self, fails=None):
        self.lines = []
        self.fails = fails

    async def open(self, model, most):
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        self.lines.append(("open", model, most))
        return len(self.lines)

    def close(self, entry, spent, assumed, *, lost=False):
        self.lines.append(("close", entry, spent, assumed, *(["lost"] if lost else [])))


@pytest.mark.parametrize("limit", [None, 1.0])
def test_a_book_is_told_of_every_request_before_it_is_made_and_after(limit):
    book, asked = Book(), []

    def script(request):
        asked.append(len(book.lines))
        if len(asked) == 1:
            raise ChatModelError("busy", op="test", code=ErrorCode.UNAVAILABLE)
        return "one two three"

    model = around(MockChatModel(script), retry={"max_attempts": 2, "first_wait_s": 0.0})
    with Budget(limit, book=book) as budget:
        in_own_loop(ask(model))
    (first, _, most), second, third, last = book.lines
    assert (first, third[0], asked) == ("open", "open", [1, 3])
    assert most == third[2] >= 3_000_000
    assert second[:2] == ("close", 1)
    assert last == ("close", 3, 3_000_000, 0)
    assert budget.spent_usd == pytest.approx(3 * TOKEN)


def test_what_a_book_cannot_write_down_is_not_asked():
    model = MockChatModel(["fine"])
    with Budget(1.0, book=Book(fails=OSError("the disk is full"))) as budget, pytest.raises(OSError, match="full"):
        in_own_loop(ask(around(model)))
    assert (model.call_count, budget.reserved_usd, budget.spent_usd) == (0, 0.0, 0.0)


def test_a_book_is_told_that_nobody_knows_a_cost():
    async def main():
        book = Book()
        with Budget(1.0, book=book):
            model = around(MockChatModel(["fine"], latency_s=30))
            task = asyncio.create_task(ask(model))
            while not book.lines:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        (_, _, most), closed = book.lines
        assert closed == ("close", 1, None, most, "lost")

    in_own_loop(main())


def test_wrong_settings_are_refused():
    with pytest.raises(Exception, match="max_wait_s must be 0 or more"):
        Budget(limit_usd=1, max_wait_s=-1)
    assert Budget(limit_usd=float("inf")).left_usd is None


class Unnamed(ChatModel):
    """Answers as a model that nobody can know beforehand."""

    provider_name = "own"

    def __init__(self, answers_as="m-1"):
        self.answers_as = answers_as
        self.calls = 0

    async def complete_async(self, request):
        self.calls += 1
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model=self.answers_as, provider="own")
        return ChatResponse(content="fine", model=self.answers_as, usage=usage)


class DeclaredByClass(Unnamed):
    chat_model_metadata = MappingProxyType({"default_model": "m-1", "capabilities": ["chat"]})


class DeclaredByInfo(Unnamed):
    def get_model_info(self):
        return ModelInfo(name="m-1", provider="own")


DEAR = {"m-1": {"input_per_1m": 100_000.0, "output_per_1m": 400_000.0}}
CHEAP = {"m-0": {"input_per_1m": 0.0, "output_per_1m": 0.001}}


@pytest.mark.parametrize("kind", [Unnamed, DeclaredByClass, DeclaredByInfo])
@pytest.mark.parametrize("given_to", ["budget", "model"])
def test_the_first_call_to_a_model_that_nobody_named_keeps_the_limit(kind, given_to):
    vendor = kind()
    model = wrap(vendor, ChatModelConfig(prices=DEAR if given_to == "model" else {}))
    prices = {**CHEAP, **(DEAR if given_to == "budget" else {})}
    with Budget(limit_usd=0.01, prices=prices) as budget, pytest.raises(OverBudgetError) as caught:
        model.invoke("x", max_tokens=20)
    assert (vendor.calls, budget.spent_usd, budget.exceeded) == (0, 0, True)
    assert "gpt-4o-mini" not in caught.value.message
    assert ("LLMStep(model=...)" in caught.value.hint) == (kind is Unnamed)


@pytest.mark.parametrize("kind", [DeclaredByClass, DeclaredByInfo])
def test_a_declared_model_is_set_aside_for_at_its_own_price(kind):
    model = wrap(kind(), ChatModelConfig())
    dear = {"m-2": DEAR["m-1"]}
    with Budget(limit_usd=0.01, prices={**PRICES, **dear}) as budget:
        model.invoke("x", max_tokens=20)
    assert (budget.calls, budget.refused) == (1, 0)


def test_a_model_without_a_name_or_a_price_is_refused_before_its_first_call():
    vendor = Unnamed()
    with Budget(limit_usd=1) as budget, pytest.raises(OverBudgetError, match="nobody named its model") as caught:
        wrap(vendor, ChatModelConfig()).invoke("x")
    assert (vendor.calls, budget.assumed_usd) == (0, 0)
    assert "default_model" in caught.value.hint
    assert "prices=" in caught.value.hint


def test_what_a_model_without_a_name_answered_as_before_decides_what_is_set_aside():
    vendor = Unnamed("gpt-4")
    model = wrap(vendor, ChatModelConfig())
    with Budget(limit_usd=1, prices=CHEAP):
        model.invoke("x", max_tokens=100)
    with Budget(limit_usd=0.001, prices=CHEAP), pytest.raises(OverBudgetError, match="it may cost"):
        model.invoke("x", max_tokens=100)
    vendor.answers_as = "m-9"
    with Budget():
        model.invoke("x")
    with Budget(limit_usd=1, prices=CHEAP), pytest.raises(OverBudgetError, match="the price of 'm-9' is unknown"):
        model.invoke("x")
    assert vendor.calls == 2


def test_a_mock_that_nobody_named_needs_no_price():
    with Budget(limit_usd=0.001, prices=DEAR) as budget:
        wrap(MockChatModel(["fine"]), ChatModelConfig()).invoke("x", max_tokens=20)
    assert budget.refused == 0
