from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmf_core.errors import ConfigurationError
from fmf_core.personal import detect_pii, find_pii, redact_pii


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


PIECES = ["1", "12 ", "0", "+49", "(0", "4111 ", "DE89 ", "AB12 34 ", "BSN ", "tel. ", "a@", "a.b", "x@y.zz ", "[at]"]
PIECES += [
    "://a:",
    "password=",
    "sk-",
    "eyJ",
    "order no. ",
    "\\n",
    "-",
    ".",
    " ",
    "A",
    "f",
    "٣",
    "\u00a0",
    "\uff0b",
    "::1",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_no_mixture_makes_it_slower_than_its_length(pieces):
    text = "".join(pieces) * 3_000
    before = time.process_time()
    find_pii(text[:48_000])
    assert time.process_time() - before < 5


def test_many_findings_in_a_long_text_are_all_found():
    text = "write to ann@example.com or call +49 30 901820. " * 20_000
    found = find_pii(text)
    assert len(found) == 40_000
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_a_finding_says_where_and_whose_it_is_and_does_not_show_what_it_is():
    text = "Steuer-ID 86095742719, IBAN DE89370400440532013000, SSN 123-45-6789"
    found = find_pii(text)
    assert [(one.kind, one.country, text[one.start : one.end]) for one in found] == [
        ("national_id", "DE", "86095742719"),
        ("iban", "DE", "DE89370400440532013000"),
        ("ssn", "US", "123-45-6789"),
    ]
    assert "86095742719" not in repr(found)


def test_nine_digits_with_a_check_digit_of_their_own_are_not_taken_for_a_social_security_number():
    assert [(one.kind, one.country) for one in find_pii("BSN 111222333, SSN 205-11-1111")] == [
        ("national_id", "NL"),
        ("ssn", "US"),
    ]
    assert [one.kind for one in find_pii("her SSN is 123456789")] == ["ssn"]


def test_only_the_wanted_kinds_are_found_and_the_others_are_not_taken_for_them():
    text = "pay 4111 1111 1111 1111 from 10.0.0.1"
    assert [one.kind for one in find_pii(text, ["ip_address", "phone"])] == ["ip_address"]
    with pytest.raises(ConfigurationError, match=r"not known: 'e-mail'") as caught:
        find_pii(text, ["email", "e-mail"])
    assert "email, iban" in caught.value.hint
    with pytest.raises(ConfigurationError, match="'email'"):
        find_pii(text, "email")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://app:s3cr3tpw@db.example.com/x", "s3cr3tpw"),
        ("password = 'tr0ub4dor&3'", "tr0ub4dor&3"),
        ('{"api_key": "abc\\"def123"}', 'abc\\"def123'),
        ("Authorization: Bearer abcdef123456", "Bearer abcdef123456"),
        ("the key is sk-abcdefghijkl1234.", "sk-abcdefghijkl1234"),
        (
            "-----BEGIN PRIVATE KEY-----\nMI\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMI\n-----END PRIVATE KEY-----",
        ),
    ],
)
def test_of_credentials_the_secret_is_found_and_its_name_stays(text, secret):
    assert detect_pii(text) == {"credential": [secret]}
    assert redact_pii(text) == text.replace(secret, "[CREDENTIAL]")


def test_a_variable_that_is_handed_on_is_no_secret():
    assert detect_pii("connect(user=user, password=password, api_key=api_key)") == {}


def test_escaped_line_ends_are_no_part_of_what_follows():
    text = r"to:\nann@example.com\t555-123-4567\n"
    assert detect_pii(text) == {"email": ["ann@example.com"], "phone": ["555-123-4567"]}


def test_other_spaces_hyphens_and_digits_are_seen_and_given_back_as_they_were():
    card, phone = "\uff14111\u00a01111\u00a01111\u00a01111", "+49\u202f30\u202f901820\u201112"
    text = f"Karte {card}, Telefon {phone}"
    assert detect_pii(text) == {"credit_card": [card], "phone": [phone]}
    assert redact_pii(text) == "Karte [CREDIT_CARD], Telefon [PHONE]"


