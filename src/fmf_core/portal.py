"""The only place where blocking code and the event loop meet: one loop on one background thread."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from fmf_core.threads import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 128
"""The most threads of one nesting depth of `in_thread`."""
EXIT_CALLBACK_S = 5.0
"""How long one `at_exit` callback may take, in seconds."""
EXIT_TASKS_S = 2.0
"""How long cancelled tasks may take to clean up when the interpreter ends, in seconds."""

# Work of a thread that was itself started from work in a thread has threads of its own: waiting goes only from one
# depth to the next, so no circle of waiting threads can form however full the pools are.
_depth: ContextVar[int] = ContextVar("fmf_core.portal.depth", default=0)


class _Portal:
    """The loop, its thread, the pools and the exit callbacks of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None
        self.pools: dict[int, ThreadPool] = {}
        self.callbacks: dict[object, tuple[Callable[[], Any], float]] = {}
        self.closed = False

    def running(self) -> asyncio.AbstractEventLoop:
        """The loop, started if need be."""
        if self.loop is not None and not self.closed:
            return self.loop
        with self.lock:
            if self.closed:
                raise RuntimeError("the interpreter is ending: no more work can be started")
            if self.loop is None:
                loop = asyncio.new_event_loop()
                loop.set_default_executor(_executor())
                self.thread = threading.Thread(target=_turn, args=(loop,), name="fmf-portal", daemon=True)
                self.thread.start()
                self.loop = loop
            return self.loop

    def pool(self, depth: int) -> ThreadPool:
        """The threads for work that was given from inside `depth` other threads."""
        found = self.pools.get(depth)
        if found is None:
            with self.lock:
                found = self.pools.setdefault(depth, ThreadPool(THREADS, f"fmf-thread-{depth}"))
        return found


_portal = _Portal()
_left_behind: list[_Portal] = []
_interrupt_grace_s = 5.0


def set_interrupt_grace(seconds: float) -> None:
    """Set how long work may clean up after Ctrl-C before `run_sync` gives up on it (5 seconds unless set)."""
    global _interrupt_grace_s
    _interrupt_grace_s = max(0.0, float(seconds))


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end from blocking code and return what it returns, or raise what it raises.

    Every caller shares one loop on a background thread, so clients keep their connections between calls, a notebook's
    running loop is no obstacle, and any number of threads may call at once. The caller's context variables are seen by
    `work`. When the wait is interrupted (Ctrl-C), `work` is cancelled and gets a short grace to clean up before the
    interruption is raised; a second Ctrl-C ends the wait at once.

    Raises:
        RuntimeError: called on the portal's own loop, where it would wait for itself; await the coroutine instead.
    """
    loop = _loop_for(work)
    answer: Future[T] = Future()
    job = _Job(loop, work, answer)
    try:
        loop.call_soon_threadsafe(job.start, context=copy_context())
    except RuntimeError:
        work.close()
        raise
    try:
        return _wait(answer)
    except BaseException:
        if not answer.done():
            job.cancel()
            with contextlib.suppress(TimeoutError, Exception, asyncio.CancelledError):
                _wait(answer, _interrupt_grace_s)
        raise
    finally:
        del job, answer


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking `function` in a thread without blocking the loop and return its result.

    Context variables travel along. The function may itself call `run_sync`, at any depth. When the awaiting task is
    cancelled, a function that has not begun is dropped; one that has begun keeps its thread until it returns, but
    nobody waits for it, not even the end of the interpreter.
    """
    loop = asyncio.get_running_loop()
    depth = _depth.get()
    context = copy_context()
    context.run(_depth.set, depth + 1)
    answer: asyncio.Future[T] = loop.create_future()
    _portal.pool(depth).submit(partial(_call, loop, answer, context, partial(function, *args, **kwargs)))
    return await answer


def iterate_sync(source: AsyncIterable[T], *, ahead: int = 1) -> Iterator[T]:
    """Give the items of an async iterable to blocking code, made at most `ahead` items before they are asked for.

    The whole iteration runs in one task, begun with the first item. When the consumer stops early (`close()`, `break`,
    garbage collection), the task is cancelled and the source's `aclose` has run before the consumer goes on.

    Raises:
        RuntimeError: called on the portal's own loop; use `async for` instead.
    """
    if _on_portal_loop():
        raise RuntimeError("iterate_sync was called on the portal's own loop; use `async for` instead")
    return _items(_Feed(source.__aiter__(), max(1, ahead)))


def at_exit(callback: Callable[[], Any], *, limit_s: float = EXIT_CALLBACK_S) -> Callable[[], None]:
    """Run `callback` before the portal's loop stops at the end of the interpreter; the last one given runs first.

    Args:
        callback: takes nothing; a coroutine function runs on the portal's loop, any other in a thread.
        limit_s: how long it may take, in seconds; then it is left alone. Its errors are ignored.

    Returns:
        A function that takes the callback back.
    """
    key = object()
    portal = _portal
    portal.callbacks[key] = (callback, limit_s)
    return lambda: portal.callbacks.pop(key, None) and None


