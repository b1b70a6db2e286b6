from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from fmf.connectors.sharepoint.quick_xor import QuickXorHash


def bit_by_bit(content: bytes) -> bytes:
    """The definition, bit for bit: byte after byte, each eleven bits further round a ring of 160."""
    ring = [0] * 160
    for index, byte in enumerate(content):
        for bit in range(8):
            ring[(index * 11 + bit) % 160] ^= byte >> bit & 1
    for bit in range(64):
        ring[96 + bit] ^= len(content) >> bit & 1
    return sum(bit << place for place, bit in enumerate(ring)).to_bytes(20, "little")


def hashed(*blocks: bytes) -> bytes:
    found = QuickXorHash()
    for block in blocks:
        found.update(block)
    return found.digest()


def test_known_hashes_are_met():
    assert base64.b64encode(hashed()) == b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert base64.b64encode(hashed(b"\x4a")) == b"SgAAAAAAAAAAAAAAAQAAAAAAAAA="
    assert base64.b64encode(hashed(b"\xb5\xb4")) == b"taAFAAAAAAAAAAAAAgAAAAAAAAA="


@given(st.lists(st.binary(max_size=700), max_size=6))
def test_blocks_of_any_size_give_the_hash_of_the_definition(blocks):
    assert hashed(*blocks) == bit_by_bit(b"".join(blocks))


def test_a_long_block_gives_the_hash_of_the_definition():
    content = bytes(range(251)) * 200
    assert hashed(content) == hashed(content[:33_333], content[33_333:]) == bit_by_bit(content)
