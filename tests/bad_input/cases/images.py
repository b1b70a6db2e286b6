"""Pictures: sizes that lie, sums that are wrong, directories in a circle, frames without end."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from bad_input.case import Case, Expected, case, fails, ok, skips
from bad_input.made.pictures import black_png, blank, bmp, chunk, drawn, png_header, tiff, tiff_rows
from bad_input.seeds import SEEDS

OCR = {"images": {"ocr": {"enabled": True}}}


def _case(name: str, file: str, made: bytes | Callable[[], bytes], expected: Expected, **more: Any) -> Case:
    return case(name, file, made, expected, settings=OCR, **more)


def _wrong_sum(kind: bytes) -> bytes:
    data = bytearray(SEEDS["png"]())
    at = data.index(kind)
    size = struct.unpack(">I", data[at - 4 : at])[0]
    data[at + 4 + size] ^= 0xFF
    return bytes(data)


def _jpeg(width: int, height: int) -> bytes:
    data = bytearray(SEEDS["jpeg"]())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _pngs() -> list[Case]:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9))
    data = SEEDS["png"]
    return [
        _case("65,000 x 65,000 points in half a megabyte", "a.png", lambda: black_png(65_000, 65_000), fails("a.png")),
        _case(
            "two billion points in each direction",
            "a.png",
            png_header(2**31 - 1, 2**31 - 1) + chunk(b"IEND", b""),
            fails("a.png"),
        ),
        _case(
            "no points",
            "a.png",
            png_header(0, 0) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""),
            fails("a.png"),
        ),
        _case("a head with a wrong sum", "a.png", lambda: _wrong_sum(b"IHDR"), fails("a.png")),
        _case("points with a wrong sum", "a.png", lambda: _wrong_sum(b"IDAT"), ok("Invoice")),
        _case("no points at all after the head", "a.png", png_header(90, 90) + chunk(b"IEND", b""), fails("a.png")),
        _case(
            "a depth that is none",
            "a.png",
            png_header(90, 90, 17, 9) + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
            fails("a.png"),
        ),
        _case("a chunk of 4 GB", "a.png", png_header(90, 90) + b"\xff\xff\xff\xffIDATplum", fails("a.png")),
        _case("a comment that is a bomb", "a.png", lambda: data()[:33] + text + data()[33:], fails("a.png")),
        _case("a white picture", "a.png", blank, fails("no text")),
        _case("a picture one point high", "a.png", lambda: black_png(40_000, 1), fails("a.png")),
        case("a picture while OCR is off", "a.png", data, skips("ocr.enabled")),
    ]


def _others() -> list[Case]:
    circle = tiff((8, tiff_rows(10, 10, (4, 1))), next_of_last=8)
    huge = tiff((8, tiff_rows(100_000, 100_000, (8, 0xFFFFFFF0))))
    gif = SEEDS["gif"]
    return [
        _case("a JPEG of 65,535 x 65,535", "a.jpg", lambda: _jpeg(65_535, 65_535), fails("a.jpg")),
        _case("a JPEG without points", "a.jpg", lambda: _jpeg(0, 0), fails("a.jpg")),
        _case("a JPEG of markers alone", "a.jpg", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 50_000, fails("a.jpg")),
        _case(
            "a GIF of 65,535 x 65,535", "a.gif", lambda: gif()[:6] + b"\xff\xff\xff\xff" + gif()[10:], fails("a.gif")
        ),
        _case("a GIF of 40 frames", "a.gif", lambda: drawn("Page", "GIF", frames=40), ok("Page")),
        _case(
            "a GIF without an end",
            "a.gif",
            b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"\x21\xfe\xff" + b"x" * 9_000,
            fails("a.gif"),
        ),
        _case("a TIFF whose pages run in a circle", "a.tiff", circle, fails("a.tiff")),
        _case("a TIFF of ten gigapoints", "a.tiff", huge, fails("a.tiff")),
        _case("a TIFF of no rows", "a.tiff", tiff((8, [])), fails("a.tiff")),
        _case("a TIFF that begins nowhere", "a.tiff", b"II*\0\xff\xff\xff\x7f", fails("a.tiff")),
        _case("a BMP upside down and endless", "a.bmp", bmp(50_000, -(2**31)), fails("a.bmp")),
        _case("a BMP packed to nothing", "a.bmp", bmp(40_000, 40_000, packing=1, data=b"\xff\0" * 500), fails("a.bmp")),
        _case("a BMP of negative width", "a.bmp", bmp(-5, 5, data=bytes(90)), fails("a.bmp")),
        _case(
            "a WEBP of 16,383 x 16,383",
            "a.webp",
            b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f" + b"\xff" * 20,
            fails("a.webp"),
        ),
        _case("a TIFF of two pages", "a.tiff", SEEDS["tiff"], ok("Invoice")),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_pngs(), *_others()]
