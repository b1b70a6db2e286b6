"""Pictures of text, drawn with the font that comes with Pillow."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageDraw, ImageFont

TEXT = "The brakes were inspected in March.\nBoth pads had worn down, and the\ncable showed rust near the lever."


def drawn(text: str = TEXT, *, size: int = 36, ink: int = 0, paper: int = 255, border: int = 40) -> Image.Image:
    """The text in grey on a sheet that is as large as it must be."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=font)
    image = Image.new("L", (int(right - left) + 2 * border, int(bottom - top) + 2 * border), paper)
    ImageDraw.Draw(image).multiline_text((border - left, border - top), text, font=font, fill=ink)
    return image


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file with the picture."""
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()
