"""The text of pages whose lines mix their columns, column by column, through pdf-oxide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pdf_oxide

from fmf.processing.panics import is_panic


class ColumnOrder:
    """A PDF whose pages are read in the order of their columns; what goes wrong with one gives an empty text.

    Args:
        data: the whole file.
    """

    def __init__(self, data: bytes) -> None:
        pdf_oxide.set_log_level("off")
        self._pdf: Any = _tried(lambda: pdf_oxide.PdfDocument.from_bytes(data))

    def text(self, index: int) -> str:
        """The text of one page, which is counted from 0."""
        return str(_tried(lambda: self._pdf.extract_text(index)) or "") if self._pdf else ""


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except BaseException as error:
        # What goes wrong in there may arrive as an exception that is no Exception.
        if isinstance(error, Exception) or is_panic(error):
            return None
        raise
