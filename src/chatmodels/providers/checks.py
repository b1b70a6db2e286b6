"""Small checks of what a reply holds, whatever its format, and the JSON library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from chatmodels.providers.call import Call

T = TypeVar("T")

MOST_DIGITS: Final = 15
"""A longer number in a header is none that a server means, and may be none that can be reckoned with."""
LONGEST_NAME: Final = 64
"""Characters of a name that all providers take."""


def json() -> Any:
    """The JSON library; its import costs more than that of the rest."""
    import orjson

    return orjson


def object_in(raw: bytes | str, call: Call) -> dict[str, Any]:
    """The JSON object in `raw`; anything else is a `BAD_REPLY`."""
    if not raw.strip():
        raise call.bad_reply("the reply is empty", raw)
    try:
        payload = json().loads(raw)
    except ValueError as error:
        raise call.bad_reply(f"the reply is no valid JSON ({error})", raw) from error
    if not isinstance(payload, dict):
        raise call.bad_reply(f"the reply is JSON of type {type(payload).__name__}, not an object", raw)
    return payload


def of_type(kind: type[T], value: object, what: str, call: Call) -> T:
    """`value`, or an empty one where there is none; of another type it is no part of an answer, but a `BAD_REPLY`."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise call.bad_reply(f"{what} is of type {type(value).__name__}, not {kind.__name__}", value)
    return value


def count(value: object) -> int | None:
    """`value` if it can be a number of things."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def count_in(text: str | None) -> int | None:
    """The number of things that a header tells; `None` where it tells none."""
    return int(text) if text and text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS else None


def string(value: object) -> str | None:
    """`value` if it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def name_for(given: str, default: str) -> str:
    """`given` as a name that all providers take: letters, digits, `_` and `-`, and not too many of them."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", given)[:LONGEST_NAME] or default
