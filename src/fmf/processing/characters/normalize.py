"""White space of a text made uniform, block by block; what is inside a line stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from fmf.processing.fences import Fence, code_spans

_LINE_END: Final = re.compile(r"\r\n?")
_TRAILING: Final = re.compile(r"(?<![ \t])[ \t]++(?=\n)")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_HELD: Final = 1 << 16


def line_ends(pieces: Iterable[str]) -> Iterator[str]:
    r"""The same text with `\n` at the end of every line."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        text = text[: len(text) - len(held)]
        yield _LINE_END.sub("\n", text) if "\r" in text else text
    if held:
        yield "\n"


def normalized(pieces: Iterable[str], *, markdown: bool = False) -> Iterator[str]:
    r"""The same text with `\n` line ends, no blanks at the ends of lines and never more than one blank line in a row.

    In Markdown, fenced code keeps all of its white space, and two or more blanks that force a line break stay, as two.
    """
    yield from _markdown(line_ends(pieces)) if markdown else _plain(line_ends(pieces))


def _plain(pieces: Iterable[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        text = held + piece
        end = len(text.rstrip(" \t\n"))
        # The white space at the end waits for what follows it, but not for ever.
        if len(text) - end > _HELD:
            end = len(text)
        held = text[end:]
        if end:
            yield _tidy(text[:end])
    if held:
        yield _tidy(held + "\n").removesuffix("\n")


def _markdown(pieces: Iterable[str]) -> Iterator[str]:
    held = ""
    fence: Fence | None = None
    for piece in pieces:
        text = held + piece
        end = len(text.rstrip(" \t\n"))
        line = text.rfind("\n", 0, end) + 1
        # The last line waits for its end; one that does not end is no fence.
        if len(text) - line > _HELD:
            line = max(line, end) if len(text) - end <= _HELD else len(text)
        held = text[line:]
        if line:
            tidy, fence = _tidy_markdown(text[:line], fence)
            yield tidy
    if held:
        yield _tidy_markdown(held + "\n", fence)[0].removesuffix("\n")


def _tidy(text: str) -> str:
    if _has_trailing(text):
        text = _TRAILING.sub("", text)
    return _BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text


def _has_trailing(text: str) -> bool:
    # A single character is found twenty times as quickly as two.
    return " \n" in text or ("\t" in text and "\t\n" in text)


def _tidy_markdown(text: str, fence: Fence | None) -> tuple[str, Fence | None]:
    spans, fence = code_spans(text, fence)
    parts, done = [], 0
    for start, end in spans:
        parts += [_tidy_prose(text[done:start]), text[start:end]]
        done = end
    parts.append(_tidy_prose(text[done:]))
    return "".join(parts), fence


def _tidy_prose(text: str) -> str:
    if _has_trailing(text):
        text = _TRAILING.sub(_break, text)
    return _BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text


def _break(blanks: re.Match[str]) -> str:
    """Two blanks behind a word are a line break in Markdown."""
    start = blanks.start()
    behind_text = start > 0 and blanks.string[start - 1] != "\n"
    return "  " if behind_text and blanks[0].endswith("  ") else ""
