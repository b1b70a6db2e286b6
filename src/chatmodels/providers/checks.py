"""Small checks of what a reply holds, whatever its format, and the JSON library."""

from __future__ import annotations

import json as json_of_python
import re
from collections.abc import Mapping
from functools import cache
from math import inf
from typing import Any, Final, TypeVar

from chatmodels.json_values import exact
from chatmodels.providers.call import Call
from fmf_core.errors import ConfigurationError

T = TypeVar("T")


MOST_DIGITS: Final = 15
"""A longer number in a header is none that a server means, and may be none that can be reckoned with."""
MOST: Final = 10**MOST_DIGITS
"""A larger number of tokens is none that anybody counted."""
LONGEST_NAME: Final = 64
"""Characters of a name that all providers take."""


@cache
def json() -> Any:
    """The JSON library; its import costs more than that of the rest."""
    import orjson

    return orjson


def object_in(raw: bytes | str, call: Call, *, piece: bool = False) -> dict[str, Any]:
    """The JSON object in `raw`; anything else is a `BAD_REPLY`.

    Args:
        raw: the whole of it.
        call: the call that was answered.
        piece: whether it belongs to a stream, whose texts may be cut amid a character (see `Characters`).
    """
    if not raw or raw.isspace():
        raise call.bad_reply("the reply is empty", raw)
    try:
        payload = _loaded(raw, piece=piece)
    except (ValueError, RecursionError) as error:
        raise call.bad_reply(f"the reply is no valid JSON ({error})", raw) from error
    if not isinstance(payload, dict):
        raise call.bad_reply(f"the reply is JSON of type {type(payload).__name__}, not an object", raw)
    return payload


def _loaded(raw: bytes | str, *, piece: bool) -> Any:
    try:
        # Only what a tool is called with has numbers of which every digit counts; to look for them takes its time.
        return exact(raw) if _calls_tools(raw) else json().loads(raw)
    except ValueError:
        lowered = raw.lower() if isinstance(raw, str) else raw.decode("utf-8", "replace").lower()
        if not piece or "\\ud" not in lowered:
            raise
        return json_of_python.loads(raw)


def _calls_tools(raw: bytes | str) -> bool:
    if isinstance(raw, str):
        return '"arguments"' in raw or '"input"' in raw
    return b'"arguments"' in raw or b'"input"' in raw


class Characters:
    """The text of a stream whose pieces may be cut amid a character that is escaped as two halves.

    Args:
        call: the call that is answered.
    """

    __slots__ = ("_call", "_held")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._held = ""

    def feed(self, piece: str) -> str:
        """As much of the text as is whole characters; half a one at the end waits for the other half."""
        if not self._held and (piece.isascii() or _is_whole(piece)):
            return piece
        text = self._held + piece
        self._held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        try:
            return whole_characters(text[: len(text) - len(self._held)])
        except ValueError as error:
            raise self._call.bad_reply("a piece of the stream holds half a character", ascii(piece)) from error

    def finish(self) -> None:
        """Make sure that nothing waits any more."""
        if self._held:
            raise self._call.bad_reply("the text of the stream ends with half a character", ascii(self._held))


def whole_characters(text: str) -> str:
    """`text` with the halves of characters put together.

    Raises:
        ValueError: one has no other half.
    """
    return text if _is_whole(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def of_type(kind: type[T], value: object, what: str, call: Call) -> T:
    """`value`, or an empty one where there is none; of another type it is no part of an answer, but a `BAD_REPLY`."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise call.bad_reply(f"{what} is of type {type(value).__name__}, not {kind.__name__}", value)
    return value


def count(value: object) -> int | None:
    """`value` if it can be a number of things, `MOST` at most."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else None


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


def check_seconds(provider: str, **settings: float | None) -> None:
    """Refuse time limits that are none: `nan` would never be over, or be asked for again and again.

    Raises:
        ConfigurationError: one of the `settings` is no finite number above 0; `None` is no limit.
    """
    for name, value in settings.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < inf):
            raise ConfigurationError(
                f"chat model {provider!r}: {name} is {value!r}, and no time",
                op=f"{provider}.create",
                hint="give seconds: a finite number above 0",
            )
