"""Findings of personal data in text: all kinds put together, in order and without overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from fmf_core.errors import ConfigurationError
from fmf_core.personal.contacts import emails, ip_addresses, mac_addresses
from fmf_core.personal.national_ids import bare_social_security, national_ids, social_security
from fmf_core.personal.payments import Span, cards, ibans
from fmf_core.personal.phones import phones
from fmf_core.secret_shapes import MASK, SHAPES, compiled, marked, secret_key


class Finding(NamedTuple):
    """Where personal data stands in a text; the data itself is `text[start:end]`."""

    start: int
    end: int
    kind: str
    """One of `KINDS`."""
    country: str | None = None
    """Whose number it is (ISO 3166-1), for the kinds `iban`, `ssn` and `national_id`."""


def find_pii(text: str, kinds: Collection[str] | None = None) -> list[Finding]:
    """Find personal data in `text`, in the order of appearance and without overlap.

    What is found by its shape is checked by the arithmetic of its kind where there is one. Numbers that look like any
    other number need a word near them that says what they are. The time it takes grows with the length of the text.

    Args:
        text: anything; its length is not limited.
        kinds: some of `KINDS`; default is all of them.

    Raises:
        ConfigurationError: a kind is not known.
    """
    wanted = KINDS if kinds is None else _checked(kinds)
    seen = _as_seen(text)
    # Whatever is found first keeps its place: the kinds that can be checked best come first.
    taken = bytearray(len(text))
    found: list[Finding] = []
    for kind, find in _FINDERS:
        for start, end, country in find(seen):
            if taken.find(1, start, end) < 0:
                taken[start:end] = b"\x01" * (end - start)
                found.append(Finding(start, end, kind, country))
    return sorted(finding for finding in found if finding.kind in wanted)


def detect_pii(text: str) -> dict[str, list[str]]:
    """Find personal data in `text`, by kind, in the order of appearance and each once; empty when there is none.

    The kinds are `email`, `phone`, `credit_card`, `iban`, `ssn` (United States), `national_id` (of some forty other
    kinds and countries), `ip_address`, `mac_address` and `credential` (keys, tokens, passwords); where a number has
    check digits, they are right.
    """
    found: dict[str, list[str]] = {}
    for start, end, kind, _ in find_pii(text):
        matches = found.setdefault(kind, [])
        if text[start:end] not in matches:
            matches.append(text[start:end])
    return found


def redact_pii(text: str) -> str:
    """Return `text` with personal data replaced by its kind: `[EMAIL]`, `[PHONE]`, `[CREDIT_CARD]`, `[IBAN]`, ..."""
    parts: list[str] = []
    position = 0
    for start, end, kind, _ in find_pii(text):
        parts += [text[position:start], f"[{kind.upper()}]"]
        position = end
    return "".join([*parts, text[position:]])


def credentials(text: str) -> Iterator[Span]:
    """Keys, tokens, passwords and private keys, by the shapes that logs are cleared of; names and quotes stay."""
    lowered = text.lower()
    if not marked(lowered):
        return
    last = ""
    for mark, pattern, replacement in SHAPES:
        if mark in lowered and pattern is not last:
            last = pattern
            behind = len(replacement.rpartition(MASK)[2])
            for match in compiled(pattern).finditer(text):
                start = max((match.end(group) for group in range(1, match.re.groups + 1)), default=-1)
                start, end = max(start, match.start()), match.end() - behind
                value = text[start:end]
                if not (value.isidentifier() and secret_key(value)):  # `password=password` hands a variable on
                    yield start, end, None


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("credential", credentials),
    ("email", emails),
    ("iban", ibans),
    ("credit_card", cards),
    ("ssn", social_security),
    ("national_id", national_ids),
    ("ssn", bare_social_security),  # any nine digits, so what has check digits comes before
    ("mac_address", mac_addresses),
    ("ip_address", ip_addresses),
    ("phone", phones),
)
KINDS = tuple(dict.fromkeys(kind for kind, _ in _FINDERS))
"""The kinds of personal data that are found."""

_ESCAPE = re.compile(r"\\[nrtbf\"']")
_AS_ASCII = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f\u2002\u2003\u3000", " ")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\uff0d", "-")
    | {"\uff0b": "+", "\uff20": "@", "\uff08": "(", "\uff09": ")"}
    | {chr(zero + digit): str(digit) for zero in (0xFF10, 0x0660, 0x06F0, 0x0966) for digit in range(10)}
)


def _as_seen(text: str) -> str:
    """The text as the patterns see it, of the same length: plain spaces, hyphens and digits, no escaped line ends."""
    if "\\" in text:
        # In JSON and in code a line end is written as two characters, and its `n` is no part of what follows.
        text = _ESCAPE.sub("  ", text)
    return text if text.isascii() else text.translate(_AS_ASCII)


def _checked(kinds: Collection[str]) -> frozenset[str]:
    unknown = sorted({kinds} if isinstance(kinds, str) else set(kinds) - set(KINDS))
    if unknown:
        raise ConfigurationError(
            f"these kinds of personal data are not known: {', '.join(map(repr, unknown))}",
            op="personal.find",
            hint=f"give a list of some of {', '.join(KINDS)}",
        )
    return frozenset(kinds)
