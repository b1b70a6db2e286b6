"""The width and the height that the header of a picture tells, and whether the header is whole."""

from __future__ import annotations

from typing import NamedTuple

_PNG_HEADER, _GIF_HEADER = 8 + 25, 13
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9


class HeaderError(ValueError):
    """The header is damaged, or the file ends where it should not; says what is wrong."""


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


def size_of(media_type: str, data: bytes) -> Size:
    """The size of a picture.

    The pixels are not looked at; of a PNG or WebP file that breaks off, the lengths in it tell.

    Args:
        media_type: `image/png`, `image/jpeg`, `image/gif` or `image/webp`, as its first bytes say.
        data: all of its bytes.

    Raises:
        HeaderError: the header is damaged or cut off.
    """
    size = _READERS[media_type](data)
    if not (size.width and size.height):
        raise HeaderError(f"its header says {size.width} x {size.height} pixels")
    return size


def _png(data: bytes) -> Size:
    if len(data) < _PNG_HEADER:
        raise HeaderError("it ends inside its header")
    if data[12:16] != b"IHDR" or _big(data, 8, 4) != 13:
        raise HeaderError("its first block is not the header")
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        at += 12 + _big(data, at, 4)
    if at > len(data):
        raise HeaderError(f"it is cut off: {len(data)} bytes of at least {at}")
    return Size(_big(data, 16, 4), _big(data, 20, 4))


def _jpeg(data: bytes) -> Size:
    at = 2
    while at + 1 < len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (_JPEG_SCAN, _JPEG_END):
            raise HeaderError("it has no header with a size")
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        elif at + 9 <= len(data) and marker in _JPEG_FRAMES:
            return Size(width=_big(data, at + 7, 2), height=_big(data, at + 5, 2))
        else:
            at += 2 + max(2, _big(data, at + 2, 2))
    raise HeaderError("it ends inside its header")


def _gif(data: bytes) -> Size:
    if len(data) < _GIF_HEADER:
        raise HeaderError("it ends inside its header")
    return Size(_little(data, 6, 2), _little(data, 8, 2))


def _webp(data: bytes) -> Size:
    form = data[12:16]
    if len(data) < (25 if form == b"VP8L" else 30):
        raise HeaderError("it ends inside its header")
    if (whole := 8 + _little(data, 4, 4)) > len(data):
        raise HeaderError(f"it is cut off: {len(data)} bytes of {whole}")
    match form:
        case b"VP8 ":
            return Size(_little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF)
        case b"VP8L":
            packed = _little(data, 21, 4)
            return Size((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            return Size(_little(data, 24, 3) + 1, _little(data, 27, 3) + 1)
    raise HeaderError("its first block is not the header")


_READERS = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
KNOWN = frozenset(_READERS)
"""The media types whose headers are read."""


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
