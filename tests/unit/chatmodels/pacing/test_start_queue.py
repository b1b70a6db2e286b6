from __future__ import annotations

import asyncio
import os
import threading
import time
from math import inf

import pytest

from chatmodels.pacing.start_queue import StartQueue, WaitOverError
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


def test_a_busy_loop_is_passed_over_and_keeps_its_turn():
    line, places = queue(0)
    order, busy, over = [], threading.Event(), threading.Event()

    async def caller(name):
        await line.pass_through()
        order.append(name)

    async def blocked():
        tasks = [asyncio.create_task(caller(f"blocked {number}")) for number in range(3)]
        await asyncio.sleep(0)
        busy.set()
        over.wait(30)
        await asyncio.gather(*tasks)

    async def others():
        late = [asyncio.create_task(caller(f"other {number}")) for number in range(2)]
        await asyncio.sleep(0)
        line.update(places.give_back)
        while "other 0" not in order:
            await asyncio.sleep(0.01)
        over.set()
        while line._queue[0].number > 1:  # until the blocked ones are back
            await asyncio.sleep(0.01)
        for _ in range(4):
            line.update(places.give_back)
        await asyncio.gather(*late)

    thread = threading.Thread(target=in_own_loop, args=(blocked(),))
    thread.start()
    busy.wait(30)
    in_own_loop(asyncio.wait_for(others(), 30))
    thread.join(30)
    assert not thread.is_alive()
    assert [name for name in order if name.startswith("blocked")] == [f"blocked {number}" for number in range(3)]
    assert places.free == 0


def test_who_waits_too_long_is_told():
    line, places = queue(0)

    async def go():
        with pytest.raises(WaitOverError) as caught:
            await line.pass_through(max_wait_s=0.05)
        return caught.value.delay_s

    assert in_own_loop(go()) == inf
    line.update(places.give_back)
    assert line.start_now() is not None


def test_a_pause_that_ends_too_late_is_not_waited_for():
    class Paused(Places):
        def delay(self, now):
            return 500.0

    line = StartQueue(Paused(1), time.monotonic)

    async def go():
        with pytest.raises(WaitOverError) as caught:
            await line.pass_through(max_wait_s=400.0)
        return caught.value.delay_s

    started = time.monotonic()
    assert in_own_loop(go()) == 500.0
    assert time.monotonic() - started < 60


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_begins_with_an_empty_queue():
    line, _ = queue(1)
    waiting, over = threading.Event(), threading.Event()
    locked = threading.Thread(target=lambda: line.update(lambda: (waiting.set(), over.wait(30))))
    locked.start()
    waiting.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if line.start_now() is not None else 1)
    try:
        deadline = time.monotonic() + 30
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended[0] == 0:
            os.kill(child, 9)
            ended = os.waitpid(child, 0)
    finally:
        over.set()
        locked.join(30)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
