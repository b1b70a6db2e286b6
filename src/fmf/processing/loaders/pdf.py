"""PDF: the text of every page in reading order; pages that are pictures go through OCR where that is on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.images.limits import max_pixels
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.ocr.base import engine_for, read_picture
from fmf.processing.ocr.notes import OcrNotes
from fmf.processing.pdf.document import PdfFile
from fmf.processing.pdf.info import facts_of, title_of
from fmf.processing.pdf.order import mixes_columns
from fmf.processing.pdf.tidy import tidied
from fmf.processing.pdf.whole import check_whole
from fmf.processing.source import Source
from fmf.processing.unreadable import too_many_pages
from fmf.types import UNREAD_PAGES
from fmf_core.errors import Code

if TYPE_CHECKING:
    from fmf.processing.pdf.columns import ColumnOrder

DPI: Final = 300
"""Pixels to the inch of a page that is read as a picture."""
_LARGEST_PAGE: Final = 30_000_000
_KEPT: Final = 0.98
"""The share of a page's letters that another order of it must have."""


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the pages, one after the other, each behind its mark; a blank line stands between them.

    The title is that of the file's properties, else the file's name. Words that were divided at the ends of lines are
    whole again. Where the lines of two columns are mixed up in the file, the columns are put one behind the other.

    Raises:
        ProcessingError: the file is no PDF, cut off, damaged, encrypted with a password, or has too many pages; while
            it is read: a page is damaged, or no page has any text.
    """
    check_whole(source)
    pdf = PdfFile(source)
    limit = settings.limits.max_pages
    if pdf.pages > limit:
        pdf.close()
        raise too_many_pages(source, "pdf", pdf.pages, limit)
    metadata: dict[str, Any] = {"pages": pdf.pages, **facts_of(pdf.info)}
    reading = _Reading(source, settings, pdf, metadata)
    return Loaded(reading.pieces(), title=title_of(pdf.info) or source.ref.name, metadata=metadata)


class _Reading:
    """One PDF while its pages are read."""

    def __init__(self, source: Source, settings: ProcessingConfig, pdf: PdfFile, metadata: dict[str, Any]) -> None:
        self._source = source
        self._settings = settings
        self._pdf = pdf
        self._metadata = metadata
        self._ocr = settings.images.ocr
        self._notes = OcrNotes(self._ocr)
        self._without: list[int] = []
        self._unread: list[int] = []
        self._drawn = False
        self._unknown = 0
        self._columns: ColumnOrder | None = None

    def pieces(self) -> Iterator[str | Mark]:
        """Marks and texts; the metadata are complete in the end."""
        some = False
        try:
            for index in range(self._pdf.pages):
                text = self._page(index)
                if some and text:
                    yield "\n\n"
                yield Mark("page", index + 1)
                if text:
                    some = True
                    yield text
        finally:
            self._pdf.close()
        self._metadata |= self._notes.metadata(paged=True)
        if self._without:
            self._metadata["pages_without_text"] = self._without
        if self._unread:
            self._metadata[UNREAD_PAGES] = self._unread
        if self._unknown:
            self._metadata["unknown_characters"] = self._unknown
        if not some:
            raise self._no_text()

    def _page(self, index: int) -> str:
        text, boxes = self._pdf.text(index)
        if text.strip():
            text = tidied(self._in_order(index, text) if mixes_columns(boxes) else text, self._settings)
        elif not self._pdf.blank(index):
            self._drawn = True
            text = tidied(self._seen(index), self._settings) if self._ocr.enabled else ""
            if not self._ocr.enabled:
                self._unread.append(index + 1)
        else:
            text = ""
        self._unknown += text.count("\ufffd")
        if not text:
            self._without.append(index + 1)
        return text

    def _in_order(self, index: int, text: str) -> str:
        """The same text column by column, unless some of it would be lost."""
        if self._columns is None:
            from fmf.processing.pdf.columns import ColumnOrder

            self._columns = ColumnOrder(b"".join(self._source.blocks()))
        ordered = self._columns.text(index)
        return ordered if _letters(ordered) >= _KEPT * _letters(text) else text

    def _seen(self, index: int) -> str:
        engine_for(self._ocr, self._source.ref.uri)  # what is missing here is told before anything is drawn
        pixels = min(max_pixels(self._settings), _LARGEST_PAGE)
        result = read_picture(self._ocr, self._pdf.picture(index, dpi=DPI, max_pixels=pixels), self._source.ref.uri)
        self._notes.add(index + 1, result)
        return result.text

    def _no_text(self) -> ProcessingError:
        pages = f"{self._pdf.pages} page{'s' * (self._pdf.pages != 1)}"
        if not self._drawn:
            why, hint = "all blank or damaged", "look at it, or exclude it"
        elif self._ocr.enabled:
            why, hint = f"and {self._ocr.engine} found no text in the pictures of them", "exclude it"
        else:
            why = "and none has text: it is scanned, and processing.images.ocr.enabled is off"
            hint = "set processing.images.ocr.enabled to true, which needs the extra 'ocr'; or exclude it"
        return ProcessingError(
            f"{self._source.ref.uri} has {pages}, {why}",
            op="processing.pdf",
            code=Code.UNSUPPORTED if self._drawn and not self._ocr.enabled else Code.INVALID,
            hint=hint,
        )


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)
