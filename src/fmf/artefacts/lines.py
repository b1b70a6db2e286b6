"""Files of JSON lines: written through one buffer each, read back line by line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fmf.artefacts.storage import writing
from fmf.errors import ConfigError
from fmf.types import Row
from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import blank_known, blank_values, knows_secrets

_BUFFER_BYTES = 256 * 1024


def encode_line(row: Mapping[str, Any]) -> bytes:
    """`row` as one line of JSON with its line end.

    A value that JSON does not know is written as its text, and half of a surrogate pair as U+FFFD: a record is never
    lost to one odd value. Registered secrets are blanked, also where a model or a document says them.
    """
    import orjson

    try:
        line = orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        line = orjson.dumps(_clean(row), default=str, option=orjson.OPT_APPEND_NEWLINE)
    text = line.decode()
    if blank_known(text) == text:
        return text.encode()  # a copy of the right size: the encoder's own buffer is larger, and lines are collected
    # In the values only: a secret that looks like a key or like a piece of JSON must not break the line.
    return orjson.dumps(blank_values(orjson.loads(line)), option=orjson.OPT_APPEND_NEWLINE)


def blanked_lines(lines: bytes) -> bytes:
    """Encoded lines, with the registered secrets blanked that their values hold."""
    if not knows_secrets():
        return lines
    text = lines.decode()
    if blank_known(text) == text:
        return lines
    import orjson

    return b"".join(encode_line(orjson.loads(line)) for line in lines.splitlines())


def read_lines(path: Path) -> Iterator[Row]:
    """The records of a file of JSON lines, one at a time; a torn last line is left out.

    Raises:
        ConfigError: a line is no JSON; says which.
    """
    for number, (_, line) in enumerate(raw_lines(path), 1):
        if line.strip():
            yield row_of(line, path, number)


def raw_lines(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every line from byte `start` on, and how many bytes end with it; a torn last line is left out."""
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            start += len(line)
            if line.endswith(b"\n"):
                yield start, line


def count_lines(path: Path, size: int) -> int:
    """How many lines the first `size` bytes of a file have."""
    lines = 0
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BUFFER_BYTES))):
            lines += block.count(b"\n")
            size -= len(block)
    return lines


def row_of(line: bytes, path: Path, number: int | None = None) -> Row:
    """The record of one line of `path`.

    Raises:
        ConfigError: it is no JSON; says which line, where its number is given.
    """
    import orjson

    try:
        row: Row = orjson.loads(line)
    except ValueError as error:
        where = f"line {number}" if number else "a line"
        raise ConfigError(
            f"{where} of {str(path)!r} is damaged: {error}",
            op="artefacts.read",
            hint="restore the file, or leave that run alone",
        ) from error
    return row


class LineWriter:
    """One file of JSON lines that grows at its end.

    Lines are collected and written in blocks; `flush` hands them to the operating system. Use it from one thread at a
    time.

    Args:
        path: the file; it is created at once, so that an empty one says "none".
        keep: how many bytes of an older file of that name stay; what is behind them is cut off.

    Raises:
        FrameworkError: it cannot be written, or is shorter than what is to stay.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        self.bytes = keep
        self._kept = keep
        self._digest = hashlib.sha256()
        self._lines = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        with writing(path):
            self._file = path.open("ab", buffering=0)
            size = os.fstat(self._file.fileno()).st_size
            if size < keep:
                self._file.close()
                raise FrameworkError(
                    f"{str(path)!r} has {size:,} bytes, and {keep:,} were written to it",
                    op="artefacts.write",
                    code=Code.INVALID,
                    hint="somebody changed it: restore it from a copy, or start a new run",
                )
            if size > keep:
                os.ftruncate(self._file.fileno(), keep)

    @property
    def size(self) -> int:
        """Bytes that were given to it so far, those included that are still collected."""
        return self.bytes + self._pending_bytes

    @property
    def sha256(self) -> str:
        """The hash of everything written so far, in hexadecimal."""
        if not self._kept:
            return self._digest.hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def count_lines(self) -> int:
        """How many lines were given to it so far, and how many it had before, for which the file is read."""
        return self._lines + count_lines(self.path, self._kept)

    def sync(self) -> None:
        """Wait until what was handed to the operating system is on the disk; from any thread."""
        with writing(self.path):
            os.fsync(self._file.fileno())

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one record."""
        self.write_block(encode_line(row))

    def write_block(self, lines: bytes) -> None:
        """Add encoded lines, each with its line end."""
        self._pending.append(lines)
        self._pending_bytes += len(lines)
        self._lines += lines.count(b"\n")
        if self._pending_bytes >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what is collected to the operating system.

        Raises:
            FrameworkError: the disk is full or refuses; what is not written stays collected.
        """
        if not self._pending:
            return
        block = b"".join(self._pending)
        written = 0
        try:
            with writing(self.path):
                while written < len(block):
                    written += self._file.write(memoryview(block)[written:])
        finally:
            # What went out before a disk was full must not go out again.
            self._digest.update(block[:written])
            self.bytes += written
            self._pending = [block[written:]] if written < len(block) else []
            self._pending_bytes = len(block) - written

    def close(self) -> None:
        """Flush and close; a closed writer may be closed again."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
