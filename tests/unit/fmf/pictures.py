"""Small pictures made by hand: whole ones of every kind that models take."""

from __future__ import annotations

import struct
import zlib


def png(number: int = 0, *, width: int = 2, height: int = 2, padding: int = 0) -> bytes:
    """A grey PNG; other numbers have other pixels, `padding` makes it that many bytes longer."""
    rows = b"".join(b"\0" + bytes([number % 256]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    blocks = [(b"IHDR", header), (b"teXt", b"\0" * padding), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_block, blocks))


def _block(block: tuple[bytes, bytes]) -> bytes:
    kind, content = block
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg(width: int = 3, height: int = 5) -> bytes:
    """The segments of a JPEG up to its size, and an end."""
    start = b"\xff\xd8" + b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\xff\xdb\x00\x04ab"
    frame = b"\xff\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return start + frame + b"\xff\xda\x00\x02" + b"\xff\xd9"


def gif(width: int = 3, height: int = 5) -> bytes:
    """The header of a GIF, and an end."""
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def webp(form: str = "VP8 ", width: int = 3, height: int = 5) -> bytes:
    """A WebP of one of its three forms, without any pixels."""
    if form == "VP8 ":
        body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    elif form == "VP8L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        body = b"\0\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    chunk = form.encode() + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
