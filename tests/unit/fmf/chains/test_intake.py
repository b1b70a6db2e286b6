from __future__ import annotations

from dataclasses import replace

import pytest

from fmf.artefacts.folder import RunFolder, create_run
from fmf.artefacts.lines import read_lines
from fmf.chains.intake import DocumentClosed, DocumentRead, Input, Intake, ItemRead, take
from fmf.chains.readahead import Wishes
from fmf.chains.stop import Stop, StopReason
from fmf.errors import ProcessingError
from fmf_core.errors import Code
from unit.fmf.chains.reading import TextReader

TEXTS = {"a": "one\n\ntwo", "b": "never\n\nBAD", "c": "SKIP", "d": "three\n\nfour\n\nfive"}


@pytest.fixture
def start(tmp_path):
    folders = []

    def make(wishes=None, texts=TEXTS, stop=None):
        reader = TextReader(texts)
        folders.append(create_run(tmp_path))
        return reader, folders[0], Intake(Input(reader, reader.refs()), folders[0], wishes or Wishes(), stop or Stop())

    yield make
    for folder in folders:
        folder.close()


def told(events):
    names = {DocumentRead: "read", DocumentClosed: "closed"}
    return [
        event.item.text if isinstance(event, ItemRead) else f"{names[type(event)]} {event.document.resource_id}"
        for event in events
    ]


def rows(folder, name):
    folder.close()
    return list(read_lines(folder.path / name))


def test_documents_and_items_in_order(start):
    _, folder, intake = start()
    assert told(intake.events()) == [
        *("read a", "one", "two", "closed a"),
        *("read b", "read c"),
        *("read d", "three", "four", "five", "closed d"),
    ]
    assert [(row["resource_id"], row["status"]) for row in rows(folder, "docs.jsonl")] == [
        ("a", "ok"),
        ("b", "failed"),
        ("c", "skipped"),
        ("d", "ok"),
    ]
    assert [row["text"] for row in rows(folder, "chunks.jsonl")] == ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize("whole", [True, False])
def test_all_first_reads_once_and_hands_out_afterwards(start, whole):
    reader, folder, intake = start(Wishes(all_first=True, whole=whole))
    items = ["one\n\ntwo", "three\n\nfour\n\nfive"] if whole else ["one", "two", "three", "four", "five"]
    first, second = (items[:1], items[1:]) if whole else (items[:2], items[2:])
    expected = ["read a", "read b", "read c", "read d", *first, "closed a", *second, "closed d"]
    assert told(intake.events()) == expected
    assert sorted(reader.reads) == ["a", "b", "c", "d"]
    assert len(rows(folder, "docs.jsonl")) == 4


def test_all_first_reads_a_long_text_again(start):
    texts = {"a": "x" * 1_000_001}
    reader, _, intake = start(Wishes(all_first=True, whole=True), texts)
    assert told(intake.events())[1] == texts["a"]
    assert reader.reads == ["a", "a"]


@pytest.mark.parametrize("now", ["y" * 1_000_001, "x" * 1_000_001 + "BAD", "SKIP"])
def test_a_long_text_that_changes_in_between_ends_the_run(start, now):
    reader, _, intake = start(Wishes(all_first=True, whole=True), {"a": "x" * 1_000_001})
    events = intake.events()
    assert told([next(events)]) == ["read a"]
    reader.texts["a"] = now
    with pytest.raises(ProcessingError, match="file:///a changed between the two times") as caught:
        next(events)
    assert caught.value.code is Code.CONFLICT


def test_whole_documents(start):
    _, folder, intake = start(Wishes(whole=True))
    events = list(intake.events())
    assert told(events)[:3] == ["read a", "one\n\ntwo", "closed a"]
    assert all(event.item.chunk is None for event in events if isinstance(event, ItemRead))
    assert rows(folder, "chunks.jsonl") == []


@pytest.mark.parametrize("all_first", [True, False])
@pytest.mark.parametrize(("limit", "items"), [(1, ["one"]), (2, ["one", "two"]), (4, ["one", "two", "three", "four"])])
def test_a_limit_ends_the_reading(start, limit, items, all_first):
    reader, folder, intake = start(Wishes(limit=limit, all_first=all_first))
    assert [event.item.text for event in intake.events() if isinstance(event, ItemRead)] == items
    assert reader.reads == (["a"] if limit <= 2 else ["a", "b", "c", "d"])
    last = rows(folder, "docs.jsonl")[-1]
    cut = limit in (1, 4)
    assert (last["status"], bool(last["reason"])) == ("ok", cut)
    assert last["chunks"] == (1 if limit == 1 else 2)
    assert len(rows(folder, "chunks.jsonl")) == limit


