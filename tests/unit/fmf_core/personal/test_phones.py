from __future__ import annotations

import pytest

from fmf_core.personal import detect_pii

NUMBERS = """
    +14155552671 | +1 (415) 555-2671 | +1-415-555-2671 | +1.415.555.2671 | (415) 555-2671 | 415-555-2671 | 415.555.2671
    1-800-555-0199 | +44 20 7946 0958 | +44 (0)20 7946 0958 | 020 7946 0958 | (020) 7946 0958 | 07700 900123
    07700900123 | +49 30 901820 | +49 (30) 901820 | +49 171 1234567 | 030/901820 | 030 901820-12 | 0171 1234567
    0171/1234567 | +49 151 12345678
    0049 30 901820 | +33 1 23 45 67 89 | +33 (0)1 23 45 67 89 | 01 23 45 67 89 | 06.12.34.56.78 | 0612345678
    +34 612 345 678 | 612 34 56 78 | 91 123 45 67 | +39 06 1234 5678 | +31 20 123 4567 | 020-1234567 | 06-12345678
    +32 470 12 34 56 | 0470 12 34 56 | +41 44 668 18 00 | 044 668 18 00
    +43 1 234 5678 | +46 8 123 456 78 | 08-123 456 78 | +45 12 34 56 78 | +48 601 234 567
    +351 912 345 678 | +55 11 91234-5678 | (11) 91234-5678 | +91 98765 43210
    +86 138 1234 5678 | 138 1234 5678 | +81 3-1234-5678 | 03-1234-5678 | 090-1234-5678 | +61 412 345 678 | 0412 345 678
    (02) 9876 5432 | +7 495 123-45-67 | 8 (495) 123-45-67 | +420 601 234 567 | +358 40 1234567 | +353 1 234 5678
    +972 54 123 4567 | (415) 555-2671 ext. 12 | +1 415 555 2671 x123 | +44 20 7946 0958 extension 44
    +49 30 901820 Durchwahl 12 | +49 (0)89 / 123 45 67-0 | +49-151-12345678
"""


@pytest.mark.parametrize("number", [part.strip() for part in NUMBERS.replace("\n", "|").split("|") if part.strip()])
@pytest.mark.parametrize(
    "around", ["{}", "Ring {} today.", "Tel.: {}, please", "<{}>", '"{}"', "tel:{}", "({})", "(Ann, {})"]
)
def test_a_number_is_found_whole(number, around):
    assert detect_pii(around.format(number)) == {"phone": [number]}


@pytest.mark.parametrize(
    "text",
    [
        "call 5551234567", "phone: 4155552671", "Telefon 901820 12", "portable 612345678", "mobile no. 98765 43210",
        "WhatsApp me on 612 345 678",
    ],
)  # fmt: skip
def test_a_bare_number_counts_behind_a_word_for_it(text):
    number = text[next(n for n, character in enumerate(text) if character.isdigit()) :]
    assert detect_pii(text) == {"phone": [number]}
    assert detect_pii(f"we made {number}") == {}


@pytest.mark.parametrize(
    "text",
    [
        "+33 500 000 000 EUR", "+15000000 votes", "+12 345 678", "+1 115 555 2671", "room 030 12", "0.123456789",
        "01.02.2024 1030", "2024-01-02 103000", "phone 2024-01-02", "call 12", "0123 4567 8901 2345 6789", "00123456",
        "order 0171 1234567", "ref. 415-555-2671", "Rechnung Nr. 06 12 34 56 78", "a/0301234567",
        "baggage 0220123456", "x=0612345678",
    ],
)  # fmt: skip
def test_what_is_no_number_to_call_is_not(text):
    assert "phone" not in detect_pii(text)
