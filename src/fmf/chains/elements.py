"""Elements of a list that a step runs over: what they are called, and their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fmf.chains.references import EACH

VALUE: Final = "value"
INDEX: Final = "index"


def named(elements: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """What stands behind `${each...}` for each of `elements`."""
    return ({INDEX: number, VALUE: element} for number, element in enumerate(elements))


def inside(step_id: str) -> str:
    """What the step is called that is done with every element."""
    return f"{step_id}.{EACH}"


def element_id(item_id: str, index: int) -> str:
    """What an element of the list of an item is called where the item has its id."""
    return f"{item_id}[{index}]"
