"""The body of a reply: decompressed piece by piece, and never more of it than an answer can have."""

from __future__ import annotations

import zlib
from typing import Any

from chatmodels.transport.seam import MAX_REPLY_BYTES, TransportFault, too_large
from fmf_core.errors import Code

_AUTO_HEADER = 32 + zlib.MAX_WBITS
"""zlib finds out whether the data has the header of gzip or of zlib."""
FREE_BYTES = 1024 * 1024
"""Any compressed reply may become this large."""
MOST_RATIO = 100
"""How many times as large as what was sent the rest may become: the texts of models hardly get to ten times."""
MOST_PARTS = 1000
"""A reply that was compressed in more parts than this is none of a model server."""


class BodyDecoder:
    """Takes the bytes of one body as they arrive and gives them back as they were meant.

    Args:
        encoding: the reply's `content-encoding`.
        limit: how many bytes there may be; without it `MAX_REPLY_BYTES`.

    Raises:
        TransportFault: the encoding is unknown.
    """

    __slots__ = ("_empty", "_inflate", "_limit", "_parts", "_sent", "_size", "rest")

    def __init__(self, encoding: str = "", limit: int | None = None) -> None:
        self.rest = b""
        """What still had room of the piece with which the body grew too large."""
        self._inflate: Any = None
        self._limit = MAX_REPLY_BYTES if limit is None else limit
        self._size = self._sent = self._parts = 0
        self._empty = True
        name = encoding.strip().lower()
        if name in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(_AUTO_HEADER)
        elif name not in ("", "identity"):
            raise TransportFault(f"the reply is compressed with {name!r}, which was not asked for", Code.BAD_REPLY)

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the body.

        Raises:
            TransportFault: the body grows too large, or cannot be decompressed.
        """
        if self._inflate is None:
            return self._counted(data)
        pieces = []
        self._sent += len(data)
        limit = min(self._limit, FREE_BYTES + MOST_RATIO * self._sent)
        while data:
            if self._inflate.eof:
                self._next_part()
            try:
                piece = self._inflate.decompress(data, limit + 1 - self._size)
            except zlib.error as error:
                raise TransportFault(f"the reply cannot be decompressed: {error}", Code.BAD_REPLY) from error
            if self._size + len(piece) > limit < self._limit:
                raise TransportFault(
                    f"the reply is more than {MOST_RATIO} times as large as it was sent", Code.BAD_REPLY
                )
            pieces.append(self._counted(piece))
            self._empty = False
            data = self._inflate.unused_data
        return b"".join(pieces)

    def _counted(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._size > self._limit:
            self.rest = data[: len(data) + self._limit - self._size]
            raise too_large()
        return data

    def _next_part(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise TransportFault(f"the reply is compressed in more than {MOST_PARTS} parts", Code.BAD_REPLY)
        self._inflate = zlib.decompressobj(_AUTO_HEADER)

    def end(self) -> None:
        """Check that a compressed body is whole; a reply without any body is.

        Raises:
            TransportFault: it is not.
        """
        if self._inflate is not None and not self._inflate.eof and not self._empty:
            raise TransportFault("the reply cannot be decompressed: it ends too early", Code.BAD_REPLY)
