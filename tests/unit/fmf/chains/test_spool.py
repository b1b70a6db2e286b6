from __future__ import annotations

import pytest

from fmf.artefacts.lines import LineWriter, read_lines
from fmf.artefacts.rows import chunk_row
from fmf.chains.spool import ChunkSpool
from fmf.types import Chunk

CHUNKS = [Chunk(f"c{n}", "d", "file:///a", n, n, n + 1, 1, "text " * 20) for n in range(50)]


@pytest.mark.parametrize("in_memory", [0, 500, 1_000_000])
def test_what_goes_in_comes_out_as_often_as_asked(tmp_path, in_memory):
    with ChunkSpool(tmp_path, in_memory) as spool:
        for chunk in CHUNKS[:30]:
            spool.add(chunk)
        assert list(spool) == CHUNKS[:30]
        for chunk in CHUNKS[30:]:
            spool.add(chunk)
        assert spool.count == 50
        with LineWriter(tmp_path / "chunks.jsonl") as writer:
            spool.copy_to(writer)
        assert list(spool) == CHUNKS
    assert list(read_lines(tmp_path / "chunks.jsonl")) == [chunk_row(chunk) for chunk in CHUNKS]
    assert [path.name for path in tmp_path.iterdir()] == ["chunks.jsonl"]


def test_nothing_in_nothing_out(tmp_path):
    with ChunkSpool(tmp_path) as spool:
        assert list(spool) == []
        assert spool.count == 0
