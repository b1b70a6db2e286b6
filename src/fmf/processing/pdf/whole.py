"""Whether a PDF is there to its end, before anything is read from it: libraries give part of the text in silence."""

from __future__ import annotations

import re
from typing import Final

from fmf.errors import ProcessingError
from fmf.processing.source import Source
from fmf.types import ResourceRef
from fmf_core.errors import Code

HEADER_WITHIN: Final = 1024
"""Bytes in which a PDF must begin; what stands before is passed over."""
_HEADER: Final = b"%PDF-"
_END: Final = b"%%EOF"
_TAIL: Final = 4096
_LINEARIZED: Final = re.compile(
    rb"/Linearized\b[^>]{0,400}?/L\s+(\d{1,15})\b|/L\s+(\d{1,15})\b[^>]{0,400}?/Linearized\b"
)
_OBJECT: Final = re.compile(rb"\b\d+\s+\d+\s+obj\b")
_LAST_TABLE: Final = re.compile(rb"startxref\s+(\d{1,15})\s*%{0,2}E?O?F?\s*$")


def check_whole(source: Source) -> None:
    """Raise unless the file is a PDF that is there to its end.

    Raises:
        ProcessingError: it does not begin or does not end as a PDF does.
    """
    begin = source.head.find(_HEADER, 0, HEADER_WITHIN + len(_HEADER))
    if begin < 0:
        raise ProcessingError(
            f"{source.ref.uri} is no PDF: there is no %PDF- in its first {HEADER_WITHIN} bytes",
            op="processing.pdf",
            code=Code.INVALID,
            hint="give it the ending of what it is, or exclude it",
        )
    if promised := _LINEARIZED.search(source.head, begin, begin + 2048):
        size = int(promised[1] or promised[2])
        if size > source.size:
            raise _cut_off(source.ref, f"its first object promises {size:,} bytes, and there are {source.size:,}")
    tail = source.window(max(0, source.size - _TAIL), _TAIL)
    if _END not in tail and _has_last_table(source, tail.rstrip(b"\0\r\n\t "), begin):
        return
    after = tail.rpartition(_END)[2] if _END in tail else _after_last_end(source)
    if after is None or _OBJECT.search(after):
        raise _cut_off(source.ref, f"it does not end with %%EOF after {source.size:,} bytes")


def _has_last_table(source: Source, tail: bytes, begin: int) -> bool:
    """Whether only the end mark is missing: the place of the table of objects stands there and is right."""
    if not (found := _LAST_TABLE.search(tail)):
        return False
    there = source.window(begin + int(found[1]), 32).lstrip()
    return there.startswith(b"xref") or _OBJECT.match(there) is not None


def _after_last_end(source: Source) -> bytes | None:
    """What follows the last end mark, for something may have been put behind it; at most a megabyte of it."""
    after: bytes | None = None
    before = b""
    for block in source.blocks():
        joined = before + block
        _, found, rest = joined.rpartition(_END)
        if found:
            after = rest[: 1 << 20]
        elif after is not None and len(after) < 1 << 20:
            after += block
        before = joined[-len(_END) + 1 :]
    return after


def _cut_off(ref: ResourceRef, why: str) -> ProcessingError:
    return ProcessingError(
        f"{ref.uri} is cut off: {why}",
        op="processing.pdf",
        code=Code.INVALID,
        hint="fetch or export it again, or exclude it",
    )
