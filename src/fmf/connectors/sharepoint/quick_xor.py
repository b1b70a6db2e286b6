"""QuickXorHash: the hash that SharePoint keeps of every file, fed block by block."""

from __future__ import annotations

from typing import Final

SIZE: Final = 20
"""Bytes of a digest."""
_BITS: Final = SIZE * 8
_STEP: Final = 11
# Every byte is rotated by eleven bits more than the one before, so bytes that are 160 apart meet in the same place.
_ROW: Final = 160
_LENGTH_AT: Final = _BITS - 64


class QuickXorHash:
    """The hash of the bytes that `update` was given, in time and memory in proportion to one block."""

    def __init__(self) -> None:
        self._row = 0
        self._length = 0

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        offset = self._length % _ROW
        self._length += len(block)
        rows = int.from_bytes(block, "little") << (offset * 8)
        count = -(-(offset + len(block)) // _ROW)
        while count > 1:
            count = -(-count // 2)
            width = count * _ROW * 8
            rows = (rows >> width) ^ (rows & ((1 << width) - 1))
        self._row ^= rows

    def digest(self) -> bytes:
        """The 20 bytes of the hash so far."""
        spread = 0
        for index, byte in enumerate(self._row.to_bytes(_ROW, "little")):
            spread ^= byte << (index * _STEP % _BITS)
        around = (spread & ((1 << _BITS) - 1)) ^ (spread >> _BITS)
        return (around ^ ((self._length & ((1 << 64) - 1)) << _LENGTH_AT)).to_bytes(SIZE, "little")