def test_a_stop_between_documents(start):
    stop = Stop()
    reader, _, intake = start(stop=stop)
    events = intake.events()
    assert told([next(events)]) == ["read a"]
    stop.request(StopReason.INTERRUPTED)
    assert told(events) == ["one", "two", "closed a"]
    assert reader.reads == ["a"]


def test_a_stop_inside_a_document(start):
    stop = Stop()
    reader, folder, intake = start(stop=stop)
    read = reader.lines

    def stopping(ref, **wanted):
        for piece in read(ref, **wanted):
            yield piece
            stop.request(StopReason.INTERRUPTED)

    reader.lines = stopping
    assert list(intake.events()) == []
    assert rows(folder, "docs.jsonl") == []


def test_a_stop_after_the_first_round(start):
    stop = Stop()
    _, _, intake = start(Wishes(all_first=True), stop=stop)
    events = []
    for event in intake.events():
        events.append(event)
        if isinstance(event, DocumentRead) and event.document.status == "failed":
            stop.request(StopReason.FAILED)
    assert told(events) == ["read a", "read b"]


def test_documents_alone(start):
    _, folder, intake = start()
    assert [document.status for document in intake.documents()] == ["ok", "failed", "skipped", "ok"]
    assert len(rows(folder, "chunks.jsonl")) == 5


def test_take_gives_what_there_is(start):
    events = iter(range(5))
    assert take(events, 3, 60.0) == [0, 1, 2]
    assert take(events, 3, 60.0) == [3, 4]
    assert take(events, 3, 60.0) == []


def test_take_does_not_wait_for_a_full_batch():
    assert take(iter(range(5)), 5, -1.0) == [0]


@pytest.mark.parametrize(
    "wishes", [Wishes(), Wishes(all_first=True), Wishes(whole=True), Wishes(all_first=True, whole=True)]
)
def test_a_run_goes_on_from_every_place_where_it_stood(tmp_path, wishes):
    """Whatever was handed out until then and whatever is handed out afterwards make up one whole walk."""
    undisturbed = create_run(tmp_path)
    whole = list(intake_of(undisturbed, wishes).events())
    undisturbed.close()
    for done, event in enumerate(whole, 1):
        if event.after is None:
            continue
        folder = create_run(tmp_path)
        first = intake_of(folder, wishes)
        events = first.events()
        before = [next(events) for _ in range(done)]
        events.close()
        folder.close()
        at = before[-1].after
        kept = {"docs.jsonl": at.docs_read, "chunks.jsonl": at.pieces_read}
        again = RunFolder(folder.root, folder.run_id, folder.started_at, kept)
        read = [row["resource_id"] for row in read_lines(folder.path / "docs.jsonl")][: count(folder, at)]
        rest = intake_of(again, replace(wishes, start=at), behind=read[-1] if read else "")
        after = list(rest.events())
        again.close()
        assert items(before) + items(after) == items(whole)
        assert documents(before) + documents(after) == documents(whole)
        assert closed(before)[: len(closed(whole)) - len(closed(after))] + closed(after) == closed(whole)
        for name in ("docs.jsonl", "chunks.jsonl"):
            assert (folder.path / name).read_bytes() == (undisturbed.path / name).read_bytes()


def intake_of(folder, wishes, behind=""):
    reader = TextReader(TEXTS)
    refs = [ref for ref in reader.refs() if ref.id > behind]
    return Intake(Input(reader, refs), folder, wishes, Stop())


def count(folder, at):
    return (folder.path / "docs.jsonl").read_bytes()[: at.docs_read].count(b"\n")


def items(events):
    return [event.item.text for event in events if isinstance(event, ItemRead)]


def documents(events):
    return [event.document.resource_id for event in events if isinstance(event, DocumentRead)]


def closed(events):
    return [event.document.resource_id for event in events if isinstance(event, DocumentClosed)]
