"""The SharePoint connector sits the exam of connectors, by delta and folder by folder."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from fmf.testing import ConnectorExam, RemoteConnectorExam
from peers.entra_server import SECRET
from peers.graph_server import GraphServer, _json, throttled
from peers.raw_server import RawServer, ok


class TestByDelta(ConnectorExam):
    delta_refused = None
    root_path = "Policies/HR"
    secrets = (SECRET, "entra-token-1-of-nobody")

    @pytest.fixture(autouse=True)
    def _place(self, connect, entra):
        self.connect = connect
        self.entra = entra
        with ExitStack() as self.stack:
            yield

    def make_connector(self, files, *, include=("**/*",), exclude=()):
        self.server = self.stack.enter_context(GraphServer())
        self.server.valid = lambda token: token in self.entra.tokens
        self.server.delta_refused = self.delta_refused
        if self.root_path:
            self.server.folder(self.root_path)
            self.server.put("outside.md", b"never listed")
        for name, content in files.items():
            self.server.put(f"{self.root_path}/{name}".lstrip("/"), content)
        return self.connect(self.server, root_path=self.root_path, include=include, exclude=exclude)

    def make_unreachable(self):
        server = self.stack.enter_context(GraphServer())
        return self.connect(server, root_path="no/such/folder")

    def change(self, resource_id, content):
        path = f"{self.root_path}/{resource_id}".lstrip("/")
        if content is None:
            self.server.delete(path)
        else:
            self.server.put(path, content)
        return True


class TestByFolders(TestByDelta):
    delta_refused = (400, "notSupported")
    root_path = ""


class TestWhereSharePointIsNotWell(RemoteConnectorExam):
    delta_refused = None

    @pytest.fixture(autouse=True)
    def _place(self, connect, entra):
        self.connect, self.entra = connect, entra
        with ExitStack() as self.stack:
            yield

    def make_connector(self, files):
        self.server = self.stack.enter_context(GraphServer())
        self.server.valid = lambda token: token in self.entra.tokens
        self.server.delta_refused = self.delta_refused
        for name, content in files.items():
            self.server.put(name, content)
        return self.connect(self.server)

    def spoil_listing(self, after):
        answer, left = self.server._answer, [after + bool(self.delta_refused)]

        def spoilt(asked):
            if asked.path.endswith(("delta", "children")):
                left[0] -= 1
                if left[0] < 0:
                    return _json({"error": {"code": "generalException", "message": "x"}})
            return answer(asked)

        self.server._answer = spoilt

    def ask_to_wait(self, seconds):
        self.server.host_faults = [throttled(str(seconds))]

    def drip(self):
        def serve(peer):
            peer.request()
            peer.send(ok(b"x" * 100_000)[:-99_990])
            while True:
                time.sleep(0.05)
                peer.send(b"x")

        raw = self.stack.enter_context(RawServer(serve))
        self.server._address = lambda item: raw.url


class TestWhereFoldersAreNotWell(TestWhereSharePointIsNotWell):
    delta_refused = (400, "notSupported")
