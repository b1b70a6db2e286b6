from __future__ import annotations

import base64
import contextlib
import hashlib
import time

import httpx
import pytest

from fmf.connectors.sharepoint.quick_xor import QuickXorHash
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from peers.graph_server import throttled
from peers.raw_server import RawServer, ok

CONTENT = bytes(range(256)) * 1500


@pytest.fixture
def file(graph, connect):
    """A file, and a way to open it."""
    graph.put("large.bin", CONTENT)
    connector = connect(graph)
    (ref,) = connector.list()
    return connector, ref


def quick_xor(content):
    found = QuickXorHash()
    found.update(content)
    return base64.b64encode(found.digest()).decode()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_broke_off(graph, file, ranges):
    connector, ref = file
    graph.ranges = ranges
    graph.broken = [100_000, 70_001, 0]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT
    asked = [one.headers.get("range") for one in graph.downloads]
    second = "bytes=170001-" if ranges else "bytes=100000-"
    assert asked[:2] == [None, "bytes=100000-"]
    assert asked[2] == second
    assert all(one.headers["if-range"] == graph._found("large.bin").etag for one in graph.downloads[1:])
    assert connector.retries == 3


def test_a_download_that_breaks_off_again_and_again_is_told(graph, file):
    connector, ref = file
    graph.broken = [1000] + [0] * 20
    with connector.open(ref) as stream, pytest.raises(ConnectorError, match=r"large\.bin.*broke off") as caught:
        stream.read()
    assert caught.value.code is Code.TRUNCATED
    assert len(graph.downloads) == 4


def test_a_file_that_changes_while_it_is_read_is_never_mixed(graph, file):
    connector, ref = file
    graph.broken = [100_000]
    with connector.open(ref) as stream:
        stream.read(10)
        graph.put("large.bin", CONTENT[::-1])
        with pytest.raises(ConnectorError, match="changed while it was read") as caught:
            stream.read()
    assert caught.value.code is Code.CONFLICT


def test_an_address_that_expired_is_asked_for_again(graph, file):
    connector, ref = file
    graph.broken = [100_000]
    with connector.open(ref) as stream:
        graph.host_faults = [(401, {}, b"expired")]
        assert stream.read() == CONTENT
    assert graph.count("large.bin") == 2


def test_an_expired_address_of_another_version_is_a_conflict(graph, file):
    connector, ref = file
    graph.broken = [100_000]
    with connector.open(ref) as stream:
        graph.host_faults = [(404, {}, b"expired")]
        graph.put("large.bin", CONTENT[:-1])
        with pytest.raises(ConnectorError) as caught:
            stream.read()
    assert caught.value.code is Code.CONFLICT


def test_the_host_may_refuse_redirect_and_throttle(graph, file):
    connector, ref = file
    graph.redirects = 3
    graph.host_faults = [throttled("0")]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT
    assert connector.retries == 1
    graph.redirects = 50
    with pytest.raises(ConnectorError, match="redirected without end"):
        connector.open(ref)
    graph.redirects = 0
    for status, code in ((401, Code.REFUSED), (403, Code.REFUSED), (404, Code.NOT_FOUND), (410, Code.NOT_FOUND)):
        graph.host_faults = [(status, {}, b"")]
        with pytest.raises(ConnectorError) as caught:
            connector.open(ref)
        assert caught.value.code is code


@pytest.mark.parametrize("where", ["http://elsewhere.example/x", "file:///etc/passwd", "https://user:pw@host/x", "//x"])
def test_bytes_are_fetched_over_https_only(graph, file, where):
    connector, ref = file
    graph.host_faults = [(302, {"location": where}, b"")]
    if where == "//x":  # relative: the scheme of before, on another machine
        where = "http://x"
    with pytest.raises(ConnectorError, match="no https address") as caught:
        connector.open(ref)
    assert "pw" not in str(caught.value)


def test_a_missing_address_is_asked_of_the_content(graph, file, monkeypatch):
    connector, ref = file
    told = graph._told
    monkeypatch.setattr(graph, "_told", lambda item, **more: told(item, **{**more, "address": False}))
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT


@pytest.mark.parametrize(
    "hashes",
    [
        {"quickXorHash": quick_xor(CONTENT)},
        {"sha256Hash": hashlib.sha256(CONTENT).hexdigest().upper()},
        {"quickXorHash": "x"},
        {"quickXorHash": None, "sha256Hash": 7},
    ],
)
def test_a_hash_that_fits_or_is_none_is_no_matter(graph, connect, hashes):
    graph.put("large.bin", CONTENT, hashes=hashes)
    connector = connect(graph)
    (ref,) = connector.list()
    graph.broken = [77_777]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT


