"""Small checks of what a reply holds, whatever its format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from chatmodels.json_values import exact, library
from chatmodels.providers.call import Call
from fmf_core.errors import Code

T = TypeVar("T")

MOST_DIGITS: Final = 15
"""A longer number in a header is none that a server means, and may be none that can be reckoned with."""
MOST: Final = 10**MOST_DIGITS
"""A larger number of tokens is none that anybody counted."""


IN_PIECES: Final = "model.stream(...) and model.astream(...) answer in pieces"
BY_NAME: Final = "name the model where it is made, or with the call: model.invoke(..., model=...)"
THE_TURNS: Final = "give the turns as the request: model.invoke([...]), or model.invoke(..., messages=[...])"
THE_SYSTEM: Final = "give it with the call: model.invoke(..., system_prompt=...)"


def refuse_decided(call: Call, decided: Mapping[str, str]) -> None:
    """Refuse what `extra_params` would overwrite of the request or of what is decided here.

    Args:
        call: the call.
        decided: the names that are refused, and what to write instead of each.
    """
    for name in call.request.extra_params:
        if name in decided:
            raise call.error(
                f"extra_params hold {name}, which is no setting of the provider's own",
                Code.INVALID,
                hint=f"leave {name} out of extra_params: {decided[name]}",
            )


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
        return exact(raw) if _calls_tools(raw) else library().loads(raw)
    except ValueError:
        lowered = raw.lower() if isinstance(raw, str) else raw.decode("utf-8", "replace").lower()
        if not piece or "\\ud" not in lowered:
            raise
        return json.loads(raw)


def _calls_tools(raw: bytes | str) -> bool:
    if isinstance(raw, str):
        return '"arguments"' in raw or '"input"' in raw
    return b'"arguments"' in raw or b'"input"' in raw


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
