from __future__ import annotations

import pytest

from fmf.connectors.base import Gone, IncrementalConnector, Reset
from fmf.connectors.sharepoint.connector import EXPIRED


@pytest.fixture
def library(graph):
    for name in ("a.md", "b.md", "sub/c.md", "sub/deep/d.md", "other/e.md"):
        graph.put(f"Docs/{name}", name.encode())
    graph.put("outside.md", b"never told")
    return graph


@pytest.fixture
def told(library, connect):
    """What a connector tells of changes that happen between two processes."""

    def after(change, **more):
        first = connect(library, root_path="Docs", **more)
        list(first.list())
        change(library)
        second = connect(library, root_path="Docs", **more)
        found = list(second.changes(first.cursor))
        assert second.cursor
        return [f"-{one.id}" if isinstance(one, Gone) else one.id for one in found]

    return after


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda library: None, []),
        (lambda library: library.put("Docs/a.md", b"changed"), ["a.md"]),
        (lambda library: library.put("Docs/sub/new.md", b"new"), ["sub/new.md"]),
        (lambda library: library.delete("Docs/b.md"), ["-b.md"]),
        (lambda library: library.move("Docs/a.md", "z.md"), ["-a.md", "z.md"]),
        (lambda library: library.move("Docs/a.md", "a.md", "Docs/sub"), ["-a.md", "sub/a.md"]),
        (lambda library: library.delete("Docs/sub"), ["-sub/c.md", "-sub/deep/d.md"]),
        (
            lambda library: library.move("Docs/sub", "renamed"),
            ["-sub/c.md", "-sub/deep/d.md", "renamed/c.md", "renamed/deep/d.md"],
        ),
        (lambda library: library.put("outside.md", b"changed"), []),
    ],
)
def test_changes_are_told_also_in_another_process(told, change, expected):
    assert told(change) == expected


def test_a_file_in_the_place_of_one_that_moved_is_not_gone(told):
    def swap(library):
        library.move("Docs/a.md", "spare.md")
        library.move("Docs/b.md", "a.md")

    assert told(swap) == ["-b.md", "a.md", "spare.md"]


def test_patterns_hold_for_changes_and_for_what_is_gone(told):
    def several(library):
        library.delete("Docs/a.md")
        library.delete("Docs/sub/c.md")
        library.put("Docs/new.txt", b"new")
        library.put("Docs/sub/new.md", b"new")

    assert told(several, include=("sub/**",)) == ["-sub/c.md", "sub/new.md"]


def test_changes_over_several_pages_are_all_told(library, told):
    def much(library):
        for number in range(130):
            library.put(f"Docs/{number:03}.txt", b"x")

    assert told(much) == [f"{number:03}.txt" for number in range(130)]


def test_cursors_go_from_changes_to_changes(library, connect):
    connector = connect(library, root_path="Docs")
    assert isinstance(connector, IncrementalConnector)
    assert connector.cursor is None
    refs = connector.list()
    next(refs)
    assert connector.cursor is None  # not before the listing has been read to its end
    list(refs)
    library.put("Docs/new.md", b"1")
    assert [one.id for one in connector.changes(connector.cursor)] == ["new.md"]
    library.delete("Docs/new.md")
    assert list(connector.changes(connector.cursor)) == [Gone("new.md")]
    assert list(connector.changes(connector.cursor)) == []
    assert connector.notices == {}


def everything(found):
    first, *rest = found
    assert first == Reset()
    return [one.id for one in rest]


def test_an_expired_cursor_gives_everything_and_says_so(library, connect):
    connector = connect(library, root_path="Docs")
    whole = [ref.id for ref in connector.list()]
    library.oldest = 10_000
    assert everything(connector.changes(connector.cursor)) == whole
    assert connector.notices == {EXPIRED: 1}


@pytest.mark.parametrize("spoil", [lambda cursor: "", lambda cursor: "not a cursor", lambda cursor: cursor[:-9]])
def test_a_spoilt_cursor_gives_everything(library, connect, spoil):
    connector = connect(library, root_path="Docs")
    whole = [ref.id for ref in connector.list()]
    assert everything(connector.changes(spoil(connector.cursor))) == whole


def test_a_cursor_of_another_folder_gives_everything(library, connect):
    other = connect(library)
    list(other.list())
    assert everything(connect(library, root_path="Docs").changes(other.cursor))[:2] == ["a.md", "b.md"]


def test_a_cursor_holds_no_token(library, connect, entra):
    connector = connect(library, root_path="Docs")
    list(connector.list())
    assert connector.cursor.isascii()
    assert not any(token in connector.cursor for token in entra.tokens)
