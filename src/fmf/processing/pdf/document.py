"""One PDF through PDFium: its pages, their texts, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pypdfium2
import pypdfium2.raw as pdfium

from fmf.errors import ProcessingError
from fmf.processing.pdf.fused import with_blanks
from fmf.processing.pdf.order import Box
from fmf.processing.source import Source
from fmf.processing.unreadable import unreadable
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_TEXT: Final = 20_000_000
"""Characters of one page."""
_IN_MEMORY: Final = 16 << 20
_MOST_BOXES: Final = 5_000
_MOST_NOTES: Final = 500
_WITH_TEXT: Final = frozenset({pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP, pdfium.FPDF_ANNOT_WIDGET})

# PDFium must not be entered by two threads at once, whichever documents they read.
_one_at_a_time = Lock(reentrant=True)


class PdfFile:
    """An open PDF. Close it in the end; pages count from 0.

    Raises:
        ProcessingError: it is damaged, or encrypted with a password that is not empty.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        small = source.size <= _IN_MEMORY
        with _one_at_a_time():
            try:
                self._pdf = pypdfium2.PdfDocument(b"".join(source.blocks()) if small else source.stream)
            except pypdfium2.PdfiumError as error:
                raise _cannot_be_opened(source.ref, error) from error
            self.pages: int = len(self._pdf)
            self.info: dict[str, str] = dict(_properties(self._pdf))

    def close(self) -> None:
        """Put it away."""
        with _one_at_a_time():
            self._pdf.close()

    def text(self, index: int) -> tuple[str, list[Box]]:
        """The text of a page in the order of the file, and the places of its runs in the same order.

        What stands in filled forms, in boxes of text and on stamps comes last.
        """
        with self._page(index) as page:
            if not _has_notes(page):
                return self._text_of(page, index)
            pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
        with self._page(index) as page:  # what became part of the page is there when it is opened anew
            return self._text_of(page, index)

    def blank(self, index: int) -> bool:
        """Whether nothing at all is drawn on a page."""
        with self._page(index) as page:
            return bool(pdfium.FPDFPage_CountObjects(page) <= 0)

    def picture(self, index: int, *, dpi: int, max_pixels: int) -> Image:
        """A page as a picture in grey.

        Args:
            index: the page.
            dpi: pixels to the inch; fewer where the picture would be larger than `max_pixels`.
            max_pixels: what a picture on the page may have before it is unpacked, too.
        """
        with self._page(index) as page:
            for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
                width, height = item.get_px_size()
                if width * height > max_pixels:
                    why = f"a picture on page {index + 1} has {width:,} x {height:,} pixels"
                    hint = "raise processing.limits.max_memory_mb, or exclude the file"
                    raise unreadable(self._source, "pdf", why, hint=hint)
            width, height = page.get_size()
            scale = min(dpi / 72, (max_pixels / max(1.0, width * height)) ** 0.5)
            bitmap = page.render(scale=scale, grayscale=True, limit_image_cache=True)
            try:
                picture: Image = bitmap.to_pil().copy()
                return picture
            finally:
                bitmap.close()

    def _text_of(self, page: Any, index: int) -> tuple[str, list[Box]]:
        text_page = page.get_textpage()
        try:
            chars = text_page.count_chars()
            if chars > LARGEST_TEXT:
                why = f"page {index + 1} has {chars:,} characters; {LARGEST_TEXT:,} are allowed"
                raise unreadable(self._source, "pdf", why, hint="exclude the file")
            if not chars:
                return "", []
            boxes = min(text_page.count_rects(), _MOST_BOXES)
            return with_blanks(text_page), [Box(*text_page.get_rect(number)) for number in range(boxes)]
        finally:
            text_page.close()

    @contextmanager
    def _page(self, index: int) -> Iterator[Any]:
        with _one_at_a_time():
            try:
                page = self._pdf[index]
            except pypdfium2.PdfiumError as error:
                raise self._damaged(index, error) from error
            try:
                yield page
            except pypdfium2.PdfiumError as error:
                raise self._damaged(index, error) from error
            finally:
                page.close()

    def _damaged(self, index: int, error: Exception) -> ProcessingError:
        why = f"page {index + 1} of {self.pages} cannot be read: {error}"
        hint = "the file is damaged: fetch or export it again, or exclude it"
        return unreadable(self._source, "pdf", why, hint=hint)


def _has_notes(page: Any) -> bool:
    """Whether something lies on the page that has text of its own."""
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST_NOTES)):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        kind = pdfium.FPDFAnnot_GetSubtype(note)
        pdfium.FPDFPage_CloseAnnot(note)
        if kind in _WITH_TEXT:
            return True
    return False


def _properties(pdf: Any) -> Iterator[tuple[str, str]]:
    """Title, author and the like, as far as they are text."""
    for key in pdf.METADATA_KEYS:
        try:
            yield key, pdf.get_metadata_value(key)
        except UnicodeDecodeError:
            continue


def _cannot_be_opened(ref: ResourceRef, error: pypdfium2.PdfiumError) -> ProcessingError:
    if error.err_code == pdfium.FPDF_ERR_PASSWORD:
        return ProcessingError(
            f"{ref.uri} is encrypted, and opens only with a password",
            op="processing.pdf",
            code=Code.UNSUPPORTED,
            hint="save it without a password, or exclude it",
        )
    if error.err_code == pdfium.FPDF_ERR_SECURITY:
        return ProcessingError(
            f"{ref.uri} is encrypted in a way that is not known here",
            op="processing.pdf",
            code=Code.UNSUPPORTED,
            hint="save it without encryption, or exclude it",
        )
    return ProcessingError(
        f"{ref.uri} is a damaged PDF: {error}",
        op="processing.pdf",
        code=Code.INVALID,
        hint="fetch or export it again, or exclude it",
    )
