from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatmodels.transport.events import EventLines

EVENTS = b'data: {"a": 1}\r\n\r\n: ping\n\nevent: x\ndata: one\ndata:two\n\nid: 7\ndata: [DONE]\n\ndata: rest'
DATA = [b'{"a": 1}', b"one\ntwo", b"[DONE]", b"rest"]


@given(st.lists(st.integers(0, len(EVENTS)), max_size=12))
def test_events_are_found_wherever_the_bytes_were_cut(cuts: list[int]) -> None:
    lines = EventLines()
    edges = [0, *sorted(cuts), len(EVENTS)]
    found = [data for a, b in pairwise(edges) for data in lines.feed(EVENTS[a:b])]
    assert found + list(lines.close()) == DATA


def test_a_long_line_in_many_pieces_takes_no_longer_than_it_is_long() -> None:
    lines = EventLines()
    assert [data for _ in range(20_000) for data in lines.feed(b"x" * 3_000)] == []
    assert list(lines.feed(b"\ndata: end\n\n")) == [b"end"]
