"""Pictures: the text that OCR reads from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.images.limits import max_pixels
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.ocr.base import engine_for, read_picture
from fmf.processing.ocr.notes import OcrNotes
from fmf.processing.pdf.tidy import tidied
from fmf.processing.source import Source
from fmf.processing.unreadable import too_many_pages
from fmf_core.errors import Code
from fmf_core.registry import install_hint


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the picture, or of every page of a TIFF, each behind its mark.

    The title is the file's name. The metadata say how large the picture is and how sure the engine was.

    Raises:
        ProcessingError: the OCR engine is missing; while it is read: the picture is damaged, too large, or has no text.
    """
    # First of all, so that what is missing here is told as such, whatever the file is like.
    engine_for(settings.images.ocr, source.ref.uri)
    metadata: dict[str, Any] = {}
    return Loaded(_pieces(source, settings, metadata), title=source.ref.name, metadata=metadata)


def _pieces(source: Source, settings: ProcessingConfig, metadata: dict[str, Any]) -> Iterator[str | Mark]:
    try:
        from fmf.processing.images.frames import opened
    except ImportError as error:
        raise ProcessingError(
            f"{source.ref.uri}: pictures need {error.name!r}, which cannot be imported: {error}",
            op="processing.image",
            code=Code.UNSUPPORTED,
            hint=install_hint("ocr"),
            fields={"extra": "ocr"},
        ) from error
    notes, without = OcrNotes(settings.images.ocr), []
    with opened(source, max_pixels=max_pixels(settings)) as frames:
        metadata |= {"width": frames.width, "height": frames.height, "pages": frames.count}
        if frames.count > settings.limits.max_pages:
            raise too_many_pages(source, "image", frames.count, settings.limits.max_pages)
        some = False
        for page, picture in enumerate(frames.pictures, 1):
            result = read_picture(settings.images.ocr, picture, source.ref.uri)
            notes.add(page, result)
            text = tidied(result.text, settings)
            if some and text:
                yield "\n\n"
            if frames.count > 1:
                yield Mark("page", page)
            if text:
                some = True
                yield text
            else:
                without.append(page)
    metadata |= notes.metadata(paged=frames.count > 1)
    if without:
        metadata["pages_without_text"] = without
    if not some:
        raise ProcessingError(
            f"{source.ref.uri}: {settings.images.ocr.engine} found no text in it",
            op="processing.image",
            code=Code.INVALID,
            hint="look whether processing.images.ocr.lang is its language, show it to a model, or exclude it",
        )
