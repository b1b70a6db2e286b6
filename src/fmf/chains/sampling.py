"""A sample of what a run has read: spread evenly over its documents, and the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import TypeVar

from fmf.artefacts.lines import raw_lines, row_of
from fmf.artefacts.rows import document_from_row

T = TypeVar("T")
_AT_LEAST = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """How many items a run takes of all that it reads, and which."""

    size: int
    """At least 1; of fewer items all are taken."""
    seed: int = 0
    """Another one is another sample."""

    def rank(self, *parts: object) -> bytes:
        """Where something stands in the order of the sample."""
        text = "\n".join(map(str, (self.seed, *parts)))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def sampled_items(sample: Sample, docs: Path, *, whole: bool) -> Mapping[int, frozenset[int]]:
    """Which items of which documents are taken: one of each document, then a second one of each, and so on.

    Args:
        sample: how many, and which.
        docs: every document that was read, as lines.
        whole: whether a document is one item; otherwise it has as many as it has chunks or rows.

    Returns:
        Where the line of a document ends, to the numbers of its items that are taken, from 1.
    """

    def candidates() -> Iterator[tuple[int, bytes, int, int]]:
        for end, line in raw_lines(docs, 0):
            document = document_from_row(row_of(line, docs))
            if document.status != "ok":
                continue
            own = sample.rank(document.doc_id)
            numbers: Iterable[int] = range(1, 2 if whole else document.chunks + 1)
            ranked = nsmallest(sample.size, ((sample.rank(document.doc_id, number), number) for number in numbers))
            for turn, (_, number) in enumerate(ranked):
                yield turn, own, end, number

    taken: dict[int, set[int]] = {}
    for _, _, end, number in _smallest(candidates(), sample.size):
        taken.setdefault(end, set()).add(number)
    return {end: frozenset(numbers) for end, numbers in taken.items()}


def sampled_groups(sample: Sample, docs: Path, size: int) -> frozenset[int]:
    """Where the lines of those pictures end whose groups are taken.

    Args:
        sample: how many groups, and which.
        docs: every picture that was read, as lines.
        size: how many pictures make a group.
    """

    def groups() -> Iterator[tuple[bytes, tuple[int, ...]]]:
        ids, ends = list[str](), list[int]()
        for end, line in raw_lines(docs, 0):
            document = document_from_row(row_of(line, docs))
            if document.status != "ok":
                continue
            ids.append(document.doc_id)
            ends.append(end)
            if len(ids) == size:
                yield sample.rank(*ids), tuple(ends)
                ids, ends = [], []
        if ids:
            yield sample.rank(*ids), tuple(ends)

    return frozenset(end for _, ends in _smallest(groups(), sample.size) for end in ends)


def _smallest(found: Iterable[T], size: int) -> list[T]:
    """The `size` smallest of `found`, of which no more than a few times as many are held."""
    kept: list[T] = []
    for one in found:
        kept.append(one)
        if len(kept) >= 2 * size + _AT_LEAST:
            kept = nsmallest(size, kept)  # type: ignore[type-var]
    return nsmallest(size, kept)  # type: ignore[type-var]