@pytest.mark.parametrize(
    "other",
    [
        {"hashes": {"quickXorHash": quick_xor(CONTENT[1:])}},
        {"hashes": {"sha256Hash": hashlib.sha256(b"").hexdigest()}},
        {"size": len(CONTENT) + 1},
        {"size": len(CONTENT) - 1},
    ],
)
def test_a_file_of_another_size_or_hash_is_refused_where_the_settings_say_so(graph, connect, other):
    graph.put("large.bin", CONTENT, **other)
    connector = connect(graph, verify_downloads=True)
    (ref,) = connector.list()
    with pytest.raises(ConnectorError, match="SharePoint lists") as caught:
        connector.open(ref).read()
    assert caught.value.code is Code.CONFLICT
    assert "verify_downloads: false" in caught.value.hint
    with connect(graph).open(ref) as stream:
        assert stream.read() == CONTENT


def test_a_body_of_unknown_length_is_measured_by_what_is_listed(graph, file):
    connector, ref = file
    item = graph._found("large.bin")
    begun = b"HTTP/1.1 200 OK\r\netag: %s\r\nconnection: close\r\n\r\n" % item.etag.encode()
    graph.host_faults = [begun + CONTENT[:5000]]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT
    assert graph.downloads[-1].headers["range"] == "bytes=5000-"
    graph.host_faults = [begun + CONTENT]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT


def test_a_stream_that_is_left_early_leaves_nothing_behind(graph, file):
    connector, ref = file
    for _ in range(100):
        with connector.open(ref) as stream:
            assert stream.read(3) == CONTENT[:3]
            assert not stream.seekable()
        connector.open(ref).close()
    assert connector.retries == 0


@pytest.mark.parametrize("redirected", [True, False])
def test_no_log_line_shows_the_address_that_lets_everybody_in(graph, file, caplog, monkeypatch, redirected):
    connector, ref = file
    told = graph._told
    monkeypatch.setattr(graph, "_told", lambda item, **more: told(item, **{**more, "address": not redirected}))
    with caplog.at_level("DEBUG"):
        connector.open(ref).read()
        httpx.get(f"{graph.url}/?seen=1", headers={"authorization": "Bearer x"})
    assert "/hop/0/" in caplog.text
    assert "tempauth" not in caplog.text
    assert "seen=1" in caplog.text  # other programs' requests are logged as ever
    assert "entra-token" not in caplog.text


@pytest.mark.parametrize("part", ["bytes 5-9/10", "bytes 0-4/10", "bytes 0-9/10", "bytes */10", "nonsense"])
def test_a_part_that_nobody_asked_for_is_never_taken_for_the_file(graph, connect, part):
    graph.put("a.txt", b"0123456789")
    connector = connect(graph)
    (ref,) = connector.list()
    graph.host_faults = [(206, {"content-range": part}, b"56789")] * 9
    with pytest.raises(ConnectorError, match="part of it came") as caught:
        connector.open(ref)
    assert caught.value.code is Code.BAD_REPLY
    graph.host_faults = [(206, {"content-range": part}, b"56789")]
    with connector.open(ref) as stream:
        assert stream.read() == b"0123456789"


@pytest.mark.parametrize("head", ["content-length: 0\r\n", "transfer-encoding: chunked\r\n"])
def test_a_body_without_bytes_is_no_empty_file(graph, connect, head):
    graph.put("a.txt", b"0123456789")
    connector = connect(graph)
    (ref,) = connector.list()
    body = "0\r\n\r\n" if "chunked" in head else ""
    graph.host_faults = [f"HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n{body}".encode()] * 9
    with pytest.raises(ConnectorError, match=r"sends nothing|ended after 0 of 10 bytes") as caught:
        connector.open(ref).read()
    assert caught.value.code in {Code.BAD_REPLY, Code.TRUNCATED}


def test_a_version_that_no_reply_names_is_asked_of_graph_before_it_is_read_on(graph, file, monkeypatch):
    connector, ref = file
    monkeypatch.setattr(type(graph._found("large.bin")), "etag", property(lambda item: f'W/"{item.version}"'))
    graph.broken = [100_000]
    with connector.open(ref) as stream:
        assert stream.read() == CONTENT
    graph.broken = [100_000]
    with connector.open(ref) as stream:
        stream.read(10)
        graph.put("large.bin", CONTENT[::-1])
        with pytest.raises(ConnectorError, match="another version") as caught:
            stream.read()
    assert caught.value.code is Code.CONFLICT


def test_a_download_that_drips_ends(graph, connect, monkeypatch):
    graph.put("a.txt", b"x" * 3000)
    connector = connect(graph, timeout_s=0.2, retry={"max_attempts": 2, "first_wait_s": 0})
    (ref,) = connector.list()
    asked = []

    def drip(peer):
        while peer.request():
            asked.append(1)
            peer.send(ok(b"x" * 3000)[:-2990])
            with contextlib.suppress(OSError):
                while True:
                    time.sleep(0.02)
                    peer.send(b"x")

    with RawServer(drip) as server:
        monkeypatch.setattr(graph, "_address", lambda item: server.url)
        with pytest.raises(ConnectorError, match="too slowly"):
            connector.open(ref).read()
    assert len(asked) == 2
