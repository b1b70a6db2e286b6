"""Subtitles (SRT, WebVTT): a line for each cue, behind the time at which it begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.characters.normalize import line_ends
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.web.tags import characters
from fmf.processing.source import Source
from fmf.processing.unreadable import unreadable

_TIME: Final = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,]\d{1,3}"
_CUE: Final = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*(?:\d+:)?\d{{1,2}}:\d{{2}}[.,]\d{{1,3}}")
_VOICE: Final = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG: Final = re.compile(r"</?[A-Za-z0-9][^<>]*>|\{\\[^{}]*\}")
_LONGEST_LINE: Final = 100_000
_LINES: Final = 500


def load(source: Source, settings: ProcessingConfig) -> Loaded:  # noqa: ARG001 - every loader takes the settings
    """The spoken text: `[hours:minutes:seconds]` and what is said from then on, cue by cue.

    Ends of cues, their numbers, places and styles are left out, as are notes and styles of the file; a speaker who is
    named in a cue stands before what is said. Cues of which the one before had the text are left out.

    Raises:
        ProcessingError: there are no cues in it.
    """
    encoding = encoding_of(source)
    pieces = line_ends(decoded(source, encoding))
    metadata = encoding.notes()
    return Loaded(_blocks(source, pieces), title=source.ref.name, metadata=metadata)


def _blocks(source: Source, pieces: Iterator[str]) -> Iterator[str]:
    before, lines, seen = "", list[str](), False
    for time, words in _cues(pieces):
        seen = True
        text = _tidy(words)
        if text and text != before:
            lines.append(f"[{time}] {text}\n")
            before = text
        if len(lines) >= _LINES:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)
    if not seen:
        raise unreadable(source, "subtitles", "there are no cues in it", hint="give it the ending of its kind")


def _cues(pieces: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The time of each cue and its text, which ends with a blank line."""
    time, words = "", list[str]()
    for line in _cut(pieces):
        if cue := _CUE.match(line):
            if time:
                yield time, "\n".join(words)
            hours, minutes, seconds = (int(part or 0) for part in cue.groups())
            time, words = f"{hours:02d}:{minutes:02d}:{seconds:02d}", []
        elif not line.strip():
            if time:
                yield time, "\n".join(words)
            time, words = "", []
        elif time:
            words.append(line)
    if time:
        yield time, "\n".join(words)


def _cut(pieces: Iterator[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        *lines, held = (held + piece).split("\n")
        yield from lines
        if len(held) > _LONGEST_LINE:
            yield held
            held = ""
    yield held


def _tidy(words: str) -> str:
    spoken = _TAG.sub("", _VOICE.sub(r"\1: ", words))
    return " ".join(characters(spoken).split())
