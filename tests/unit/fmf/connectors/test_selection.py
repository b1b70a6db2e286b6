"""One rule says which ids are wanted, and where they can lie."""

from __future__ import annotations

import pytest

from fmf.connectors.globs import GlobSet
from fmf.connectors.selection import Selection, checked_id, is_path
from fmf.errors import ConnectorError


@pytest.mark.parametrize(
    ("patterns", "folder"),
    [
        (["**/*"], ""),
        (["docs/**"], "docs/"),
        (["docs/"], "docs/"),
        (["docs/a.md"], "docs/"),
        (["a.md"], ""),
        (["docs/2026/*.md", "docs/2026/q1/**"], "docs/2026/"),
        (["docs/2026/*.md", "docs/2025/*.md"], "docs/"),
        (["docs/{a,b}/*.md"], "docs/"),
        (["docs/[ab]/x/*.md"], "docs/"),
        (["docs/x\\*y/*.md"], "docs/"),
        (["docs/?/x.md", "other/x.md"], ""),
        (["a/b/c", "a/bc/d"], "a/"),
    ],
)
def test_the_folder_of_all_matches_is_known(patterns, folder):
    assert GlobSet(patterns).folder == folder
    assert Selection(patterns).folder == folder


def test_the_narrower_folder_counts():
    assert Selection(["docs/**"]).narrowed(["docs/2026/**"]).folder == "docs/2026/"
    assert Selection(["docs/2026/**"]).narrowed(["**/*.md"]).folder == "docs/2026/"
    assert Selection(["docs/**"]).narrowed([]).folder == "docs/"


def test_hidden_parts_are_named_by_one_of_the_two():
    selection = Selection(["**/*"], ["**/*.tmp"]).narrowed([".git/**"])
    assert selection.wants(".git/config")
    assert not selection.wants(".git/x.tmp")
    assert not selection.wants("a.md")
    assert selection.may_want_below(".git")
    assert not Selection().may_want_below(".git")
    assert not Selection(["**/*"], ["docs/**"]).may_want_below("docs")


@pytest.mark.parametrize("good", ["a", "a/b.md", "ü/日本語 é.md", "a\u00a0b", "...", "..a/b..", "\\", "a\U000e0001b"])
def test_plain_paths_pass(good):
    assert is_path(good)
    assert checked_id(good, "docs", "x.open") == good


@pytest.mark.parametrize("bad", ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\nb", "a\x7f", "a\u2028b"])
def test_what_is_no_path_is_refused(bad):
    assert not is_path(bad)
    with pytest.raises(ConnectorError, match="no path below the root of connector 'docs'") as caught:
        checked_id(bad, "docs", "x.open")
    assert caught.value.code == "refused"
