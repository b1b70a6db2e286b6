"""What stands for answers that are not there yet, in the questions that will be made of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from generative_ai_workflow.reference import text_of

# A plane for private use that no script and hardly any document has, so that a mark is told from what was read.
_FIRST: Final = 0x100000
_MARK: Final = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + 0xFFFD)}]")


def mark_of(number: int) -> str:
    """The character that stands for one answer of the step with that number."""
    return chr(_FIRST + number)


def fixed_parts(text: str) -> tuple[list[str], Counter[int]]:
    """What of `text` is known, in pieces, and how many answers of which steps stand between them."""
    if text.isascii():
        return [text], Counter()
    marks = Counter(ord(mark) - _FIRST for mark in _MARK.findall(text))
    return (_MARK.split(text) if marks else [text]), marks


def is_pending(value: Any) -> bool:
    """Whether `value` is, or holds, an answer that is not there yet."""
    return value is not None and not isinstance(value, bool | int | float) and bool(_MARK.search(text_of(value)))


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
