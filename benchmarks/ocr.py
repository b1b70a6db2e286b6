"""How much of a picture's text OCR gets right, on pictures that are drawn here: clean, small, turned, noisy, faint."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFont

from benchmarks import measure, page
from fmf.config.processing import OcrConfig
from fmf.processing.ocr.base import engine_for

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats" / "ocr.md"
PASSAGES = """\
The brakes of the city bicycle were inspected on 14 March 2024. Both pads had worn down to 1.2 mm, and the left \
cable showed rust near the lever. A customer in Hamburg reported a loud squeal in wet weather; the workshop \
replaced the pads (order 48213-B) and charged 37.50 EUR including tax.
Please check the saddle clamp, the chain and the rear light before the bicycle leaves the shop. The warranty \
ends two years after delivery, and it does not cover parts that wear out in ordinary use, such as tyres, brake \
pads, grips or bulbs. Keep the receipt; without it no claim can be made.
Minutes of the meeting on Tuesday: Ms Okafor presented the figures of the third quarter. Returns fell by 4.7 % \
to 1,208 pieces, most of them wheels of the series K-90. Mr Lindqvist will ask the supplier for a new quotation \
by the 30th. The next meeting takes place in room 2.14 at 9:30.
""".splitlines()
TEXTS = [" ".join(PASSAGES[start:] + PASSAGES[:start]) for start in range(len(PASSAGES))]
LINE_CHARS = 62
COLUMN_CHARS = 34


class Case(NamedTuple):
    """One way in which pictures are made."""

    name: str
    draw: Callable[[str], Image.Image]


@dataclass(frozen=True)
class Score:
    """How one picture was read."""

    characters: float
    """The share that is right, from 0 to 1."""
    words: float
    confidence: float
    seconds: float
    """CPU."""


def cases() -> list[Case]:
    """The ways in which pictures are made."""
    return [
        Case("clean, 36 pixels a letter", drawn),
        Case("small, 12 pixels", lambda text: drawn(text, size=12)),
        Case("very small, 9 pixels", lambda text: drawn(text, size=9)),
        Case("turned by 90 degrees", lambda text: drawn(text).rotate(-90, expand=True)),
        Case("turned by 180 degrees", lambda text: drawn(text).rotate(180)),
        Case("turned by 270 degrees", lambda text: drawn(text).rotate(90, expand=True)),
        Case("askew by 3 degrees", lambda text: drawn(text).rotate(3, expand=True, fillcolor=255)),
        Case("askew by 8 degrees", lambda text: drawn(text).rotate(-8, expand=True, fillcolor=255)),
        Case("specks on 4 % of the pixels", lambda text: specks(drawn(text), 0.04)),
        Case("specks on 10 % of the pixels", lambda text: specks(drawn(text), 0.10)),
        Case("grain", lambda text: grain(drawn(text), 40)),
        Case("low contrast, 120 on 150", lambda text: drawn(text, ink=120, paper=150)),
        Case("very low contrast, 118 on 128", lambda text: drawn(text, ink=118, paper=128)),
        Case("white on black", lambda text: drawn(text, ink=235, paper=20)),
        Case("two columns", two_columns),
    ]


def wrapped(text: str, width: int) -> list[str]:
    """The words in lines of at most `width` characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def drawn(text: str, *, size: int = 36, ink: int = 0, paper: int = 255) -> Image.Image:
    """The text in lines, in grey, with the font that comes with Pillow."""
    return _sheet([(0, wrapped(text, LINE_CHARS))], size, ink, paper)


def two_columns(text: str) -> Image.Image:
    """The first half of the lines on the left, the rest on the right."""
    lines = wrapped(text, COLUMN_CHARS)
    half = (len(lines) + 1) // 2
    return _sheet([(0, lines[:half]), (COLUMN_CHARS * 20, lines[half:])], 36, 0, 255)


def specks(image: Image.Image, share: float) -> Image.Image:
    """Black and white pixels strewn over the picture, the same ones every time."""
    chance = random.Random(1)
    for _ in range(int(image.width * image.height * share)):
        image.putpixel((chance.randrange(image.width), chance.randrange(image.height)), chance.choice((0, 255)))
    return image


