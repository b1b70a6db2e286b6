"""ZIP archives written by hand, so that what they say of themselves need not be true."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

MB = 1 << 20
STORED, DEFLATED = 0, 8


@dataclass(frozen=True)
class Entry:
    """One file of an archive; what is not given is true."""

    name: str
    packed: bytes
    size: int
    crc: int
    method: int = DEFLATED
    flags: int = 0

    def local(self) -> bytes:
        """The entry where its bytes are."""
        name = self.name.encode()
        head = struct.pack(
            "<4sHHHHHIIIHH", b"PK\3\4", 20, self.flags, self.method, 0, 33, self.crc, len(self.packed), self.size,
            len(name), 0,
        )  # fmt: skip
        return head + name + self.packed

    def central(self, offset: int) -> bytes:
        """The entry in the list at the end."""
        name = self.name.encode()
        head = struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, self.flags, self.method, 0, 33, self.crc, len(self.packed),
            self.size, len(name), 0, 0, 0, 0, 0, offset,
        )  # fmt: skip
        return head + name


def entry(name: str, data: bytes | str, *, method: int = DEFLATED, flags: int = 0) -> Entry:
    """A file that is what it says."""
    data = data.encode() if isinstance(data, str) else data
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = data if method != DEFLATED else packer.compress(data) + packer.flush()
    return Entry(name, packed, len(data), zlib.crc32(data), method, flags)


def archive(*entries: Entry, same_bytes: int = 1) -> bytes:
    """The archive; with `same_bytes`, so many names for the bytes of each entry."""
    out, listed = b"", []
    for each in entries:
        names = [each] + [
            Entry(f"{number}-{each.name}", each.packed, each.size, each.crc, each.method, each.flags)
            for number in range(1, same_bytes)
        ]
        listed += [name.central(len(out)) for name in names]
        out += each.local()
    directory = b"".join(listed)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(listed), len(listed), len(directory), len(out), 0)
    return out + directory + end


def zipped(files: Mapping[str, bytes | str]) -> bytes:
    """An archive of `files` that is what it says."""
    return archive(*(entry(name, data) for name, data in files.items()))


def with_parts(data: bytes, changes: Mapping[str, bytes | str | Entry | None]) -> bytes:
    """The archive `data` with some parts replaced or added; `None` takes one away."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        parts: dict[str, bytes | str | Entry | None] = {name: old.read(name) for name in old.namelist()}
    parts |= changes
    made = (each if isinstance(each, Entry) else entry(name, each) for name, each in parts.items() if each is not None)
    return archive(*made)


@cache
def _blank(megabytes: int, filler: bytes) -> tuple[bytes, bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(filler * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    return first, first * megabytes


def bomb(name: str, megabytes: int, before: bytes = b"", after: bytes = b"", filler: bytes = b" ") -> Entry:
    """A file that is nothing but `filler` between two ends, and very small while it is packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    tail = packer.compress(after) + packer.flush()
    crc = zlib.crc32(before)
    block = filler * MB
    for _ in range(megabytes):
        crc = zlib.crc32(block, crc)
    packed = head + _blank(megabytes, filler)[1] + tail
    return Entry(name, packed, len(before) + megabytes * MB + len(after), zlib.crc32(after, crc))


def nested(depth: int, innermost: bytes) -> bytes:
    """An archive in an archive in an archive."""
    data = innermost
    for level in range(depth):
        data = archive(entry(f"level-{level}.zip", data))
    return data
