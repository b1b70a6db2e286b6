"""Office files that are not read, the old binary and the encrypted ones: one clear error that says what to do."""

from __future__ import annotations

from typing import NoReturn

from fmf.config.processing import ProcessingConfig
from fmf.processing.kinds.ole import kind_of
from fmf.processing.source import Source
from fmf.processing.unreadable import encrypted, unreadable
from fmf_core.errors import Code

_NEWER = {"doc": ("Word", "docx"), "ppt": ("PowerPoint", "pptx")}


def load(source: Source, settings: ProcessingConfig) -> NoReturn:  # noqa: ARG001 - every loader takes both
    """Raise `ProcessingError`: these files are not read.

    Raises:
        ProcessingError: always; its hint says which program saves them in a form that is read.
    """
    found = kind_of(source.window) or "ole"
    if found == "encrypted":
        raise encrypted(source, "office")
    if found in _NEWER:
        program, newer = _NEWER[found]
        raise unreadable(
            source,
            found,
            f"it is a binary file of {program} 97 to 2003, which is not read",
            hint=f"save it as .{newer} ({program}, or LibreOffice: soffice --headless --convert-to {newer} FILE), "
            "or exclude it",
            code=Code.UNSUPPORTED,
        )
    raise unreadable(source, found, "it is an OLE container without a document that is read", code=Code.UNSUPPORTED)
