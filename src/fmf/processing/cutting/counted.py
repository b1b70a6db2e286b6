"""Exact token counts of any part of a long text, for which hardly more than the text itself is counted once."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final, Protocol

from fmf.errors import ProcessingError
from fmf.processing.cutting import tokens
from fmf_core.errors import Code

_GRAIN: Final = 192
_MOST: Final = 1_000
_HOLE: Final = 1 << 40
_NO_LIMIT: Final = 1 << 31
_BORDER: Final = re.compile(
    # before a blank behind anything that is not white space
    r"(?<=\S)(?=[ \t])"
    # after the last newline of some white space; a slash belongs to punctuation and newlines before it
    r"|(?<=\n)(?=[ \t]*+[^\s/])"
    # between a letter or a digit and punctuation; an apostrophe may go on with the word
    r"|(?<=[A-Za-z0-9])(?=[,;:(){}\[\]|<>=&\"])"
    r"|(?<=[\u3041-\u3096\u30a1-\u30fa\u3400-\u4db5\u4e00-\u9fa5\uac00-\ud7a3])(?=[\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f])"
)
"""Places that no token spans in any of the vocabularies, whatever stands around them: counts of both sides add up."""


class Counter(Protocol):
    """Counts the tokens of a text that grows at its end and is forgotten at its start."""

    def grow(self, text: str, forgotten: int, *, complete: bool) -> None:
        """Take `text` in place of the one before, of which the first `forgotten` characters are gone.

        Raises:
            ProcessingError: the text holds half of a surrogate pair.
        """

    def count(self, start: int, end: int) -> int:
        """How many tokens `text[start:end]` has by itself."""

    def furthest(self, start: int, limit: int) -> int | None:
        """How far from `start` that many tokens go; `None` while that depends on text yet to come."""

    def earliest(self, end: int, limit: int) -> tuple[int, int] | None:
        """Two places: up to `end`, more than `limit` tokens begin at the first and no more than that at the second."""


def counter(tokenizer: str) -> Counter:
    """A counter for one text.

    Raises:
        ConfigError: the tokenizer is unknown.
    """
    return Estimated() if tokens.known(tokenizer) == tokens.CHARACTERS else Counted(tokenizer)


class Counted:
    """Counts exactly.

    The text is counted in grains, which end where no token goes on. What lies between two ends of grains is then a
    difference of running sums, and only the rest at both ends has to be counted. A stretch without such places is a
    hole in the sums; what reaches into it is counted as a whole. Where grains end depends on the text alone.

    Args:
        tokenizer: a vocabulary out of `tokens.EXACT`.
    """

    def __init__(self, tokenizer: str) -> None:
        self._tokenizer = tokenizer
        self._truncate = tokens.truncation(tokenizer)
        self._text = ""
        self._complete = False
        self._places = [0]  # where grains end
        self._sums = [0]  # tokens up to there
        self._in_hole = False
        self._head = self._tail = (-1, 0)

    def grow(self, text: str, forgotten: int, *, complete: bool) -> None:
        """See `Counter.grow`."""
        self._text, self._complete = text, complete
        first = bisect_right(self._places, forgotten) - 1
        self._places = [place - forgotten for place in self._places[first:]]
        del self._sums[:first]
        self._head = self._tail = (-1, 0)
        grains, holes = self._grains()
        try:
            counts = tokens.count(grains, self._tokenizer)
        except UnicodeEncodeError as error:
            raise half_a_pair(error) from error
        for hole in holes:
            counts[hole] += _HOLE
        self._sums += list(accumulate(counts, initial=self._sums[-1]))[1:]

    def _grains(self) -> tuple[list[str], list[int]]:
        """What follows the last grain, in grains, and the numbers of those that are in a hole."""
        text, places, find = self._text, self._places, self._text.find
        grains: list[str] = []
        holes = []
        size, at = len(text), places[-1]
        last = size if self._complete else size - _MOST
        while at < last:
            end = -1 if self._in_hole else find(" ", at + _GRAIN, at + _MOST)
            if end < 0 or text[end - 1].isspace():
                end = self._border(at)
                if self._in_hole or end < 0:
                    holes.append(len(grains))
                self._in_hole = end < 0
                if end < 0:
                    end = at + _MOST
            grains.append(text[at:end])
            places.append(end)
            at = end
        return grains, holes

    def _border(self, at: int) -> int:
        """Where the grain that starts at `at` ends; -1 where that is too far away."""
        size = len(self._text)
        found = _BORDER.search(self._text, at + (1 if self._in_hole else _GRAIN), at + _MOST)
        return found.start() if found else size if at + _MOST >= size else -1

    def count(self, start: int, end: int) -> int:
        """See `Counter.count`."""
        places, sums = self._places, self._sums
        first = bisect_left(places, start)
        last = bisect_right(places, end, first) - 1
        if last < first or sums[last] - sums[first - 1 if first else 0] >= _HOLE:
            return self._one(self._text[start:end])
        within = sums[last] - sums[first]
        if places[first] != start:
            within += self._head_of(start, places[first])
        return within + self._tail_of(places[last], end) if places[last] != end else within

    # Both ends are asked for again and again while one chunk is made.

    def _head_of(self, start: int, place: int) -> int:
        if self._head[0] != start:
            self._head = start, self._one(self._text[start:place])
        return self._head[1]

    def _tail_of(self, place: int, end: int) -> int:
        if self._tail[0] != end:
            self._tail = end, self._one(self._text[place:end])
        return self._tail[1]

    def furthest(self, start: int, limit: int) -> int | None:
        """See `Counter.furthest`."""
        text, places, sums = self._text, self._places, self._sums
        if text.startswith(" ", start):
            start += 1  # no chunk begins with it
        first = bisect_left(places, start)
        if first < len(places) and (places[first] == start or sums[first] - sums[first - 1] < _HOLE):
            within = sums[first] + limit
            if places[first] != start:
                head = self._head_of(start, places[first])
                if head > limit:
                    return start + self._kept(text[start : places[first]], limit)
                within -= head
            last = bisect_right(sums, within, first) - 1
            if last + 1 == len(places):
                return len(text) if self._complete else None
            if sums[last + 1] - sums[last] < _HOLE:
                return places[last] + self._kept(text[places[last] : places[last + 1]], within - sums[last])
        return self._furthest_in_hole(start, limit)

    def _furthest_in_hole(self, start: int, limit: int) -> int | None:
        reach = 2 * limit + _GRAIN
        while True:
            # Only as far as grains go, so that all that is asked afterwards does not depend on what comes next.
            if start + reach > self._places[-1] and not self._complete:
                return None
            kept, total = self._truncate(self._text[start : start + reach], limit)
            if total > limit:
                return start + len(kept)
            if start + reach >= len(self._text):
                return len(self._text)
            reach *= 2

    def earliest(self, end: int, limit: int) -> tuple[int, int] | None:
        """See `Counter.earliest`."""
        places, sums = self._places, self._sums
        last = bisect_right(places, end) - 1
        tail = self._tail_of(places[last], end)
        first = bisect_left(sums, sums[last] + tail - limit, 0, last)
        if tail > limit or not first or sums[last] - sums[first - 1] >= _HOLE:
            return None
        return places[first - 1], places[first]

    def _one(self, text: str) -> int:
        return self._truncate(text, _NO_LIMIT)[1]

    def _kept(self, text: str, limit: int) -> int:
        return len(self._truncate(text, limit)[0])


class Estimated:
    """Counts `tokens.CHARACTERS_A_TOKEN` characters as one token."""

    def __init__(self) -> None:
        self._size = 0
        self._complete = False

    def grow(self, text: str, forgotten: int, *, complete: bool) -> None:
        """See `Counter.grow`."""
        del forgotten  # nothing is remembered
        try:
            text.isascii() or text.encode()
        except UnicodeEncodeError as error:
            raise half_a_pair(error) from error
        self._size, self._complete = len(text), complete

    def count(self, start: int, end: int) -> int:
        """See `Counter.count`."""
        return tokens.estimate(end - start)

    def furthest(self, start: int, limit: int) -> int | None:
        """See `Counter.furthest`."""
        end = start + limit * tokens.CHARACTERS_A_TOKEN
        return end if end < self._size else self._size if self._complete else None

    def earliest(self, end: int, limit: int) -> tuple[int, int] | None:
        """See `Counter.earliest`."""
        first = end - limit * tokens.CHARACTERS_A_TOKEN
        return (first - 1, first) if first > 0 else None


def half_a_pair(error: UnicodeEncodeError) -> ProcessingError:
    """The error for a text that cannot be written in any encoding."""
    character = error.object[error.start]
    return ProcessingError(
        f"the text holds half of a surrogate pair, U+{ord(character):04X}",
        op="processing.chunk",
        code=Code.INVALID,
        hint="look for an escape such as \\ud83d that stands alone in the source",
    )
