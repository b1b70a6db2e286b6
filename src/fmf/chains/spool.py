"""The chunks of one document, kept until the document is known to be whole: few in memory, many in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from fmf.artefacts.lines import LineWriter, blanked_lines, encode_line
from fmf.artefacts.rows import chunk_from_row, chunk_row
from fmf.artefacts.storage import writing
from fmf.types import Chunk, ChunkLines, Row

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024


class ChunkSpool:
    """Takes chunks in order and gives them back as lines for `chunks.jsonl` and as chunks, as often as asked.

    Args:
        folder: where the file of a large document lies while it is needed; it is gone afterwards.
        in_memory: bytes of lines that are kept in memory.
    """

    def __init__(self, folder: Path, in_memory: int = _IN_MEMORY_BYTES) -> None:
        self.count = 0
        self._folder = folder
        self._in_memory = in_memory
        self._lines: list[bytes] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def add(self, chunk: Chunk) -> None:
        """Keep one more chunk."""
        line = encode_line(chunk_row(chunk))
        self.count += 1
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes > self._in_memory:
            self._spill()

    def add_lines(self, chunks: ChunkLines) -> None:
        """Keep some more chunks, which are lines already."""
        self.count += chunks.count
        self._lines.append(blanked_lines(chunks.lines))
        self._bytes += len(chunks.lines)
        if self._bytes > self._in_memory:
            self._spill()

    def shorten(self, count: int) -> None:
        """Keep the first `count` chunks only."""
        self._lines = list(islice(self._all_lines(), count))
        self._bytes = sum(map(len, self._lines))
        self.count = len(self._lines)
        self.close()

    def copy_to(self, writer: LineWriter) -> None:
        """Write every chunk as a line."""
        if self._file is None:
            for block in self._lines:
                writer.write_block(block)
            return
        for line in self._all_lines():
            writer.write_block(line)

    def rows(self) -> Iterator[Row]:
        """What every line says."""
        import orjson

        return map(orjson.loads, self._all_lines())

    def __iter__(self) -> Iterator[Chunk]:
        return map(chunk_from_row, self.rows())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        with writing(self._folder):
            if self._file is None:
                # The run's own disk, not the system's folder for temporary files, which may be small or memory.
                self._file = tempfile.TemporaryFile(prefix=".chunks-", dir=self._folder, buffering=_BLOCK_BYTES)  # noqa: SIM115 - closed with the spool
            self._file.seek(0, 2)
            self._file.writelines(self._lines)
        self._lines = []
        self._bytes = 0

    def _all_lines(self) -> Iterator[bytes]:
        if self._file is not None:
            if self._lines:
                self._spill()
            self._file.seek(0)
            yield from self._file
        for block in self._lines:
            yield from block.splitlines(keepends=True)
