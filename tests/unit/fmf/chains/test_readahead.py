from __future__ import annotations

import random
import threading
import time
from contextlib import closing

import pytest

from fmf.artefacts.lines import encode_line
from fmf.artefacts.rows import chunk_row
from fmf.chains import readahead
from fmf.chains.readahead import Readahead, Wishes
from fmf.chains.stop import Stop, StopReason
from fmf.types import Chunk, ChunkLines, Document, ResourceRef
from fmf_core.errors import FrameworkError


def refs(count, size=1):
    return [ResourceRef(f"{number:03}", f"x://{number:03}", f"{number:03}", size) for number in range(count)]


class SlowReader:
    """Each document has `chunks` chunks; how long one takes is up to chance."""

    def __init__(self, chunks=3, worst_s=0.01, broken=()):
        self.begun, self.at_once, self.most = [], 0, 0
        self._chunks, self._worst_s, self._broken = chunks, worst_s, broken
        self._lock = threading.Lock()
        self._random = random.Random(7)

    def lines(self, ref, *, want_text=False, chunked=True):
        with self._lock:
            self.begun.append(ref.id)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            if ref.id in self._broken:
                raise FrameworkError("no space left")
            yield Document(ref.id, ref.uri, ref.id, "open")
            time.sleep(self._random.random() * self._worst_s)
            for index in range(self._chunks):
                chunk = Chunk(f"{ref.id}-{index}", ref.id, ref.uri, index, 0, 1, 1, "x")
                yield ChunkLines(encode_line(chunk_row(chunk)), 1) if index % 2 else chunk
            yield Document(ref.id, ref.uri, ref.id, "ok", chunks=self._chunks)
        finally:
            with self._lock:
                self.at_once -= 1


def read(reader, listed, tmp_path, *, threads=4, wishes=None, stop=None):
    ahead = Readahead(reader, tmp_path, wishes or Wishes(), stop or Stop(), threads=threads)
    return [(document.doc_id, [chunk.chunk_id for chunk in spool]) for document, spool in ahead.documents(listed)]


@pytest.mark.parametrize("threads", [1, 4])
def test_documents_come_in_the_order_of_the_listing_with_their_chunks(tmp_path, threads):
    reader = SlowReader()
    found = read(reader, refs(40), tmp_path, threads=threads)
    assert found == [(ref.id, [f"{ref.id}-{index}" for index in range(3)]) for ref in refs(40)]
    assert reader.most <= threads
    assert reader.at_once == 0


def test_reading_runs_ahead_only_so_far(tmp_path):
    reader = SlowReader(worst_s=0)
    with closing(Readahead(reader, tmp_path, Wishes(), Stop(), threads=3).documents(refs(100))) as documents:
        next(documents)
        time.sleep(0.2)
        assert len(reader.begun) <= 7


def test_large_sources_are_under_way_one_at_a_time(tmp_path):
    reader = SlowReader()
    read(reader, refs(6, size=readahead.BYTES_AHEAD), tmp_path)
    assert reader.most == 1


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("limit", [1, 3, 4, 7])
def test_a_limit_counts_chunks_in_the_order_of_the_listing(tmp_path, limit, threads):
    found = read(SlowReader(), refs(10), tmp_path, threads=threads, wishes=Wishes(limit=limit))
    chunks = [chunk for _, chunks in found for chunk in chunks]
    assert chunks == [f"{number:03}-{index}" for number in range(10) for index in range(3)][:limit]


def test_what_is_a_document_already_is_handed_out_as_it_is(tmp_path):
    known = Document("k", "x://k", "0005", "skipped", reason="unchanged")
    reader = SlowReader()
    found = read(reader, [refs(1)[0], known, refs(2)[1]], tmp_path)
    assert [name for name, _ in found] == ["000", "k", "001"]
    assert sorted(reader.begun) == ["000", "001"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_listing_that_breaks_off_gives_what_it_gave_before(tmp_path, threads):
    def listing():
        yield from refs(5)
        raise FrameworkError("gone")

    ahead = Readahead(SlowReader(), tmp_path, Wishes(), Stop(), threads=threads)
    found = []
    with pytest.raises(FrameworkError, match="gone"):
        found.extend(document.doc_id for document, _ in ahead.documents(listing()))
    assert found == [ref.id for ref in refs(5)]


@pytest.mark.parametrize("threads", [1, 4])
def test_what_breaks_in_a_thread_breaks_the_run_in_its_turn(tmp_path, threads):
    ahead = Readahead(SlowReader(broken={"003"}), tmp_path, Wishes(), Stop(), threads=threads)
    found = []
    with pytest.raises(FrameworkError, match="no space left"):
        found.extend(document.doc_id for document, _ in ahead.documents(refs(9)))
    assert found == ["000", "001", "002"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_stop_ends_the_reading(tmp_path, threads):
    stop = Stop()
    reader = SlowReader()
    found = []
    for document, _ in Readahead(reader, tmp_path, Wishes(), stop, threads=threads).documents(refs(100)):
        found.append(document.doc_id)
        if len(found) == 3:
            stop.request(StopReason.INTERRUPTED)
    assert found == ["000", "001", "002"]
    assert len(reader.begun) < 20


def test_chunks_of_a_large_document_wait_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("fmf.chains.spool._IN_MEMORY_BYTES", 200)
    assert [len(chunks) for _, chunks in read(SlowReader(chunks=50), refs(8), tmp_path)] == [50] * 8
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_thread_the_callers_own_reads(tmp_path, monkeypatch):
    def no_thread(self, work):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(readahead.ThreadPool, "submit", no_thread)
    ahead = Readahead(SlowReader(), tmp_path, Wishes(), Stop(), threads=3)
    assert [document.status for document, _ in ahead.documents(refs(5))] == ["ok"] * 5
