from __future__ import annotations

import http.client
import http.server
import socket
import ssl
import threading
import urllib.error
import urllib.request
from email.message import Message as Headers

import botocore.exceptions
import httpx
import pytest
import requests

from chatmodels import (
    ChatModel,
    ChatModelError,
    ErrorCode,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.providers.foreign_errors import reading_of

REQUEST = httpx.Request("POST", "http://x")


def refused(kind):
    """A failure of `requests` or `httpx` as it comes from a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        try:
            {"requests": requests.get, "httpx": httpx.get, "urllib": urllib.request.urlopen}[kind](address, timeout=5)
        except Exception as error:
            return error
    raise AssertionError("somebody answered")


def status_of_urllib(status, **headers):
    told = Headers()
    for name, value in headers.items():
        told[name.replace("_", "-")] = value
    return urllib.error.HTTPError("http://x", status, "said so", told, None)


def status_of_requests(status):
    response = requests.Response()
    response.status_code = status
    response.headers["Retry-After"] = "7"
    return requests.HTTPError("said so", response=response)


def status_of_httpx(status):
    response = httpx.Response(status, headers={"retry-after-ms": "1500"}, request=REQUEST)
    return httpx.HTTPStatusError("said so", request=REQUEST, response=response)


class ClientResponseError(Exception):
    """As aiohttp raises it."""

    def __init__(self, status: int) -> None:
        super().__init__("said so")
        self.status, self.headers = status, {"Retry-After": "3"}


class ClientConnectorError(type("ClientConnectionError", (OSError,), {})):
    """As aiohttp raises it."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        *((status_of_urllib(status), code) for status, code in (
            (429, ErrorCode.RATE_LIMIT), (500, ErrorCode.UNAVAILABLE), (503, ErrorCode.UNAVAILABLE),
            (401, ErrorCode.AUTH), (404, ErrorCode.NOT_FOUND), (400, ErrorCode.INVALID), (408, ErrorCode.TIMEOUT),
        )),
        (status_of_requests(429), ErrorCode.RATE_LIMIT),
        (status_of_httpx(502), ErrorCode.UNAVAILABLE),
        (ClientResponseError(429), ErrorCode.RATE_LIMIT),
        (botocore.exceptions.ClientError({"ResponseMetadata": {"HTTPStatusCode": 429}}, "x"), ErrorCode.RATE_LIMIT),
        (botocore.exceptions.ClientError({"Error": {"Code": "x"}}, "x"), ErrorCode.INTERNAL),
        (urllib.error.URLError(TimeoutError("timed out")), ErrorCode.TIMEOUT),
        (urllib.error.URLError(socket.gaierror("unknown")), ErrorCode.UNAVAILABLE),
        (urllib.error.URLError(ssl.SSLCertVerificationError("self-signed")), ErrorCode.INVALID),
        (socket.gaierror("unknown"), ErrorCode.UNAVAILABLE),
        (TimeoutError(), ErrorCode.TIMEOUT),
        (ConnectionResetError(), ErrorCode.UNAVAILABLE),
        (http.client.IncompleteRead(b""), ErrorCode.UNAVAILABLE),
        (httpx.ReadTimeout("x"), ErrorCode.TIMEOUT),
        (httpx.ConnectError("x"), ErrorCode.UNAVAILABLE),
        (httpx.RemoteProtocolError("x"), ErrorCode.UNAVAILABLE),
        (requests.ReadTimeout("x"), ErrorCode.TIMEOUT),
        (requests.exceptions.ChunkedEncodingError("x"), ErrorCode.UNAVAILABLE),
        (requests.exceptions.SSLError("x"), ErrorCode.INVALID),
        (ClientConnectorError("x"), ErrorCode.UNAVAILABLE),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), ErrorCode.UNAVAILABLE),
        (ValueError("x"), ErrorCode.INTERNAL),
        (KeyError("status"), ErrorCode.INTERNAL),
        (SystemExit(429), ErrorCode.INTERNAL),
        (OSError("disk full"), ErrorCode.INTERNAL),
        (httpx.InvalidURL("x"), ErrorCode.INTERNAL),
    ],
    ids=lambda value: value.value if isinstance(value, ErrorCode) else repr(value)[:40],
)  # fmt: skip
def test_the_code_that_fits(error, code):
    assert reading_of(error).code is code


@pytest.mark.parametrize("kind", ["requests", "httpx", "urllib"])
def test_a_server_that_is_not_there(kind):
    assert reading_of(refused(kind)).code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (status_of_urllib(429, Retry_After="2"), 2.0),
        (status_of_urllib(429), None),
        (status_of_requests(429), 7.0),
        (status_of_httpx(429), 1.5),
        (ClientResponseError(429), 3.0),
    ],
    ids=repr,
)
def test_how_long_to_wait(error, seconds):
    assert reading_of(error).retry_after == seconds


def test_a_provider_that_just_uses_urllib_is_retried():
    asked = []

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(429 if len(asked) < 3 else 403)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    class Simple(ChatModel):
        provider_name = "simple"

        def complete(self, request):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=30).close()
            except urllib.error.HTTPError as error:
                error.close()
                raise

    with http.server.HTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            register_chat_model("simple", Simple)
            model = create_chat_model("simple", retry={"max_attempts": 5, "first_wait_s": 0.01})
            with pytest.raises(ChatModelError) as caught:
                model.invoke("x")
        finally:
            unregister_chat_model("simple")
            server.shutdown()
            thread.join()
    assert (caught.value.code, len(asked), caught.value.fields["attempts"]) == (ErrorCode.AUTH, 3, 3)
    assert "raise ProviderError with a code" in caught.value.hint
