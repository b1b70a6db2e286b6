"""Pictures of every kind become text, and those that cannot be read one clear error."""

from __future__ import annotations

import struct
import zlib
from typing import Any, ClassVar

import pytest
from PIL import Image

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.images.limits import LARGEST, max_pixels
from fmf.processing.loaders import image as loader
from fmf.processing.loaders.base import Mark
from fmf.processing.ocr.base import OcrResult, engines
from fmf.testing.loaders import LoaderExam, opened, read_through
from unit.fmf.processing.rendered import drawn, saved


class Shades:
    """An engine that tells what it is shown: mode, size, and the shades of the corners."""

    def __init__(self, settings):
        pass

    def read(self, image):
        assert image.mode in {"L", "RGB"}
        grey = image.convert("L")
        corners = [grey.getpixel((x, y)) for x in (0, grey.width - 1) for y in (0, grey.height - 1)]
        return OcrResult(f"{image.width}x{image.height} {' '.join(map(str, corners))}", 90.0)


@pytest.fixture(autouse=True)
def _shades():
    engines.add("shades", Shades)
    yield
    engines.remove("shades")


def read(data: bytes, engine: str = "shades", **settings: Any):
    with opened(data, "a.png") as source:
        ocr = {"enabled": True, "engine": engine}
        return read_through(loader.load(source, ProcessingConfig(images={"ocr": ocr}, **settings)))


class TestImageExam(LoaderExam):
    words: ClassVar = {"small.png": ["2x1"], "pages.tiff": ["2x1", "2x1"]}
    settings = ProcessingConfig(images={"ocr": {"enabled": True, "engine": "shades"}})

    def make_loader(self):
        return loader.load

    def make_files(self):
        two = Image.new("L", (2, 1), 200)
        return {
            "small.png": saved(two),
            "small.bmp": saved(two.convert("RGB"), "BMP"),
            "pages.tiff": saved(two, "TIFF", save_all=True, append_images=[two]),
        }


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_format_is_read(form):
    options = {"lossless": True} if form == "WEBP" else {}
    found = read(saved(drawn(border=60).convert("RGB"), form, **options), "tesseract")
    assert found.text.startswith("The brakes were inspected in March.\nBoth pads")
    assert found.metadata["confidence"] > 85
    assert found.metadata["ocr_engine"] == "tesseract"
    assert found.metadata["rotation"] == 0
    assert found.marks == ()


def pixel(mode: str, colour: Any, **info: Any) -> Image.Image:
    image = Image.new(mode, (2, 1), colour)
    image.info.update(info)
    return image


def palette(*, see_through: bool) -> bytes:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.putpixel((0, 0), 0)
    return saved(image, transparency=0) if see_through else saved(image)


@pytest.mark.parametrize(
    ("data", "shades"),
    [
        (saved(pixel("1", 1)), [255, 255]),
        (saved(pixel("L", 90)), [90, 90]),
        (saved(pixel("RGBA", (0, 0, 0, 0))), [255, 255]),
        (saved(pixel("RGBA", (0, 0, 0, 255))), [0, 0]),
        (saved(pixel("LA", (0, 128))), [127, 127]),
        (palette(see_through=False), [0, 255]),
        (palette(see_through=True), [255, 255]),
        (saved(pixel("CMYK", (0, 0, 0, 0)), "TIFF"), [255, 255]),
        (saved(Image.frombytes("I;16", (2, 1), struct.pack("<2H", 1000, 3000))), [0, 255]),
        (saved(Image.frombytes("F", (2, 1), struct.pack("<2f", -1.0, 1.0)), "TIFF"), [0, 255]),
    ],
    ids=["bilevel", "grey", "clear", "opaque", "half clear", "palette", "clear palette", "CMYK", "16 bits", "float"],
)
def test_every_mode_is_shown_as_on_white_paper(data, shades):
    left, right = shades
    assert read(data).text == f"2x1 {left} {left} {right} {right}"


def test_pictures_are_turned_as_their_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(saved(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).text.startswith("20x30 ")
    assert read(saved(Image.new("RGBA", (30, 20)), exif=exif)).text.startswith("20x30 ")


def test_every_page_of_a_tiff_is_read_and_marked():
    sheets = [Image.new("L", (2, 1 + number), 10 * number) for number in range(3)]
    found = read(saved(sheets[0], "TIFF", save_all=True, append_images=sheets[1:]))
    assert found.text == "2x1 0 0 0 0\n\n2x2 10 10 10 10\n\n2x3 20 20 20 20"
    assert [mark for _, mark in found.marks] == [Mark("page", number) for number in (1, 2, 3)]
    assert found.metadata["pages"] == 3
    assert found.metadata["ocr_pages"] == [1, 2, 3]


def test_of_a_picture_that_moves_the_first_is_read():
    sheets = [Image.new("L", (2, 1), shade) for shade in (0, 255)]
    found = read(saved(sheets[0], "GIF", save_all=True, append_images=sheets[1:]))
    assert found.text == "2x1 0 0 0 0"
    assert found.metadata["pages"] == 1


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + block(b"IDAT", zlib.compress(bytes(1000))) + block(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height", "limits", "message"),
    [
        (60_000, 60_000, {}, "a.png has more pixels than are ever read, and 89,000,000 are allowed"),
        (10_000, 9_000, {}, "a.png has more pixels than are ever read"),
        (5_000, 5_000, {"max_memory_mb": 120}, "a.png has 5,000 x 5,000 pixels, and 10,000,000 are allowed"),
    ],
)
def test_bombs_are_refused_by_what_their_header_says(width, height, limits, message):
    with pytest.raises(ProcessingError) as caught:
        read(bomb(width, height), limits=limits)
    assert message in caught.value.message
    assert "max_memory_mb" in caught.value.hint


def test_a_later_page_that_is_too_large_is_refused_before_it_is_unpacked():
    sheets = [Image.new("1", (10, 10)), Image.new("1", (4_000, 4_000))]
    data = saved(sheets[0], "TIFF", save_all=True, append_images=sheets[1:], compression="group4")
    with pytest.raises(ProcessingError, match="has 4,000 x 4,000 pixels"):
        read(data, limits={"max_memory_mb": 100})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", "its bytes are of no kind of picture that is known"),
        (b"no picture at all", "its bytes are of no kind of picture that is known"),
        (saved(Image.effect_noise((99, 99), 9), "JPEG")[:-900], "image file is truncated"),
        (saved(Image.effect_noise((99, 99), 9))[:-900], "image file is truncated"),
        (bomb(50, 50), "image file is truncated"),
    ],
)
def test_damaged_pictures_say_so(data, message):
    with pytest.raises(ProcessingError) as caught:
        read(data)
    assert "a.png cannot be read as a picture" in caught.value.message
    assert message in caught.value.message


def test_too_many_pages_are_refused():
    sheet = Image.new("1", (2, 2))
    data = saved(sheet, "TIFF", save_all=True, append_images=[sheet] * 3)
    with pytest.raises(ProcessingError, match="has 4 pages, and 3 are allowed"):
        read(data, limits={"max_pages": 3})


def test_a_picture_without_text_fails_with_what_to_do():
    with pytest.raises(ProcessingError, match=r"a.png: tesseract found no text in it") as caught:
        read(saved(Image.new("L", (200, 200), 255)), "tesseract")
    assert "processing.images.ocr.lang" in caught.value.hint


def test_the_most_pixels_follow_the_memory():
    assert max_pixels(ProcessingConfig()) == LARGEST
    assert max_pixels(ProcessingConfig(limits={"max_memory_mb": 12})) == 1_000_000
