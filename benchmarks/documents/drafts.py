"""What a file of the corpus says before it is written in a format: blocks of a document, or records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.documents.prose import COLUMNS, Prose, Row, words_of


@dataclass(frozen=True)
class Block:
    """A part of a document."""

    kind: Literal["heading", "paragraph", "list", "table"]
    texts: tuple[str, ...]
    """The heading, the paragraph, the items, or the cells row by row."""
    level: int = 0
    """Of a heading, from 1; of a table, its columns."""

    def rows(self) -> list[tuple[str, ...]]:
        """The rows of a table."""
        return [self.texts[start : start + self.level] for start in range(0, len(self.texts), self.level)]


@dataclass(frozen=True)
class Draft:
    """One file to be written.

    Args:
        path: where, relative to the corpus.
        chars: about how many characters of text it holds.
        picture: bytes of the pictures in it, where the format has pictures.
    """

    path: str
    chars: int
    picture: int = 0

    @property
    def format(self) -> str:
        """The ending of its name."""
        return self.path.rpartition(".")[2]

    def prose(self) -> Prose:
        """The source of its text, from its beginning."""
        return Prose(self.path)

    def rows(self) -> Iterator[Row]:
        """Its records, if it is a table."""
        return self.prose().rows(self.chars)

    def blocks(self) -> Iterator[Block]:
        """Its parts, if it is a document: the first is its title."""
        prose, left = self.prose(), self.chars
        title = Block("heading", (prose.heading(),), 1)
        yield title
        while left > 0:
            block = _block(prose)
            left -= sum(map(len, block.texts))
            yield block

    def expected(self) -> Counter[str]:
        """How often each word stands in it; dates and numbers are left out, for formats tell them in their own ways."""
        found: Counter[str] = Counter()
        if self.format in TABLES:
            for row in self.rows():
                for cell in (row[0], row[2], row[3], row[4], row[7]):
                    found.update(words_of(cell))
        else:
            for block in self.blocks():
                for text in block.texts:
                    found.update(words_of(text))
        return found


TABLES = frozenset({"csv", "xlsx", "parquet", "json", "jsonl"})
"""Formats that hold records."""


def _block(prose: Prose) -> Block:
    chance = prose.random.random()
    if chance < 0.12:
        return Block("heading", (prose.heading(),), 2 + (chance < 0.05))
    if chance < 0.20:
        return Block("list", tuple(prose.sentence() for _ in range(3 + int(chance * 20))))
    if chance < 0.25:
        return Block("table", tuple(_cells(prose, 3 + int(chance * 40))), 4)
    return Block("paragraph", (prose.paragraph(),))


def _cells(prose: Prose, rows: int) -> Iterator[str]:
    yield from (COLUMNS[0], COLUMNS[2], COLUMNS[4], COLUMNS[5])
    for _ in range(rows):
        yield from (prose.code(), prose.pick("m"), f"{prose.pick('a')} {prose.pick('n')}", prose.pick("i"))
