"""The text of a page whose lines mix its columns, column by column, through pdf-oxide."""

from __future__ import annotations

import pdf_oxide


def column_text(data: bytes, index: int) -> str:
    """The text of one page, in the order of its columns; empty where it cannot be told.

    Args:
        data: the whole file.
        index: the page, from 0.
    """
    pdf_oxide.set_log_level("off")
    try:
        return str(pdf_oxide.PdfDocument.from_bytes(data).extract_text(index))
    except BaseException as error:
        # What goes wrong in there arrives as an exception that is no Exception.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            return ""
        raise
