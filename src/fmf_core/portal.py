"""The only place where blocking code and the event loop meet: one loop on one background thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from types import coroutine
from typing import Any, Final, ParamSpec, TypeVar

from fmf_core.background import EXIT_CALLBACK_S, Job, background
from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.threads import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

# Work of a thread that was itself started from work in a thread has threads of its own: waiting goes only from one
# depth to the next, so no circle of waiting threads can form however full the pools are.
_depth: ContextVar[int] = ContextVar("fmf_core.portal.depth", default=0)

# A wait without end may miss Ctrl-C: on Windows always, elsewhere when the signal comes just before the wait begins or
# arrives in another thread. So the main thread, the only one that Ctrl-C interrupts, waits in slices.
_SLICE_S: Final = 0.1


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end from blocking code and return what it returns, or raise what it raises.

    Every caller shares one loop on a background thread, so clients keep their connections between calls, a notebook's
    running loop is no obstacle, and any number of threads may call at once. The caller's context variables are seen by
    `work`. When the wait is interrupted (Ctrl-C), `work` is cancelled and gets a short grace to clean up before the
    interruption is raised; a second Ctrl-C ends the wait at once.

    Raises:
        RuntimeError: called on the portal's own loop, where it would wait for itself; await the coroutine instead.
    """
    if not asyncio.iscoroutine(work):
        raise TypeError(f"run_sync needs a coroutine, got {type(work).__name__}")
    answer: Future[T] = Future()
    job = _begun(work, answer)
    try:
        return _wait(answer)
    except BaseException:
        if not answer.done():
            _stop(job, answer)
        raise
    finally:
        del job, answer


def need_loop(op: str, instead: str) -> None:
    """Refuse to go on where no asyncio event loop runs, as under trio.

    Args:
        op: what needs the loop, as `room.verb`.
        instead: what to write under trio.

    Raises:
        FrameworkError: there is none.
    """
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - the public one costs an exception to say so
        raise FrameworkError(
            "nothing can be awaited here, for no asyncio event loop is running",
            op=op,
            code=Code.UNSUPPORTED,
            hint=f"under trio write: {instead}; in blocking code, use the blocking call",
        )


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking `function` in a thread without blocking the loop and return its result.

    Context variables travel along. The function may itself call `run_sync`, at any depth. When the awaiting task is
    cancelled, a function that has not begun is dropped; one that has begun keeps its thread until it returns, but
    nobody waits for it, not even the end of the interpreter.
    """
    return await _given(background.pool(_depth.get()), partial(function, *args, **kwargs))


class OwnThreads:
    """Threads of one's own for blocking calls that take long, so that they keep nobody else's calls waiting.

    Args:
        limit: the most threads at one time; further calls wait for a free one, in the order in which they came.
        name: the beginning of every thread's name.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        self._pool = ThreadPool(self._limit, self._name)

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run blocking `function` as `in_thread` does; the future holds its result, and cancelling it is the same."""
        return _given(self._pool, partial(function, *args, **kwargs))

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, when its turn comes; nobody hears of it.

        Raises:
            RuntimeError: there is no thread, and the system cannot start one.
        """
        self._pool.submit(work)


def deeper_context() -> Context:
    """A copy of the caller's context for work in a thread, which may itself wait for threads."""
    context = copy_context()
    context.run(_depth.set, _depth.get() + 1)
    return context


class LeftError(asyncio.CancelledError):
    """The consumer of `iterate_sync` has left while the source was on its way to the next item: that is no failure."""


def iterate_sync(source: AsyncIterable[T]) -> Generator[T, None, None]:
    """Give the items of an async iterable to blocking code, made at most one item before it is asked for.

    The whole iteration runs in one task, begun with the first item. When the consumer stops early (`close()`, `break`,
    garbage collection), the source is closed before the consumer goes on: where it stands at a `yield`, it sees a
    `GeneratorExit` as by `aclose`; where it waits for its next item, a `LeftError`.

    Raises:
        RuntimeError: called on the portal's own loop; use `async for` instead.
    """
    if background.here():
        raise RuntimeError("iterate_sync was called on the portal's own loop; use `async for` instead")
    return _items(_Feed(source.__aiter__()))


