from __future__ import annotations

from dataclasses import replace

from fmf.chains.items import Item, record_id, run_names
from fmf.types import Chunk, Document

DOCUMENT = Document("d1", "file:///a", "a", "ok", text="whole", title="A", metadata={"k": 1})
CHUNK = Chunk("c1", "d1", "file:///a", 2, 3, 7, 1, "part")


def test_names_of_a_chunk():
    names = Item(DOCUMENT, CHUNK).names()
    assert names["chunk"] == {
        "id": "c1",
        "text": "part",
        "source_uri": "file:///a",
        "index": 2,
        "start": 3,
        "end": 7,
        "tokens": 1,
        **dict.fromkeys(("page", "slide", "sheet", "row", "part", "heading"), ""),
    }
    assert names["document"] == {
        "id": "d1",
        "text": "whole",
        "source_uri": "file:///a",
        "title": "A",
        "metadata": {"k": 1},
    }


def test_a_whole_document_is_an_item():
    item = Item(DOCUMENT, None)
    assert (item.item_id, item.text) == ("d1", "whole")
    assert "chunk" not in item.names()
    assert (Item(DOCUMENT, CHUNK).item_id, Item(DOCUMENT, CHUNK).text) == ("c1", "part")


def test_record_ids_are_stable_and_tell_everything_apart():
    assert record_id("chain", "step", "item", "text") == "24d38e7b91339f15b6b6788d57454548"
    assert (
        len({record_id(*parts) for parts in [("ab", "c", "d", "e"), ("a", "bc", "d", "e"), ("a", "b", "cd", "e")]}) == 3
    )
    assert record_id("a", "b", "c", "half \ud800")


def test_names_of_the_run():
    assert run_names("r", "c", "2026-11-21T09:45:00.123Z") == {
        "run_id": "r",
        "chain_id": "c",
        "now": "2026-11-21T09:45:00.123Z",
        "date": "2026-11-21",
    }


def test_a_prompt_can_say_where_a_chunk_stands():
    chunk = replace(CHUNK, place={"page": 3, "last_page": 4, "heading": ["Scope", "Fees"]})
    item = Item(DOCUMENT, chunk)
    assert (item.names()["chunk"]["page"], item.names()["chunk"]["heading"]) == ("3", "Scope > Fees")
    assert item.place == {"start": 3, "end": 7, "page": 3, "last_page": 4, "heading": ["Scope", "Fees"]}
    assert Item(DOCUMENT, None).place is None
