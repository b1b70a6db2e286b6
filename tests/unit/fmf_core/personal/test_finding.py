from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf_core.personal import detect_pii, redact_pii


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to ann.o'neil+x@mail.example.com.", {"email": ["ann.o'neil+x@mail.example.com"]}),
        ("call 555-123-4567 or (555) 123-4567", {"phone": ["555-123-4567", "(555) 123-4567"]}),
        ("call +1 (555) 123-4567", {"phone": ["+1 (555) 123-4567"]}),
        ("call +49 30 901820 now", {"phone": ["+49 30 901820"]}),
        ("call +14155552671", {"phone": ["+14155552671"]}),
        ("call 555.123.4567", {"phone": ["555.123.4567"]}),
        ("London: 020 7946 0958", {"phone": ["020 7946 0958"]}),
        ("card 4111 1111 1111 1111", {"credit_card": ["4111 1111 1111 1111"]}),
        ("card 5500-0000-0000-0004,", {"credit_card": ["5500-0000-0000-0004"]}),
        ("card 378282246310005", {"credit_card": ["378282246310005"]}),
        ("to GB82 WEST 1234 5698 7654 32 please", {"iban": ["GB82 WEST 1234 5698 7654 32"]}),
        ("to DE89370400440532013000", {"iban": ["DE89370400440532013000"]}),
        ("SSN 123-45-6789", {"ssn": ["123-45-6789"]}),
        ("from 192.168.0.1 and fe80::1", {"ip_address": ["192.168.0.1", "fe80::1"]}),
        ("from 2001:db8:85a3:0:0:8a2e:370:7334", {"ip_address": ["2001:db8:85a3:0:0:8a2e:370:7334"]}),
        ("a@b.co twice a@b.co", {"email": ["a@b.co"]}),
    ],
)
def test_is_found_by_kind(text, found):
    assert detect_pii(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here, not even on 2024-10-21 at 12:30:45",
        "card 4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
        "300.1.1.1 and version 1.2.3",
        "std::vector, a::b, 12:30",
        "order 12345678, invoice 20241021, 3.14159265358979",
        "user@localhost, @handle, a@b",
        "0000 0000 0000 0000",
    ],
)
def test_what_only_looks_alike_is_not(text):
    assert detect_pii(text) == {}
    assert redact_pii(text) == text


def test_is_replaced_by_its_kind():
    text = "Ann <ann@example.com>, 555-123-4567, card 4111111111111111, SSN 123-45-6789, from 10.0.0.1."
    assert redact_pii(text) == "Ann <[EMAIL]>, [PHONE], card [CREDIT_CARD], SSN [SSN], from [IP_ADDRESS]."


@given(st.text())
def test_what_is_replaced_is_gone(text):
    clean = redact_pii(text)
    for kind, matches in detect_pii(text).items():
        assert f"[{kind.upper()}]" in clean
        assert all(match in text for match in matches)


@given(st.text(alphabet="0123456789 -.+():@abGB", max_size=200))
def test_so_it_is_in_text_made_of_digits(text):
    clean = redact_pii(text)
    for matches in detect_pii(text).values():
        for match in matches:
            assert clean.count(match) < text.count(match)


@pytest.mark.parametrize("unit", ["1", "1 ", "a.", "a@", "a@a.", "1.", ":", "GB82 ", "+1 ", "(5", "a"])
def test_hostile_text_costs_no_more_than_its_length(unit):
    before = time.process_time()
    redact_pii(unit * (100_000 // len(unit)))
    assert time.process_time() - before < 5
