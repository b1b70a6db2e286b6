"""OLE containers, the form of Office files before 2007, of Outlook messages and of encrypted Office files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENTRY: Final = 128
_MOST_SECTORS: Final = 4096
_LAST_SECTOR: Final = 0xFFFFFFFA

Window = Callable[[int, int], bytes]
"""At most so many bytes (second) from a place on (first)."""


def kind_of(window: Window) -> str | None:
    """What the container holds: `encrypted`, `doc`, `xls`, `ppt` or `msg`; nothing where its streams tell none."""
    names = set(stream_names(window))
    if "EncryptedPackage" in names:
        return "encrypted"
    if any(name.startswith("__properties_version") for name in names):
        return "msg"
    for name, kind in (("WordDocument", "doc"), ("Workbook", "xls"), ("Book", "xls"), ("PowerPoint Document", "ppt")):
        if name in names:
            return kind
    return None


def stream_names(window: Window) -> Iterator[str]:
    """The names of the streams and storages, as far as they can be read; never fails."""
    header = window(0, 512)
    if len(header) < 512 or not header.startswith(MAGIC):
        return
    size = 1 << min(_number(header, 30, 2), 20)
    if size < 512:
        return
    for sector in _directory(header, window, size):
        entries = window((sector + 1) * size, size)
        for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
            length = min(_number(entries, at + 64, 2), 64)
            if length >= 2 and entries[at + 66]:
                yield entries[at : at + length - 2].decode("utf-16-le", "replace")


def _directory(header: bytes, window: Window, size: int) -> Iterator[int]:
    """The sectors of the directory, in their order."""
    sector = _number(header, 48, 4)
    seen: set[int] = set()
    while sector <= _LAST_SECTOR and sector not in seen and len(seen) < _MOST_SECTORS:
        seen.add(sector)
        yield sector
        table, place = divmod(sector, size // 4)
        if table >= 109:  # further tables are listed elsewhere; the directory of a document lies before them
            return
        at = (_number(header, 76 + 4 * table, 4) + 1) * size + 4 * place
        following = window(at, 4)
        if len(following) < 4:
            return
        sector = _number(following, 0, 4)


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
