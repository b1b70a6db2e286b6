"""Damage: a good file, and a number that says in which ways it is spoilt, always the same ones."""

from __future__ import annotations

import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from functools import cache

from bad_input.made.zips import DEFLATED, archive, entry
from bad_input.seeds import SEEDS

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n", b'"', b"<", b"<!--", b"<![CDATA[", b"&e9;",
    b"endstream", b"endobj", b"PK\1\2", b"PK\3\4", b"PAR1", b"\\u0000", b"1e999", b"NaN", b"../", b"{{", b"=cmd|",
    b"\x1b[2J",
)  # fmt: skip
Damage = Callable[[random.Random, bytearray], bytearray]


def _bits(dice: random.Random, data: bytearray) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def _cut(dice: random.Random, data: bytearray) -> bytearray:
    return data[: dice.randrange(len(data))]


def _behead(dice: random.Random, data: bytearray) -> bytearray:
    return data[dice.randrange(len(data)) :]


def _remove(dice: random.Random, data: bytearray) -> bytearray:
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 2, 4, 16, 256, 4_096))]
    return data


def _repeat(dice: random.Random, data: bytearray) -> bytearray:
    start = dice.randrange(len(data))
    block = data[start : start + dice.choice((1, 4, 32, 512, 4_096))]
    data[start:start] = block * dice.choice((1, 1, 3, 50))
    return data


def _move(dice: random.Random, data: bytearray) -> bytearray:
    start = dice.randrange(len(data))
    block = data[start : start + dice.choice((4, 32, 512))]
    at = dice.randrange(len(data))
    data[at : at + len(block)] = block
    return data


def _noise(dice: random.Random, data: bytearray) -> bytearray:
    start = dice.randrange(len(data))
    size = dice.choice((1, 4, 32, 512))
    data[start : start + size] = dice.randbytes(size)
    return data


def _number(dice: random.Random, data: bytearray) -> bytearray:
    """Write over what may be a length or an offset."""
    start = dice.randrange(len(data))
    packed = struct.pack(dice.choice("<>") + "I", dice.choice(_NUMBERS))[: dice.choice((1, 2, 4))]
    data[start : start + len(packed)] = packed
    return data


def _digits(dice: random.Random, data: bytearray) -> bytearray:
    """Write other digits over those of some number."""
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return _number(dice, data)
    at = dice.choice(places)
    data[at : at + 1] = dice.choice((b"0", b"9", b"-1", b"99999999999", b"1e9", b"%d" % dice.randrange(1_000)))
    return data


def _word(dice: random.Random, data: bytearray) -> bytearray:
    at = dice.randrange(len(data))
    data[at:at] = dice.choice(_WORDS) * dice.choice((1, 1, 2, 100))
    return data


def _splice(dice: random.Random, data: bytearray) -> bytearray:
    """The beginning of this file and the end of another one."""
    other = seed(dice.choice(sorted(SEEDS)))
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


DAMAGES: Sequence[Damage] = (
    _bits, _bits, _cut, _behead, _remove, _repeat, _move, _noise, _number, _number, _digits, _digits, _word, _splice,
)  # fmt: skip


@cache
def seed(ending: str) -> bytes:
    """The good file of an ending."""
    return SEEDS[ending]()


@cache
def _parts(ending: str) -> dict[str, bytes] | None:
    import io

    data = seed(ending)
    if not data.startswith(b"PK"):
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def damaged(ending: str, number: int) -> bytes:
    """The good file of `ending`, spoilt in the ways that `number` stands for.

    Half of the archives are spoilt inside, so that what is wrong is in their parts and not in the archive.
    """
    dice = random.Random(f"{ending} {number}")
    parts = _parts(ending)
    if parts and dice.random() < 0.6:
        name = dice.choice(sorted(parts))
        spoilt = {**parts, name: _spoilt(dice, parts[name])}
        return archive(*(entry(each, data, method=DEFLATED) for each, data in spoilt.items()))
    return _spoilt(dice, seed(ending))


def _spoilt(dice: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        if not spoilt:
            break
        spoilt = dice.choice(DAMAGES)(dice, spoilt)
    return bytes(spoilt)
