"""White space of a text made uniform, block by block; what is inside a line stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from fmf.processing.fences import Fence, code_spans

_LINE_END: Final = re.compile(r"\r\n?")
_UNTIDY: Final = re.compile(r"\n(?:(?<=[ \t]\n)|(?=\n\n))")
"""Begins with what is found quickly: takes a third of the time of looking for each pair of characters."""
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


def _bare(line: str) -> str:
    return line.rstrip(" \t")


def _bare_or_broken(line: str) -> str:
    """The line without the blanks at its end; two behind a word are a line break in Markdown."""
    bare = line.rstrip(" \t")
    return f"{bare}  " if bare and line.endswith("  ") else bare


def _tidy(text: str, bare: Callable[[str], str] = _bare) -> str:
    if not _UNTIDY.search(text):
        return text
    if " \n" in text or "\t\n" in text:
        *lines, last = text.split("\n")  # quicker by far than a search for blanks, which are everywhere
        text = "\n".join([*map(bare, lines), last])
    return _BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text


def _tidy_markdown(text: str, fence: Fence | None) -> tuple[str, Fence | None]:
    spans, fence = code_spans(text, fence)
    parts, done = [], 0
    for start, end in spans:
        parts += [_tidy(text[done:start], _bare_or_broken), text[start:end]]
        done = end
    parts.append(_tidy(text[done:], _bare_or_broken))
    return "".join(parts), fence
