"""How the documents of a run are read: few and small ones in this process, others by several processes at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from fmf.chains.intake import Input
from fmf.connectors.base import concurrency_of
from fmf.processing.cutting.tokens import count_one
from fmf.processing.isolation.pool import nursery
from fmf.processing.isolation.reader import IsolatedReader, vocabulary_of, workers_of
from fmf.types import Document, ResourceRef

if TYPE_CHECKING:
    from fmf.config.processing import ProcessingConfig
    from fmf.connectors.base import DataConnector

FEW: Final = 32
"""Up to so many documents are few."""
SMALL_BYTES: Final = 1_000_000
"""Together they are small below this."""


def supply(connector: DataConnector, processing: ProcessingConfig, refs: Iterator[ResourceRef | Document]) -> Input:
    """What reads `refs`; the first of them are listed to see how much there is.

    Raises:
        ConfigError: the chunking settings cannot be met.
    """
    first, rest = _first_of(refs)
    is_small = len(first) <= FEW and sum(map(_bytes_of, first)) < SMALL_BYTES
    reader = IsolatedReader(connector, processing, is_small=is_small)
    # One more than there are processes: while a file is read the next one is opened.
    at_once = max(workers_of(processing) + 1, concurrency_of(connector))
    return Input(reader, chain(first, rest), 1 if is_small else at_once)


def _bytes_of(ref: ResourceRef | Document) -> int:
    if isinstance(ref, Document):
        return 0
    return SMALL_BYTES if ref.size is None else ref.size


def _first_of(
    refs: Iterator[ResourceRef | Document],
) -> tuple[list[ResourceRef | Document], Iterator[ResourceRef | Document]]:
    """A few of `refs`, and the others, with what broke the listing off, if anything did."""
    first: list[ResourceRef | Document] = []
    try:
        first.extend(islice(refs, FEW + 1))
    except Exception as error:  # noqa: BLE001 - it comes when its turn has come
        return first, _raising(error)
    return first, refs


def _raising(error: Exception) -> Iterator[ResourceRef]:
    yield from ()
    raise error


def warm_up(source: Input, processing: ProcessingConfig) -> None:
    """Load the vocabulary where it will be needed, which takes longer than reading many a folder."""
    if source.threads == 1:
        count_one(".", processing.text.chunking.tokenizer)
    else:
        nursery.give_back(nursery.take([vocabulary_of(processing)]))
