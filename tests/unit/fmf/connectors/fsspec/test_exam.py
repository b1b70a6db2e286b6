"""The fsspec connector sits the exam of connectors: in memory, on the disk, and over HTTP."""

from __future__ import annotations

import itertools
from typing import ClassVar

import fsspec
import pytest

from fmf.config.models import FsspecConnectorConfig
from fmf.connectors.fsspec import FsspecConnector
from fmf.testing import ConnectorExam
from peers.aws_server import free_port
from peers.buckets import Keys
from peers.folder_server import FolderServer

_numbers = itertools.count()


def connector(url, **settings):
    given = {"name": "docs", "type": "fsspec", "url": url, "retry": {"first_wait_s": 0.01}, **settings}
    return FsspecConnector(FsspecConnectorConfig.model_validate(given), Keys())


class TestMemory(ConnectorExam):
    def make_connector(self, files, *, include=("**/*",), exclude=()):
        self.root = f"exam-{next(_numbers)}"
        self.memory = fsspec.filesystem("memory")
        self.memory.mkdirs(f"/{self.root}", exist_ok=True)
        for name, content in files.items():
            self.memory.pipe(f"/{self.root}/{name}", content)
        return connector(f"memory://{self.root}", include=include, exclude=exclude)

    def make_unreachable(self):
        return connector("memory://nowhere/at/all")

    def change(self, resource_id, content):
        path = f"/{self.root}/{resource_id}"
        self.memory.rm(path) if content is None else self.memory.pipe(path, content)
        return True


class TestFiles(ConnectorExam):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.folder = tmp_path

    def make_connector(self, files, *, include=("**/*",), exclude=()):
        self.root = self.folder / str(next(_numbers))
        self.root.mkdir()
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return connector(self.url, include=include, exclude=exclude)

    @property
    def url(self):
        return f"file://{self.root}"

    def make_unreachable(self):
        return connector(f"file://{self.folder}/nowhere")

    def change(self, resource_id, content):
        path = self.root / resource_id
        path.unlink() if content is None else path.write_bytes(content)
        return True


class TestHttp(TestFiles):
    tells_sizes: ClassVar = False

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path):
        with FolderServer(tmp_path) as server:
            self.server = server
            yield

    @property
    def url(self):
        return f"{self.server.url}/{self.root.name}/"

    def make_unreachable(self):
        return connector(f"http://127.0.0.1:{free_port()}/")
