"""Zip archives of documents, checked before anybody unpacks them: members, sizes, ratio, encryption and damage."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from fmf.config.processing import LimitsConfig
from fmf.errors import ProcessingError
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.unreadable import damaged, encrypted, unreadable
from fmf_core.errors import Code

MOST_MEMBERS: Final = 20_000
"""Members of one archive; documents have some hundred."""
HARMLESS_BYTES: Final = 10_000_000
"""What unpacks to less than this is no bomb, however well it was packed."""
BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, OverflowError)
"""What reading a damaged archive raises."""
_MARKUP: Final = (".xml", ".rels", ".bin", ".vml", ".xhtml", ".html")
_BLOCK: Final = 1 << 16
_INFLATED: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    r"""A zip file that was checked: nothing in it is encrypted, and what it unpacks to stays within the limits.

    Archives inside it are not entered. Names are found whatever their case, and with `\` for `/`.

    Args:
        source: the file.
        limits: the section `processing.limits`: `max_archive_ratio` holds for the whole and for each part of text
            above `HARMLESS_BYTES`, `max_memory_mb` for all parts of text together.
        kind: what it is read as, for errors.

    Raises:
        ProcessingError: it is no zip file, not whole, encrypted, or a bomb.
    """

    def __init__(self, source: Source, limits: LimitsConfig, kind: str) -> None:
        self.source = source
        self.kind = kind
        try:
            self._zip = zipfile.ZipFile(source.stream)
            members = self._zip.infolist()
        except BROKEN as error:
            raise damaged(source, kind, error) from error
        self._members = {_plain(member.filename): member for member in members}
        self._check(members, limits)

    def names(self) -> Iterator[str]:
        """The names of the members as they stand in the archive, in its order."""
        return (member.filename for member in self._members.values())

    def __contains__(self, name: str) -> bool:
        return _plain(name) in self._members

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The unpacked bytes of a member, as a stream.

        Raises:
            ProcessingError: there is no such member, or it is damaged.
        """
        member = self._members.get(_plain(name))
        if member is None:
            raise unreadable(self.source, self.kind, f"its part {name} is missing")
        try:
            with self._zip.open(member) as stream:
                yield stream  # type: ignore[misc]  # an IO[bytes] that only reads
        except BROKEN as error:
            raise damaged(self.source, self.kind, error) from error

    def blocks(self, name: str) -> Iterator[bytes]:
        """The unpacked bytes of a member to their true end, in blocks.

        Raises:
            ProcessingError: there is no such member, or it is damaged, or not as long as the archive says.
        """
        with self.open(name):
            member = self._members[_plain(name)]
            inflated = self._packed(member) if member.compress_type == zipfile.ZIP_STORED else self._inflated(member)
            seen, checksum = 0, 0
            for block in inflated:
                seen += len(block)
                checksum = zlib.crc32(block, checksum)
                if seen > member.file_size:
                    break
                yield block
            if seen != member.file_size:
                raise unreadable(self.source, self.kind, f"its part {name} is not as long as the archive says")
            if checksum != member.CRC:
                raise unreadable(self.source, self.kind, f"its part {name} is damaged: its checksum is wrong")

    def _inflated(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-15)
        for packed in self._packed(member):
            waiting = packed
            while waiting and not inflater.eof:
                yield inflater.decompress(waiting, _INFLATED)
                waiting = inflater.unconsumed_tail
        yield inflater.flush()

    def _packed(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        stream = self.source.stream
        stream.seek(member.header_offset + 26)
        lengths = stream.read(4)
        at = member.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        end = at + member.compress_size
        while at < end:
            stream.seek(at)
            block = stream.read(min(_BLOCK, end - at))
            if not block:
                return
            at += len(block)
            yield block

    def _check(self, members: list[zipfile.ZipInfo], limits: LimitsConfig) -> None:
        if any(member.flag_bits & _ENCRYPTED for member in members):
            raise encrypted(self.source, self.kind)
        if len(members) > MOST_MEMBERS:
            raise self._bomb(f"it has {len(members):,} parts, and {MOST_MEMBERS:,} are allowed", "exclude the file")
        if odd := [member.filename for member in members if member.compress_type not in _METHODS]:
            raise unreadable(self.source, self.kind, f"its part {odd[0]} is packed in a way that is not read")
        ratio = limits.max_archive_ratio
        text = [member for member in members if _plain(member.filename).endswith(_MARKUP)]
        whole = sum(member.file_size for member in members)
        self._check_ratio("it", whole, self.source.size, ratio)
        for member in text:
            self._check_ratio(f"its part {member.filename}", member.file_size, member.compress_size, ratio)
        unpacked = sum(member.file_size for member in text)
        if unpacked > limits.max_memory_mb * MEGABYTE:
            raise self._bomb(
                f"its text unpacks to {unpacked / MEGABYTE:,.0f} MB, and {limits.max_memory_mb:g} MB are allowed",
                "raise processing.limits.max_memory_mb in fmf.yaml if it is meant to be so large, or exclude the file",
            )

    def _check_ratio(self, what: str, unpacked: int, packed: int, most: float) -> None:
        if unpacked > HARMLESS_BYTES and unpacked > most * packed:
            times = unpacked / max(packed, 1)
            raise self._bomb(
                f"{what} unpacks to {times:,.0f} times its size, {unpacked / MEGABYTE:,.0f} MB, and {most:g} times are "
                "allowed",
                "raise processing.limits.max_archive_ratio in fmf.yaml if it can be trusted, or exclude the file",
            )

    def _bomb(self, why: str, hint: str) -> ProcessingError:
        return unreadable(self.source, self.kind, why, hint=hint, code=Code.INVALID)


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
