from __future__ import annotations

import threading
import weakref

from fmf_core import threads
from fmf_core.threads import ThreadPool


def test_runs_what_it_is_given_in_daemon_threads():
    done: list[bool] = []
    ended = threading.Event()

    def work() -> None:
        done.append(threading.current_thread().daemon)
        ended.set()

    ThreadPool(1, "t").submit(work)
    assert ended.wait(10)
    assert done == [True]


def test_never_more_threads_than_the_limit_and_work_in_order():
    pool = ThreadPool(2, "t")
    lock, together, most, order = threading.Lock(), 0, 0, []
    go, ended = threading.Event(), threading.Semaphore(0)

    def work(number: int) -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
            order.append(number)
        go.wait(10)
        with lock:
            together -= 1
        ended.release()

    for number in range(10):
        pool.submit(lambda number=number: work(number))
    go.set()
    for _ in range(10):
        assert ended.acquire(timeout=10)
    assert most == 2
    assert sorted(order) == list(range(10))


def test_the_thread_that_became_idle_last_works_next():
    pool = ThreadPool(50, "t")
    seen: set[int] = set()
    for _ in range(30):
        ended = threading.Event()

        def work(ended: threading.Event = ended) -> None:
            seen.add(threading.get_ident())
            ended.set()

        pool.submit(work)
        assert ended.wait(10)
    assert len(seen) < 30


def test_idle_threads_end_and_new_ones_take_over(monkeypatch):
    monkeypatch.setattr(threads, "IDLE_S", 0.01)
    pool = ThreadPool(1, "t")
    workers: list[threading.Thread] = []
    ended = threading.Semaphore(0)

    def work() -> None:
        workers.append(threading.current_thread())
        ended.release()

    pool.submit(work)
    assert ended.acquire(timeout=10)
    workers[0].join(10)
    assert not workers[0].is_alive()
    pool.submit(work)
    assert ended.acquire(timeout=10)
    assert workers[1] is not workers[0]


def test_what_was_done_is_let_go_while_its_thread_waits_for_more():
    class Work:
        def __call__(self) -> None:
            pass

    pool = ThreadPool(1, "t")
    for _ in range(2):  # the thread begins with the first and is given the second
        work = Work()
        gone = threading.Event()
        weakref.finalize(work, gone.set)
        pool.submit(work)
        del work
        assert gone.wait(10)
