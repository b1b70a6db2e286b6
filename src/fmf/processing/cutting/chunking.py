"""From a text that comes in pieces to chunks with exact token counts and exact offsets."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from fmf.config.processing import ChunkingConfig
from fmf.processing.cutting.counted import counter
from fmf.processing.cutting.sentences import (
    CONTEXT,
    LOOKAHEAD,
    PARAGRAPH,
    SENTENCE,
    best_end,
    ends,
    last_word_end,
    whole_characters,
)
from fmf.processing.cutting.units import unit_end
from fmf.processing.fences import Fence, Fences, fence_end

_BLOCK: Final = 1 << 18
_TAIL: Final = 0.33
"""The part of a chunk, at its end, in which a better place to cut is preferred to a later one."""
_KEPT_WHOLE: Final = {"by_paragraph": (PARAGRAPH, SENTENCE), "by_sentence": (SENTENCE,), "by_word": ()}
"""How good a place before that part has to be, by splitter; the first demand that can be met counts."""
_INDENT: Final = 64
_BLANK: Final = re.compile(r"\s")


class Piece(NamedTuple):
    """A chunk before it knows its document: `text == whole_text[start:end]`."""

    start: int
    """Characters from the start of the whole text."""
    end: int
    text: str
    tokens: int
    """In the tokenizer of the configuration."""


class Chunker:
    """Cuts one text into chunks of at most `max_tokens` tokens.

    By the strategy `recursive`, a chunk ends before a heading or after a paragraph where there is one in its last
    third, else after a sentence (or table row or list item), else after a line, a word or, in the end, a visible
    character. It begins with the last whole sentences of the one before, as many as `overlap` tokens hold, or with its
    last words where a sentence is longer. By the others, every section, paragraph, sentence or row is a chunk without
    overlap; one that is too long is cut as `recursive` would.

    Blanks at both ends are left out; every other character is in some chunk. The result depends on the text alone, not
    on the pieces in which it was fed. Time grows with the length of the text; memory does not.

    Args:
        settings: the section `processing.text.chunking`.
        markdown: keep fenced code in one chunk where it fits, and headings with what follows them.

    Raises:
        ConfigError: the tokenizer is unknown.
    """

    def __init__(self, settings: ChunkingConfig, *, markdown: bool = False) -> None:
        self._counter = counter(settings.tokenizer)
        self._unit = None if settings.strategy == "recursive" else settings.strategy
        self._kept_whole = _KEPT_WHOLE[settings.splitter]
        self._max = settings.max_tokens
        self._overlap = settings.overlap if settings.overlap < self._max else self._max // 2
        self._markdown = markdown
        self._waiting: list[str] = []
        self._waiting_chars = 0
        self._complete = False
        # All places are in `_text`, which is what is still needed of the whole text and starts at `_base` of it.
        self._text = ""
        self._base = 0
        self._start = 0  # where the next chunk starts, with its overlap
        self._new = 0  # up to where the text is in chunks
        self._fences = Fences()
        self._unit_ended = False  # whether a unit ends at `_new`
        self._parts: deque[int] = deque()  # where parts of the whole text begin, as far as they are not in chunks

    def feed(self, text: str) -> Iterator[Piece]:
        """The chunks that are certain once `text` follows what was fed before."""
        self._waiting.append(text)
        self._waiting_chars += len(text)
        if self._waiting_chars >= _BLOCK:
            yield from self._chunks()

    def part(self) -> None:
        """Note that a part of its own begins behind what was fed, such as a slide or an attachment."""
        self._parts.append(self._base + len(self._text) + self._waiting_chars)

    def finish(self) -> Iterator[Piece]:
        """The remaining chunks; nothing may be fed afterwards."""
        self._complete = True
        yield from self._chunks()

    def _chunks(self) -> Iterator[Piece]:
        self._take_waiting()
        while self._new < len(self._text):
            found = self._next()
            if found is None:
                return
            end, piece = found
            if piece and piece.end - self._base > self._new:
                yield piece
            self._advance(end, piece)

    def _take_waiting(self) -> None:
        done = max(0, self._start - CONTEXT)
        self._text = "".join([self._text[done:], *self._waiting])
        self._base += done
        self._start -= done
        self._new -= done
        while self._parts and self._parts[0] <= self._base + self._new:
            self._parts.popleft()
        if self._markdown:
            fence = self._fences.at(self._new + done)
            parts = [part - self._base for part in self._parts]
            self._fences = Fences(self._text, self._new, fence and Fence(fence.start - done, fence.mark), parts)
        self._waiting.clear()
        self._waiting_chars = 0
        self._counter.grow(self._text, done, complete=self._complete)

    def _next(self) -> tuple[int, Piece | None] | None:
        """Where the next chunk ends, and it unless it is blank; `None` while that depends on text yet to come."""
        limit, start = self._max, self._start
        while (cut := self._furthest(limit)) is not None:
            end = self._end(cut, limit)
            if end is None:
                break
            piece = self._piece(end)
            if piece is None or piece.tokens <= self._max:
                return end, piece
            # What is cut and stripped may need a token or two more than it did in its context.
            limit -= piece.tokens - self._max
        # Begun anew when there is more, so that the outcome does not depend on when it came.
        self._start = start
        return None

    def _furthest(self, limit: int) -> int | None:
        """How far from the start `limit` tokens go; `None` while that depends on text yet to come."""
        cut = self._counter.furthest(self._start, max(limit, 0))
        if cut is None or (not self._complete and cut + self._reach(cut) + LOOKAHEAD > len(self._text)):
            return None
        if cut > self._new:
            return cut
        if self._start == self._new:
            return self._new + 1
        self._start = self._new
        return self._furthest(limit)

    def _reach(self, cut: int) -> int:
        """About how many characters the chunk after the one up to `cut` will have, and some more."""
        return (cut - self._start) * 17 // 16 + LOOKAHEAD

    def _end(self, cut: int, limit: int) -> int | None:
        """The best place to end the chunk that can go up to `cut`; `None` while that depends on text yet to come."""
        end = self._good_end(cut)
        if end is None and self._start < self._new:
            # What does not fit behind an overlap may fit without one.
            overlapping, self._start = self._start, self._new
            further = self._furthest(limit)
            end = None if further is None else self._good_end(further)
            if end is None:
                self._start = overlapping
            if further is None:
                return None
        return self._any_end(cut) if end is None else end

    def _good_end(self, cut: int) -> int | None:
        """The end of the unit, or the best place up to `cut` that cuts no sentence, row, item or fenced code."""
        if self._unit:
            part = next(self._parts_to(cut), None) if self._parts else None
            stop = cut if part is None else part
            found = unit_end(self._unit, self._text, self._new, stop, fences=self._fences, markdown=self._markdown)
            found = part if found is None else found
            self._unit_ended = found is not None
            if found:
                return found
        return cut if cut == len(self._text) else self._best_end(cut)

    def _parts_to(self, cut: int) -> Iterator[int]:
        """Where parts begin behind the last chunk, up to `cut`."""
        while self._parts and self._parts[0] <= self._base + self._new:
            self._parts.popleft()
        return (part - self._base for part in itertools.takewhile(lambda at: at <= self._base + cut, self._parts))

    def _best_end(self, cut: int) -> int | None:
        if not self._kept_whole:
            return None
        if fence := self._fences.at(cut):
            return self._end_at_fence(fence, cut)
        tail = max(self._new, cut - int((cut - self._start) * _TAIL))
        if self._parts and (part := max(self._parts_to(cut), default=0)) > tail:
            return part
        best = best_end(self._text, tail, cut, markdown=self._markdown)
        before: list[tuple[int, int]] | None = None
        for least in self._kept_whole:
            if best[0] >= least:
                return best[1]
            if before is None:
                before = list(ends(self._text, self._new, tail, markdown=self._markdown))
            for quality, at in reversed(before):
                if quality >= least:
                    return at
        return best[1] or None

    def _end_at_fence(self, fence: Fence, cut: int) -> int | None:
        """Before the code where all of it may fit into the next chunk, else after one of its lines."""
        fits = fence_end(self._text, fence, self._text.find("\n", fence.start) + 1, fence.start + self._reach(cut))
        if fence.start >= self._new and fits is not None:
            return fence.start if fence.start > self._new else None
        return self._text.rfind("\n", self._new, cut) + 1 or None

    def _any_end(self, cut: int) -> int:
        """A place up to `cut` after a line, a word or a visible character."""
        least = self._new + (cut - self._new) // 3
        line = self._text.rfind("\n", self._new, cut) + 1
        if line > least and self._kept_whole:
            return line
        word = last_word_end(self._text, self._new, cut)
        return word if word > least else whole_characters(self._text, self._new, cut)

    def _piece(self, end: int) -> Piece | None:
        """The chunk that ends there, without blanks at its ends but with the indentation of its first line."""
        body = self._text[self._start : end].rstrip()
        text = body.lstrip()
        if not text:
            return None
        end = self._start + len(body)
        begin = end - len(text)
        line = self._text.rfind("\n", max(0, self._start - 1), begin) + 1
        if begin - _INDENT <= line < begin and (line or self._base + self._start == 0):
            begin, text = line, self._text[line:end]
        return Piece(self._base + begin, self._base + end, text, self._counter.count(begin, end))

    def _advance(self, end: int, piece: Piece | None) -> None:
        self._start = self._new = end
        if self._complete and end == len(self._text):
            return  # nothing follows that could overlap
        if self._overlap and piece and not self._unit_ended:
            # As far back as an overlap goes at the density of this chunk, and half as far again.
            far = 3 * self._overlap * len(piece.text) // (2 * piece.tokens) + 1
            begin, end = piece.start - self._base, piece.end - self._base
            self._start = self._overlap_start(max(begin + 1, end - far), end)

    def _overlap_start(self, least: int, end: int) -> int:
        """Where the sentences or else the words start that end at `end` and fit into the overlap."""
        fits = end
        if (near := self._counter.earliest(end, self._overlap)) and near[1] > least:
            least, fits = max(least, near[0]), near[1]
        if self._kept_whole:
            for _, at in ends(self._text, least, end):
                if least <= at < end and (at >= fits or self._fits_overlap(at, end)):
                    return at
        # Down to the first place that fits, or until it no longer matters which it is: the same line or word follows.
        while least < fits and self._break(least, end) < fits:
            at = (least + fits) // 2
            if self._fits_overlap(at, end):
                fits = at
            else:
                least = at + 1
        return self._part_start(least, end)

    def _fits_overlap(self, at: int, end: int) -> bool:
        return self._counter.count(at, end) <= self._overlap

    def _break(self, start: int, end: int) -> int:
        """The first newline in `text[start:end]`, else the first blank; -1 if there is none."""
        line = self._text.find("\n", start, end)
        if line >= 0:
            return line
        blank = _BLANK.search(self._text, start, end)
        return blank.start() if blank else -1

    def _part_start(self, start: int, end: int) -> int:
        """The first line in `text[start:end]`, else the first word, else the first visible character."""
        at = self._break(start, end)
        if at >= 0:
            return at + (self._text[at] == "\n")
        return next((at for at in range(start, end) if whole_characters(self._text, start - 1, at) == at), end)
