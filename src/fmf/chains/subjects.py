"""What the steps of a level are asked about: an item, or a document after its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmf.chains.items import Askable, document_names
from fmf.chains.records import Subject
from fmf.chains.table import RowItem
from fmf.types import Document


def item_subject(item: Askable, run_names: Mapping[str, Any]) -> Subject:
    """What `item` is about; `run_names` are what `${run_id}` and its like stand for."""
    own = item.names()
    names = {**run_names, **own}
    return Subject(
        item.item_id,
        item.content,
        names,
        item.source_uri,
        item.doc_id,
        item.chunk_id,
        place=item.place,
        row=item.passed if isinstance(item, RowItem) else None,
        group=own.get("group"),
    )


def document_subject(
    document: Document, collected: Mapping[str, Sequence[Any]], run_names: Mapping[str, Any]
) -> Subject:
    """What `document` is about after its items; `collected` are their answers, by output."""
    names = {**run_names, "document": {**document_names(document), "all": collected}}
    return Subject(document.doc_id, "", names, document.source_uri, document.doc_id)
