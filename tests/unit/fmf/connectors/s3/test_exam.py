"""The S3 connector sits the exam of connectors, at two servers."""

from __future__ import annotations

import itertools
from typing import ClassVar

import pytest

from fmf.errors import ConnectorError
from fmf.testing import ConnectorExam, RemoteConnectorExam
from peers.aws_server import free_port
from peers.buckets import SECRET, Bucket, connector_of
from peers.fault_proxy import FaultProxy

_numbers = itertools.count()


@pytest.fixture(scope="class")
def shared(request):
    bucket = Bucket(request.getfixturevalue(request.cls.server).url)
    yield bucket
    bucket.close()


class S3Exam(ConnectorExam):
    secrets: ClassVar = (SECRET,)
    server: str

    @pytest.fixture(autouse=True)
    def _bucket(self, shared):
        self.bucket, self.files = shared, None

    def make_connector(self, files, *, include=("**/*",), exclude=()):
        # A folder of one bucket stands for a place of its own, between two that must not be seen.
        if files != self.files:
            self.files, self.prefix = files, f"place-{next(_numbers)}/"
            beside = {f"{self.prefix[:-1]}-beside/x.md": b"x", f"{self.prefix[:-1]}.md": b"x"}
            self.bucket.fill({**{self.prefix + name: content for name, content in files.items()}, **beside})
        return self.bucket.connector(prefix=self.prefix, include=include, exclude=exclude)

    def make_unreachable(self):
        return connector_of(f"http://127.0.0.1:{free_port()}", "nowhere")

    def change(self, resource_id, content):
        if content is None:
            self.bucket.delete(self.prefix + resource_id)
        else:
            self.bucket.put(self.prefix + resource_id, content)
        return True


@pytest.mark.peer
class TestMinistack(S3Exam):
    server = "ministack"


@pytest.mark.peer
class TestMoto(S3Exam):
    server = "moto"


@pytest.mark.peer
class TestWhereTheServiceIsNotWell(RemoteConnectorExam):
    many = 1100
    server = "ministack"

    @pytest.fixture(autouse=True)
    def _proxy(self, shared):
        self.bucket = shared
        with FaultProxy(shared.url) as self.proxy:
            yield

    def make_connector(self, files):
        prefix = f"remote-{next(_numbers)}/"
        self.bucket.fill({prefix + name: content for name, content in files.items()})
        return connector_of(self.proxy.url, self.bucket.name, prefix=prefix, region="us-east-1")

    def spoil_listing(self, after):
        for _ in range(after):
            self.proxy.meanwhile(lambda: None, where="list-type")
        self.proxy.answer(200, times=9, where="list-type")

    def ask_to_wait(self, seconds):
        self.proxy.answer(503, headers=(("retry-after", str(seconds)),), where="a.txt")

    def drip(self):
        self.proxy.drip(0.05, times=99, where="a.bin")


@pytest.mark.peer
def test_a_bucket_that_is_not_there_is_told_by_the_call(ministack):
    with pytest.raises(ConnectorError, match="no-such-bucket") as caught:
        connector_of(ministack.url, "no-such-bucket").list()
    assert caught.value.code == "not_found"
    assert "'bucket'" in caught.value.hint
