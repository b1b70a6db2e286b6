"""Addresses of every kind: what is missing is named, links lead nowhere, and what fails is tried again."""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import SecretStr

from fmf.config.models import FmfConfig, FsspecConnectorConfig
from fmf.connectors.base import build_connector, connectors
from fmf.connectors.fsspec import FsspecConnector
from fmf.connectors.fsspec.connector import ELSEWHERE, LINK
from fmf.connectors.selection import NO_PATH
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from peers.buckets import Keys
from peers.fault_proxy import FaultProxy
from peers.folder_server import FolderServer

CONTENT = bytes(range(256)) * 4096 * 3


def connector(url, secrets=None, **settings):
    given = {"name": "docs", "type": "fsspec", "url": url, "retry": {"first_wait_s": 0.01}, **settings}
    return FsspecConnector(FsspecConnectorConfig.model_validate(given), secrets or Keys())


class Breaking(MemoryFileSystem):
    """A memory whose files break off, and whose options say how."""

    protocol = "breaking"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    opened: ClassVar = []
    options: ClassVar = {}

    def __init__(self, **options):
        super().__init__()
        type(self).options = options

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("breaking://", "memory://"))

    def _open(self, path, mode="rb", **more):
        file = super()._open(path, mode, **more)
        self.opened.append(path)
        if mode == "rb" and len(self.opened) <= self.options.get("breaks", 0):
            return Broken(file, self.options.get("after", 0))
        return file


class Broken:
    def __init__(self, file, after):
        self.file, self.after, self.size = file, after, file.size

    def read(self, count):
        data = self.file.read(min(count, self.after))
        self.after -= len(data)
        if not data:
            raise ConnectionResetError("reset by peer")
        return data

    def seek(self, start):
        return self.file.seek(start)

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _breaking():
    fsspec.register_implementation("breaking", Breaking, clobber=True)
    Breaking.store.clear()
    Breaking.opened.clear()


def test_the_table_knows_the_connector(tmp_path):
    (tmp_path / "a.md").write_text("a")
    config = FmfConfig.model_validate({"connectors": [{"name": "f", "type": "fsspec", "url": f"file://{tmp_path}"}]})
    built = build_connector(config.connectors[0], root=tmp_path, secrets=Keys())
    assert [(ref.id, ref.uri) for ref in built.list()] == [("a.md", f"file://{tmp_path}/a.md")]
    assert "fsspec" in connectors.names()


@pytest.mark.parametrize(
    ("url", "package"), [("az://container/path", "adlfs"), ("gs://bucket", "gcsfs"), ("sftp://host/path", "paramiko")]
)
def test_a_missing_package_is_named(url, package):
    with pytest.raises(ConnectorError, match=f"'{package}'") as caught:
        connector(url).list()
    assert caught.value.code == "unsupported"
    assert f"pip install {package}" in caught.value.hint


def test_an_unknown_protocol_names_the_known():
    with pytest.raises(ConnectorError, match="no protocol 'azz'") as caught:
        connector("azz://container").list()
    assert "abfs" in caught.value.hint


def test_options_that_are_not_known_are_told_without_their_values():
    class Picky(MemoryFileSystem):
        protocol = "picky"

        def __init__(self, account=None):
            super().__init__()

    fsspec.register_implementation("picky", Picky, clobber=True)
    secrets = Keys(KEY="a-value-of-nobody")
    with pytest.raises(ConnectorError, match=r"given \(akount, key\)") as caught:
        connector("picky://x", secrets, options={"akount": 1}, option_secrets={"key": "KEY"}).list()
    assert caught.value.code == "invalid"
    assert "a-value-of-nobody" not in repr(caught.value.__dict__)


def test_an_option_that_local_files_and_archives_would_pass_over_is_refused(tmp_path):
    zipped(tmp_path / "a.zip", {"a.md": "a"})
    for url, options in (
        (f"file://{tmp_path}", {"nonsense": 1}),
        ("zip://", {"nonsense": 1, "fo": str(tmp_path / "a.zip")}),
    ):
        with pytest.raises(ConnectorError, match="takes no option 'nonsense'") as caught:
            connector(url, options=options).list()
        assert caught.value.code == "invalid"
        assert ("auto_mkdir" in caught.value.hint, "fo" in caught.value.hint) == (url != "zip://", url == "zip://")
    assert list(connector(f"file://{tmp_path}", options={"auto_mkdir": False}, include=["*.txt"]).list()) == []


def test_a_server_that_refuses_the_connection_is_unavailable_not_wrongly_set():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made = connector(f"ftp://127.0.0.1:{port}/x", retry={"max_attempts": 2, "first_wait_s": 0})
    with pytest.raises(ConnectorError, match=f"connecting to ftp://127.0.0.1:{port}/x failed") as caught:
        made.list()
    assert (caught.value.code, made.retries) == ("unavailable", 1)
    assert "'url'" in caught.value.hint


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def test_files_in_an_archive_are_told_with_the_archive_and_a_version(tmp_path):
    where = tmp_path / "a.zip"
    zipped(where, {"README": "Read me.", "d/x.md": "x"})
    expected = [f"zip://README::file://{where}", f"zip://d/x.md::file://{where}"]
    for url, options in (("zip://", {"fo": str(where)}), (f"zip://::file://{where}", {})):
        made = connector(url, options=options)
        refs = list(made.list())
        assert [ref.uri for ref in refs] == expected
        assert len({ref.etag for ref in refs} - {None}) == 2
        with made.open(refs[0]) as stream:
            assert stream.read() == b"Read me."
    (below,) = connector(f"zip://d::file://{where}").list()
    assert (below.id, below.uri) == ("x.md", expected[1])


