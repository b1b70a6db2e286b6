"""The arithmetic of check digits: whether digits, or letters and digits, agree with their own check."""

from __future__ import annotations

from collections.abc import Sequence

_VERHOEFF_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_PLACE = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def luhn(digits: str) -> bool:
    """Whether the last digit is right by Luhn's formula (ISO/IEC 7812-1, annex B)."""
    turned = digits[::-1]
    doubled = sum(2 * int(digit) - (9 if digit > "4" else 0) for digit in turned[1::2])
    return (sum(map(int, turned[::2])) + doubled) % 10 == 0


def iso_97_10(text: str) -> bool:
    """Whether letters and digits leave 1 modulo 97 (ISO/IEC 7064, MOD 97-10), as an IBAN does once it is turned."""
    return int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def iso_11_10(digits: str) -> bool:
    """Whether the last digit is right by ISO/IEC 7064, MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def iso_11_2(text: str) -> bool:
    """Whether the last of 18 characters, a digit or `X`, is right by ISO/IEC 7064, MOD 11-2."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(text[:-1]))
    return "10X98765432"[total % 11] == text[-1].upper()


def verhoeff(digits: str) -> bool:
    """Whether the last digit is right by Verhoeff's scheme (J. Verhoeff, Error Detecting Decimal Codes, 1969)."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_PRODUCT[check][int(_VERHOEFF_PLACE[place % 8][int(digit)])])
    return check == 0


def ean_13(digits: str) -> bool:
    """Whether the last of 13 digits is right as in article numbers (GS1 General Specifications, 7.9)."""
    return weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of each digit times its weight, as far as there are weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))
