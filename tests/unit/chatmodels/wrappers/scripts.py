"""What the tests of several wrappers use."""

from __future__ import annotations

import asyncio

from chatmodels import ChatChunk, ChatModel, ChatModelError, ChatRequest, ErrorCode, RetryPolicy, TokenUsage

FAST = RetryPolicy(max_attempts=3, first_wait_s=0.0)
REQUEST = ChatRequest(prompt="x", model="m-1")


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def failure(code=ErrorCode.UNAVAILABLE, **more):
    return ChatModelError("overloaded", op="vendor.complete", code=code, **more)


def end(text=""):
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    return ChatChunk(text=text, finish_reason="stop", usage=usage)


class Streaming(ChatModel):
    """Streams each script in turn: texts are pieces, exceptions are raised."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.closed = 0
        self.opened = 0

    async def complete_async(self, request):
        raise AssertionError("not streamed")

    async def stream_async(self, request):
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        try:
            for item in script:
                if isinstance(item, BaseException):
                    raise item
                yield item if isinstance(item, ChatChunk) else ChatChunk(text=item)
        finally:
            self.closed += 1
