"""Objects are read whole, of one version, or not at all."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from peers.buckets import Bucket, connector_of
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.peer
CONTENT = bytes(range(256)) * 4096 * 2  # 2 MiB


@pytest.fixture
def proxy(ministack):
    with FaultProxy(ministack.url) as proxy:
        yield proxy


@pytest.fixture
def bucket(ministack):
    bucket = Bucket(ministack.url, {"large.bin": CONTENT})
    yield bucket
    bucket.close()


def opened(connector, name="large.bin"):
    (ref,) = connector.list((name,))
    return ref, lambda: connector.open(ref)


def test_a_body_that_breaks_off_is_read_on_from_there(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    ref, read = opened(connector)
    proxy.cut(after=700_000, where="large.bin")
    proxy.cut(after=900_000, where="large.bin")
    with read() as stream:
        assert stream.read() == CONTENT
    assert connector.retries == 2
    first, second, third = [headers for line, headers in proxy.requests if "large.bin" in line and "list" not in line]
    assert [first.get("range"), first["if-match"]] == [None, ref.etag]
    starts = [int(each["range"].removeprefix("bytes=").rstrip("-")) for each in (second, third)]
    assert 0 < starts[0] <= 700_000 < starts[1] <= 700_000 + 900_000
    assert {second["if-match"], third["if-match"]} == {ref.etag}


def test_a_body_that_ends_early_without_an_error_is_noticed(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    _, read = opened(connector)
    proxy.shorten(to=100, where="large.bin")
    with pytest.raises(ConnectorError, match=f"it had {len(CONTENT)} bytes, and has 100") as caught:
        read()
    assert caught.value.code == "conflict"


def test_a_body_that_never_comes_whole_is_given_up(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    _, read = opened(connector)
    proxy.cut(after=10, where="large.bin", times=99)
    with read() as stream, pytest.raises(ConnectorError, match=r"large\.bin") as caught:
        stream.read()
    assert caught.value.code == "truncated"
    assert connector.retries == 3


def test_an_object_that_changed_after_listing_is_refused(bucket):
    _, read = opened(bucket.connector())
    bucket.put("large.bin", CONTENT[::-1])
    with pytest.raises(ConnectorError, match="has changed since it was listed") as caught:
        read()
    assert caught.value.code == "conflict"


def test_an_object_that_changes_while_it_is_read_is_never_mixed(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    _, read = opened(connector)
    proxy.cut(after=700_000, where="large.bin")
    proxy.meanwhile(lambda: bucket.put("large.bin", CONTENT[::-1]), where="large.bin")
    with read() as stream, pytest.raises(ConnectorError, match="has changed since it was listed"):
        stream.read()


def test_a_reference_without_version_is_read_in_one_version(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    proxy.cut(after=700_000, where="large.bin")
    with connector.open(ResourceRef("large.bin", "s3://b/large.bin", "large.bin")) as stream:
        assert stream.read() == CONTENT
    assert "if-match" in proxy.requests[-1][1]


@pytest.mark.parametrize("status", [429, 503])
def test_a_read_that_is_refused_twice_is_made_again(bucket, proxy, status):
    connector = connector_of(proxy.url, bucket.name)
    _, read = opened(connector)
    proxy.answer(status, times=2, where="large.bin")
    with read() as stream:
        assert stream.read() == CONTENT
    assert connector.retries == 2


def test_a_silent_server_is_noticed_in_the_middle_of_a_body(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name, timeout_s=0.5)
    _, read = opened(connector)
    proxy.hang(where="large.bin")
    with read() as stream:
        assert stream.read() == CONTENT
    assert connector.retries == 1


def test_memory_does_not_grow_with_the_object(ministack):
    bucket = Bucket(ministack.url, {"large.bin": CONTENT * 16})
    _, read = opened(bucket.connector())
    bucket.close()
    tracemalloc.start()
    try:
        with read() as stream:
            total = sum(len(block) for block in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == len(CONTENT) * 16
    assert peak < 8_000_000


class TestKms:
    @pytest.fixture
    def mixed(self, request):
        def made(server):
            bucket = Bucket(request.getfixturevalue(server).url, {"plain.txt": b"plain"})
            key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
            bucket.put("kms.txt", b"safe", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
            bucket.put("s3.txt", b"half safe", ServerSideEncryption="AES256")
            request.addfinalizer(bucket.close)
            return bucket

        return made

    @pytest.mark.parametrize("server", ["ministack", "moto"])
    def test_what_is_not_encrypted_with_a_kms_key_is_refused_by_open(self, mixed, server):
        bucket = mixed(server)
        connector = bucket.connector(kms_required=True)
        refs = {ref.id: ref for ref in connector.list()}
        assert list(refs) == ["kms.txt", "plain.txt", "s3.txt"]
        with connector.open(refs["kms.txt"]) as stream:
            assert stream.read() == b"safe"
        for name in ("plain.txt", "s3.txt"):
            with pytest.raises(ConnectorError, match="not encrypted with a KMS key") as caught:
                connector.open(refs[name])
            assert caught.value.code == "refused"
            assert "kms_required" in caught.value.hint
        with bucket.connector().open(refs["plain.txt"]) as stream:
            assert stream.read() == b"plain"

    def test_a_change_between_the_look_and_the_read_is_noticed(self, mixed):
        bucket = mixed("ministack")
        connector = bucket.connector(kms_required=True)
        (ref,) = connector.list(("kms.txt",))
        bucket.put("kms.txt", b"other")
        with pytest.raises(ConnectorError, match="has changed since it was listed"):
            connector.open(ref)


def test_a_connector_that_many_threads_use_first_is_set_up_once(bucket, proxy):
    connector = connector_of(proxy.url, bucket.name)
    ref = ResourceRef("large.bin", "s3://b/large.bin", "large.bin")
    sizes = []
    threads = [threading.Thread(target=lambda: sizes.append(connector.info(ref).size)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [len(CONTENT)] * 6
    assert len([line for line, _ in proxy.requests if line == f"HEAD /{bucket.name}"]) == 1


def test_a_small_object_that_breaks_off_is_read_again(ministack, proxy):
    bucket = Bucket(ministack.url, {"small.txt": b"words and words" * 1000})
    bucket.close()
    connector = connector_of(proxy.url, bucket.name)
    _, read = opened(connector, "small.txt")
    proxy.cut(after=100, where="small.txt", times=2)
    with read() as stream:
        assert stream.read() == b"words and words" * 1000
    assert connector.retries == 2
