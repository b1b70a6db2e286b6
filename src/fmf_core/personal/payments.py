"""Numbers of cards and accounts: their issuers and countries, their lengths, their check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fmf_core.personal.checksums import iso_97_10, luhn
from fmf_core.personal.nearby import Words, is_ordinary

Span = tuple[int, int, str | None]
"""Start, end and, where the number tells it, the country."""

# A first character that is looked for, and what must not stand before it: written this way round because the engine
# then skips everything else at once.
_CARD = re.compile(r"[2-6](?<![\w.-].)(?:[ .-]?[0-9]){11,18}")
_CARD_WORDS = Words("card|cards|karte*|kreditkarte*|carte|tarjeta|carta|cartão|karta|kort|visa")
_IN_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ -][0-9A-Z]{4}){0,7}[ -]\Z")
_CARD_END = re.compile(r"(?![\w-]|[.,][0-9])")
_GROUPED = re.compile(
    r"[0-9]{4}([ .-])(?:[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,7}|\1[0-9]{4}\1[0-9]{1,3})|[0-9]{6}\1[0-9]{4,5})"
)
_ISSUERS = (
    # First digits from and to, lengths: the issuers' ranges (ISO/IEC 7812) as the schemes publish them.
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)), ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)), ("37", "37", (15,)),  # American Express
    ("6011", "6011", (16, 19)), ("644", "649", (16, 19)), ("65", "65", (16, 19)),  # Discover, RuPay
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("300", "305", (14, 16)), ("3095", "3095", (14, 16)), ("36", "36", (14,)), ("38", "39", (14, 16)),  # Diners Club
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("5018", "5018", (12, 13, 14, 15, 16, 17, 18, 19)), ("5020", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)), ("5893", "5893", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)), ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("508", "508", (16,)), ("606", "606", (16,)),  # RuPay, Elo, Hipercard
)  # fmt: skip

_IBAN = re.compile(r"[A-Za-z](?<![\w].)[A-Za-z][0-9]{2}(?=[ -]?[A-Za-z0-9])")
_IBAN_REST = re.compile(r"(?:[ -]?[A-Za-z0-9]){11,30}")
_IBAN_LENGTHS = {
    # The IBAN registry of SWIFT (ISO 13616).
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


def cards(text: str) -> Iterator[Span]:
    """Card numbers: an issuer's first digits, a length that it has, and a right check digit (Luhn)."""
    position = 0
    while match := _CARD.search(text, position):
        start = match.start()
        end = next((end for end in _ends(text, start, match.end()) if _is_card(text[start:end])), None)
        if end is None or _is_other(text, start, end):
            # What failed may hold a card number further on: "2024 4111 1111 1111 1111".
            position = start + 1
            continue
        yield start, end, None
        position = end


def _is_other(text: str, start: int, end: int) -> bool:
    """Whether digits that pass for a card are rather those of an article, an order, or a part of an account."""
    if text[start:end].isdigit():
        # Cards of 13 digits are long out of use, and every tenth article number would pass for one.
        return is_ordinary(text, start) or (end - start == 13 and not _CARD_WORDS.near(text, start, end))
    return _IN_ACCOUNT.search(text[max(0, start - 45) : start]) is not None


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """Where a number that begins at `start` may end, the longest first: at the end of a group of digits."""
    for place in range(end, start + 11, -1):
        if text[place - 1].isdigit() and _CARD_END.match(text, place):
            yield place


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ .-]", "", text)
    if len(digits) != len(text) and _GROUPED.fullmatch(text) is None:
        return False
    issued = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    return issued and len(set(digits)) > 1 and luhn(digits)


def ibans(text: str) -> Iterator[Span]:
    """Account numbers: a country, the length that it has, and a right checksum (ISO 13616)."""
    for match in _IBAN.finditer(text):
        country = match.group()[:2].upper()
        length = _IBAN_LENGTHS.get(country)
        if length is None:
            continue
        end = _after(text, match.end(), length - 4)
        if end is None:
            continue
        compact = re.sub(r"[ -]", "", text[match.start() : end]).upper()
        if iso_97_10(compact[4:] + compact[:4]):
            yield match.start(), end, country


def _after(text: str, start: int, count: int) -> int | None:
    """Where `count` letters and digits, with single spaces or hyphens between them, end; `None` if they do not."""
    match = _IBAN_REST.match(text, start)
    if match is None:
        return None
    seen = 0
    for place in range(start, match.end()):
        if text[place] not in " -":
            seen += 1
            if seen == count:
                following = text[place + 1 : place + 2]
                return None if following.isalnum() or following == "_" else place + 1
    return None
