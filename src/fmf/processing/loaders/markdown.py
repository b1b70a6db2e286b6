"""Markdown: the text as it is, titled by its first heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from fmf.config.processing import ProcessingConfig
from fmf.processing.fences import bare_heading, code_spans
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.text import read_text
from fmf.processing.source import Source

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?P<inside>(?:.*\n)*?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FRONT_TITLE = re.compile(r"^title:[ \t]*(?P<title>\S.*)$", re.MULTILINE)
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(?P<marked>\S.*)$|^(?P<underlined>\S.*)\n(?:=+|-{3,})[ \t]*$",
    re.MULTILINE,
)
_LONGEST_TITLE = 300
_TITLE_WITHIN = 1 << 14


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the file; its title is that of its front matter, else its first heading, else the file's name.

    Without `preserve_markdown` the white space of code is treated like that of any other text.
    """
    keep = settings.text.preserve_markdown
    pieces, metadata = read_text(source, settings, markdown=keep)
    first = _first(pieces)
    return Loaded(chain([first], pieces), title=_title(first) or source.ref.name, markdown=keep, metadata=metadata)


def _first(pieces: Iterator[str]) -> str:
    """The text down to where a title may be."""
    first = ""
    while len(first) < _TITLE_WITHIN and (piece := next(pieces, "")):
        first += piece
    return first


def _title(text: str) -> str | None:
    front = _FRONT_MATTER.match(text)
    if front:
        if named := _FRONT_TITLE.search(front["inside"]):
            return _unquoted(named["title"].rstrip())[:_LONGEST_TITLE]
        text = text[front.end() :]
    code, _ = code_spans(text, None)
    for heading in _HEADING.finditer(text):
        if not any(start <= heading.start() < end for start, end in code):
            return bare_heading(heading["marked"] or heading["underlined"])[:_LONGEST_TITLE]
    return None


def _unquoted(title: str) -> str:
    quoted = len(title) > 2 and title[0] in "\"'" and title[-1] == title[0]
    return title[1:-1] if quoted else title
