"""What is noted of the pages that were read."""

from __future__ import annotations

from fmf.config.processing import OcrConfig
from fmf.processing.ocr.base import OcrResult
from fmf.processing.ocr.notes import OcrNotes


def test_one_picture_has_one_confidence_and_one_rotation():
    notes = OcrNotes(OcrConfig())
    notes.add(1, OcrResult("text", 91.26, 90, "deu"))
    assert notes.metadata(paged=False) == {
        "ocr_engine": "tesseract",
        "language": "deu",
        "confidence": 91.3,
        "rotation": 90,
    }


def test_pages_are_weighed_by_their_length():
    notes = OcrNotes(OcrConfig(engine="own", lang="fra"))
    notes.add(2, OcrResult("a" * 30, 90.0))
    notes.add(3, OcrResult("", None))
    notes.add(7, OcrResult("a" * 10, 50.0, 180))
    assert notes.metadata(paged=True) == {
        "ocr_engine": "own",
        "language": "fra",
        "confidence": 80.0,
        "lowest_confidence": 50.0,
        "ocr_pages": [2, 3, 7],
        "rotations": {"7": 180},
    }


def test_where_nothing_was_read_nothing_is_noted():
    assert OcrNotes(OcrConfig()).metadata(paged=True) == {}
