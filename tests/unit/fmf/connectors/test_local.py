"""Files of a folder, in order and never outside it."""

from __future__ import annotations

import errno
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from fmf.config.models import LocalConnectorConfig
from fmf.connectors.base import build_connector, connectors, notices_of
from fmf.connectors.local import LINK_FOLDER, LINK_NOWHERE, LINK_OUTSIDE, NO_FILE, UNREADABLE, LocalConnector
from fmf.errors import ConfigError, ConnectorError, exit_status
from fmf.types import ResourceRef
from fmf_core.errors import PluginNotFoundError, PluginRegistrationError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def listed(root: Path, select: tuple[str, ...] = (), **settings) -> list[str]:
    return [ref.id for ref in LocalConnector("docs", root, **settings).list(select)]


def test_ids_are_sorted_as_whole_paths(tmp_path):
    names = ["a.b", "a/b", "a-b", "a0", "a/b.c/d", "a/b/c", "B", "é", "a b/c"]
    names.remove("a/b")
    assert listed(tree(tmp_path, *names)) == sorted(names)


def test_a_reference_says_where_and_what(tmp_path):
    tree(tmp_path, "x y/é.md")
    connector = LocalConnector("docs", tmp_path)
    (ref,) = connector.list()
    assert (ref.id, ref.name, ref.size) == ("x y/é.md", "é.md", len("x y/é.md".encode()))
    assert ref.uri == (tmp_path / "x y/é.md").as_uri()
    assert ref.modified_at is not None
    assert ref.modified_at.tzinfo is not None
    with connector.open(ref) as stream:
        assert stream.read().decode() == "x y/é.md"
    (tmp_path / "x y/é.md").write_text("longer than before")
    now = connector.info(ref)
    assert now.size == 18
    assert now.etag != ref.etag


def test_patterns_choose_and_select_narrows(tmp_path):
    tree(tmp_path, "a.md", "b.txt", "sub/c.md", "sub/d.log", "sub/skip/e.md")
    assert listed(tmp_path, include=["**/*.{md,txt}"], exclude=["sub/skip/**"]) == ["a.md", "b.txt", "sub/c.md"]
    assert listed(tmp_path, ("sub/**",), include=["**/*.md"]) == ["sub/c.md", "sub/skip/e.md"]
    assert listed(tmp_path, ("*.log",), include=["**/*.md"]) == []
    assert listed(tmp_path, ("*.txt", "*.md")) == ["a.md", "b.txt"]


def test_hidden_files_only_where_a_pattern_names_them(tmp_path):
    tree(tmp_path, ".env", ".git/config", "sub/.secret", "sub/x")
    assert listed(tmp_path) == ["sub/x"]
    assert listed(tmp_path, (".*",)) == [".env"]
    assert listed(tmp_path, ("**/.*",)) == [".env", "sub/.secret"]
    assert listed(tmp_path, ("**/*",), include=[".git/**", "sub/*"]) == [".git/config", "sub/x"]
    assert listed(tmp_path, include=["**/*", ".env"], exclude=["**/*nv"]) == ["sub/x"]


def test_selectors_that_leave_the_root_are_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"'\.\./\*' leaves the root"):
        LocalConnector("docs", tmp_path).list(["../*"])


@pytest.mark.parametrize("fault", ["missing", "file"])
def test_a_root_that_is_no_folder_is_named(tmp_path, fault):
    root = tmp_path / "data"
    if fault == "file":
        root.write_text("")
    with pytest.raises(ConnectorError) as caught:
        LocalConnector("docs", root).list()
    assert str(root) in caught.value.message
    assert "'docs'" in caught.value.hint
    assert exit_status(caught.value) == 4


def test_links_never_lead_outside_and_loops_end(tmp_path):
    outside = tree(tmp_path / "outside", "secret.txt")
    root = tree(tmp_path / "root", "in.txt", "sub/deep.txt")
    (root / "inside.txt").symlink_to(root / "sub/deep.txt")
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "rel.txt").symlink_to("../outside/secret.txt")
    (root / "outdir").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "broken").symlink_to(root / "nothing")
    connector = LocalConnector("docs", root)
    refs = {ref.id: ref for ref in connector.list()}
    assert list(refs) == ["in.txt", "inside.txt", "sub/deep.txt"]
    assert notices_of(connector) == {LINK_OUTSIDE: 3, LINK_FOLDER: 1, LINK_NOWHERE: 2}
    with connector.open(refs["inside.txt"]) as stream:
        assert stream.read() == b"sub/deep.txt"
    for sly in (
        "out.txt",
        "outdir/secret.txt",
        "../outside/secret.txt",
        "sub/../../outside/secret.txt",
        "",
        "a\\x2f..",
        ".",
    ):
        with pytest.raises(ConnectorError):
            connector.open(ResourceRef(sly, "file:///sly", "sly"))


def test_a_link_put_in_place_after_listing_is_not_followed_outside(tmp_path):
    secret = tree(tmp_path / "outside", "secret.txt")
    root = tree(tmp_path / "root", "sub/a.txt")
    connector = LocalConnector("docs", root)
    (ref,) = connector.list()
    (root / "sub/a.txt").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(secret)
    (secret / "a.txt").write_text("stolen")
    with pytest.raises(ConnectorError, match="leaves the root"):
        connector.open(ref)


