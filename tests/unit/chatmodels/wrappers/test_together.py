from __future__ import annotations

import asyncio
import gc

from chatmodels import ChatChunk, ChatModel, MockChatModel, RateLimit
from chatmodels.providers.foreign_errors import reading_of
from chatmodels.testing import ChatModelExam
from chatmodels.wrappers.limiting import LimitingModel
from chatmodels.wrappers.measured import MeasuredModel
from chatmodels.wrappers.preset import PresetModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.translating import TranslatingModel
from unit.chatmodels.wrappers.scripts import FAST, REQUEST, Streaming, end, failure, in_own_loop


def wrapped_by_all(model):
    return PresetModel(
        MeasuredModel(
            LimitingModel(RetryingModel(TranslatingModel(model, reading_of), FAST), RateLimit(requests_per_minute=1e9))
        ),
        {"seed": 1},
    )


class TestAllTogether(ChatModelExam):
    def make_model(self):
        return wrapped_by_all(MockChatModel())

    def make_failing_model(self):
        return wrapped_by_all(MockChatModel(fail_with=failure()))


class TestStreamsThroughAll:
    def test_the_first_piece_comes_before_the_last_is_made(self):
        made = []

        class Slow(ChatModel):
            async def complete_async(self, request):
                raise AssertionError

            async def stream_async(self, request):
                for text in "abc":
                    made.append(text)
                    yield ChatChunk(text=text)
                    await asyncio.sleep(0)
                yield end()

        async def go():
            stream = wrapped_by_all(Slow()).stream_async(REQUEST)
            first = await anext(stream)
            seen = list(made)
            await stream.aclose()
            return first.text, seen

        assert in_own_loop(go()) == ("a", ["a"])

    def test_leaving_early_closes_the_vendors_stream_at_once(self):
        inner = Streaming(["a", "b", end()])

        async def go():
            stream = wrapped_by_all(inner).stream_async(REQUEST)
            await anext(stream)
            await stream.aclose()
            return inner.closed

        assert in_own_loop(go()) == 1

    def test_leaving_early_from_blocking_code_closes_it_too(self):
        inner = Streaming(["a", "b", end()])
        for _ in wrapped_by_all(inner).stream(REQUEST):
            break
        gc.collect()
        assert inner.closed == 1
