"""Files and folders of the web: one version, all attempts, and an end."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fmf.config.models import FsspecConnectorConfig
from fmf.connectors.fsspec import FsspecConnector
from fmf.connectors.fsspec.connector import PIECE, REPEATED, TOO_DEEP
from fmf.errors import ConnectorError
from peers.buckets import Keys

CONTENT = bytes(range(256)) * 4096 * 3


def connector(url, **settings):
    given = {"name": "docs", "type": "fsspec", "url": url, "retry": {"first_wait_s": 0.01}, **settings}
    return FsspecConnector(FsspecConnectorConfig.model_validate(given), Keys())


class Web:
    """A web server of one file that says what it is told to, and whose pages lead on as `page` says."""

    def __init__(self, content=CONTENT, page=b'<a href="a.bin">a</a>', *, ranges=True):
        self.content, self.page, self.ranges = content, page, ranges
        self.versions = itertools.repeat('"1"')
        self.cut_at = None
        self.pause_s = 0.0
        self.wait_s = 0
        self.refusals = []
        self.asked = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request):
        if not request.path.endswith(".bin"):
            self._send(request, 200, self.page, {"Content-Type": "text/html"})
            return
        asked = request.headers.get("Range", "") if self.ranges else ""
        self.asked.append(request.headers.get("Range"))
        if self.refusals:
            self._send(request, self.refusals.pop(), b"", {"Retry-After": str(self.wait_s)})
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        headers = {"ETag": next(self.versions)}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        self._send(request, 206 if asked else 200, self.content[start:], headers)

    def _send(self, request, status, body, headers):
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if self.cut_at is not None and status == 200 and len(body) > self.cut_at:
            body, self.cut_at, request.close_connection = body[: self.cut_at], None, True
        if not self.pause_s or len(body) < PIECE:
            request.wfile.write(body)
            return
        request.close_connection = True
        with suppress(OSError):
            for byte in body:
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
                time.sleep(self.pause_s)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def test_a_file_of_the_web_is_read_in_one_request_however_large():
    content = CONTENT * 3
    with Web(content, ranges=False) as web:
        made = connector(web.url)
        (ref,) = made.list()
        with made.open(ref) as stream:
            assert stream.read() == content
        assert web.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_the_web_that_breaks_off_is_read_on(ranges):
    with Web(ranges=ranges) as web:
        web.cut_at = 1_000_000
        made = connector(web.url)
        (ref,) = made.list()
        with made.open(ref) as stream:
            assert stream.read() == CONTENT
        assert web.asked[1].startswith("bytes=")
        assert made.retries == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_the_web_that_is_replaced_meanwhile_is_refused(ranges):
    with Web(ranges=ranges) as web:
        web.cut_at, web.versions = 1_000_000, iter(['"1"', '"2"'])
        made = connector(web.url)
        (ref,) = made.list()
        with made.open(ref) as stream, pytest.raises(ConnectorError, match="changed while it was read") as caught:
            stream.read()
        assert caught.value.code == "conflict"
        assert "run again" in caught.value.hint


def test_a_part_of_a_file_that_nobody_asked_for_is_refused():
    with Web() as web:
        web.refusals = [206]
        made = connector(web.url)
        (ref,) = made.list()
        with pytest.raises(ConnectorError, match="a part that does not say which") as caught:
            made.open(ref)
        assert caught.value.code == "bad_reply"


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [(500, "unavailable", 3), (503, "unavailable", 3), (429, "rate_limit", 3), (404, "not_found", 1)],
)
@pytest.mark.parametrize("verb", ["open", "info"])
def test_what_a_web_server_says_of_a_file_has_its_code_and_its_attempts(status, code, attempts, verb):
    with Web() as web:
        made = connector(web.url)
        (ref,) = made.list()
        web.refusals = [status] * 20
        with pytest.raises(ConnectorError) as caught:
            getattr(made, verb)(ref)
        assert caught.value.code == code
        assert made.retries == attempts - 1


def test_folders_of_the_web_that_contain_themselves_come_to_an_end():
    with Web(page=b'<a href="one/">1</a><a href="two/">2</a><a href="a.bin">a</a>') as web:
        made = connector(web.url)
        found = [ref.id for ref in made.list()]
        assert found == sorted(found)
        assert len(found) == 3
        assert made.notices == {REPEATED: 4}


def test_folders_of_the_web_that_never_end_are_followed_so_deep_only():
    with Web(page=b'<a href="on/">on</a>') as web:
        made = connector(web.url)
        assert list(made.list()) == []
        assert made.notices == {TOO_DEEP: 1}


@pytest.mark.parametrize("cut_at", [None, 1_000_000])
def test_bytes_that_come_one_by_one_count_as_broken_off(cut_at):
    with Web(ranges=False) as web:
        made = connector(web.url, timeout_s=0.4, retry={"max_attempts": 2, "first_wait_s": 0.01})
        (ref,) = made.list()
        web.cut_at, web.pause_s = cut_at, 0.02
        with made.open(ref) as stream, pytest.raises(ConnectorError, match="came too slowly"):
            stream.read()


def test_a_web_server_that_asks_to_wait_is_asked_no_sooner():
    with Web(b"text") as web:
        made = connector(web.url)
        (ref,) = made.list()
        web.refusals, web.wait_s = [503], 1
        began = time.monotonic()
        with made.open(ref) as stream:
            assert stream.read() == b"text"
        assert time.monotonic() - began >= 1
        assert made.retries == 1