def test_a_root_may_itself_be_a_link(tmp_path):
    real = tree(tmp_path / "real", "a.txt")
    (tmp_path / "link").symlink_to(real)
    connector = LocalConnector("docs", tmp_path / "link")
    (ref,) = connector.list()
    with connector.open(ref) as stream:
        assert stream.read() == b"a.txt"


def test_pipes_and_sockets_are_neither_listed_nor_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        connector = LocalConnector("docs", tmp_path)
        assert list(connector.list()) == []
        assert connector.notices == {NO_FILE: 2}
        for name in ("pipe", "sock"):
            with pytest.raises(ConnectorError):
                connector.open(ResourceRef(name, "file:///x", name))


def test_a_file_that_vanished_is_an_error_of_its_own(tmp_path):
    connector = LocalConnector("docs", tree(tmp_path, "a.txt", "b.txt"))
    refs = list(connector.list())
    (tmp_path / "a.txt").unlink()
    for method in (connector.open, connector.info):
        with pytest.raises(ConnectorError, match=r"a\.txt cannot be read") as caught:
            method(refs[0])
        assert caught.value.hint
    with connector.open(refs[1]) as stream:
        assert stream.read() == b"b.txt"


def test_odd_names_have_printable_ids_that_lead_back(tmp_path):
    names = [b"bad\xff.txt", b"new\nline.txt", b"tab\tx", b"back\\x41", b"%41", b"\xc2\x85", "\u2028".encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    connector = LocalConnector("docs", tmp_path)
    refs = list(connector.list())
    assert [ref.id for ref in refs] == sorted(ref.id for ref in refs)
    assert all(ref.id.isprintable() and "\n" not in ref.uri and ref.uri.isascii() for ref in refs)
    assert {"bad\\xff.txt", "new\\x0aline.txt", "%41", "back\\x5cx41"} <= {ref.id for ref in refs}
    read = []
    for ref in refs:
        with connector.open(ref) as stream:
            read.append(stream.read())
    assert sorted(read) == sorted(names)


def test_a_deep_tree_needs_no_deep_calls(tmp_path):
    folder = tmp_path
    for _ in range(400):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "x").write_text("")
    assert [len(one) for one in listed(tmp_path)] == [801]


def test_an_unreadable_folder_is_counted_and_the_rest_listed(tmp_path, monkeypatch):
    tree(tmp_path, "a/x", "b/y")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    connector = LocalConnector("docs", tmp_path)
    assert [ref.id for ref in connector.list()] == ["b/y"]
    assert connector.notices == {UNREADABLE: 1}


def test_listing_keeps_no_list_of_all_files(tmp_path):
    for folder in range(40):
        tree(tmp_path, *(f"{folder:02}/{number:03}.txt" for number in range(100)))
    tracemalloc.start()
    try:
        refs = LocalConnector("docs", tmp_path).list()
        next(refs)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert sum(1 for _ in refs) == 3999
        assert tracemalloc.get_traced_memory()[1] - before < 200_000
    finally:
        tracemalloc.stop()


def test_an_entry_of_the_configuration_becomes_a_connector(tmp_path):
    tree(tmp_path / "data", "a.md", "b.txt")
    config = LocalConnectorConfig(name="docs", type="local", root="./data", exclude=("*.txt",))
    connector = build_connector(config, root=tmp_path, secrets=None)
    assert connector.name == "docs"
    assert [ref.id for ref in connector.list()] == ["a.md"]
    absolute = LocalConnectorConfig(name="docs", type="local", root=str(tmp_path / "data"))
    assert len(list(build_connector(absolute, root=Path("/nowhere"), secrets=None).list())) == 2


def test_the_table_refuses_what_is_no_connector_and_names_the_known():
    with pytest.raises(PluginRegistrationError, match="from_config"):
        connectors.add("odd", object())
    with pytest.raises(PluginNotFoundError) as caught:
        connectors.get("ftp")
    assert "local" in caught.value.hint


def test_a_connector_without_notices_has_none():
    assert notices_of(object()) == {}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_told_as_such(tmp_path, monkeypatch, number):
    connector = LocalConnector("docs", tree(tmp_path, "a.md"))
    (ref,) = connector.list()

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConnectorError, match="as many files open as it may") as caught:
        connector.open(ref)
    assert "ulimit -n" in caught.value.hint
    assert "permissions" not in caught.value.hint


@pytest.mark.parametrize(
    ("now", "code"), [("nothing", "not_found"), ("a pipe", "unsupported"), ("a folder", "unsupported")]
)
def test_a_file_that_is_none_any_more_after_its_folder_was_listed_is_given_and_fails(tmp_path, now, code):
    connector = LocalConnector("docs", tree(tmp_path, "a.md", "b.md", "c.md"))
    refs = connector.list()
    found = [next(refs)]
    (tmp_path / "b.md").unlink()
    if now == "a pipe":
        os.mkfifo(tmp_path / "b.md")
    elif now == "a folder":
        (tmp_path / "b.md").mkdir()
    found += refs
    assert [ref.id for ref in found] == ["a.md", "b.md", "c.md"]
    assert notices_of(connector) == {}
    with pytest.raises(ConnectorError) as caught:
        connector.open(found[1])
    assert caught.value.code == code
