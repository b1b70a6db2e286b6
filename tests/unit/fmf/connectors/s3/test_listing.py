"""What a listing of a bucket holds and what it leaves out, whatever keys there are and whatever fails meanwhile."""

from __future__ import annotations

import pytest

from fmf.connectors.selection import NO_PATH
from fmf.errors import ConnectorError
from peers.buckets import Bucket, connector_of
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.peer
LIST = "list-type=2"


@pytest.fixture(scope="module")
def keys(ministack):
    """A bucket with folders, empty objects and keys that are no paths, among 1,100 others."""
    files = {f"raw/{number:04}.txt": b"x" for number in range(1100)}
    folders = ["raw/", "raw/0500.txt/", "raw/sub/", "raw/zzz/"]
    odd = ["raw/0900//x.txt", "raw/new\nline.txt", "raw/./x.txt", "raw/../x.txt", "raw//x.txt"]
    files |= dict.fromkeys([*folders, "raw/empty.txt"], b"") | dict.fromkeys(odd, b"x")
    bucket = Bucket(ministack.url, files | {"raw/sub/a.md": b"a", "raw/sub-x.md": b"x", "raw/.hidden": b"h"})
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def plain_keys(ministack):
    bucket = Bucket(ministack.url, {f"{number:04}.txt": b"x" for number in range(1100)})
    yield bucket
    bucket.close()


@pytest.fixture
def proxy(ministack):
    with FaultProxy(ministack.url) as proxy:
        yield proxy


def plain(*more):
    return sorted([*(f"{number:04}.txt" for number in range(1100)), *more])


def test_folders_are_left_out_and_keys_that_are_no_paths_are_counted(keys):
    connector = keys.connector(prefix="raw/")
    assert [ref.id for ref in connector.list()] == plain("empty.txt", "sub/a.md", "sub-x.md")
    assert connector.notices == {NO_PATH: 5}
    assert connector.retries == 0


@pytest.mark.parametrize("prefix", ["raw", "/raw/", "raw/"])
def test_a_prefix_is_a_folder(keys, prefix):
    connector = keys.connector(prefix=prefix, include=["sub*", "sub/**"])
    assert [(ref.id, ref.uri) for ref in connector.list()] == [
        ("sub-x.md", f"s3://{keys.name}/raw/sub-x.md"),
        ("sub/a.md", f"s3://{keys.name}/raw/sub/a.md"),
    ]


def test_only_the_folder_that_is_meant_is_asked_for(keys, proxy):
    connector = connector_of(proxy.url, keys.name, prefix="raw/")
    assert [ref.id for ref in connector.list(["sub/*.md", "sub/deep/**"])] == ["sub/a.md"]
    listings = [line for line, _ in proxy.requests if LIST in line]
    assert listings
    assert all("prefix=raw%2Fsub%2F" in line for line in listings)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_pages_that_fail_twice_are_asked_for_again(plain_keys, proxy, status):
    proxy.answer(status, times=2, where=LIST)
    proxy.answer(status, where="continuation-token")  # the second page, asked for as the rest of the first one ...
    proxy.answer(status, where="start-after")  # ... and as what comes after its last key
    connector = connector_of(proxy.url, plain_keys.name)
    assert [ref.id for ref in connector.list()] == plain()
    assert connector.retries == 4


def test_a_page_that_is_cut_off_is_asked_for_again(plain_keys, proxy):
    proxy.cut(after=50_000, where=LIST)
    connector = connector_of(proxy.url, plain_keys.name)
    assert [ref.id for ref in connector.list()] == plain()
    assert connector.retries == 1


def test_a_service_that_stays_busy_is_told_once_the_attempts_are_used_up(keys, proxy):
    proxy.answer(503, times=99, where=LIST)
    connector = connector_of(proxy.url, keys.name)
    with pytest.raises(ConnectorError, match="503") as caught:
        connector.list()
    assert caught.value.code == "rate_limit"
    assert caught.value.fields == {"aws_code": "SlowDown", "attempts": 4}
    assert connector.retries == 3


def test_a_service_that_says_nothing_is_given_up(keys, proxy):
    proxy.hang(times=99, where=LIST)
    connector = connector_of(proxy.url, keys.name, timeout_s=0.2, retry={"max_attempts": 2, "first_wait_s": 0})
    with pytest.raises(ConnectorError) as caught:
        connector.list()
    assert caught.value.code == "timeout"
    assert "timeout_s" in caught.value.hint


def test_a_page_that_boto3_gives_is_asked_for_again_as_well(keys, proxy):
    proxy.answer(503, times=2, where="max-keys")
    connector = connector_of(proxy.url, keys.name, prefix="raw/")
    assert [ref.id for ref in connector.list()] == plain("empty.txt", "sub/a.md", "sub-x.md")
    assert connector.retries == 2
