"""Whether the lines of a page run through two columns at once, so that its text would mix them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_PAIRS: Final = 5
_SHARE: Final = 0.4
_ALIGNED: Final = 0.8
_FILLED: Final = 0.6
_LONG: Final = 9
"""Times its height that a line of prose is wide, at least: some twenty letters."""
_NEAR: Final = 6.0
"""Points within which lines begin at the same place."""


class Box(NamedTuple):
    """A run of text on a page, in points from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float


def mixes_columns(boxes: Sequence[Box]) -> bool:
    """Whether most lines are halves that lie side by side and fill two columns, as prose does and tables rarely do.

    Args:
        boxes: the runs of text in the order in which the file has them.
    """
    pairs = [(left, right) for left, right in pairwise(boxes) if _side_by_side(left, right)]
    if len(pairs) < _PAIRS or len(pairs) < _SHARE * len(boxes) / 2:
        return False
    start = statistics.median(right.left for _, right in pairs)
    edge = statistics.median(left.left for left, _ in pairs)
    aligned = [pair for pair in pairs if abs(pair[1].left - start) <= _NEAR and abs(pair[0].left - edge) <= 2 * _NEAR]
    if len(aligned) < _ALIGNED * len(pairs):
        return False
    return all(_is_prose(column) for column in zip(*aligned, strict=True))


def _is_prose(column: Sequence[Box]) -> bool:
    """Whether the lines are about as long as their column is wide, and long enough to be no cells."""
    widths = [box.right - box.left for box in column]
    full = [width for width in widths if width >= _FILLED * max(widths)]
    height = statistics.median(box.top - box.bottom for box in column)
    return len(full) >= _FILLED * len(widths) and statistics.median(widths) >= _LONG * height


def _side_by_side(left: Box, right: Box) -> bool:
    """Whether one follows the other on the same line, behind a gap wider than a blank."""
    height = left.top - left.bottom
    middle = (right.top + right.bottom) / 2
    return left.bottom <= middle <= left.top and right.left - left.right > height
