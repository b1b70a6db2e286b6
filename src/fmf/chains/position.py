"""Where in its input a run stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Position:
    """Everything in the input before it is final; a run that goes on takes up here.

    Reading may be ahead of asking: where failures end the run, every document is read before the first call.
    """

    docs: int = 0
    """Bytes of `docs.jsonl` before the document whose items come next."""
    pieces: int = 0
    """Bytes of `chunks.jsonl` or `rows.jsonl` before the first row of that document."""
    index: int = 0
    """Items of that document that are done; of a run over groups of pictures, all groups."""
    docs_read: int = 0
    """Bytes of `docs.jsonl` that tell of what was read."""
    pieces_read: int = 0
    """The same for its rows."""


BEGINNING: Final = Position()
