"""Compound files (the container of XLS, DOC, MSG and of encrypted OOXML) written by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, CHAIN_END, FAT_SECTOR, NOTHING = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
Tree = Mapping[str, "bytes | Mapping[str, Any]"]


class _Directory:
    """The entries, flat, with the links between them."""

    def __init__(self, tree: Tree) -> None:
        self.entries: list[dict[str, Any]] = [{"name": "Root Entry", "type": 5, "data": b"", "child": NOTHING}]
        self.entries[0]["child"] = self._add(tree)

    def _add(self, tree: Tree) -> int:
        numbers = []
        for name in sorted(tree, key=lambda each: (len(each), each.upper())):
            value = tree[name]
            number = len(self.entries)
            numbers.append(number)
            stream = isinstance(value, bytes)
            self.entries.append(
                {"name": name, "type": 2 if stream else 1, "data": value if stream else b"", "child": NOTHING}
            )
            if not stream:
                self.entries[number]["child"] = self._add(value)
        for one, other in pairwise(numbers):
            self.entries[one]["right"] = other
        return numbers[0] if numbers else NOTHING

    def packed(self) -> bytes:
        return b"".join(self._row(each) for each in self.entries)

    @staticmethod
    def _row(each: dict[str, Any]) -> bytes:
        name = each["name"].encode("utf-16-le")
        return struct.pack(
            "<64sHBBIII16sIQQIQ", name, len(name) + 2, each["type"], 1, NOTHING, each.get("right", NOTHING),
            each["child"], b"", 0, 0, 0, each.get("start", CHAIN_END), each.get("size", len(each["data"])),
        )  # fmt: skip


def _padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


def compound(tree: Tree, *, fat_loop: bool = False) -> bytes:
    """A compound file of the streams and storages of `tree`; with `fat_loop` its first chain runs in a circle."""
    directory = _Directory(tree)
    mini, mini_fat = b"", []
    for each in directory.entries[1:]:
        if each["type"] == 2 and 0 < len(each["data"]) < CUTOFF:
            each["start"] = len(mini) // MINI
            count = -(-len(each["data"]) // MINI)
            mini_fat += [*range(each["start"] + 1, each["start"] + count), CHAIN_END]
            mini += _padded(each["data"], MINI)
    root = directory.entries[0]
    sectors: list[bytes] = []
    fat: list[int] = []

    def put(data: bytes) -> int:
        """Where `data` begins."""
        if not data:
            return CHAIN_END
        first, padded = len(sectors), _padded(data, SECTOR)
        count = len(padded) // SECTOR
        sectors.extend(padded[at : at + SECTOR] for at in range(0, len(padded), SECTOR))
        fat.extend([*range(first + 1, first + count), CHAIN_END])
        return first

    for each in directory.entries[1:]:
        if each["type"] == 2 and len(each["data"]) >= CUTOFF:
            each["start"] = put(each["data"])
    root["start"], root["size"] = put(mini), len(mini)
    first_mini_fat = put(b"".join(struct.pack("<I", each) for each in mini_fat))
    first_directory = put(_padded(directory.packed(), SECTOR))
    fat_sectors = -(-(len(fat) + 1) // 127)
    fat += [FAT_SECTOR] * fat_sectors
    if fat_loop:
        fat[first_directory] = first_directory
    fat += [FREE] * (-len(fat) % 128)
    table = b"".join(struct.pack("<I", each) for each in fat)
    at = len(sectors)
    difat = [*range(at, at + fat_sectors), *[FREE] * (109 - fat_sectors)]
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", MAGIC, b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_sectors, first_directory, 0, CUTOFF,
        first_mini_fat, -(-len(mini_fat) // 128), CHAIN_END, 0,
    ) + struct.pack("<109I", *difat)  # fmt: skip
    return header + b"".join(sectors) + table[: fat_sectors * SECTOR]


def encrypted_package() -> bytes:
    """What Office writes for a document with a password: nobody can read it without."""
    info = (
        struct.pack("<HHI", 4, 4, 0x40) + b"<encryption xmlns='http://schemas.microsoft.com/office/2006/encryption'/>"
    )
    return compound({"EncryptionInfo": info, "EncryptedPackage": struct.pack("<Q", 9000) + bytes(range(256)) * 36})


def _record(number: int, data: bytes) -> bytes:
    return struct.pack("<HH", number, len(data)) + data


def xls(rows: list[list[str | float]], *, password: bool = False) -> bytes:
    """A workbook of the old kind with one sheet."""
    begin = struct.pack("<HHHHII", 0x600, 5, 0x1000, 1997, 0, 6)
    lock = _record(0x2F, struct.pack("<HHH48s", 1, 1, 1, bytes(range(48)))) if password else b""
    start = _record(0x809, begin) + lock + _record(0x42, struct.pack("<H", 1200))
    name = struct.pack("<BB", 5, 0) + b"First"
    offset = len(start) + 4 + 6 + len(name) + 4
    start += _record(0x85, struct.pack("<IBB", offset, 0, 0) + name) + _record(0x0A, b"")
    width = max(map(len, rows), default=0)
    sheet = _record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0x1000, 1997, 0, 6))
    sheet += _record(0x200, struct.pack("<IIHHH", 0, len(rows), 0, width, 0))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if isinstance(cell, str):
                text = struct.pack("<HB", len(cell), 0) + cell.encode("latin-1")
                sheet += _record(0x204, struct.pack("<HHH", row, column, 0) + text)
            else:
                sheet += _record(0x203, struct.pack("<HHHd", row, column, 0, cell))
    return compound({"Workbook": (start + sheet + _record(0x0A, b"")).ljust(CUTOFF, b"\0")})


def msg(subject: str, body: str | None, *, attached: Tree | None = None, extra: Tree | None = None) -> bytes:
    """A message of Outlook; `attached` is a message inside it."""
    return compound(msg_tree(subject, body, attached=attached, extra=extra))


def msg_tree(
    subject: str, body: str | None, *, attached: Tree | None = None, extra: Tree | None = None, top: bool = True
) -> dict[str, Any]:
    """The streams of a message."""
    values = {
        "001A": "IPM.Note",
        "0037": subject,
        "0C1A": "Ann Example",
        "0E04": "Bob Example",
        "5D01": "ann@example.org",
    }
    if body is not None:
        values["1000"] = body
    properties = struct.pack("<QIIIIQ", 0, 0, 1, 0, int(attached is not None), 0)
    properties = properties if top else properties[:24]
    tree: dict[str, Any] = {}
    for tag, value in values.items():
        data = value.encode("utf-16-le")
        tree[f"__substg1.0_{tag}001F"] = data
        properties += struct.pack("<HHIII", 0x1F, int(tag, 16), 6, len(data) + 2, 0)
    if attached is not None:
        rows = bytes(8) + struct.pack("<HHIII", 3, 0x3705, 6, 5, 0) + struct.pack("<HHIII", 3, 0x0E21, 6, 0, 0)
        name = "inner message"
        rows += struct.pack("<HHIII", 0x1F, 0x3001, 6, len(name) * 2 + 2, 0)
        tree["__attach_version1.0_#00000000"] = {
            "__properties_version1.0": rows,
            "__substg1.0_3001001F": name.encode("utf-16-le"),
            "__substg1.0_3701000D": attached,
        }
    if top:
        tree["__nameid_version1.0"] = {f"__substg1.0_000{number}0102": bytes(16) for number in (2, 3, 4)}
    return {**tree, "__properties_version1.0": properties, **(extra or {})}
