"""Zip archives are checked before anybody unpacks them."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

import pytest

from fmf.config.models import LimitsConfig
from fmf.errors import ProcessingError
from fmf.processing.archive import Archive
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.zips import zipped


def refused(data: bytes, said: str, **limits):
    with source_of(data, "a.docx") as source, pytest.raises(ProcessingError, match=said) as caught:
        Archive(source, LimitsConfig(**limits), "docx")
    assert "memory://a.docx" in caught.value.message
    assert caught.value.hint
    return caught.value


def read(data: bytes, name: str) -> bytes:
    with source_of(data, "a.docx") as source:
        return b"".join(Archive(source, LimitsConfig(), "docx").blocks(name))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_found_whatever_their_case_and_their_slashes(compression):
    data = zipped({"Word\\Document.xml": "<a/>", "big.xml": bytes(range(256)) * 2000}, compression=compression)
    with source_of(data) as source:
        archive = Archive(source, LimitsConfig(), "docx")
        assert "word/document.XML" in archive
        assert "other.xml" not in archive
        assert list(archive.names()) == ["Word\\Document.xml", "big.xml"]
        assert b"".join(archive.blocks("word/document.xml")) == b"<a/>"
        assert b"".join(archive.blocks("big.xml")) == bytes(range(256)) * 2000
        with archive.open("big.xml") as stream:
            assert stream.read(3) == b"\0\1\2"
        with pytest.raises(ProcessingError, match=r"part other\.xml is missing"):
            list(archive.blocks("other.xml"))


def test_what_is_no_zip_or_not_whole_is_refused():
    refused(b"nothing", "damaged or not a docx file")
    refused(zipped({"a.xml": "text"})[:-30], "damaged or not a docx file")
    refused(b"", "damaged or not a docx file")


def test_a_bomb_is_refused_by_its_ratio():
    error = refused(zipped({"a.xml": bytes(20_000_000)}), r"unpacks to 1,0\d\d times its size, 20 MB, and 100 times")
    assert "max_archive_ratio" in error.hint
    picture = random.Random(1).randbytes(200_000)
    beside = zipped({"a.png": picture, "a.xml": bytes(20_000_000)})
    refused(beside, "its part a.xml unpacks to", max_archive_ratio=200)


def test_what_repeats_itself_is_no_bomb_while_it_is_small():
    assert len(read(zipped({"a.xml": bytes(9_900_000)}), "a.xml")) == 9_900_000


def test_a_bomb_of_good_ratio_is_refused_by_its_size():
    data = zipped({f"{number}.xml": bytes(1_500_000) for number in range(4)})
    error = refused(data, "unpacks to 6 MB, and 5 MB are allowed", max_memory_mb=5, max_archive_ratio=5000)
    assert "max_memory_mb" in error.hint


def test_archives_inside_are_not_entered():
    inner = zipped({"bomb.xml": bytes(3_000_000)})
    with source_of(zipped({"inner.zip": inner, "a.xml": "<a/>"})) as source:
        assert list(Archive(source, LimitsConfig(), "docx").names()) == ["inner.zip", "a.xml"]


def test_too_many_members_are_refused():
    refused(zipped({f"{number}": "" for number in range(20_001)}), "20,001 parts, and 20,000 are allowed")


def test_encrypted_members_and_odd_packing_are_refused():
    data = bytearray(zipped({"a.xml": "<a/>"}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    refused(bytes(data), "it is encrypted")
    refused(zipped({"a.xml": "<a/>" * 50}, compression=zipfile.ZIP_BZIP2), "packed in a way that is not read")


def test_a_member_that_is_longer_than_it_says_is_found_at_its_end():
    data = bytearray(zipped({"a.xml": b"x" * 5000}))
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 100)
    struct.pack_into("<I", data, at + 16, zlib.crc32(b"x" * 100))
    with pytest.raises(ProcessingError, match="not as long as the archive says"):
        read(bytes(data), "a.xml")
    struct.pack_into("<I", data, at + 24, 6000)
    with pytest.raises(ProcessingError, match="not as long as the archive says"):
        read(bytes(data), "a.xml")


def test_a_wrong_checksum_is_found():
    data = zipped({"a.xml": b"<a>hello</a>"}, compression=zipfile.ZIP_STORED).replace(b"hello", b"hallo")
    with pytest.raises(ProcessingError, match="checksum is wrong"):
        read(data, "a.xml")


def test_damaged_packing_is_one_error():
    data = bytearray(zipped({"a.xml": bytes(range(256)) * 50}))
    data[60:80] = b"\xff" * 20
    with pytest.raises(ProcessingError):
        read(bytes(data), "a.xml")


def test_zip64_is_read():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("a.xml", "w", force_zip64=True) as member:
        member.write(b"<a/>")
    assert read(file.getvalue(), "a.xml") == b"<a/>"
