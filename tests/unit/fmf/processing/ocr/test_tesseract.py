"""What Tesseract reads from pictures that are small, faint, speckled, turned, or no text at all."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from fmf.config.processing import OcrConfig
from fmf.processing.ocr.base import OcrResult, engine_for
from unit.fmf.processing.rendered import TEXT, drawn


def speckled(image: Image.Image, share: float) -> Image.Image:
    """The picture with black and white specks in some of its pixels."""
    chance = random.Random(1)
    image = image.copy()
    for _ in range(int(image.width * image.height * share)):
        image.putpixel((chance.randrange(image.width), chance.randrange(image.height)), chance.choice((0, 255)))
    return image


def read(image: Image.Image) -> OcrResult:
    return engine_for(OcrConfig()).read(image)


@pytest.mark.parametrize(
    ("image", "rotation"),
    [
        (drawn(), 0),
        (drawn().convert("RGB"), 0),
        (drawn(size=12, border=15), 0),
        (drawn(ink=110, paper=130), 0),
        (drawn(ink=240, paper=30), 0),
        (speckled(drawn(), 0.08), 0),
        (drawn().rotate(3, expand=True, fillcolor=255), 0),
        (drawn().rotate(-9, expand=True, fillcolor=255), 0),
        (drawn().rotate(180), 180),
        (drawn().rotate(-90, expand=True), 270),
        (drawn().rotate(90, expand=True), 90),
    ],
    ids=["clean", "colour", "small", "faint", "white on black", "specks", "askew", "very askew", "180", "90", "270"],
)
def test_what_stands_in_the_picture_is_read(image, rotation):
    found = read(image)
    assert found.text.split() == TEXT.split()
    assert found.confidence is not None
    assert 85 < found.confidence <= 100
    assert (found.rotation, found.language) == (rotation, "eng")


@pytest.mark.parametrize(
    "image",
    [Image.new("L", (300, 300), 255), Image.new("L", (1, 1)), Image.effect_noise((300, 300), 60)],
    ids=["white", "one pixel", "noise"],
)
def test_no_text_is_nothing(image):
    assert read(image) == OcrResult("", None, 0, "eng")


def test_a_few_small_words_on_a_large_sheet_are_found():
    sheet = Image.new("L", (2480, 3508), 250)
    sheet.paste(drawn("only this", size=30, ink=225, paper=250, border=5), (900, 1500))
    assert read(sheet).text.strip() == "only this"
