"""Old and encrypted Office files are told apart, and each is one error that says what to do."""

from __future__ import annotations

import struct

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.kinds.detect import detect
from fmf.processing.kinds.ole import MAGIC, kind_of, stream_names
from fmf.processing.loaders.office.unread import load
from unit.fmf.processing.memory import source_of


def container(*names: str, sectors_before: int = 0, shift: int = 9) -> bytes:
    """An OLE container with these streams, all of them empty; its directory stands behind so many other sectors."""
    size = 1 << shift
    per_sector = size // 128
    entries = b"".join(
        (name + "\0").encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBB", 2 * len(name) + 2, 5 if not number else 2, 1)
        + bytes(60)
        for number, name in enumerate(("Root Entry", *names))
    )
    entries += bytes(-len(entries) % size)
    first = 1 + sectors_before
    count = len(entries) // size
    table = [0xFFFFFFFD, *[0xFFFFFFFE] * sectors_before, *range(first + 1, first + count), 0xFFFFFFFE]
    header = bytearray(size)
    header[:8] = MAGIC
    struct.pack_into("<HHHHH", header, 24, 0x3E, 3, 0xFFFE, shift, 6)
    struct.pack_into("<I", header, 44, 1)
    struct.pack_into("<I", header, 48, first)
    struct.pack_into("<109I", header, 76, 0, *[0xFFFFFFFF] * 108)
    fat = struct.pack(f"<{size // 4}I", *table, *[0xFFFFFFFF] * (size // 4 - len(table)))
    assert per_sector * count >= len(names) + 1
    return bytes(header) + fat + bytes(size * sectors_before) + entries


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["WordDocument", "1Table"], "doc"),
        (["Workbook"], "xls"),
        (["Book"], "xls"),
        (["PowerPoint Document"], "ppt"),
        (["__properties_version1.0", "__substg1.0_0037001F"], "msg"),
        (["EncryptionInfo", "EncryptedPackage"], "encrypted"),
        (["Other"] * 10, None),
    ],
)
def test_containers_are_told_apart_by_their_streams(names, kind):
    for shift in (9, 12):
        data = container(*names, sectors_before=20, shift=shift)
        assert kind_of(lambda at, size, data=data: data[at : at + size]) == kind
        assert list(stream_names(lambda at, size, data=data: data[at : at + size])) == ["Root Entry", *names]


def test_damaged_containers_end_in_nothing():
    data = container("Workbook", sectors_before=3)
    for cut in (0, 8, 100, 511, 600, 1500):
        part = data[:cut]
        assert kind_of(lambda at, size, part=part: part[at : at + size]) in {None, "xls"}
    looping = bytearray(data)
    struct.pack_into("<I", looping, 512 + 4 * 4, 4)
    assert "Workbook" in list(stream_names(lambda at, size: bytes(looping[at : at + size])))


@pytest.mark.parametrize(
    ("names", "said", "hint"),
    [
        (["WordDocument"], "Word 97 to 2003", "soffice --headless --convert-to docx"),
        (["PowerPoint Document"], "PowerPoint 97 to 2003", "save it as .pptx"),
        (["EncryptedPackage"], "it is encrypted", "without a password"),
        (["Odd"], "an OLE container", "exclude"),
    ],
)
def test_each_is_one_error_that_says_what_to_do(names, said, hint):
    with source_of(container(*names), "a.doc") as source, pytest.raises(ProcessingError, match=said) as caught:
        load(source, ProcessingConfig())
    assert hint in caught.value.hint
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("name", "names", "kind"),
    [
        ("a.doc", ["WordDocument"], "ole"),
        ("a.xls", ["Workbook"], "xlsx"),
        ("wrong.doc", ["Workbook"], "xlsx"),
        ("a.msg", ["__properties_version1.0"], "msg"),
        ("a.docx", ["EncryptedPackage"], "encrypted"),
        ("a.doc", ["Odd"], "ole"),
        ("a.xyz", ["Odd"], None),
    ],
)
def test_detection_looks_into_the_container(name, names, kind):
    found = detect(name, container(*names))
    assert (found.name if found else None) == kind
