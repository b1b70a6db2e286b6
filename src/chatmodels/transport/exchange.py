"""What a connection does with the reply that it reads: kept until it is whole, or handed on piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol

from chatmodels.transport.body import BodyDecoder
from chatmodels.transport.seam import MAX_REPLY_BYTES, Reply, TransportFault, too_large
from fmf_core.errors import Code

MOST_BUFFERED = 256 * 1024
"""Bytes of a stream that may wait for their consumer before the connection stops reading."""


MOST_OF_AN_ERROR = 64 * 1024
"""Bytes of the body of a reply that is no answer: more than any provider needs to say why."""
_NO_ANSWER = 300
"""The first status of a reply that is none."""


class Hold(Protocol):
    """Stops the reading of a connection, or goes on with it."""

    def __call__(self, *, held: bool) -> None:
        """Do it."""
        ...


class Exchange(Protocol):
    """One request under way and its reply, as the connection sees it; every method may raise `TransportFault`."""

    def begun(self, status: int, headers: dict[str, str]) -> None:
        """The head of the reply has come."""
        ...

    def data(self, data: bytes) -> None:
        """A piece of the body has come."""
        ...

    def done(self) -> None:
        """The reply is whole."""
        ...

    def fail(self, error: Exception) -> None:
        """There will be no more of it."""
        ...


class _Reading:
    """What both kinds of exchange know of their reply."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body: BodyDecoder

    def begun(self, status: int, headers: dict[str, str]) -> None:
        """Take the head of the reply."""
        self.status = status
        self.headers = headers
        if status >= _NO_ANSWER:
            self._body = BodyDecoder(headers.get("content-encoding", ""), MOST_OF_AN_ERROR)
            return
        self._body = BodyDecoder(headers.get("content-encoding", ""))
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_REPLY_BYTES:
            raise too_large()

    def says_enough(self, error: Exception) -> bool:
        """Whether there is a reply in spite of `error`: what a refusal means stands in its head."""
        closed = isinstance(error, TransportFault) and error.code is Code.CANCELLED
        return self.status >= _NO_ANSWER and not closed

    @property
    def rest(self) -> bytes:
        """What came of the body beyond its whole pieces."""
        body = getattr(self, "_body", None)  # a head that is refused has none
        return b"" if body is None else body.rest


class WholeExchange(_Reading):
    """Waits for the whole reply."""

    __slots__ = ("_pieces", "reply")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self.reply: asyncio.Future[Reply] = loop.create_future()

    def data(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(self._body.feed(data))

    def done(self) -> None:
        """Hand the reply to who waits for it."""
        self._body.end()
        if not self.reply.done():
            self.reply.set_result(Reply(self.status, self.headers, b"".join(self._pieces)))

    def fail(self, error: Exception) -> None:
        """Tell who waits."""
        if self.reply.done():
            return
        if self.says_enough(error):
            self.reply.set_result(Reply(self.status, self.headers, b"".join([*self._pieces, self.rest])))
        else:
            self.reply.set_exception(error)


class OpenExchange(_Reading):
    """Hands the reply on while it comes."""

    __slots__ = ("_buffered", "_ended", "_error", "_held", "_loop", "_pieces", "_waiter", "hold")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.hold: Hold = _ignore
        """Stops and starts the reading of the connection; set by who begins the exchange."""
        self._loop = loop
        self._held = False
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def begun(self, status: int, headers: dict[str, str]) -> None:
        """Wake who waits for the head."""
        super().begun(status, headers)
        self._wake()

    def data(self, data: bytes) -> None:
        """Put a piece of the body where the consumer finds it."""
        piece = self._body.feed(data)
        if not piece:
            return
        self._pieces.append(piece)
        self._buffered += len(piece)
        if self._buffered > MOST_BUFFERED and not self._held:
            self._held = True
            self.hold(held=True)
        self._wake()

    def done(self) -> None:
        """The consumer comes to the end."""
        self._body.end()
        self._ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """The consumer gets what has come, then `error`."""
        if not self._ended:
            self._ended = True
            if not self.says_enough(error):
                self._error = error
            elif self.rest:
                self._pieces.append(self.rest)
        self._wake()

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            TransportFault: they do not come.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._news()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body, decompressed, as it arrives."""
        while True:
            while self._pieces:
                yield self._taken()
            if self._ended:
                break
            await self._news()
        if self._error is not None:
            raise self._error

    def _taken(self) -> bytes:
        """Everything that waits, in one piece."""
        piece = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._held:
            self._held = False
            self.hold(held=False)
        return piece

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _ignore(*, held: bool) -> None:
    _ = held