def at_exit(callback: Callable[[], Any], *, limit_s: float = EXIT_CALLBACK_S) -> Callable[[], None]:
    """Run `callback` before the portal's loop stops at the end of the interpreter; the last one given runs first.

    A forked child begins without callbacks.

    Args:
        callback: takes nothing; what a coroutine function returns is awaited on the portal's loop.
        limit_s: how long it may take, in seconds; then it is left alone. Its errors are ignored.

    Returns:
        A function that takes the callback back.
    """
    return background.at_exit(callback, limit_s)


class _Feed:
    """An async iterator that a task on the portal's loop empties into a queue with little room."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source
        self._queue: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self._room = asyncio.Semaphore(1)
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._job: Job | None = None
        self._left = False

    def start(self) -> None:
        self._loop = background.running()
        self._job = _begun(self._drive(), self._ended)

    def take(self) -> tuple[bool, Any]:
        """The next item, as (True, item), or the end, as (False, error or None)."""
        while True:
            with contextlib.suppress(Empty):
                taken = self._queue.get(timeout=_slice())
                break
        if taken[0] and self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._room.release)
        return taken

    def stop(self) -> None:
        """Leave the source and wait until it is closed, except where waiting would stop the loop itself."""
        if self._job is None or self._ended.done() or background.closed:
            return
        self._left = True
        if background.here():
            self._job.cancel()
        else:
            _stop(self._job, self._ended)

    async def _drive(self) -> None:
        try:
            await self._room.acquire()
            while True:
                item = await self._next()
                if self._left:
                    break
                self._queue.put((True, item))
                del item
                await self._room.acquire()
        except StopAsyncIteration:
            self._queue.put((False, None))
        except Exception as error:  # noqa: BLE001 - it is raised again where the items are taken
            self._queue.put((False, error))
        except BaseException as error:
            if not background.closed:
                self._queue.put((False, error))
            raise
        finally:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()

    @coroutine
    def _next(self) -> Generator[Any, None, Any]:
        """Await the source's next item; when the task is cancelled because the consumer left, the source is told so."""
        step = self._source.__anext__().__await__()
        try:
            waited = next(step)
            while True:
                try:
                    yield waited
                except BaseException as error:  # noqa: BLE001 - the source says what becomes of it
                    left = self._left and isinstance(error, asyncio.CancelledError)
                    waited = step.throw(LeftError() if left else error)
                else:
                    waited = next(step)
        except StopIteration as end:
            return end.value


def _items(feed: _Feed) -> Generator[Any, None, None]:
    try:
        feed.start()
        while True:
            more, item = feed.take()
            if not more:
                break
            yield item
            del item
        if item is not None:
            raise item
    finally:
        feed.stop()


def _given(pool: ThreadPool, work: Callable[[], T]) -> asyncio.Future[T]:
    """Hand blocking `work` to a thread of `pool`, in a copy of the caller's context."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    pool.submit(partial(_call, loop, answer, deeper_context(), work))
    return answer


def _begun(work: Coroutine[Any, Any, Any], answer: Future[Any]) -> Job:
    """Hand `work` to the portal's loop, in a copy of the caller's context."""
    job: Job | None = None
    try:
        if background.here():
            raise RuntimeError("run_sync was called on the portal's own loop; await the coroutine instead")  # noqa: TRY301 - the coroutine is closed in one place
        loop = background.running()
        job = Job(loop, work, answer, background)
        loop.call_soon_threadsafe(job.start, context=copy_context())
    except BaseException as error:
        if job is None or isinstance(error, RuntimeError):
            work.close()
        else:
            # Ctrl-C while it was handed over: the loop may have begun it already.
            _stop(job, answer)
        raise
    return job


def _stop(job: Job, answer: Future[Any]) -> None:
    """Cancel the work and give it its grace."""
    job.cancel()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        answer.exception(background.interrupt_grace_s)


def _slice() -> float | None:
    return _SLICE_S if threading.current_thread() is threading.main_thread() else None


def _wait(answer: Future[T]) -> T:
    while True:
        try:
            return answer.result(_slice())
        except TimeoutError:
            if answer.done():
                raise


def _call(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], context: Context, function: Callable[[], Any]
) -> None:
    if answer.cancelled():
        return
    result: Any = None
    error: BaseException | None = None
    try:
        result = context.run(function)
    except (StopIteration, GeneratorExit) as stop:
        # A future cannot hold the one: it would end the coroutine that awaits as if it had returned. The other would
        # close it as if nobody wanted it any more.
        error = RuntimeError(f"the function in the thread raised {type(stop).__name__}")
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
