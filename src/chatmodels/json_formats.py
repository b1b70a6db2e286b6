"""Formats of JSON Schema, checked by their standards: dates and times, hosts, addresses, pointers, templates."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

EXAMPLES: Final[Mapping[str, str]] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T08:30:00Z",
    "time": "08:30:00Z",
    "duration": "PT1H30M",
    "email": "jo@example.org",
    "hostname": "www.example.org",
    "uri": "https://example.org/a",
    "json-pointer": "/a/0",
}
"""What a text of the format looks like; a model that got one wrong is shown it."""

_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[zZ]|([+-])([0-9]{2}):([0-9]{2}))"
_LONGEST_HOST, _LONGEST_LABEL = 253, 63
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DURATION = (
    r"P(?:[0-9]+W|(?=[0-9T])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:[.,][0-9]+)?S)?)?)"
)
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
_RELATIVE = rf"(?:0|[1-9][0-9]*)(?:[+-](?:0|[1-9][0-9]*))?(?:#|{_POINTER})"
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = rf'(?:{_WORD}(?:\.{_WORD})*|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")'
_ESCAPED = r"%[0-9A-Fa-f]{2}"
_VARIABLE = rf"(?:[A-Za-z0-9_]|{_ESCAPED})(?:\.?(?:[A-Za-z0-9_]|{_ESCAPED}))*(?:\*|:[1-9][0-9]{{0,3}})?"
_EXPRESSION = rf"\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}}"
_TEMPLATE = rf"""(?:[^\x00-\x20\x7f"'%<>\\^`{{|}}]|{_ESCAPED}|{_EXPRESSION})*"""
# What RFC 3987 allows beyond RFC 3986, and beyond that in queries.
_MORE = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U000efffd"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U0010fffd"


def checks() -> Mapping[str, Callable[[str], bool]]:
    """Whether a text is of a format, by the name of the format."""
    return {
        "date-time": _is_date_time,
        "time": _is_time,
        "duration": _like(_DURATION, no_end="T"),
        "email": _is_email,
        "hostname": _is_hostname,
        "uri": lambda text: _is_address(text, more=False, relative=False),
        "uri-reference": lambda text: _is_address(text, more=False, relative=True),
        "iri": lambda text: _is_address(text, more=True, relative=False),
        "iri-reference": lambda text: _is_address(text, more=True, relative=True),
        "json-pointer": _like(_POINTER),
        "relative-json-pointer": _like(_RELATIVE),
        "uri-template": _like(_TEMPLATE),
    }


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def _like(pattern: str, *, no_end: str = "") -> Callable[[str], bool]:
    def check(text: str) -> bool:
        return _compiled(pattern).fullmatch(text) is not None and not (no_end and text.endswith(no_end))

    return check


def _is_date_time(text: str) -> bool:
    found = _compiled(rf"{_DATE}[tT](?:{_TIME})").fullmatch(text)
    return found is not None and _is_day(*map(int, found.group(1, 2, 3))) and _is_clock(*found.group(4, 5, 6, 7, 8, 9))


def _is_time(text: str) -> bool:
    found = _compiled(_TIME).fullmatch(text)
    return found is not None and _is_clock(*found.groups())


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        dt.date(year or 4, month, day)  # Python has no year 0, which has a 29th of February
    except ValueError:
        return False
    return True


def _is_clock(*facts: str | None) -> bool:
    hour, minute, second, sign, ahead_h, ahead_min = facts
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    zone_h, zone_min = int(ahead_h or 0), int(ahead_min or 0)
    if hours > 23 or minutes > 59 or seconds > 60 or zone_h > 23 or zone_min > 59:
        return False
    ahead = (zone_h * 60 + zone_min) * (-1 if sign == "-" else 1)
    # A leap second is the last one of a day in UTC.
    return seconds < 60 or (hours * 60 + minutes - ahead) % (24 * 60) == 24 * 60 - 1


def _is_hostname(text: str) -> bool:
    label = _compiled(_LABEL)
    return len(text) <= _LONGEST_HOST and all(
        len(part) <= _LONGEST_LABEL and label.fullmatch(part) is not None for part in text.split(".")
    )


def _is_email(text: str) -> bool:
    mailbox, at, host = text.rpartition("@")
    if not at or _compiled(_MAILBOX).fullmatch(mailbox) is None:
        return False
    if host.startswith("[") and host.endswith("]"):
        literal = host[1:-1]
        return _is_ip(literal[5:], IPv6Address) if literal[:5].lower() == "ipv6:" else _is_ip(literal, IPv4Address)
    return _is_hostname(host)


def _is_ip(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return "%" not in text


def _is_address(text: str, *, more: bool, relative: bool) -> bool:
    """Whether `text` is an address by RFC 3986, with `more` characters by RFC 3987; `relative` needs no scheme."""
    found = _compiled(r"(?:([^:/?#]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?").fullmatch(text)
    if found is None:
        return False
    scheme, authority, path, query, fragment = found.groups()
    if scheme is None and (not relative or (authority is None and ":" in path.split("/")[0])):
        return False
    if scheme is not None and _compiled(r"[A-Za-z][A-Za-z0-9+.-]*").fullmatch(scheme) is None:
        return False
    plain = "-A-Za-z0-9._~!$&'()*+,;=:" + (_MORE if more else "")
    extra = _PRIVATE if more else ""
    return (
        (authority is None or _is_authority(authority, plain))
        and _of(plain + "@/", path)
        and _of(plain + "@/?" + extra, query or "")
        and _of(plain + "@/?", fragment or "")
    )


def _is_authority(text: str, plain: str) -> bool:
    user, _, place = text.rpartition("@")
    literal = _compiled(r"\[(.*)\](?::[0-9]*)?").fullmatch(place)
    if literal is not None:
        named = literal[1]
        future = _compiled(rf"[vV][0-9A-Fa-f]+\.[{plain}]+").fullmatch(named) is not None
        return _of(plain, user) and (future or _is_ip(named, IPv6Address))
    host, colon, port = place.partition(":")
    return _of(plain, user) and _of(plain.replace(":", ""), host) and (not colon or port == "" or _of("0-9", port))


def _of(characters: str, text: str) -> bool:
    return _compiled(rf"(?:[{characters}]|{_ESCAPED})*").fullmatch(text) is not None
