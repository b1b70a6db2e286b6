"""Regular expressions of ECMA-262, as JSON Schema means them, in the words of the engine that has a time limit."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

_SPACE: Final = r"\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE: Final = (
    r"\x00-\x08\x0e-\x1f!-\u009f\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff"
    r"\u3001-\ufefe\uff00-\U0010ffff"
)
_CLASSES: Final = {
    "d": "0-9",
    "D": r"\x00-/:-\U0010ffff",
    "w": "A-Za-z0-9_",
    "W": r"\x00-/:-@\[-\^`{-\U0010ffff",
    "s": _SPACE,
    "S": _NO_SPACE,
}
_WORD: Final = "[A-Za-z0-9_]"
_OUTSIDE: Final = {
    "$": r"\Z",
    ".": r"[^\n\r\u2028\u2029]",
    r"\b": rf"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    r"\B": rf"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
    "[]": "(?!)",
    "[^]": r"[\x00-\U0010ffff]",
}
# Each thing that may mean something else to the engine, and whatever an escape protects.
_PARTS: Final = (
    r"\\c(?P<control>[A-Za-z])|\\u\{(?P<point>[0-9A-Fa-f]+)\}|\\k<(?P<name>\w+)>|\\(?P<kind>[dDwWsS])|\\."
    r"|\[\^?\]|\[\^?|[\]$.&|~-]"
)
_SET_MARKS: Final = "[&|~"


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """`pattern` for the engine `regex`.

    Raises:
        ValueError: it cannot be read.
    """
    import regex

    try:
        return regex.compile(translated(pattern))
    except (regex.error, OverflowError) as error:
        raise ValueError(str(error)) from error


def translated(pattern: str) -> str:
    r"""`pattern` in the engine's words: `$` is the very end, `\d` and `\w` are ASCII, `.` stops at every line end."""
    inside = False
    made, end = [], 0
    for token in re.finditer(_PARTS, pattern, re.DOTALL):
        made.append(pattern[end : token.start()])
        end = token.end()
        text = token[0]
        if text.startswith("\\"):
            made.append(_escape(token, inside=inside))
        elif inside:
            # In a class a bracket that opens, or two marks together, would mean a set of the engine's own.
            made.append(_inside(text))
            inside = not text.endswith("]")
        else:
            made.append(_OUTSIDE.get(text, text))
            inside = text in ("[", "[^")
    return "".join([*made, pattern[end:]])


def _escape(token: re.Match[str], *, inside: bool) -> str:
    if token["control"]:
        return f"\\x{ord(token['control']) % 32:02x}"
    if token["point"]:
        return f"\\U{int(token['point'], 16):08x}"
    if token["name"]:
        return f"(?P={token['name']})"
    if token["kind"]:
        members = _CLASSES[token["kind"]]
        return members if inside else f"[{members}]"
    return token[0] if inside else _OUTSIDE.get(token[0], token[0])


def _inside(text: str) -> str:
    return "".join(f"\\{mark}" if mark in _SET_MARKS else mark for mark in text)
