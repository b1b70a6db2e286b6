"""Pictures: drawn, or written by hand where they lie."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes, *, crc: int | None = None) -> bytes:
    """A chunk of a PNG; `crc` is a lie."""
    checked = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checked)


def png_header(width: int, height: int, depth: int = 1, colours: int = 0, *, crc: int | None = None) -> bytes:
    """The beginning of a PNG and its first chunk."""
    return PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0), crc=crc)


def black_png(width: int, height: int) -> bytes:
    """A PNG of two colours that is all black and very small while it is packed."""
    size = (1 + -(-width // 8)) * height
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(bytes(size % (1 << 20))) + packer.flush()
    adler = struct.pack(">I", (size % 65521) << 16 | 1)
    return (
        png_header(width, height)
        + chunk(b"IDAT", b"\x78\xda" + block * (size >> 20) + last + adler)
        + chunk(b"IEND", b"")
    )


@cache
def drawn(text: str, kind: str, *, frames: int = 1) -> bytes:
    """A picture of `text`, black on white, in a format of Pillow's."""
    from PIL import Image, ImageDraw, ImageFont

    images = []
    for number in range(frames):
        image = Image.new("RGB", (420, 90), "white")
        ImageDraw.Draw(image).text(
            (12, 20), text if frames == 1 else f"{text} {number + 1}", "black", ImageFont.load_default(40)
        )
        images.append(image)
    stream = io.BytesIO()
    several = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(stream, kind, **several)
    return stream.getvalue()


@cache
def blank(kind: str = "PNG") -> bytes:
    """A white picture."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(stream, kind)
    return stream.getvalue()


def tiff(*directories: tuple[int, Sequence[tuple[int, int, int, int]]], next_of_last: int = 0) -> bytes:
    """A TIFF of directories, each where it is and what rows it has; the last one points at `next_of_last`."""
    out = bytearray(struct.pack("<2sHI", b"II", 42, directories[0][0]))
    for index, (at, rows) in enumerate(directories):
        out = out.ljust(at, b"\0")
        following = directories[index + 1][0] if index + 1 < len(directories) else next_of_last
        out += struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in rows)
        out += struct.pack("<I", following)
    return bytes(out)


def tiff_rows(width: int, height: int, strip: tuple[int, int] = (8, 1)) -> list[tuple[int, int, int, int]]:
    """The rows that describe a picture of two colours whose bytes are `strip`: where, and how many."""
    return [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, strip[0]),
        (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, strip[1]),
    ]  # fmt: skip


def bmp(width: int, height: int, *, packing: int = 0, data: bytes = b"") -> bytes:
    """A BMP of 8-bit colours."""
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, packing, len(data), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + 1024 + len(data), 0, 0, 54 + 1024) + head + palette + data
