"""One event loop on a daemon thread: made on first use, ended in good order, made anew in a forked child."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread as _needed_in_the_end  # noqa: F401 - cannot be imported once the main thread has ended
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any

from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.open_files import can_open
from fmf_core.threads import ThreadPool

THREADS = 128
"""The most threads of one nesting depth of `in_thread`."""
EXIT_CALLBACK_S = 5.0
"""How long one exit callback may take, in seconds."""
EXIT_TASKS_S = 2.0
"""How long cancelled tasks may take to clean up when the interpreter ends, in seconds."""
INTERRUPT_GRACE_S = 5.0
"""How long work may clean up after Ctrl-C, in seconds, unless set otherwise."""

MOST_WAIT_FOR_FILES_S = 10.0
"""How long the first call waits for the descriptors of the loop, in seconds."""
LOOP_FILES = 3
"""The descriptors of an event loop: its selector and its wake-up pipe. One that lacks some leaves the others open."""


class Background:
    """The loop, its thread, the pools and the exit callbacks of this process."""

    def __init__(self) -> None:
        self.interrupt_grace_s = INTERRUPT_GRACE_S
        self._left_behind: list[Any] = []
        self._renew()

    def _renew(self) -> None:
        self.closed = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pools: dict[int, ThreadPool] = {}
        self._callbacks: dict[object, tuple[Callable[[], Any], float]] = {}

    def running(self) -> asyncio.AbstractEventLoop:
        """The loop, started if need be."""
        if self.loop is not None and not self.closed:
            return self.loop
        with self._lock:
            if self.closed:
                raise RuntimeError("the interpreter is ending: no more work can be started")
            if self.loop is None:
                loop = _new_loop()
                with contextlib.suppress(RuntimeError):  # the executor cannot be imported once the interpreter ends
                    loop.set_default_executor(_executor())
                self._thread = threading.Thread(target=_turn, args=(loop,), name="fmf-portal", daemon=True)
                self._thread.start()
                self.loop = loop
            return self.loop

    def here(self) -> bool:
        """Whether the calling code runs on the loop itself."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def pool(self, depth: int) -> ThreadPool:
        """The threads for work that was given from inside `depth` other threads."""
        found = self._pools.get(depth)
        if found is None:
            with self._lock:
                found = self._pools.setdefault(depth, ThreadPool(THREADS, f"fmf-thread-{depth}"))
        return found

    def at_exit(self, callback: Callable[[], Any], limit_s: float) -> Callable[[], None]:
        """Run `callback` before the loop ends; returns what takes it back."""
        key = object()
        self._callbacks[key] = (callback, limit_s)

        def take_back() -> None:
            self._callbacks.pop(key, None)

        return take_back

    def end(self) -> None:
        """Run the exit callbacks, cancel what is still running, stop the loop; everything within its time limit."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._callbacks:
                _, (callback, limit_s) = self._callbacks.popitem()
                self._run(callback, limit_s)
            self.closed = True
            self._stop_loop()
        self.closed = True
        if self.loop is not None and not self.loop.is_closed():
            _hush(asyncio.all_tasks(self.loop))

    def begin_again(self) -> None:
        """Start from nothing in a forked child: threads do not survive a fork, and clean-up belongs to the parent.

        The parent's loop is kept but never closed here: both processes share its selector, and closing it in the child
        would take the parent's wake-up pipe out of it.
        """
        self._left_behind.append(self.loop)
        self._renew()

    def _run(self, callback: Callable[[], Any], limit_s: float) -> None:
        ended = threading.Event()

        def call() -> None:
            with contextlib.suppress(BaseException):
                outcome = callback()
                if isinstance(outcome, Awaitable):
                    answer: Future[Any] = Future()
                    loop = self.running()
                    job = Job(loop, _limited(outcome, limit_s), answer, self)
                    loop.call_soon_threadsafe(job.start)
                    answer.result(limit_s)
            ended.set()

        with contextlib.suppress(RuntimeError):
            threading.Thread(target=call, name="fmf-exit", daemon=True).start()
            ended.wait(limit_s)

    def _stop_loop(self) -> None:
        loop, thread = self.loop, self._thread
        if loop is None or thread is None:
            return
        last: list[asyncio.Task[None]] = []
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: last.append(loop.create_task(_end_tasks(loop))))
        # A loop that is blocked never gets there; its thread is a daemon and simply left.
        thread.join(2 * EXIT_TASKS_S)
        if not thread.is_alive():
            loop.close()


class Job:
    """One coroutine on its way through the loop to a blocking caller."""

    __slots__ = ("_answer", "_background", "_cancelled", "_loop", "_task", "_work")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any],
        answer: Future[Any],
        background: Background,
    ) -> None:
        self._loop = loop
        self._work = work
        self._answer = answer
        self._background = background
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def start(self) -> None:
        """Begin the work; runs on the loop."""
        if self._cancelled:
            self._work.close()
            self._answer.set_exception(asyncio.CancelledError())
            return
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Ask the work to stop, from any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[Any]) -> None:
        error: BaseException | None
        if task.cancelled():
            if self._background.closed:
                # Who still waits here is a daemon thread at the end of the interpreter: waking it would only make it
                # print a traceback while everything around it is taken down.
                return
            error = asyncio.CancelledError()
        else:
            error = task.exception()
        if error is None:
            self._answer.set_result(task.result())
        else:
            self._answer.set_exception(error)
        del error


def _new_loop() -> asyncio.AbstractEventLoop:
    """A new event loop; where the process has too many files open, as soon as some of them are closed.

    Raises:
        FrameworkError: none was closed in time.
    """
    deadline = time.monotonic() + MOST_WAIT_FOR_FILES_S
    while not can_open(LOOP_FILES):
        if time.monotonic() > deadline:
            raise FrameworkError(
                f"no event loop: too many files are open, and none was closed within {MOST_WAIT_FOR_FILES_S:g} s",
                op="portal.start",
                code=Code.UNAVAILABLE,
                hint="raise the limit of open files (ulimit -n), or open fewer at once",
            )
        time.sleep(0.02)
    return asyncio.new_event_loop()


async def _limited(outcome: Awaitable[Any], limit_s: float) -> None:
    await asyncio.wait_for(outcome, limit_s)


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    try:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            done, stubborn = await asyncio.wait(tasks, timeout=EXIT_TASKS_S)
            _hush(stubborn)
            for task in done:
                if not task.cancelled():
                    task.exception()  # nobody is left to be told
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.shutdown_asyncgens(), EXIT_TASKS_S / 2)
    finally:
        loop.stop()


def _hush(tasks: set[asyncio.Task[Any]]) -> None:
    """Keep tasks whose time is over from complaining on stderr while the interpreter is taken down."""
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # A task raised it; asyncio hands it to whoever awaits the task *and* lets it end the loop. Others still
            # need the loop.
            continue
        return


def _executor() -> Any:
    """Threads for what asyncio itself runs in threads, such as name look-ups, which must not hold up the end either."""
    from concurrent.futures.thread import ThreadPoolExecutor

    pool = ThreadPool(32, "fmf-lookup")

    class DaemonExecutor(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            answer: Future[Any] = Future()
            pool.submit(partial(_fulfil, answer, partial(fn, *args, **kwargs)))
            return answer

    return DaemonExecutor(max_workers=1)


def _fulfil(answer: Future[Any], function: Callable[[], Any]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it belongs to who awaits the function
        answer.set_exception(error)


background = Background()
"""The one of this process."""

in_forked_child(background.begin_again)
atexit.register(background.end)