def test_options_and_secrets_reach_the_file_system_at_its_first_use():
    class Asked(Keys):
        asked: ClassVar = []

        def resolve(self, name):
            self.asked.append(name)
            return SecretStr("the key")

    made = connector("breaking://x", Asked(), options={"account": "acc"}, option_secrets={"account_key": "AZURE_KEY"})
    assert Asked.asked == []
    with pytest.raises(ConnectorError):
        made.list()
    assert Breaking.options == {"account": "acc", "account_key": "the key"}
    assert Asked.asked == ["AZURE_KEY"]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"url": "/data"}, "has no protocol"),
        ({"url": "ftp://user:pass@host/x"}, "holds a password"),
        ({"url": "az://c", "options": {"k": "v"}, "option_secrets": {"k": "NAME"}}, "by options and by option_secrets"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        FsspecConnectorConfig.model_validate({"name": "x", "type": "fsspec", **settings})


def test_links_are_left_out_and_never_followed(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir(), outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (root / "a.md").write_text("a")
    (root / "link.md").symlink_to(outside / "secret.md")
    (root / "folder").symlink_to(outside)
    made = connector(f"file://{root}")
    assert [ref.id for ref in made.list()] == ["a.md"]
    assert made.notices == {LINK: 2}
    for sly in ("link.md", "folder/secret.md"):
        with pytest.raises(ConnectorError, match="leaves the root"):
            made.open(ResourceRef(sly, "file:///sly", sly))


def test_addresses_that_lead_elsewhere_are_left_out(tmp_path):
    links = [
        "a.md",
        "sub/b.md",
        "/other/c.md",
        "http://127.0.0.1:9/d.md",
        "?C=M;O=A",
        "../e.md",
        "https://example.org/",
    ]
    (tmp_path / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    (tmp_path / "a.md").write_text("a")
    with FolderServer(tmp_path) as server:
        made = connector(server.url)
        assert [ref.id for ref in made.list()] == ["a.md"]
        assert made.notices == {ELSEWHERE: sum(made.notices.values())}


def test_names_that_are_no_paths_are_counted(tmp_path):
    (tmp_path / "a\nb.md").write_text("x")
    (tmp_path / "c.md").write_text("c")
    made = connector(f"file://{tmp_path}")
    assert [ref.id for ref in made.list()] == ["c.md"]
    assert made.notices == {NO_PATH: 1}


def test_only_folders_that_may_hold_something_are_listed(tmp_path):
    for name in ("docs/a.md", "docs/deep/b.md", "other/c.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "other" / "deeper").mkdir()
    asked = []

    class Watched(fsspec.get_filesystem_class("file")):
        protocol = "watched"

        def ls(self, path, detail=False, **more):
            asked.append(os.path.relpath(path, tmp_path))
            return super().ls(path, detail=detail, **more)

    fsspec.register_implementation("watched", Watched, clobber=True)
    assert [ref.id for ref in connector(f"watched://{tmp_path}").list(["docs/*.md"])] == ["docs/a.md"]
    assert asked == [".", "docs"]


def test_a_file_that_breaks_off_is_read_on_from_there():
    made = connector("breaking://x", options={"breaks": 2, "after": 1_500_000})
    Breaking().pipe("/x/a.bin", CONTENT)
    Breaking.opened.clear()
    (ref,) = made.list()
    with made.open(ref) as stream:
        assert stream.read() == CONTENT
    assert made.retries == 2


def test_a_file_that_is_shorter_than_listed_is_noticed():
    made = connector("breaking://x", options={})
    Breaking().pipe("/x/a.bin", CONTENT)
    (ref,) = made.list()
    longer = ResourceRef(ref.id, ref.uri, ref.name, size=ref.size + 1)
    with made.open(longer) as stream, pytest.raises(ConnectorError, match=f"expected {ref.size + 1}"):
        stream.read()


def test_a_call_that_hangs_is_given_up():
    never = threading.Event()

    class Hanging(MemoryFileSystem):
        protocol = "hanging"

        def ls(self, path, **more):
            never.wait(60)

    fsspec.register_implementation("hanging", Hanging, clobber=True)
    with pytest.raises(ConnectorError, match=r"no answer within 0\.05 s") as caught:
        connector("hanging://x", timeout_s=0.05, retry={"max_attempts": 2, "first_wait_s": 0}).list()
    assert caught.value.code == "timeout"
    never.set()


@pytest.mark.parametrize(("status", "code"), [(503, None), (429, None), (403, "refused"), (404, "not_found")])
def test_what_a_web_server_says_has_its_code(tmp_path, status, code):
    (tmp_path / "a.md").write_text("a")
    with FolderServer(tmp_path) as server, FaultProxy(server.url) as proxy:
        made = connector(proxy.url)
        proxy.answer(status, times=2, headers=(("Retry-After", "0"),))
        if code is None:
            assert [ref.id for ref in made.list()] == ["a.md"]
            assert made.retries == 2
        else:
            with pytest.raises(ConnectorError) as caught:
                made.list()
            assert caught.value.code == code


def test_a_place_where_nothing_matches_is_empty_and_one_that_is_a_file_is_told(tmp_path):
    (tmp_path / "a.md").write_text("a")
    assert list(connector(f"file://{tmp_path}", include=["*.txt"]).list()) == []
    made = connector(f"file://{tmp_path}/a.md")
    assert list(made.list()) == []
    assert made.notices == {ELSEWHERE: 1}
