"""Findings of personal data in text: all kinds put together, in order and without overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
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
    whole, apart = _views(text)
    # Whatever is found first keeps its place: the kinds that can be checked best come first.
    taken = bytearray(len(text))
    found: list[Finding] = []
    for kind, find in _FINDERS:
        for start, end, country in _spans(find, apart, None if kind != "credential" or whole is apart else whole):
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


class _View(NamedTuple):
    """A text as the patterns see it, and where each of its characters stands in the text itself."""

    text: str
    places: Sequence[int]


_ESCAPE = re.compile(r"\\[nrtbf\"']")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+")
"""Characters that nobody sees: soft hyphens, joiners, marks of direction, selectors."""
_WITHOUT_CASE = (
    r"(?![\W\d_])[\u0590-\u109f\u1100-\u139f\u1400-\u1c7f\u2e80-\ua63f\ua800-\uab2f\uabc0-\ud7ff\uf900-\ufaff"
    r"\ufb1d-\ufeff\uff66-\uffdc\U00020000-\U0003ffff]"
)
_JOINT = re.compile(rf"(?<={_WITHOUT_CASE})(?=[0-9A-Za-z+(])|(?<=[0-9A-Za-z)])(?={_WITHOUT_CASE})")
"""Where writing that has no capitals, and mostly no spaces, touches a number or a Latin word: a word ends there."""
_EMPHASIS = re.compile(r"(?<!\w)_{1,2}(?=[^\W_]|[+(])|(?<=[^\W_])_{1,2}(?![\w@]|\.\w)")
_ZEROS = (0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
_AS_ASCII = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f\u2002\u2003\u3000", " ")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\uff0d", "-")
    | {"\uff0b": "+", "\uff20": "@", "\uff08": "(", "\uff09": ")"}
    | {chr(zero + digit): str(digit) for zero in _ZEROS for digit in range(10)}
    | {code: chr(code - 0xFEE0) for code in (0xFF0E, *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
)


def _spans(find: Callable[[str], Iterator[Span]], apart: _View, whole: _View | None) -> Iterator[Span]:
    """What `find` finds in the views, in places of the text itself."""
    for view in (apart,) if whole is None else (whole, apart):
        for start, end, country in find(view.text):
            yield view.places[start], view.places[end - 1] + 1, country


def _views(text: str) -> tuple[_View, _View]:
    """The text without what nobody sees, and the same with its words set apart; a password may be of several."""
    whole = _View(_as_seen(text), range(len(text)))
    if not text.isascii():
        whole = _edited(whole, _UNSEEN, "")
    apart = whole
    if "_" in whole.text:
        clear = _EMPHASIS.sub(lambda match: " " * len(match.group()), whole.text)
        apart = whole if clear == whole.text else _View(clear, whole.places)
    return whole, apart if text.isascii() else _edited(apart, _JOINT, " ")


def _edited(view: _View, pattern: re.Pattern[str], filling: str) -> _View:
    """The view with `filling` in the place of each match."""
    parts: list[str] = []
    places: list[int] = []
    position = 0
    for match in pattern.finditer(view.text):
        start, end = match.span()
        parts += [view.text[position:start], filling]
        places += [*view.places[position:start], *([view.places[start]] * len(filling))]
        position = end
    if not parts:
        return view
    return _View("".join([*parts, view.text[position:]]), [*places, *view.places[position:]])


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
