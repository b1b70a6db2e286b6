"""The body of a reply: decompressed piece by piece, and never more of it than an answer can have."""

from __future__ import annotations

import zlib
from typing import Any

from chatmodels.transport.seam import MAX_REPLY_BYTES, TransportFault, too_large
from fmf_core.errors import Code

_AUTO_HEADER = 32 + zlib.MAX_WBITS
"""zlib finds out whether the data has the header of gzip or of zlib."""


class BodyDecoder:
    """Takes the bytes of one body as they arrive and gives them back as they were meant.

    Args:
        encoding: the reply's `content-encoding`.

    Raises:
        TransportFault: the encoding is unknown.
    """

    __slots__ = ("_empty", "_inflate", "_size")

    def __init__(self, encoding: str = "") -> None:
        self._inflate: Any = None
        self._size = 0
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
        while data:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_AUTO_HEADER)  # compressed in several parts
            try:
                piece = self._inflate.decompress(data, MAX_REPLY_BYTES + 1 - self._size)
            except zlib.error as error:
                raise TransportFault(f"the reply cannot be decompressed: {error}", Code.BAD_REPLY) from error
            pieces.append(self._counted(piece))
            self._empty = False
            data = self._inflate.unused_data
        return b"".join(pieces)

    def _counted(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._size > MAX_REPLY_BYTES:
            raise too_large()
        return data

    def end(self) -> None:
        """Check that a compressed body is whole; a reply without any body is.

        Raises:
            TransportFault: it is not.
        """
        if self._inflate is not None and not self._inflate.eof and not self._empty:
            raise TransportFault("the reply cannot be decompressed: it ends too early", Code.BAD_REPLY)
