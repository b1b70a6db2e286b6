from __future__ import annotations

import asyncio
import threading
import time

from chatmodels import ChatModel, MockChatModel, RateLimit
from chatmodels.wrappers.limiting import LimitingModel
from unit.chatmodels.wrappers.scripts import in_own_loop


class TestLimitingModel:
    def test_the_start_rate_is_kept(self):
        times = []

        class Clocked(ChatModel):
            async def complete_async(self, request):
                times.append(time.monotonic())
                await asyncio.sleep(0.005)
                return await MockChatModel().complete_async(request)

        model = LimitingModel(Clocked(), RateLimit(requests_per_minute=20 * 60))
        started = time.monotonic()
        model.batch(["x"] * 26, max_concurrency=8)
        assert time.monotonic() - started < 3.0
        for start in times:
            assert sum(1 for other in times if start <= other < start + 1.0) <= 20

    def test_first_come_first_served(self):
        order = []

        class Ordered(ChatModel):
            async def complete_async(self, request):
                order.append(request.prompt)
                return await MockChatModel().complete_async(request)

        async def go():
            model = LimitingModel(Ordered(), RateLimit(requests_per_minute=6000))
            await asyncio.gather(*(model.ainvoke(str(number)) for number in range(20)))

        in_own_loop(go())
        assert order == [str(number) for number in range(20)]

    def test_a_cancelled_caller_gives_up_its_place(self):
        async def go():
            model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=600))
            await model.ainvoke("first")
            tasks = [asyncio.create_task(model.ainvoke(str(n))) for n in range(50)]
            await asyncio.sleep(0)
            for task in tasks[:-1]:
                task.cancel()
            started = time.monotonic()
            await tasks[-1]
            return time.monotonic() - started, model.inner.call_count

        waited, calls = in_own_loop(go())
        assert calls == 2
        assert waited < 1.0

    def test_threads_and_loops_share_one_limit(self):
        model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=6000))
        started = time.monotonic()

        def work(own_loop):
            for _ in range(5):
                in_own_loop(model.ainvoke("x")) if own_loop else model.invoke("x")

        threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert model.inner.call_count == 30
        assert time.monotonic() - started >= 29 * 0.01

    def test_a_loop_that_is_gone_blocks_nobody(self):
        model = LimitingModel(MockChatModel(), RateLimit(requests_per_minute=600))

        async def wait_for_ever():
            await model.ainvoke("first")
            asyncio.get_running_loop().abandoned = asyncio.create_task(model.ainvoke("abandoned"))
            await asyncio.sleep(0.01)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(wait_for_ever())
        loop.abandoned._log_destroy_pending = False
        loop.close()
        assert model.invoke("next").content

    def test_tokens_that_were_not_taken_are_given_back(self):
        model = LimitingModel(MockChatModel("two words"), RateLimit(tokens_per_minute=60_000))
        started = time.monotonic()
        for _ in range(5):
            model.invoke("x", max_tokens=10_000)
            list(model.stream("x", max_tokens=10_000))
        assert time.monotonic() - started < 2.0

    def test_a_waiting_stream_starts_in_its_turn(self):
        model = LimitingModel(MockChatModel("a b"), RateLimit(requests_per_minute=1200))
        model.invoke("x")
        started = time.monotonic()
        assert "".join(c.text for c in model.stream("x")) == "a b"
        assert time.monotonic() - started >= 0.04