@pytest.mark.parametrize(
    "text",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "md5 d41d8cd98f00b204e9800998ecf8427e sha 3f786850e387550fdab836ed7e6dc881de23001b",
        "1732800000000 2024-10-21T12:30:45.123456Z 1732800000.123456",
        "ISBN 978-3-16-148410-0, ISSN 0317-8471, EAN 4006381333931, IMEI 490154203237518",
        "Chrome/120.0.0.0, version 1.2.3.4, v10.20.30.40, section 4.1.2.3",
        "127.0.0.1, 0.0.0.0, 255.255.255.0, ::1",
        "1,234,567.89 EUR, +15 000 000 EUR, 12 345 678, 100 200 300",
        "git@github.com:owner/repository.git, icon@2x.png, lodash@4.17.21",
        "order no. 0171 1234567, Bestellnummer 0301234567, invoice 240315-1238",
        "000000000000, 1111111111, 123456789, 12345678901",
        "due 01.02.2024 12 pieces, 10-11-2024, 2024/10/11",
    ],
)
def test_ordinary_numbers_are_left_alone(text):
    assert detect_pii(text) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("请联系ann@example.org谢谢", {"email": ["ann@example.org"]}),
        ("电话+49 30 901820谢谢", {"phone": ["+49 30 901820"]}),
        ("电话13812345678", {"phone": ["13812345678"]}),
        ("phone=+4930901820", {"phone": ["+4930901820"]}),
        ("私の電話は090-1234-5678です", {"phone": ["090-1234-5678"]}),
        ("カード4111 1111 1111 1111です", {"credit_card": ["4111 1111 1111 1111"]}),
        ("카드4111111111111111로", {"credit_card": ["4111111111111111"]}),
        ("IBANはDE89370400440532013000です", {"iban": ["DE89370400440532013000"]}),
        ("SSN123-45-6789です", {"ssn": ["123-45-6789"]}),
        ("IPは203.0.113.9です", {"ip_address": ["203.0.113.9"]}),
        ("地址fe80::1在", {"ip_address": ["fe80::1"]}),
        ("网卡00:1B:44:11:3A:B7坏了", {"mac_address": ["00:1B:44:11:3A:B7"]}),
        ("身份证11010519491231002X有效", {"national_id": ["11010519491231002X"]}),
        ("密码 password=秘密abc123秘密", {"credential": ["秘密abc123秘密"]}),
        ("_ann@example.org_", {"email": ["ann@example.org"]}),
        (
            "__4111 1111 1111 1111__, _+49 30 901820_.",
            {"credit_card": ["4111 1111 1111 1111"], "phone": ["+49 30 901820"]},
        ),
        ("ann_@example.org", {"email": ["ann_@example.org"]}),
        ("a\u200bnn@exam\u00adple.org", {"email": ["a\u200bnn@exam\u00adple.org"]}),
        ("\u202a+49 30\u200b 901820\u202c", {"phone": ["+49 30\u200b 901820"]}),
        ("4111\u200b1111\u200b1111\u200b1111", {"credit_card": ["4111\u200b1111\u200b1111\u200b1111"]}),
        ("电话\u200b13812345678", {"phone": ["13812345678"]}),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", {"email": ["ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ"]}),
    ],
)
def test_is_found_beside_writing_without_spaces_in_emphasis_and_among_what_nobody_sees(text, found):
    assert detect_pii(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "订单号12345678，金额1,380元，2024年10月21日12:30",
        "第4111111111111112条",
        "版本1.2.3.4的",
        "価格は12345678円です",
    ],
)
def test_what_only_looks_alike_is_not_there_either(text):
    assert detect_pii(text) == {}


@given(st.lists(st.sampled_from([*PIECES, "电", "は", "\u200b", "_", "\u0301", "ann@example.org", "4111111111111111"])))
def test_places_are_those_of_the_text_itself(pieces):
    text = "".join(pieces)
    for one in find_pii(text):
        assert 0 <= one.start < one.end <= len(text)
        assert not text[one.start].isspace()
        assert not text[one.end - 1].isspace()
