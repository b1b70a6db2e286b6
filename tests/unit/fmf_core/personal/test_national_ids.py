from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf_core.personal import find_pii
from fmf_core.personal.checksums import luhn, verhoeff
from fmf_core.personal.national_ids import NATIONAL_IDS

SHAPED = [
    ("GB", "AB 12 34 56 C"), ("DE", "86 095 742 719"), ("CH", "756.9217.0769.85"), ("CH", "7569217076985"),
    ("FR", "2 95 10 99 126 111 93"), ("FR", "295109912611193"), ("ES", "54362315K"), ("ES", "54.362.315-K"),
    ("ES", "X-2482300W"), ("ES", "X2482300W"), ("IT", "RCCMNL83S18D969H"), ("BE", "85.07.30-033.28"),
    ("SE", "811218-9876"), ("SE", "19811218-9876"), ("FI", "131052-308T"), ("NO", "15108695088"),
    ("CZ", "710319/2745"), ("RU", "112-233-445 95"), ("US", "912-70-1234"), ("MX", "BOXW310820HNERXN09"),
    ("BR", "390.533.447-05"), ("AR", "20-05536168-2"), ("CL", "12.531.909-2"), ("CN", "360426199101010071"),
    ("KR", "971013-1019902"), ("SG", "S1234567D"), ("HK", "A123456(3)"), ("TH", "1-2345-45678-78-1"),
]  # fmt: skip
WORDED = [
    ("GB", "NHS no. {}", "943 476 5870"), ("GB", "NINO {}", "AB123456C"), ("IE", "PPS number {}", "6433435F"),
    ("DE", "Steuer-ID: {}", "36574261809"), ("DE", "Steueridentifikationsnummer {}", "36574261809"),
    ("AT", "SVNR {}", "1237 010180"), ("PT", "NIF {}", "501964843"), ("NL", "BSN {}", "111222333"),
    ("NL", "burgerservicenummer: {}", "111222333"), ("BE", "rijksregisternummer {}", "85073003328"),
    ("PL", "PESEL {}", "44051401359"), ("RO", "CNP {}", "1630615123457"), ("BG", "ЕГН {}", "7523169263"),
    ("HR", "OIB {}", "33392005961"), ("RS", "JMBG {}", "0101006500006"), ("GR", "AMKA {}", "01013099997"),
    ("SE", "personnummer {}", "8112189876"), ("DK", "CPR-nr. {}", "211062-5629"), ("EE", "isikukood {}", "36805280109"),
    ("TR", "T.C. kimlik no {}", "17291716060"), ("CA", "SIN {}", "123-456-782"), ("BR", "CPF {}", "39053344705"),
    ("AU", "TFN {}", "123 456 782"), ("AU", "Medicare {}", "2123 45670 1"), ("IN", "Aadhaar {}", "2341 2341 2346"),
    ("IN", "PAN {}", "ACUPA7085R"), ("IL", "Teudat Zehut {}", "039337423"),
    ("ZA", "South African ID {}", "7503305044089"), ("CL", "RUT {}", "125319092"),
    ("JP", "マイナンバー {}", "123456789018"), ("TW", "身分證 {}", "A123456789"),
]  # fmt: skip
UNCHECKED = ("DK", "GB", "IN")
"""Countries whose numbers above have no check digit, or change it in the last place but one."""


def found_in(text: str) -> list[tuple[str | None, str]]:
    return [(one.country, text[one.start : one.end]) for one in find_pii(text) if one.kind == "national_id"]


@pytest.mark.parametrize(("country", "number"), SHAPED)
@pytest.mark.parametrize("around", ["{}", "hers is {}.", "({})", "id:{},"])
def test_a_number_of_its_own_shape_is_found_anywhere(country, number, around):
    assert found_in(around.format(number)) == [(country, number)]


@pytest.mark.parametrize(("country", "around", "number"), WORDED)
def test_a_number_like_any_other_is_found_with_its_word_and_not_without(country, around, number):
    assert found_in(around.format(number)) == [(country, number)]
    assert found_in(f"{number} is the {around.format('')}") == [(country, number)]
    assert found_in(f"we counted {number}") == []
    assert found_in(around.format("unknown") + " x" * 40 + f" {number}") == []


@pytest.mark.parametrize(("country", "around", "number"), [row for row in WORDED if row[0] not in UNCHECKED])
def test_one_wrong_digit_is_noticed(country, around, number):
    place = max(n for n, character in enumerate(number[:8]) if character.isdigit() and character != "9")
    wrong = number[:place] + str(int(number[place]) + 1) + number[place + 1 :]
    assert found_in(around.format(wrong)) == []


def test_capitals_tell_a_word_from_an_ordinary_one():
    assert found_in("SIN 130 692 544") == [("CA", "130 692 544")]
    assert found_in("hay 130 692 544 casos sin resolver") == []


def test_numbers_of_orders_and_parts_are_left_alone_though_their_digits_agree():
    for text in ("order 54362315K", "Bestellung Nr. 811218-9876", "part number 710319/2745", "SKU: S1234567D"):
        assert found_in(text) == []


@pytest.mark.parametrize("row", NATIONAL_IDS, ids=lambda row: f"{row.country}-{row.valid.__name__}")
def test_every_check_says_whose_rule_it_is(row):
    assert row.valid.__doc__
    assert ":" in row.valid.__doc__


@given(st.text("0123456789", min_size=2, max_size=20), st.integers(0, 19), st.integers(1, 9))
def test_luhn_and_verhoeff_notice_every_single_wrong_digit(digits, place, more):
    for check in (luhn, verhoeff):
        right = next(digits + str(last) for last in range(10) if check(digits + str(last)))
        at = place % len(right)
        assert not check(right[:at] + str((int(right[at]) + more) % 10) + right[at + 1 :])


@given(st.text("0123456789", min_size=2, max_size=20), st.integers(0, 19))
def test_verhoeff_notices_neighbours_that_changed_places(digits, place):
    right = next(digits + str(last) for last in range(10) if verhoeff(digits + str(last)))
    at = place % (len(right) - 1)
    if right[at] != right[at + 1]:
        assert not verhoeff(right[:at] + right[at + 1] + right[at] + right[at + 2 :])
