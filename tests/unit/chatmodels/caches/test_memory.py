from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatResponse, MemoryCache, TokenUsage
from chatmodels.caches.memory import ENTRY_BYTES
from fmf_core.errors import ConfigurationError

USAGE = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p")


def answer(text):
    return ChatResponse(content=text, model="m", usage=USAGE)


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def test_the_longest_unused_makes_room():
    async def use():
        cache = MemoryCache(max_entries=2)
        await cache.put("a", answer("a"))
        await cache.put("b", answer("b"))
        assert await cache.get("a") == answer("a")
        await cache.put("c", answer("c"))
        return [await cache.get(key) for key in "abc"]

    assert run(use()) == [answer("a"), None, answer("c")]


def test_old_answers_are_not_given():
    async def use():
        now = [0.0]
        cache = MemoryCache(max_age_s=10, clock=lambda: now[0])
        await cache.put("a", answer("a"))
        now[0] = 10
        assert await cache.get("a") is not None
        now[0] = 10.1
        assert await cache.get("a") is None
        return len(cache)

    assert run(use()) == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3000)), max_size=40))
def test_it_never_grows_beyond_its_bounds(puts):
    async def use():
        cache = MemoryCache(max_entries=3, max_bytes=2 * ENTRY_BYTES + 3000)
        for key, size in puts:
            await cache.put(key, answer("x" * size))
            held = [found for name in "abcdef" if (found := await cache.get(name))]
            assert len(held) == len(cache) <= 3
            assert sum(ENTRY_BYTES + len(found.content) for found in held) <= cache.max_bytes
            assert len(held) >= 1

    run(use())


@pytest.mark.parametrize("bound", ["max_entries", "max_bytes", "max_age_s"])
def test_a_bound_of_nothing_is_refused(bound):
    with pytest.raises(ConfigurationError, match=f"{bound} of a response cache must be above 0, got 0"):
        MemoryCache(**{bound: 0})
