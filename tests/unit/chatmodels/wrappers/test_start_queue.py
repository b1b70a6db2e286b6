from __future__ import annotations

import asyncio
import threading
import time
from math import inf

import pytest

from chatmodels.wrappers.start_queue import StartQueue
from unit.chatmodels.wrappers.scripts import in_own_loop


class Places:
    """So many at once."""

    def __init__(self, count):
        self.free = count

    def delay(self, now):
        return 0.0 if self.free else inf

    def start(self, now, tokens):
        self.free -= 1

    def give_back(self):
        self.free += 1


def queue(count=1):
    places = Places(count)
    return StartQueue(places, time.monotonic), places


def test_who_need_not_wait_does_not():
    line, places = queue(2)
    assert line.start_now() is not None
    assert line.start_now() is not None
    assert line.start_now() is None
    assert places.free == 0


def test_nobody_overtakes_who_waits():
    line, places = queue(0)
    order = []

    async def caller(number):
        await line.pass_through()
        order.append(number)
        line.update(places.give_back)

    async def go():
        tasks = [asyncio.create_task(caller(number)) for number in range(20)]
        await asyncio.sleep(0)
        assert line.start_now() is None
        line.update(places.give_back)
        await asyncio.gather(*tasks)

    in_own_loop(go())
    assert order == list(range(20))


def test_many_free_places_are_all_taken():
    line, places = queue(0)

    async def go():
        tasks = [asyncio.create_task(line.pass_through()) for _ in range(10)]
        await asyncio.sleep(0)
        for _ in range(10):
            line.update(places.give_back)
        await asyncio.wait_for(asyncio.gather(*tasks), 5)

    in_own_loop(go())
    assert places.free == 0


def test_a_cancelled_caller_takes_no_place():
    line, places = queue(0)

    async def go():
        first, second = (asyncio.create_task(line.pass_through()) for _ in range(2))
        await asyncio.sleep(0)
        line.update(places.give_back)
        first.cancel()
        await asyncio.wait_for(second, 5)
        with pytest.raises(asyncio.CancelledError):
            await first

    in_own_loop(go())
    assert places.free == 0


def test_threads_with_loops_of_their_own_pass_the_places_on():
    line, places = queue(3)
    most, running, lock = 0, 0, threading.Lock()

    async def caller():
        nonlocal most, running
        for _ in range(20):
            await line.pass_through()
            with lock:
                running += 1
                most = max(most, running)
            await asyncio.sleep(0.0005)
            with lock:
                running -= 1
            line.update(places.give_back)

    async def callers():
        await asyncio.gather(*(caller() for _ in range(5)))

    threads = [threading.Thread(target=in_own_loop, args=(callers(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert (most, places.free) == (3, 3)


def test_a_loop_that_is_gone_holds_nobody_up():
    line, places = queue(0)

    async def wait_for_ever():
        asyncio.get_running_loop().abandoned = asyncio.create_task(line.pass_through())
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(wait_for_ever())
    loop.abandoned._log_destroy_pending = False
    loop.close()
    places.free = 1
    assert in_own_loop(line.pass_through()) > 0
