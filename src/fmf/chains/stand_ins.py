"""What stands for answers that are not there yet, in the questions that will be made of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from generative_ai_workflow.reference import text_of

# In a plane for private use that no script and hardly any document has, so that marks are told from what was read.
_FIRST: Final = 0x10E5A0


class StandIns:
    """The marks of some steps: one character stands for one answer.

    Args:
        steps: how many steps there are; they are known by their numbers, from 0.
    """

    def __init__(self, steps: int) -> None:
        self._mark = re.compile(f"[{mark_of(0)}-{mark_of(steps - 1)}]")

    def fixed_parts(self, text: str) -> tuple[list[str], Counter[int]]:
        """What of `text` is known, in pieces, and how many answers of which steps stand between them."""
        if text.isascii():
            return [text], Counter()
        marks = Counter(ord(mark) - _FIRST for mark in self._mark.findall(text))
        return (self._mark.split(text) if marks else [text]), marks

    def is_pending(self, value: Any) -> bool:
        """Whether `value` is, or holds, an answer that is not there yet."""
        return (
            value is not None and not isinstance(value, bool | int | float) and bool(self._mark.search(text_of(value)))
        )


def mark_of(number: int) -> str:
    """The character that stands for one answer of the step with that number."""
    return chr(_FIRST + number)


class PendingJson(Mapping[str, Any]):
    """A JSON answer that is not there yet: whatever is looked for in it is not there yet either."""

    __slots__ = ("_mark",)

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __getitem__(self, key: str) -> Any:
        return self._mark if key == self._mark else PendingJson(self._mark)

    def __iter__(self) -> Iterator[str]:
        return iter((self._mark,))

    def __len__(self) -> int:
        return 1
