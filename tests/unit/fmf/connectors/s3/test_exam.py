"""The S3 connector sits the exam of connectors, at two servers."""

from __future__ import annotations

import itertools
from typing import ClassVar

import pytest

from fmf.errors import ConnectorError
from fmf.testing import ConnectorExam
from peers.aws_server import free_port
from peers.buckets import SECRET, Bucket, connector_of

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
def test_a_bucket_that_is_not_there_is_told_by_the_call(ministack):
    with pytest.raises(ConnectorError, match="no-such-bucket") as caught:
        connector_of(ministack.url, "no-such-bucket").list()
    assert caught.value.code == "not_found"
    assert "'bucket'" in caught.value.hint
