"""JSON values as Python holds them: read with all their digits, finite, and nested no deeper than can be walked."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any, Final

DEEPEST: Final = 200
"""How many levels of objects and arrays a value may have: copies, checks and dumps go down them one by one."""
_MANY_DIGITS, _MANY_DIGITS_BYTES = r"[0-9]{19}", rb"[0-9]{19}"


@cache
def library() -> Any:
    """The JSON library; its import costs more than that of the rest."""
    import orjson

    return orjson


def exact(text: str | bytes) -> Any:
    """The JSON value in `text`; whole numbers of more than 64 bits keep their digits.

    Raises:
        ValueError: it is no JSON.
    """
    import orjson  # its import costs more than that of the rest

    value = orjson.loads(text)
    many = re.search(_MANY_DIGITS, text) if isinstance(text, str) else re.search(_MANY_DIGITS_BYTES, text)
    # The quick parser makes floats of numbers that it has no bits for.
    return json.loads(text) if many and not is_too_deep(value) else value


def written(value: Any) -> str:
    """`value` as JSON text, all digits of its whole numbers included.

    Raises:
        ValueError, TypeError: it is no JSON.
    """
    import orjson

    try:
        return str(orjson.dumps(value).decode())
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def is_too_deep(value: Any) -> bool:
    """Whether `value` has more than `DEEPEST` levels of objects and arrays; one that holds itself has."""
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(DEEPEST):
        inner = (item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer))
        # Each object once, however often it stands there.
        level = list({id(item): item for item in inner if isinstance(item, dict | list | tuple)}.values())
        if not level:
            return False
    return bool(level)


def checked_json(value: Any) -> Any:
    """`value`, which can be sent as JSON and read again as it is.

    Raises:
        ValueError: it cannot, see `fault_of`.
    """
    if fault := fault_of(value):
        raise ValueError(fault)
    return value


def fault_of(value: Any) -> str | None:
    """Why `value` cannot be sent as JSON and read again as it is: its depth, or a number and where it stands."""
    if is_too_deep(value):
        return f"it is nested more than {DEEPEST} levels deep"
    seen: set[int] = set()
    waiting = [(value, "")]
    while waiting:
        item, path = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return f"{path.lstrip('.') or 'it'} is {item}, and JSON has no such number"
        if isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, dict):
                waiting += [(inner, f"{path}.{key}") for key, inner in item.items()]
            else:
                waiting += [(inner, f"{path}[{place}]") for place, inner in enumerate(item)]
    return None