class _Job:
    """One coroutine on its way through the loop."""

    __slots__ = ("_answer", "_cancelled", "_loop", "_task", "_work")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], answer: Future[Any]) -> None:
        self._loop = loop
        self._work = work
        self._answer = answer
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def start(self) -> None:
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
            if _portal.closed:
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


class _Feed:
    """An async iterator that a task on the portal's loop empties into a queue with little room."""

    def __init__(self, source: AsyncIterator[Any], ahead: int) -> None:
        self.source = source
        self.queue: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self.room = asyncio.Semaphore(ahead)
        self.context = copy_context()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.job: _Job | None = None
        self.ended: Future[None] = Future()

    def start(self) -> None:
        self.loop = _portal.running()
        self.job = _Job(self.loop, self._drive(), self.ended)
        self.loop.call_soon_threadsafe(self.job.start, context=self.context)

    def taken(self) -> None:
        """Make room for one more item."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.room.release)

    def stop(self) -> None:
        """Cancel the task and wait until the source is closed, except where waiting would stop the loop itself."""
        if self.job is None or self.ended.done():
            return
        self.job.cancel()
        if not _on_portal_loop():
            with contextlib.suppress(TimeoutError, Exception, asyncio.CancelledError):
                _wait(self.ended, _interrupt_grace_s)

    async def _drive(self) -> None:
        try:
            await self.room.acquire()
            async for item in self.source:
                self.queue.put((True, item))
                await self.room.acquire()
        except Exception as error:  # noqa: BLE001 - it is raised again where the items are taken
            self.queue.put((False, error))
        except BaseException as error:
            self.queue.put((False, error))
            raise
        else:
            self.queue.put((False, None))
        finally:
            close = getattr(self.source, "aclose", None)
            if close is not None:
                await close()


def _items(feed: _Feed) -> Iterator[Any]:
    try:
        feed.start()
        while True:
            more, item = feed.queue.get()
            if not more:
                break
            yield item
            del item
            feed.taken()
        if item is not None:
            raise item
    finally:
        feed.stop()


def _on_portal_loop() -> bool:
    try:
        return asyncio.get_running_loop() is _portal.loop
    except RuntimeError:
        return False


def _loop_for(work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
    if not asyncio.iscoroutine(work):
        raise TypeError(f"run_sync needs a coroutine, got {type(work).__name__}")
    try:
        if _on_portal_loop():
            raise RuntimeError("run_sync was called on the portal's own loop; await the coroutine instead")
        return _portal.running()
    except RuntimeError:
        work.close()
        raise


# On Windows a wait without end does not notice Ctrl-C, so there the wait is cut into slices.
_SLICE_S = 0.1 if os.name == "nt" else None


def _wait(answer: Future[T], limit_s: float | None = None) -> T:
    if limit_s is not None or _SLICE_S is None:
        return answer.result(limit_s)
    while not answer.done():
        with contextlib.suppress(TimeoutError):
            answer.exception(_SLICE_S)
    return answer.result()


def _call(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], context: Context, function: Callable[[], Any]
) -> None:
    if answer.cancelled():
        return
    result: Any = None
    error: BaseException | None = None
    try:
        result = context.run(function)
    except StopIteration as stop:
        error = RuntimeError("the function in the thread raised StopIteration")
        error.__cause__ = stop
    except BaseException as raised:  # noqa: BLE001 - it belongs to who awaits the function
        error = raised
    with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, answer, result, error)
    del error


def _settle(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
    del error


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


def _shut_down() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while _portal.callbacks:
            _, (callback, limit_s) = _portal.callbacks.popitem()
            _run_callback(callback, limit_s)
        _stop_loop()
    _portal.closed = True


def _run_callback(callback: Callable[[], Any], limit_s: float) -> None:
    ended = threading.Event()

    def call() -> None:
        with contextlib.suppress(BaseException):
            outcome = callback()
            if isinstance(outcome, Awaitable):
                run_sync(_awaited(outcome, limit_s))
        ended.set()

    with contextlib.suppress(RuntimeError):
        threading.Thread(target=call, name="fmf-exit", daemon=True).start()
        ended.wait(limit_s)


async def _awaited(outcome: Awaitable[Any], limit_s: float) -> None:
    await asyncio.wait_for(outcome, limit_s)


def _stop_loop() -> None:
    _portal.closed = True
    loop, thread = _portal.loop, _portal.thread
    if loop is None or thread is None:
        return
    stopping = threading.Event()

    def stop() -> None:
        stopping.task = loop.create_task(_end_tasks(loop))  # type: ignore[attr-defined]

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop)
    thread.join(EXIT_TASKS_S + 1.0)
    if not thread.is_alive():
        loop.close()


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    end = time.monotonic() + EXIT_TASKS_S
    try:
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=EXIT_TASKS_S)
            for task in stubborn:
                # Its time is over; without this it would complain on stderr while the interpreter is taken down.
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.shutdown_asyncgens(), max(0.1, end - time.monotonic()))
    finally:
        loop.stop()


def _begin_again() -> None:
    """Give a forked child a portal of its own: threads do not survive a fork.

    The parent's loop is kept but never closed here: both processes share its selector, and closing it in the child
    would take the parent's wake-up pipe out of it.
    """
    global _portal
    _left_behind.append(_portal)
    _portal = _Portal()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
atexit.register(_shut_down)
