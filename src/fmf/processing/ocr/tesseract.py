"""The engine `tesseract`: Tesseract inside this process, through tesserocr."""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

import tesserocr
from PIL import Image

from fmf.config.processing import OcrConfig
from fmf.errors import ProcessingError
from fmf.processing.ocr.base import OcrResult
from fmf.processing.ocr.tessdata import data_of
from fmf.processing.ocr.tries import NOISE, NOTHING, Reading, best_reading
from fmf_core.errors import Code

RIL: Final = tesserocr.RIL
_RESOLUTION: Final = 300
_LONG: Final = 2
"""Times its height that a line is long before its slant is told."""
_FEW: Final = 20
"""Sure letters, fewer than which are no text among noise."""
_NO_TEXT: Final = frozenset(
    {
        tesserocr.PT.FLOWING_IMAGE,
        tesserocr.PT.HEADING_IMAGE,
        tesserocr.PT.PULLOUT_IMAGE,
        tesserocr.PT.HORZ_LINE,
        tesserocr.PT.VERT_LINE,
        tesserocr.PT.NOISE,
    }
)


class TesseractEngine:
    """Reads printed text; one object serves one thread.

    Args:
        settings: the section `processing.images.ocr`; `lang` is one of Tesseract's codes, or several as in `deu+eng`.

    Raises:
        ProcessingError: the data of the language are missing or damaged.
    """

    def __init__(self, settings: OcrConfig) -> None:
        self._lang = settings.lang
        with data_of(settings.lang) as folder:
            try:
                self._api = tesserocr.PyTessBaseAPI(
                    path=f"{folder}/", lang=settings.lang, psm=tesserocr.PSM.AUTO, oem=tesserocr.OEM.LSTM_ONLY
                )
            except RuntimeError as error:
                raise ProcessingError(
                    f"the OCR engine 'tesseract' cannot use its data for {settings.lang!r} in {folder}",
                    op="processing.ocr",
                    code=Code.INVALID,
                    hint="install them again, or choose another processing.images.ocr.lang",
                ) from error
        self._api.SetVariable("debug_file", "/dev/null")

    def read(self, image: Image.Image) -> OcrResult:
        """The text of the picture, in whichever direction it is best read."""
        best, rotation = best_reading(image, self._recognise)
        if best.confidence < NOISE and best.weight < _FEW:
            return OcrResult("", None, 0, self._lang)
        return OcrResult(best.text, round(best.confidence, 1), rotation, self._lang)

    def _recognise(self, image: Image.Image) -> Reading:
        api = self._api
        api.SetImageBytes(image.tobytes(), image.width, image.height, 1, image.width)
        api.SetSourceResolution(_RESOLUTION)
        try:
            if not api.Recognize():
                return NOTHING
            found = api.GetIterator()
            return _reading(api.GetUTF8Text(), found) if found else NOTHING
        finally:
            api.Clear()


def _reading(text: str, found: Any) -> Reading:
    """The reading that stands in a result of Tesseract."""
    words: list[tuple[str, float]] = []
    heights: list[float] = []
    slants: list[float] = []
    sideways = 0
    for word in tesserocr.iterate_level(found, RIL.WORD):
        if word.Empty(RIL.WORD) or word.BlockType() in _NO_TEXT:
            continue
        try:
            words.append((word.GetUTF8Text(RIL.WORD), float(word.Confidence(RIL.WORD))))
        except RuntimeError:  # what it says of a place without text
            continue
        if word.IsAtBeginningOf(RIL.TEXTLINE):
            # Of small text the one is too high, of slanting lines the other.
            left, top, right, bottom = word.BoundingBox(RIL.TEXTLINE)
            heights.append(float(min(word.RowAttributes()["row_height"], right - left, bottom - top)))
            (start, high), (end, low) = word.Baseline(RIL.TEXTLINE) or ((0, 0), (1, 0))
            sideways += 1 if abs(low - high) > abs(end - start) else -1
            if end - start > _LONG * heights[-1]:
                slants.append(math.degrees(math.atan2(low - high, end - start)))
    height, slant = (statistics.median(found) if found else None for found in (heights, slants))
    return Reading(text, tuple(words), height, sideways > 0, slant or 0.0)
