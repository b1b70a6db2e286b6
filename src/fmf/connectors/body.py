"""The bytes of one resource as a stream, taken up again where they broke off."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from fmf.connectors.retries import Retries
from fmf.errors import ConnectorError
from fmf_core.errors import Code, FrameworkError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PROGRESS: Final = 1 << 16
"""So many bytes since the last failure make the next one a first one again."""
SLOWEST: Final = 1024
"""Bytes that come more slowly than so many in a second, for longer than a reader is patient, count as broken off."""
BROKEN_OFF: Final = "run again later; is there a proxy that cuts long downloads?"
"""The hint for a body that ends too early."""


class Pace:
    """Notices that bytes come so slowly that there would be no end; one for each attempt.

    Args:
        uri: the resource's address, for the message.
        patience_s: how long they may come slowly, in seconds.
    """

    def __init__(self, uri: str, patience_s: float) -> None:
        self._uri = uri
        self._patience_s = patience_s
        self._waited_s = 0.0
        self._came = 0

    def next(self, pieces: Iterator[bytes]) -> bytes:
        """The next of `pieces`, or nothing at their end; the time that others take between two is not counted.

        Raises:
            ConnectorError: `TIMEOUT`, they come too slowly.
        """
        began = time.monotonic()
        piece = next(pieces, b"")
        self._waited_s += time.monotonic() - began
        self._came += len(piece)
        if self._waited_s > self._patience_s:
            if piece and self._came < SLOWEST * self._waited_s:
                raise ConnectorError(
                    f"{self._uri} came too slowly: {self._came} bytes in {self._waited_s:.0f} s",
                    op="connectors.read",
                    code=Code.TIMEOUT,
                    hint=BROKEN_OFF,
                )
            self._waited_s, self._came = 0.0, 0
        return piece


class Body(io.RawIOBase):
    """Reads a resource once, from its start; it cannot seek.

    Args:
        uri: the resource's address, for messages.
        size: how many bytes there must be; None where only the pieces know, which fail then where bytes are missing.
        pieces: the pieces from the start.
        pieces_from: the pieces from a byte on, of the same version of the resource; fails with a `ConnectorError`.
        retries: how often it is tried.
        patience_s: how long its bytes may come slowly before that counts as broken off, in seconds.
    """

    def __init__(
        self,
        uri: str,
        size: int | None,
        pieces: Iterator[bytes],
        pieces_from: Callable[[int], Iterator[bytes]],
        retries: Retries,
        *,
        patience_s: float = 60.0,
    ) -> None:
        super().__init__()
        self._uri = uri
        self._size = size
        self._pieces: Iterator[bytes] | None = pieces
        self._pieces_from = pieces_from
        self._retries = retries
        self._patience_s = patience_s
        self._pace = Pace(uri, patience_s)
        self._at = 0
        self._left = memoryview(b"")
        self._failures = 0
        self._failed_at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` as far as bytes are there; 0 is the end.

        Raises:
            ConnectorError: the bytes cannot be had, or the resource has changed; `TRUNCATED` where they broke off.
        """
        if not self._left:
            self._left = memoryview(self._next())
        into = memoryview(buffer).cast("B")
        count = min(len(into), len(self._left))
        into[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def readall(self) -> bytes:
        """All that is left.

        Raises:
            ConnectorError: the bytes cannot be had, or the resource has changed; `TRUNCATED` where they broke off.
        """
        pieces = [bytes(self._left), *iter(self._next, b"")]
        self._left = memoryview(b"")
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection."""
        self._let_go()
        self._left = memoryview(b"")
        super().close()

    def _next(self) -> bytes:
        while self._at != self._size:
            try:
                return self._piece()
            except FrameworkError as error:
                broke_off = self._pieces is not None
                self._let_go()
                self._wait(error, broke_off=broke_off)
        return b""

    def _piece(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._pieces_from(self._at)
            self._pace = Pace(self._uri, self._patience_s)
        piece = self._pace.next(self._pieces)
        if self._size is not None and not 0 < len(piece) <= self._size - self._at:
            raise ConnectorError(
                f"{self._uri} has {self._at + len(piece)} bytes{'' if piece else ' so far'}, expected {self._size}",
                op="connectors.read",
                code=Code.CONFLICT if piece else Code.UNAVAILABLE,
                hint="run again; if it happens again, look at what lies between here and the service",
            )
        self._at += len(piece)
        return piece

    def _wait(self, error: FrameworkError, *, broke_off: bool) -> None:
        """Wait for the next attempt, unless there were enough of them without progress."""
        self._failures = self._failures + 1 if self._at - self._failed_at < PROGRESS else 1
        self._failed_at = self._at
        try:
            self._retries.wait(self._failures, error)
        except FrameworkError as final:
            if broke_off and final.retryable:
                # It is shorter than it was promised to be, whatever the reason of the last failure.
                final.code, final.hint = Code.TRUNCATED, BROKEN_OFF
            raise

    def _let_go(self) -> None:
        pieces, self._pieces = self._pieces, None
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
