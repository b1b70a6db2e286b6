from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf_core.personal import detect_pii, find_pii

CARDS = [
    "4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005", "371449635398431",
    "6011111111111117", "3530111333300000", "30569309025904", "38520000023237", "6200000000000005", "6759649826438453",
    "2200770239097761",
]  # fmt: skip
"""Numbers that the schemes publish for tests."""
IBANS = [
    "GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00", "FR14 2004 1010 0505 0001 3M02 606",
    "NL91 ABNA 0417 1643 00", "NO93 8601 1117 947", "BE68 5390 0754 7034", "CH93 0076 2011 6238 5295 7",
    "ES91 2100 0418 4502 0005 1332", "IT60 X054 2811 1010 0000 0123 456", "PL61 1090 1014 0000 0712 1981 2874",
    "SE45 5000 0000 0583 9825 7466", "MT84 MALT 0110 0001 2345 MTLC AST0 01S", "SA03 8000 0000 6080 1016 7519",
]  # fmt: skip
"""Examples of the registry."""


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("sep", ["", " ", "-"])
def test_cards_are_found_however_they_are_grouped(number, sep):
    sizes = {15: (4, 6, 5), 14: (4, 6, 4), 13: (4, 4, 4, 1)}.get(len(number), (4, 4, 4, 4))
    places = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    written = sep.join(number[a:b] for a, b in itertools.pairwise(places))
    assert detect_pii(f"card {written} 12/27, thanks") == {"credit_card": [written]}


@given(st.sampled_from(CARDS), st.integers(0, 18), st.integers(1, 9))
def test_a_card_with_one_wrong_digit_is_none(number, place, more):
    place %= len(number)
    wrong = number[:place] + str((int(number[place]) + more) % 10) + number[place + 1 :]
    assert "credit_card" not in detect_pii(f"card {wrong}.")


@pytest.mark.parametrize(
    "number", ["1234567812345670", "9999999999999995", "4111 111111111111", "41111111111111112345678"]
)
def test_no_issuer_no_group_no_card(number):
    assert "credit_card" not in detect_pii(f"no {number}.")


def test_a_card_behind_another_number_is_found():
    assert detect_pii("2024 4111 1111 1111 1111") == {"credit_card": ["4111 1111 1111 1111"]}


@pytest.mark.parametrize("iban", IBANS)
@pytest.mark.parametrize(
    "write", [str, str.lower, lambda text: text.replace(" ", ""), lambda text: text.replace(" ", "-")]
)
def test_accounts_are_found_with_their_country(iban, write):
    text = f"to {write(iban)} please"
    [found] = find_pii(text)
    assert (found.kind, found.country, text[found.start : found.end]) == ("iban", iban[:2], write(iban))


@pytest.mark.parametrize("iban", IBANS)
def test_an_account_of_a_wrong_length_or_with_letters_changed_places_is_none(iban):
    assert "iban" not in detect_pii(iban + "7")
    assert "iban" not in detect_pii(iban[:-1])
    place = next(n for n in range(5, len(iban)) if iban[n] != iban[n + 1] and " " not in iban[n : n + 2])
    assert "iban" not in detect_pii(iban[:place] + iban[place + 1] + iban[place] + iban[place + 2 :])
