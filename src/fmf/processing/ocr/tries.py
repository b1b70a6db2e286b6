"""How a picture is made readable, and tried again where a reading is poor: larger, without specks, turned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageFilter, ImageOps, ImageStat

GOOD: Final = 85.0
"""From this mean confidence on, nothing else is tried."""
_FAIR: Final = 60.0
"""From this mean confidence on, the picture is taken to be upright."""
NOISE: Final = 40.0
"""Words below this confidence do not count, and a reading of such words alone is none."""
_SMALL_LINE: Final = 26
_WANTED_LINE: Final = 40
_LARGEST_PIXELS: Final = 40_000_000
_SLANTED: Final = (0.8, 20.0)
"""Degrees off the level between which a picture is put straight."""
_LEVELLINGS: Final = 3
_ASKEW: Final = 8.0
"""Degrees by which a picture is turned when no line at all was found in it."""
_DARK: Final = 110
_CLIPPED: Final = 0.5
"""Percent of the darkest and of the lightest pixels that do not count for the contrast."""
_FLAT: Final = 2.0
"""The deviation of the shades of grey below which a picture shows nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One try at one picture."""

    text: str
    words: tuple[tuple[str, float], ...]
    """The words with their confidences, from 0 to 100."""
    line_height: float | None = None
    """Pixels, the middle one of all lines; `None` where no line was found."""
    sideways: bool = False
    """Whether the lines run from the top to the bottom of the picture, and were read so."""
    slant: float = 0.0
    """Degrees, clockwise, by which the lines are off the level."""

    @property
    def confidence(self) -> float:
        """The mean confidence, weighed by the length of the words; 0 where there is none."""
        letters = sum(len(word) for word, _ in self.words)
        return sum(len(word) * sure for word, sure in self.words) / letters if letters else 0.0

    @property
    def weight(self) -> float:
        """How many letters and digits were read, each as far as it is sure."""
        return sum(
            sum(letter.isalnum() for letter in word) * (sure - NOISE) / (100 - NOISE)
            for word, sure in self.words
            if sure > NOISE
        )

    @property
    def good(self) -> bool:
        """Whether it is likely to be right."""
        return self.confidence >= GOOD and self.weight >= 1


Recognise = Callable[[Image.Image], Reading]
NOTHING: Final = Reading("", ())


def best_reading(image: Image.Image, recognise: Recognise) -> tuple[Reading, int]:
    """The best reading of a picture, and the degrees by which it was turned clockwise for that.

    Args:
        image: any picture without transparency.
        recognise: reads a picture in grey.
    """
    if ImageStat.Stat(image.convert("L")).stddev[0] < _FLAT and _plain(image):
        return NOTHING, 0
    view = prepared(image)
    best, turn = recognise(view), 0
    small = best.line_height is not None and best.line_height < _SMALL_LINE
    if small and best.line_height and (larger := enlarged(view, _WANTED_LINE / best.line_height)) is not view:
        view = larger
        best = max(best, recognise(larger), key=lambda reading: reading.weight)
    best, view = _levelled(view, best, recognise)
    for tried, degrees in _other_tries(view, best):
        found, _ = _levelled(tried, recognise(tried), recognise)
        if found.weight > best.weight or (found.confidence > best.confidence and found.weight > 0.95 * best.weight):
            best, turn = found, degrees
        if best.good:
            break
    return best, (turn + 270 * best.sideways) % 360


def _levelled(view: Image.Image, best: Reading, recognise: Recognise) -> tuple[Reading, Image.Image]:
    """The reading of the picture once its lines are level, and that picture; itself where that makes it no better."""
    for _ in range(_LEVELLINGS):
        if best.sideways or not _SLANTED[0] <= abs(best.slant) <= _SLANTED[1]:
            break
        level = view.rotate(best.slant, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
        found = recognise(level)
        if found.weight <= best.weight:
            break
        best, view = found, level
    return best, view


def _other_tries(view: Image.Image, first: Reading) -> Iterator[tuple[Image.Image, int]]:
    """The picture upside down where what was read is poor, cleaned, and turned by what it must be turned by.

    Lines that run from top to bottom are found by the engine itself, mostly.
    """
    if first.good:
        return
    poor = first.line_height is not None and first.confidence < _FAIR
    if poor:
        yield view.rotate(180), 180
    yield _median(view), 0
    yield _blurred(view), 0
    if poor:
        yield view.rotate(-90, expand=True), 90
        yield view.rotate(90, expand=True), 270
    elif first.line_height is None:
        for degrees in (_ASKEW, -_ASKEW):
            yield view.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255), 0


def prepared(image: Image.Image) -> Image.Image:
    """The picture in grey, dark on light, from black to white."""
    grey = image if image.mode == "L" else image.convert("L")
    grey = ImageOps.autocontrast(grey, cutoff=_CLIPPED)
    return ImageOps.invert(grey) if ImageStat.Stat(grey).median[0] < _DARK else grey


def enlarged(image: Image.Image, factor: float) -> Image.Image:
    """The picture `factor` times as wide and high, as far as that makes sense; itself where it does not."""
    factor = min(factor, 4.0, (_LARGEST_PIXELS / (image.width * image.height)) ** 0.5)
    if factor < 1.2:
        return image
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.LANCZOS)


def _plain(image: Image.Image) -> bool:
    """Whether its shades hardly differ anywhere: one with a few faint words may deviate as little on the whole."""
    low, high = image.convert("L").filter(ImageFilter.BoxBlur(1)).getextrema()
    return float(high) - float(low) < 4 * _FLAT  # type: ignore[arg-type]  # of one band


def _median(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.MedianFilter(3))


def _blurred(image: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(image.filter(ImageFilter.GaussianBlur(1.2)), cutoff=2)
