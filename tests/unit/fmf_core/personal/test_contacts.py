from __future__ import annotations

import pytest

from fmf_core.personal import detect_pii


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com",
        "ann.o'neil+x@mail.example.co.uk",
        "jörg@müller.de",
        "用户@例子.中国",
        "ann@xn--mller-kva.de",
        "a@b.co",
        "ann (at) example (dot) com",
        "ann[at]example.com",
        "first_last@sub-domain.example.museum",
    ],
)
@pytest.mark.parametrize("around", ["{}", "<{}>", "mail: {}.", "({}),", '"{}"', "mailto:{}?subject=x"])
def test_an_address_is_found_whole(address, around):
    assert detect_pii(around.format(address)) == {"email": [address]}


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "@handle",
        "x @ y.com",
        "a@b..com",
        "a@-b.com",
        "meet at (at) noon",
        "git@host.org:x",
        "icon@2x.png",
        "@final\n@a.b.cc",
    ],
)
def test_what_is_no_address_is_not(text):
    assert "email" not in detect_pii(text)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "10.0.0.1", "2001:db8::1", "2001:db8:85a3:0:0:8a2e:370:7334", "fe80::1%eth0", "::ffff:192.0.2.7"],
)
@pytest.mark.parametrize("around", ["{}", "from {}.", "[{}]", "{}/24", "client={},"])
def test_machines_are_found(address, around):
    [found] = detect_pii(around.format(address))["ip_address"]
    assert found == address


def test_both_ends_of_a_range_are_found_and_versions_are_not():
    assert detect_pii("10.0.0.5-10.0.0.99") == {"ip_address": ["10.0.0.5", "10.0.0.99"]}
    assert detect_pii("1.2.3.4-beta, BIOS 1.10.0.2, rev. 3.4.5.6") == {}


def test_network_cards_are_found_and_fingerprints_are_not():
    cards = ["00:1A:2b:3C:4D:5E", "00-1A-2B-3C-4D-5F"]
    assert detect_pii(" and ".join(cards)) == {"mac_address": cards}
    assert detect_pii("key 00:1A:2B:3C:4D:5E:6F:70, ff:ff:ff:ff:ff:ff, 00:00:00:00:00:00") == {}
