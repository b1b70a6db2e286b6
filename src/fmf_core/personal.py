"""Personal data in text, by kind: found by shape and, where there is a check digit, by arithmetic."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

_EMAIL = (
    r"(?<![\w.+-])[A-Za-z0-9_][\w.+%'-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_IBAN = r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
_CARD = r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-]|\.\d)"
_SSN = r"(?<![\d-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])"
_IPV4 = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)"
_IPV6 = r"(?<![\w:.])(?=[0-9A-Fa-f:]{0,39}:[0-9A-Fa-f:]{0,39}:)[0-9A-Fa-f:]{2,39}(?:%\w{1,16})?(?![\w:])"
_PHONE = (
    r"(?<![\w.+/-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"  # +49 30 1234567, +1 (555) 123-4567
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # (555) 123-4567, 555-123-4567
    r"|0\d{2,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2}"  # 020 7946 0958, 030/123 456
    r")(?![\w-]|\.\d)"
)


def detect_pii(text: str) -> dict[str, list[str]]:
    """Find personal data in `text`, by kind, in the order of appearance and each once; empty when there is none.

    The kinds are `email`, `phone`, `credit_card` (with a right check digit), `iban` (with a right checksum), `ssn` and
    `ip_address`.
    """
    found: dict[str, list[str]] = {}
    for _, _, kind, match in _hits(text):
        matches = found.setdefault(kind, [])
        if match not in matches:
            matches.append(match)
    return found


def redact_pii(text: str) -> str:
    """Return `text` with personal data replaced by its kind: `[EMAIL]`, `[PHONE]`, `[CREDIT_CARD]`, `[IBAN]`, ..."""
    parts: list[str] = []
    position = 0
    for start, end, kind, _ in _hits(text):
        parts += [text[position:start], f"[{kind.upper()}]"]
        position = end
    return "".join([*parts, text[position:]])


def _hits(text: str) -> list[tuple[int, int, str, str]]:
    """Every finding, in order and without overlap: the kinds that can be checked best claim their place first."""
    taken: list[tuple[int, int, str, str]] = []
    for kind, pattern, valid in _KINDS:
        for start, end in _spans(pattern, valid, text):
            if not any(start < other_end and other_start < end for other_start, other_end, _, _ in taken):
                taken.append((start, end, kind, text[start:end]))
    return sorted(taken)


def _spans(pattern: str, valid: Callable[[str], bool], text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(pattern, text):
        if valid(match.group()):
            yield match.span()


def _is_card(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    if len(set(digits)) == 1:
        return False
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # `a::b` is an address to the letter, but mostly a name in a program.
    return any(character.isdigit() for character in text)


def _is_phone(text: str) -> bool:
    return 7 <= sum(character.isdigit() for character in text) <= 15


def _anything(text: str) -> bool:
    return bool(text)


_KINDS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("email", _EMAIL, _anything),
    ("iban", _IBAN, _is_iban),
    ("credit_card", _CARD, _is_card),
    ("ssn", _SSN, _anything),
    ("ip_address", _IPV4, _is_address),
    ("ip_address", _IPV6, _is_address),
    ("phone", _PHONE, _is_phone),
)
