"""Calls that fail leave nothing behind for the garbage collector: in an outage there are many of them."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from chatmodels import Breaker, ChatModel, ChatModelError, Concurrency, ErrorCode, MemoryCache
from chatmodels.wrappers.adaptive import AdaptiveModel
from chatmodels.wrappers.breaker import BreakerModel
from chatmodels.wrappers.cached import CachedModel
from chatmodels.wrappers.fallback import Fallback, FallbackModel
from chatmodels.wrappers.retrying import RetryingModel
from unit.chatmodels.wrappers.scripts import FAST, REQUEST, end, in_own_loop


class Failing(ChatModel):
    """Fails a number of times with a new error each, then answers; knows which of its errors are alive."""

    def __init__(self, times):
        self.left = times
        self.alive = weakref.WeakSet()

    def fail(self):
        if self.left:
            self.left -= 1
            error = ChatModelError("down", op="v.complete", code=ErrorCode.UNAVAILABLE)
            self.alive.add(error)
            return error
        return None

    async def complete_async(self, request):
        raise self.fail() or AssertionError

    async def stream_async(self, request):
        error = self.fail()
        if error is not None:
            try:
                raise error
            finally:
                del error
        yield end("fine")


def wrapped(kind, inner):
    match kind:
        case "retries":
            return RetryingModel(inner, FAST)
        case "fallback":
            return FallbackModel(inner, [Fallback(inner)])
        case "breaker":
            return BreakerModel(inner, Breaker(failures=1, open_s=60))
        case "pace":
            return AdaptiveModel(inner, Concurrency())
        case _:
            return CachedModel(inner, MemoryCache())


def errors():
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, ChatModelError)}


async def ask_whole(model):
    try:
        await model.complete_async(REQUEST)
    except ChatModelError:
        return


async def ask_in_pieces(model):
    try:
        async for _ in model.stream_async(REQUEST):
            pass
    except ChatModelError:
        return


@pytest.mark.parametrize("ask", [ask_whole, ask_in_pieces])
@pytest.mark.parametrize("kind", ["retries", "fallback", "breaker", "pace", "cache"])
def test_errors_end_with_their_call(kind, ask):
    inner = Failing(100)
    model = wrapped(kind, inner)

    async def go():
        for _ in range(5):
            await ask(model)
        await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    before = errors()
    try:
        in_own_loop(go())
        assert not inner.alive
        assert errors() <= before
    finally:
        gc.enable()


def test_errors_before_an_answer_end_with_it():
    inner = Failing(2)
    gc.collect()
    gc.disable()
    try:
        in_own_loop(ask_in_pieces(wrapped("retries", inner)))
        assert not inner.left
        assert not inner.alive
        inner.left = 1
        in_own_loop(ask_in_pieces(wrapped("fallback", inner)))
        assert not inner.alive
    finally:
        gc.enable()
