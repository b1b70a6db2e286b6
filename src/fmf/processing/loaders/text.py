"""Plain text, and every other format that people read as it is."""

from __future__ import annotations

from collections.abc import Iterator

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.characters.normalize import line_ends, normalized
from fmf.processing.loaders.base import Loaded
from fmf.processing.source import Source


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the file; its title is the file's name."""
    pieces, metadata = read_text(source, settings, markdown=False)
    return Loaded(pieces, title=source.ref.name, metadata=metadata)


def read_text(source: Source, settings: ProcessingConfig, *, markdown: bool) -> tuple[Iterator[str], dict[str, str]]:
    """The decoded text in pieces, its white space as the settings want it, and what is to be noted of its encoding."""
    encoding = encoding_of(source)
    pieces = decoded(source, encoding)
    tidy = settings.text.normalize_whitespace
    pieces = normalized(pieces, markdown=markdown) if tidy else line_ends(pieces)
    return pieces, encoding.notes()