def grain(image: Image.Image, deviation: float) -> Image.Image:
    """The picture paler and with noise in every pixel, the same every time."""
    chance = random.Random(2)
    shades = bytes(min(255, max(0, round(chance.gauss(128, deviation)))) for _ in range(image.width * image.height))
    noise = Image.frombytes("L", image.size, shades)
    return ImageChops.add(image.point(lambda shade: shade * 0.6 + 50), noise, 1, -128)


def score(read: Callable[[Image.Image], tuple[str, float]], case: Case) -> Score:
    """How the pictures of one case were read, on average over the texts."""
    found = []
    for wanted in TEXTS:
        image = case.draw(wanted)
        started = time.process_time()
        text, confidence = read(image)
        seconds = time.process_time() - started
        words = text.split()
        found.append(Score(right(wanted, " ".join(words)), right(wanted.split(), words), confidence, seconds))
    count = len(found)
    return Score(*(sum(column) / count for column in zip(*(vars(one).values() for one in found), strict=True)))


def right(wanted: Sequence[str], got: Sequence[str]) -> float:
    """One less the edits that turn one into the other, as a share of what was wanted."""
    before = list(range(len(got) + 1))
    for number, one in enumerate(wanted, 1):
        now = [number]
        for place, other in enumerate(got, 1):
            now.append(min(before[place] + 1, now[-1] + 1, before[place - 1] + (one != other)))
        before = now
    return max(0.0, 1 - before[-1] / len(wanted))


def ours() -> Callable[[Image.Image], tuple[str, float]]:
    """Our reading of a picture."""
    engine = engine_for(OcrConfig())

    def read(image: Image.Image) -> tuple[str, float]:
        found = engine.read(image)
        return found.text, found.confidence or 0.0

    return read


def bare() -> Callable[[Image.Image], tuple[str, float]]:
    """Tesseract as it is: one look at the picture."""
    import tesserocr

    from fmf.processing.ocr.tessdata import data_of

    with data_of("eng") as folder:
        api = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang="eng", psm=tesserocr.PSM.AUTO)

    def read(image: Image.Image) -> tuple[str, float]:
        api.SetImage(image)
        return api.GetUTF8Text(), float(api.MeanTextConf())

    return read


def table() -> str:
    """Every case, by our reading and by Tesseract alone."""
    mine, alone = ours(), bare()
    rows = []
    for case in cases():
        found, plain = score(mine, case), score(alone, case)
        rows.append(
            [
                case.name,
                f"{100 * found.characters:.1f} %",
                f"{100 * found.words:.1f} %",
                f"{found.confidence:.0f}",
                f"{found.seconds:.2f}",
                f"{100 * plain.characters:.1f} %",
                f"{100 * plain.words:.1f} %",
                f"{plain.seconds:.2f}",
            ]
        )
    head = ["pictures", "characters", "words", "confidence", "CPU s each", "alone: characters", "words", "CPU s each"]
    return measure.text(f"{len(TEXTS)} texts, each drawn in {len(rows)} ways ({page.machine()})", head, rows)


def main(options: Sequence[str] = ()) -> None:
    """Print the table; `--write` puts it into docs/formats/ocr.md."""
    made = table()
    print(made)
    if "--write" in options:
        page.write(PAGE, "ocr", made)


def _sheet(columns: Sequence[tuple[int, list[str]]], size: int, ink: int, paper: int) -> Image.Image:
    font, leading = ImageFont.load_default(size), round(size * 1.45)
    border = max(10, round(size * 1.5))
    width = max(left + font.getbbox(line)[2] for left, lines in columns for line in lines)
    height = leading * max(len(lines) for _, lines in columns)
    image = Image.new("L", (int(width) + 2 * border, height + 2 * border), paper)
    pen = ImageDraw.Draw(image)
    for left, lines in columns:
        for number, line in enumerate(lines):
            pen.text((border + left, border + number * leading), line, font=font, fill=ink)
    return image
