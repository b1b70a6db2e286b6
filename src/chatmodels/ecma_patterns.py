"""Regular expressions of ECMA-262, as JSON Schema means them, in the words of the engine that has a time limit."""

from __future__ import annotations

import re
from functools import lru_cache
from string import punctuation
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
    "{": r"\{",
    "[]": "(?!)",
    "[^]": r"[\x00-\U0010ffff]",
}
_ASSERTIONS: Final = {
    "b": rf"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    "B": rf"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
    # ECMA has none of these; whoever writes them means what Python and Rust, and so pydantic, mean by them.
    "A": r"\A",
    "Z": r"\Z",
    "z": r"\Z",
}
_ESCAPE: Final = (
    r"\\(?:u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|u\{(?P<point>[0-9A-Fa-f]+)\}|u(?P<four>[0-9A-Fa-f]{4})|x(?P<two>[0-9A-Fa-f]{2})"
    r"|c(?P<control>[A-Za-z])|k<(?P<name>\w+)>|(?P<kind>[dDwWsS])|(?P<property>[pP]\{[^}]*\})"
    r"|(?P<number>[0-7]{1,3}|[89])|(?P<other>.))"
)
# Each thing that may mean something else to the engine, and whatever an escape protects; a brace that opens no count
# is a brace, and asks the engine for a search that is not exact.
_PARTS: Final = re.compile(
    rf"{_ESCAPE}|\[\^?\]|\[(?P<negated>\^?)(?P<members>(?:\\.|[^\]\\])+)\]|(?P<open>\[)"
    r"|[$.]|\{(?![0-9]+(?:,[0-9]*)?\})",
    re.DOTALL,
)
_MEMBERS: Final = re.compile(rf"{_ESCAPE}|.", re.DOTALL)
_LAST_POINT: Final = 0x10FFFF


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
    r"""`pattern` in the engine's words: `$` is the very end, `\d` and `\w` are ASCII, `.` stops at every line end.

    What ECMA-262 takes with the flag `u` or without it is taken, but for escapes of letters that mean nothing.

    Raises:
        ValueError: an escape or a class cannot be read.
    """
    return _PARTS.sub(_part, pattern)


def _part(token: re.Match[str]) -> str:
    if token["open"]:
        raise ValueError("a class begins with [ and does not end")
    if token["members"]:
        return f"[{token['negated']}{_class(token['members'])}]"
    if not token[0].startswith("\\"):
        return _OUTSIDE[token[0]]
    if token["name"]:
        return f"(?P={token['name']})"
    if token["kind"]:
        return f"[{_CLASSES[token['kind']]}]"
    if token["property"]:
        return token[0]
    return _ASSERTIONS.get(token["other"]) or _character(token)


def _class(members: str) -> str:
    tokens = list(_MEMBERS.finditer(members))
    found = [(_member(token), bool(token["kind"] or token["property"])) for token in tokens]
    made, place = [], 0
    while place < len(found):
        text, many = found[place]
        if place + 2 < len(found) and tokens[place + 1][0] == "-":
            last, more = found[place + 2]
            # Beside a class of its own, a dash is a dash.
            made.append(f"{text}\\-{last}" if many or more else f"{text}-{last}")
            place += 3
        else:
            made.append(text)
            place += 1
    return "".join(made)


def _member(token: re.Match[str]) -> str:
    if token["kind"]:
        return _CLASSES[token["kind"]]
    if token["property"]:
        return token[0]
    if token["other"] == "b":
        return r"\x08"
    # Whatever the engine could take for an operation between sets is a character.
    return _character(token) if token[0].startswith("\\") else _literal(token[0])


def _character(token: re.Match[str]) -> str:
    """The one character that an escape stands for."""
    if token["high"]:
        point = 0x10000 + ((int(token["high"], 16) & 0x3FF) << 10) + (int(token["low"], 16) & 0x3FF)
    elif token["control"]:
        point = ord(token["control"]) % 32
    elif digits := token["point"] or token["four"] or token["two"]:
        point = int(digits, 16)
        if point > _LAST_POINT:
            raise ValueError(f"{token[0][:20]} is beyond the last character, \\u{{10FFFF}}")
    elif token["number"] or (token["other"] and token["other"] in "fnrtv"):
        return token[0]
    elif token["other"] and not (token["other"].isascii() and token["other"].isalpha()):
        return _literal(token["other"])
    else:
        raise ValueError(
            f"the escape {token[0]} means nothing in ECMA-262: leave the backslash out if you mean the rest"
        )
    return f"\\U{point:08x}"


def _literal(character: str) -> str:
    return f"\\{character}" if character in punctuation and character != "_" else character
