from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from fmf_core.errors import Code, FrameworkError
from fmf_core.portal import LeftError, OwnThreads, at_exit, in_thread, iterate_sync, need_loop, run_sync

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def program(code: str, *, limit: float = 30.0, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run `code` in an interpreter of its own; one that hangs fails the test."""
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=limit
    )


def quiet(done: subprocess.CompletedProcess[str], stdout: str) -> None:
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, stdout.split(), "")


async def answer(value):
    await asyncio.sleep(0)
    return value


class TestRunSync:
    def test_gives_the_result(self):
        assert run_sync(answer(3)) == 3

    def test_raises_what_the_work_raised(self):
        async def fail():
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            run_sync(fail())

    def test_a_timeout_of_the_work_is_an_ordinary_error(self):
        async def fail():
            raise TimeoutError("theirs")

        with pytest.raises(TimeoutError, match="theirs"):
            run_sync(fail())

    def test_every_call_shares_one_loop(self):
        async def loop():
            return asyncio.get_running_loop()

        assert run_sync(loop()) is run_sync(loop())

    def test_the_work_sees_the_callers_context(self):
        async def look():
            return NAME.get()

        token = NAME.set("caller")
        try:
            assert run_sync(look()) == "caller"
        finally:
            NAME.reset(token)

    def test_inside_a_running_loop_as_in_a_notebook(self):
        async def cell():
            return run_sync(answer("from the cell"))

        with asyncio.Runner() as runner:
            assert runner.run(cell()) == "from the cell"

    def test_on_its_own_loop_it_refuses_and_closes_the_coroutine(self):
        async def wrong():
            run_sync(answer(1))

        with pytest.raises(RuntimeError, match="await the coroutine"):
            run_sync(wrong())

    def test_what_is_no_coroutine_is_refused(self):
        with pytest.raises(TypeError, match="coroutine"):
            run_sync(3)  # type: ignore[arg-type]

    def test_cancelled_work_raises_cancelled(self):
        async def give_up():
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            run_sync(give_up())

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_work_that_wants_to_end_the_program_does_not_end_the_loop(self, kind):
        async def leave():
            raise kind

        with pytest.raises(kind):
            run_sync(leave())
        assert run_sync(answer(1)) == 1

    def test_many_threads(self):
        results: list[int] = []

        def call(number: int) -> None:
            results.append(run_sync(answer(number)))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(results) == list(range(64))


class TestInThread:
    def test_the_loop_goes_on_while_the_function_blocks(self):
        event = threading.Event()

        async def go():
            waiting = asyncio.ensure_future(in_thread(event.wait, 10))
            await asyncio.sleep(0)
            event.set()
            return await waiting

        assert run_sync(go()) is True

    def test_context_travels_into_the_thread_and_on_to_the_loop(self):
        async def look():
            return NAME.get()

        def blocking():
            return NAME.get(), run_sync(look())

        async def go():
            NAME.set("traveller")
            return await in_thread(blocking)

        assert run_sync(go()) == ("traveller", "traveller")

    def test_errors_come_back(self):
        def fail():
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            run_sync(in_thread(fail))

    def test_stop_iteration_does_not_end_the_awaiting_coroutine(self):
        with pytest.raises(RuntimeError, match="StopIteration"):
            run_sync(in_thread(next, iter(())))

    def test_generator_exit_does_not_close_the_awaiting_coroutine(self):
        def fail() -> None:
            raise GeneratorExit

        async def go() -> str:
            try:
                await in_thread(fail)
            except RuntimeError as error:
                await asyncio.sleep(0)
                return f"{error} {type(error.__cause__).__name__}"
            return "nothing"

        assert run_sync(go()) == "the function in the thread raised GeneratorExit GeneratorExit"

    def test_threads_that_wait_for_threads_never_wait_for_each_other(self):
        # More nested calls at once than one pool has threads.
        def nested(depth: int) -> int:
            if depth == 0:
                return 1
            return run_sync(in_thread(nested, depth - 1))

        async def go():
            return await asyncio.gather(*(in_thread(nested, 3) for _ in range(200)))

        assert sum(run_sync(go())) == 200

    def test_idle_threads_are_used_again(self):
        async def go():
            return {await in_thread(threading.get_ident) for _ in range(20)}

        assert len(run_sync(go())) < 20

    def test_a_cancelled_wait_returns_while_the_function_still_blocks(self):
        event = threading.Event()

        async def go():
            await asyncio.wait_for(in_thread(event.wait, 20), 0.05)

        before = time.monotonic()
        with pytest.raises(TimeoutError):
            run_sync(go())
        assert time.monotonic() - before < 10
        event.set()

    def test_works_on_any_loop_and_outlives_it(self):
        event = threading.Event()

        async def go():
            task = asyncio.ensure_future(in_thread(event.wait, 20))
            await asyncio.sleep(0.02)
            task.cancel()

        with asyncio.Runner() as runner:
            runner.run(go())
        event.set()


class TestIterateSync:
    def test_gives_the_items_in_order(self):
        async def numbers():
            for number in range(100):
                yield number

        assert list(iterate_sync(numbers())) == list(range(100))

    def test_items_are_made_only_a_little_ahead(self):
        made: list[int] = []

        async def numbers():
            for number in range(100):
                made.append(number)
                yield number

        items = iterate_sync(numbers())
        assert made == []
        assert next(items) == 0
        time.sleep(0.05)
        assert len(made) <= 3
        items.close()

    def test_stopping_early_closes_the_source_before_going_on(self):
        closed: list[str] = []

        async def numbers():
            try:
                for number in range(100):
                    yield number
            finally:
                await asyncio.sleep(0)
                closed.append("closed")

        for number in iterate_sync(numbers()):
            if number == 3:
                break
        gc.collect()
        assert closed == ["closed"]

    @pytest.mark.parametrize("leave", ["close", "del", "break"])
    @pytest.mark.parametrize("waiting", ["for its turn", "for the next item", "in a task"])
    def test_leaving_is_no_cancellation_wherever_the_source_is(self, leave, waiting):
        seen: list[type[BaseException]] = []
        asked = threading.Event()

        async def never():
            await asyncio.Event().wait()

        async def numbers():
            try:
                yield 1
                asked.set()
                if waiting == "for the next item":
                    await asyncio.wait_for(never(), 60)
                elif waiting == "in a task":
                    async with asyncio.timeout(60):
                        await asyncio.create_task(never())
                yield 2
            except BaseException as error:
                seen.append(type(error))
                raise
            finally:
                await asyncio.sleep(0.01)  # what it has to do in the end is not disturbed
                seen.append(type(None))

        items = iterate_sync(numbers())
        if leave == "break":
            for _ in items:
                assert asked.wait(10)
                break
        else:
            next(items)
            assert asked.wait(10)
        if leave == "close":
            items.close()
        del items
        gc.collect()
        assert seen == [GeneratorExit if waiting == "for its turn" else LeftError, type(None)]

    def test_a_source_that_answers_a_leave_with_an_item_is_closed_all_the_same(self):
        seen: list[str] = []

        async def stubborn():
            try:
                yield 1
                with contextlib.suppress(LeftError):
                    await asyncio.Event().wait()
                yield 2
            finally:
                seen.append("closed")

        items = iterate_sync(stubborn())
        next(items)
        items.close()
        assert seen == ["closed"]

    def test_abandoning_it_closes_the_source(self):
        closed = threading.Event()

        async def numbers():
            try:
                while True:
                    yield 1
            finally:
                closed.set()

        items = iterate_sync(numbers())
        next(items)
        del items
        gc.collect()
        assert closed.wait(10)

    def test_an_error_comes_after_the_items_before_it(self):
        async def numbers():
            yield 1
            raise ValueError("broken")

        items = iterate_sync(numbers())
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)

    def test_the_whole_iteration_is_one_task_in_the_callers_context(self):
        async def tasks():
            async with asyncio.timeout(10):
                for _ in range(3):
                    yield asyncio.current_task(), NAME.get()

        token = NAME.set("reader")
        try:
            seen = set(iterate_sync(tasks()))
        finally:
            NAME.reset(token)
        assert len(seen) == 1
        assert next(iter(seen))[1] == "reader"

    def test_a_plain_async_iterator_will_do(self):
        class Countdown:
            left = 2

            def __aiter__(self):
                return self

            async def __anext__(self):
                if not self.left:
                    raise StopAsyncIteration
                self.left -= 1
                return self.left

        assert list(iterate_sync(Countdown())) == [1, 0]

    def test_refused_on_the_portals_own_loop(self):
        async def numbers():
            yield 1

        async def wrong():
            iterate_sync(numbers())

        with pytest.raises(RuntimeError, match="async for"):
            run_sync(wrong())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestFork:
    def test_the_child_gets_a_loop_of_its_own_and_the_parent_keeps_its_own(self):
        done = program("""
            import asyncio, os, threading
            from fmf_core.portal import OwnThreads, at_exit, in_thread, run_sync

            async def go():
                await asyncio.sleep(0.001)
                return await in_thread(os.getpid)

            at_exit(lambda: print("cleaned by", os.getpid() == parent, flush=True))
            parent = os.getpid()
            assert run_sync(go()) == parent
            child = os.fork()
            assert run_sync(go()) == os.getpid()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert run_sync(go()) == parent
        """)
        quiet(done, "cleaned by True")

    def test_a_child_forked_while_work_runs(self):
        done = program("""
            import asyncio, os, sys, threading
            from fmf_core.portal import in_thread, run_sync

            def fork():
                child = os.fork()
                if child == 0:
                    status = 0 if run_sync(in_thread(lambda: 5)) == 5 else 1
                    os._exit(status)
                return os.waitpid(child, 0)[1]

            async def go():
                others = [asyncio.ensure_future(asyncio.sleep(30)) for _ in range(5)]
                return await in_thread(fork)

            print(run_sync(go()))
        """)
        quiet(done, "0")

    def test_multiprocessing_pools_work(self):
        done = program("""
            import multiprocessing
            from fmf_core.portal import run_sync

            async def double(number):
                return number * 2

            def work(number):
                return run_sync(double(number))

            work(1)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(sum(pool.map(work, range(10))))
        """)
        quiet(done, "90")


class TestEndOfTheInterpreter:
    def test_callbacks_run_last_first_before_the_loop_stops(self):
        done = program("""
            import asyncio
            from fmf_core.portal import at_exit, run_sync

            async def clean():
                await asyncio.sleep(0.01)
                print("async")

            at_exit(clean)
            at_exit(lambda: print("sync", run_sync(asyncio.sleep(0, "with-loop"))))
            at_exit(lambda: 1 / 0)
            at_exit(lambda: print("never"))()
            run_sync(asyncio.sleep(0))
        """)
        quiet(done, "sync with-loop async")

    def test_a_callback_that_hangs_is_left_alone(self):
        done = program(
            """
            import asyncio, threading
            from fmf_core.portal import at_exit

            at_exit(lambda: print("other"))
            at_exit(threading.Event().wait, limit_s=0.1)
            at_exit(lambda: asyncio.sleep(1000), limit_s=0.1)
        """,
            limit=20,
        )
        quiet(done, "other")

    def test_pending_tasks_are_cancelled_in_silence(self):
        done = program(
            """
            import asyncio
            from fmf_core.portal import run_sync

            async def linger():
                try:
                    await asyncio.sleep(1000)
                finally:
                    print("cleaned")

            async def stubborn():
                while True:
                    try:
                        await asyncio.sleep(1000)
                    except asyncio.CancelledError:
                        pass

            async def broken():
                try:
                    await asyncio.sleep(1000)
                finally:
                    raise ValueError

            async def go():
                tasks.extend(asyncio.ensure_future(work()) for work in (linger, stubborn, broken))
                await asyncio.sleep(0.01)

            tasks = []
            run_sync(go())
        """,
            options=("-X", "dev"),
        )
        quiet(done, "cleaned")

    def test_blocked_threads_do_not_hold_it_up(self):
        done = program(
            """
            import asyncio, threading, time
            from fmf_core.portal import in_thread, iterate_sync, run_sync

            async def blocked():
                await in_thread(threading.Event().wait)

            async def silent():
                await asyncio.sleep(1000)
                yield 1

            async def look_up():
                await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)

            calls = [lambda: run_sync(blocked()), lambda: list(iterate_sync(silent())), lambda: run_sync(look_up())]
            for call in calls:
                threading.Thread(target=call, daemon=True).start()
            time.sleep(0.2)
        """,
            limit=20,
        )
        quiet(done, "")

    def test_a_blocked_loop_does_not_hold_it_up(self):
        done = program(
            """
            import asyncio, threading, time
            from fmf_core.portal import run_sync

            async def block():
                asyncio.get_running_loop().call_later(0.01, time.sleep, 1000)

            run_sync(block())
            time.sleep(0.1)
        """,
            limit=20,
        )
        quiet(done, "")

    def test_an_open_iterator_is_closed(self):
        done = program("""
            from fmf_core.portal import iterate_sync

            async def numbers():
                try:
                    while True:
                        yield 1
                finally:
                    print("closed")

            items = iterate_sync(numbers())
            next(items)
        """)
        quiet(done, "closed")

    def test_work_after_the_end_is_refused_without_noise(self):
        done = program("""
            import atexit

            def late():
                async def work():
                    pass
                try:
                    run_sync(work())
                except RuntimeError as error:
                    print("refused")

            atexit.register(late)
            from fmf_core.portal import run_sync

            async def go():
                pass

            run_sync(go())
        """)
        quiet(done, "refused")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
class TestInterrupt:
    CODE = """
        import asyncio, signal, sys, time
        from fmf_core.background import background
        from fmf_core.portal import in_thread, iterate_sync, run_sync

        async def work():
            print("begun", flush=True)
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep({clean_up})
                print("cleaned", flush=True)

        async def items():
            await work()
            yield 1

        {extra}
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """

    def interrupt(self, *, clean_up: float = 0.05, extra: str = "", call: str = "run_sync(work())", times: int = 1):
        code = textwrap.dedent(self.CODE).format(clean_up=clean_up, extra=extra, call=call)
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        out, err = process.communicate(timeout=20)
        return out.split(), err

    def test_cancels_the_work_waits_for_its_clean_up_and_raises(self):
        assert self.interrupt() == (["cleaned", "interrupted"], "")

    def test_the_grace_is_limited(self):
        out, err = self.interrupt(clean_up=1000, extra="background.interrupt_grace_s = 0.1")
        assert (out, err) == (["interrupted"], "")

    def test_a_second_one_ends_the_wait_at_once(self):
        out, err = self.interrupt(clean_up=1000, times=2)
        assert (out, err) == (["interrupted"], "")

    @pytest.mark.parametrize("call", ["run_sync(work())", "list(iterate_sync(items()))"])
    def test_a_signal_that_another_thread_gets_is_noticed(self, call):
        done = program(
            f"""
            import asyncio, signal, threading
            from fmf_core.portal import iterate_sync, run_sync

            async def work():
                await asyncio.sleep(0.2)
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
                await asyncio.sleep(1000)

            async def items():
                await work()
                yield 1

            try:
                {call}
            except KeyboardInterrupt:
                print("interrupted")
        """,
            limit=20,
        )
        quiet(done, "interrupted")

    def test_while_iterating(self):
        assert self.interrupt(call="list(iterate_sync(items()))") == (["cleaned", "interrupted"], "")


def test_a_callback_can_be_taken_back():
    take_back = at_exit(lambda: None)
    take_back()
    take_back()


class TestThreads:
    def test_as_many_as_allowed_work_at_once_and_the_rest_in_turn(self):
        most, at_work, lock = 0, 0, threading.Lock()

        def work(number):
            nonlocal most, at_work
            with lock:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.02)
            with lock:
                at_work -= 1
            return number, NAME.get(), threading.current_thread().name

        async def main():
            NAME.set("caller")
            threads = OwnThreads(2, "mine")
            return await asyncio.gather(*[threads.start(work, number) for number in range(8)])

        answers = run_sync(main())
        assert [number for number, _, _ in answers] == list(range(8))
        assert {name for _, name, _ in answers} == {"caller"}
        assert {thread for _, _, thread in answers} <= {"mine-1", "mine-2"}
        assert most == 2

    def test_what_was_cancelled_before_it_began_is_dropped(self):
        begun, release = [], threading.Event()

        async def main():
            threads = OwnThreads(1, "mine")
            first = threads.start(release.wait, 10)
            second = threads.start(begun.append, "second")
            second.cancel()
            release.set()
            return await first, await threads.start(lambda: "third")

        assert run_sync(main()) == (True, "third")
        assert begun == []

    def test_errors_reach_who_awaits(self):
        def fail():
            raise ValueError("no")

        async def main():
            await OwnThreads(1, "mine").start(fail)

        with pytest.raises(ValueError, match="no"):
            run_sync(main())


class TestNeedLoop:
    def test_where_no_event_loop_runs_it_says_what_to_write(self):
        with pytest.raises(FrameworkError, match="no asyncio event loop") as caught:
            need_loop("workflow.run", "await trio.to_thread.run_sync(workflow.execute)")
        assert (caught.value.op, caught.value.code) == ("workflow.run", Code.UNSUPPORTED)
        assert "trio.to_thread.run_sync(workflow.execute)" in caught.value.hint

    def test_on_an_event_loop_it_does_nothing(self):
        async def go() -> str:
            need_loop("workflow.run", "")
            return "went on"

        assert run_sync(go()) == "went on"


NO_FILES = """
    import os, resource, sys, threading
    from fmf_core import background
    from fmf_core.portal import run_sync

    background.MOST_WAIT_FOR_FILES_S = float(sys.argv[1])

    async def answer():
        return "answer"

    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass

    def free():
        for number in held:
            os.close(number)

    if sys.argv[2] == "later":
        threading.Timer(0.3, free).start()
    work = answer()
    try:
        print(run_sync(work))
    except Exception as error:
        free()
        print(type(error).__name__, error.code, "ulimit" in error.hint)
        print(run_sync(answer()))
"""


@pytest.mark.parametrize(
    ("wait_s", "when", "said"),
    [("30", "later", "answer"), ("0.1", "never", "FrameworkError unavailable True answer")],
)
def test_without_descriptors_for_the_loop_the_first_call_waits_and_then_says_so(
    wait_s: str, when: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(NO_FILES), wait_s, when],
        capture_output=True,
        text=True,
        timeout=60,
    )
    quiet(done, said)
