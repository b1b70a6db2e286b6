"""What a service says that is not S3, or is not well: nothing is lost in silence, nothing is mixed, all of it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from peers.buckets import connector_of
from peers.certificates import Certificates
from peers.raw_server import RawServer, ok

ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"
HTML = b"<html><body>sign in to the network</body></html>"
KEYS = ("a1.txt", "a2.txt", "a3.txt")
MORE = ("b1.txt", "b2.txt", "b3.txt")
LARGE = b"".join(b"line %08d of the body is here\n" % number for number in range(40_000))


def page(keys, *, more="", size=5, truncated=None, etag="&quot;e1&quot;", extra=""):
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{etag}</ETag>"
        f"<Size>{size}</Size></Contents>"
        for key in keys
    )
    truncated = ("true" if more else "false") if truncated is None else truncated
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    flag = f"<IsTruncated>{truncated}</IsTruncated>" if truncated else ""
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return f"<ListBucketResult {space}>{flag}{token}{extra}{entries}</ListBucketResult>".encode()


class Service(RawServer):
    """Answers each request by `answer(target, query, headers)`: with bytes, or by itself on the connection."""

    def __init__(self, listing, reading=None):
        self.listing = listing if callable(listing) else lambda query: listing
        self.reading = reading
        self.asked = []
        super().__init__(self._serve_one)

    def _serve_one(self, peer):
        while request := peer.request():
            first, *lines = request.decode("latin-1").split("\r\n")
            target = urlsplit(first.split(" ")[1])
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if ":" in line}
            query = {name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
            self.asked.append((time.monotonic(), target.path, query, headers))
            if "list-type" in query:
                peer.send(ok(self.listing(query)))
            else:
                answer = self.reading(target.path, headers, peer)
                if answer is None:
                    return
                peer.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if first.startswith("HEAD") else answer)


def connector_to(server, **settings):
    return connector_of(server.url, "bucket", **{"region": "us-east-1", "timeout_s": 5, **settings})


def two_pages(second):
    return lambda query: second if {"continuation-token", "start-after"} & set(query) else page(KEYS, more="t")


def test_two_pages_are_listed():
    with Service(two_pages(page(MORE))) as server:
        connector = connector_to(server)
        assert [ref.id for ref in connector.list()] == [*KEYS, *MORE]
        assert connector.retries == 0


STRANGE = {
    "an error": ERROR,
    "a page of a proxy": HTML,
    "nothing": b"",
    "half a reply": page(MORE)[:-30],
    "no word of an end": page(MORE, truncated=""),
    "an end that is none": page(MORE, truncated="true"),
    "fewer keys than it says": page(MORE, extra="<KeyCount>4</KeyCount>"),
    "entities": b'<!DOCTYPE x [<!ENTITY a "b">]>' + page(MORE),
    "no size": page(MORE, size=""),
    "keys of before": page(KEYS),
    "keys that are not sorted": page(MORE[::-1]),
    "another list": b"<ListAllMyBucketsResult><IsTruncated>false</IsTruncated></ListAllMyBucketsResult>",
}


@pytest.mark.parametrize("second", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("times", [2, 99])
def test_a_strange_page_is_asked_for_again_and_never_taken_for_the_end(second, times):
    left = [times]

    def listing(query):
        if not {"continuation-token", "start-after"} & set(query):
            return page(KEYS, more="t")
        left[0] -= 1
        return second if left[0] >= 0 else page(MORE)

    with Service(listing) as server:
        connector = connector_to(server)
        refs = connector.list()
        if times == 2:
            assert [ref.id for ref in refs] == [*KEYS, *MORE]
            assert connector.retries == 2
            return
        with pytest.raises(ConnectorError, match="listing s3://bucket/") as caught:
            list(refs)
        assert (caught.value.code, caught.value.fields["attempts"]) == (Code.BAD_REPLY, 4)
        assert caught.value.hint


@pytest.mark.parametrize("first", STRANGE.values(), ids=STRANGE)
def test_a_strange_first_page_is_no_empty_bucket(first):
    if b"a1.txt" in first:
        first = page(KEYS[::-1])
    with Service(first) as server, pytest.raises(ConnectorError) as caught:
        connector_to(server).list()
    assert caught.value.code is Code.BAD_REPLY


def test_keys_outside_of_the_folder_are_refused():
    with Service(page(KEYS)) as server, pytest.raises(ConnectorError, match="no key below the folder") as caught:
        connector_to(server, prefix="raw/").list()
    assert caught.value.code is Code.BAD_REPLY


def test_keys_come_decoded_only_where_the_service_encodes_them():
    for extra, name in (("<EncodingType>url</EncodingType>", "a b+c%.txt"), ("", "a+b%2Bc%25.txt")):
        with Service(page(["a+b%2Bc%25.txt"], extra=extra)) as server:
            assert [ref.id for ref in connector_to(server).list()] == [name]


def test_empty_pages_lead_on_and_have_an_end():
    tokens = iter(range(10**9))
    few = [page([], more="1"), page([], more="2"), page(KEYS)]
    with Service(lambda _: few.pop(0)) as server:
        assert [ref.id for ref in connector_to(server).list()] == [*KEYS]
    with Service(lambda _: page([], more=f"t{next(tokens)}")) as server:
        with pytest.raises(ConnectorError, match="pages in a row are empty") as caught:
            connector_to(server).list()
        assert caught.value.code is Code.BAD_REPLY
        assert len(server.asked) < 1100
    with Service(page([], more="same")) as server, pytest.raises(ConnectorError, match="circle"):
        connector_to(server).list()


def reply(body, *headers, etag='"e1"', status="200 OK"):
    return ok(body, f"etag: {etag}", "last-modified: Thu, 01 Jan 2026 00:00:00 GMT", *headers, status=status)


def read(server, size, **settings):
    ref = ResourceRef("a.txt", "s3://bucket/a.txt", "a.txt", size=size, etag='"e1"')
    with connector_to(server, **settings).open(ref) as stream:
        return stream.read()


@pytest.mark.parametrize("body", [b"small", LARGE])
def test_another_version_is_refused_though_the_service_ignores_the_condition(body):
    named = pytest.raises(ConnectorError, match='its version was "e1", and is "e2"')
    with Service(b"", lambda *_: reply(body.upper(), etag='"e2"')) as server, named as caught:
        read(server, len(body))
    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize("etag", ['"e2"', None])
@pytest.mark.parametrize("ranges", [True, False])
def test_versions_are_never_mixed_where_the_service_ignores_the_condition(etag, ranges):
    def reading(path, headers, peer):
        if "range" not in headers:
            peer.send(reply(LARGE)[:600_000])
            peer.reset()
            return None
        start = int(headers["range"][6:-1]) if ranges else 0
        named = () if etag is None else (f"etag: {etag}",)
        part = (f"content-range: bytes {start}-{len(LARGE) - 1}/{len(LARGE)}",) if ranges else ()
        return ok(LARGE.upper()[start:], *named, *part, status="206 Partial Content" if ranges else "200 OK")

    with Service(b"", reading) as server, pytest.raises(ConnectorError) as caught:
        read(server, len(LARGE))
    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize("ranges", [True, False])
def test_the_same_version_is_read_on_in_any_spelling(ranges):
    def reading(path, headers, peer):
        if "range" not in headers:
            peer.send(reply(LARGE)[:600_000])
            peer.reset()
            return None
        start = int(headers["range"][6:-1]) if ranges else 0
        part = (f"content-range: bytes {start}-{len(LARGE) - 1}/{len(LARGE)}",) if ranges else ()
        return reply(LARGE[start:], *part, etag="e1", status="206 Partial Content" if ranges else "200 OK")

    with Service(b"", reading) as server:
        assert read(server, len(LARGE)) == LARGE


@pytest.mark.parametrize("part", ["bytes 5-9/10", "bytes 0-4/10", "bytes */10", "nonsense"])
def test_a_part_that_nobody_asked_for_is_refused(part):
    answer = reply(b"56789", f"content-range: {part}", status="206 Partial Content")
    with Service(b"", lambda *_: answer) as server, pytest.raises(ConnectorError, match="part of it came") as caught:
        read(server, 10)
    assert caught.value.code is Code.BAD_REPLY


@pytest.mark.parametrize("body", [b"", b"0123456789!"])
def test_a_body_of_another_length_than_listed_is_refused(body):
    with (
        Service(b"", lambda *_: reply(body)) as server,
        pytest.raises(ConnectorError, match="it had 10 bytes") as caught,
    ):
        read(server, 10)
    assert caught.value.code is Code.CONFLICT


def test_an_etag_that_no_request_can_name_fails_alone():
    listed = page(["a.txt"], etag="&quot;e&#10;x: y&quot;").replace(
        b"</ListBucketResult>", page(["c.txt"]).partition(b"</IsTruncated>")[2]
    )
    with Service(listed, lambda *_: reply(b"small")) as server:
        connector = connector_to(server)
        odd, plain = connector.list()
        with pytest.raises(ConnectorError, match="no request can name") as caught:
            connector.open(odd)
        assert caught.value.code is Code.BAD_REPLY
        with connector.open(plain) as stream:
            assert stream.read() == b"small"
        assert not any("x" in headers for *_, headers in server.asked)


def test_a_service_that_asks_to_wait_is_asked_no_sooner():
    answers = [ok(b"", "retry-after: 1", status="503 Slow Down"), reply(b"small")]
    with Service(b"", lambda *_: answers.pop(0)) as server:
        assert read(server, 5) == b"small"
        first, second = (when for when, *_ in server.asked)
    assert second - first >= 1


def test_a_service_that_asks_to_wait_longer_than_allowed_is_not_asked_again():
    with Service(b"", lambda *_: ok(b"", "retry-after: 86400", status="503 Slow Down")) as server:
        with pytest.raises(ConnectorError) as caught:
            read(server, 5)
        assert (len(server.asked), caught.value.retry_after) == (1, 86400)


@pytest.mark.parametrize("size", [5000, 300_000])
def test_a_body_that_drips_ends(size):
    def reading(path, headers, peer):
        peer.send(reply(b"x" * size)[: -size + 10])
        with contextlib.suppress(OSError):
            while True:
                time.sleep(0.02)
                peer.send(b"x")

    with Service(b"", reading) as server:
        with pytest.raises(ConnectorError, match="too slowly") as caught:
            read(server, size, timeout_s=0.2, retry={"max_attempts": 2, "first_wait_s": 0})
        assert caught.value.code in {Code.TIMEOUT, Code.TRUNCATED}
        assert len(server.asked) == 2


def test_a_proxy_of_the_environment_is_asked(monkeypatch):
    with Service(page(KEYS)) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:of%20nobody@127.0.0.1:{server.port}")
        connector = connector_of("http://s3.example.invalid", "bucket", region="us-east-1")
        assert [ref.id for ref in connector.list()] == [*KEYS]
        *_, headers = server.asked[0]
    assert headers["host"] == "s3.example.invalid"
    assert headers["proxy-authorization"].startswith("Basic ")


def test_certificates_of_the_environment_are_trusted_and_no_others(monkeypatch, tmp_path):
    certificates = Certificates(tmp_path)
    with Service(page(KEYS)) as server:
        server.tls = certificates.context("good")
        with pytest.raises(ConnectorError) as caught:
            connector_to(server, retry={"max_attempts": 2, "first_wait_s": 0}).list()
        assert caught.value.code is Code.INTERNAL
        assert server.asked == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
        assert [ref.id for ref in connector_to(server).list()] == [*KEYS]


def test_one_connection_is_enough_for_one_reader():
    bodies = {"/bucket/a1.txt": b"small", "/bucket/a2.txt": LARGE, "/bucket/a3.txt": b""}
    with Service(page(KEYS), lambda path, *_: reply(bodies[path])) as server:
        connector = connector_to(server)
        assert len(list(connector.list())) == 3
        for name in KEYS:
            ref = ResourceRef(name, f"s3://bucket/{name}", name)
            assert connector.info(ref).size == len(bodies[f"/bucket/{name}"])
            with connector.open(ref) as stream:
                assert stream.read() == bodies[f"/bucket/{name}"]
        assert server.connections == 1


def test_an_interrupt_is_heard_while_a_body_drips():
    begun = threading.Event()

    def reading(path, headers, peer):
        peer.send(reply(b"x" * 5000)[:-4990])
        begun.set()
        with contextlib.suppress(OSError):
            while True:
                time.sleep(0.02)
                peer.send(b"x")

    def interrupt():
        begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    with Service(b"", reading) as server:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            read(server, 5000, timeout_s=60)


def test_a_forked_child_has_connections_of_its_own():
    with Service(page(KEYS)) as server:
        connector = connector_to(server)
        assert len(list(connector.list())) == 3
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if len(list(connector.list())) == 3 else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.connections == 2
