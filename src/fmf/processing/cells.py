"""Values of cells as text: numbers, dates, times and nested values, the same for every format of table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

_NESTED_OPTIONS: Final = orjson.OPT_NON_STR_KEYS


def text_of(value: Any) -> str:
    """The value as a person would write it, without loss but for bytes.

    Nothing is an empty text. Numbers have a point and no grouping, whole numbers no point. Dates and times are ISO
    8601, lengths of time are hours, minutes and seconds (`37:30:00`). Lists and mappings are JSON. Bytes are told by
    their number.
    """
    write = _WRITERS.get(type(value))
    if write is None:
        write = next((write for kind, write in _WRITERS.items() if isinstance(value, kind)), str)
    return write(value)


def texts_of(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Every value of the rows as text."""
    writer = _WRITERS.get
    return [
        [value if value.__class__ is str else writer(value.__class__, text_of)(value) for value in row] for row in rows
    ]


def column_texts(values: Sequence[Any]) -> list[str]:
    """Every value of a column as text; quicker than row by row where all are of one type."""
    kinds = set(map(type, values))
    write = _WRITERS.get(kinds.pop()) if len(kinds) == 1 else None
    return list(map(write, values)) if write else texts_of([values])[0]


def duration(value: timedelta) -> str:
    """A length of time in hours, minutes and seconds."""
    micro = value // timedelta(microseconds=1)
    seconds, part = divmod(abs(micro), 1_000_000)
    text = f"{'-' if micro < 0 else ''}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{part:06}".rstrip("0") if part else text


def _nested(value: Any) -> Any:
    """What JSON has no form for, inside a nested value."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    return text_of(value)


def _bytes(value: bytes) -> str:
    return f"<{len(value)} bytes>"


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_nested, option=_NESTED_OPTIONS).decode()


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: repr,
    Decimal: lambda value: f"{value:f}",
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: duration,
    bytes: _bytes,
    bytearray: _bytes,
    list: _json,
    tuple: _json,
    dict: _json,
}
"""How values of each type are written; a type stands before those that it is made from."""
