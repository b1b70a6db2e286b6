from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatmodels.transport import pool
from chatmodels.transport.address import Target
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import Outgoing, Timeouts, TransportFault
from fmf_core.errors import Code
from peers.raw_server import Peer, RawServer, chunked, ok

ASK = Outgoing("/chat", {"prompt": "x"})
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("CI", "").lower() not in {"1", "true"},
    reason="NOT RUN: there is no openssl command",
)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def transport_to(url: str, *, ca_bundle: Path | str | None = None, **limits: Any) -> HttpTransport:
    target = Target(url, {})
    bundle = None if ca_bundle is None else str(ca_bundle)
    return HttpTransport(lambda: target, Timeouts(**{"total_s": 5.0, **limits}), ca_bundle=bundle)


def fault(transport: HttpTransport) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        run(transport.send(ASK))
    return caught.value


# ------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, and `server.pem` for 127.0.0.1 that it signed."""
    where = tmp_path_factory.mktemp("authority")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    (where / "server.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        f"req -new {key} -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile server.ext",
    ):
        subprocess.run(["openssl", *command.split()], cwd=where, check=True, capture_output=True)
    return where


@pytest.fixture
def tls(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    return context


@needs_openssl
def test_a_server_whose_authority_is_trusted(authority: Path, tls: ssl.SSLContext) -> None:
    async def go() -> None:
        transport = transport_to(server.url, ca_bundle=authority / "ca.pem")
        for _ in range(3):
            assert (await transport.send(ASK)).body == b"secret"
        async with transport.open(ASK) as reply:
            assert [piece async for piece in reply.pieces()] == [b"secret"]

    with RawServer(ok(b"secret"), tls=tls) as server:
        run(go())
        server.wait_for(lambda s: s.open_connections == 0)
        gc.collect()
    assert server.connections == 1


@needs_openssl
def test_the_environment_names_the_authorities(
    authority: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with RawServer(ok(b"secret"), tls=tls) as server:
        assert run(transport_to(server.url).send(ASK)).body == b"secret"


NO_FILES = """
    import asyncio, os, resource, sys, urllib.request
    from chatmodels.transport.address import Target
    from chatmodels.transport.http import HttpTransport
    from chatmodels.transport.seam import Outgoing, Timeouts, TransportFault

    target = Target(sys.argv[1], {})

    async def main():
        transport = HttpTransport(lambda: target, Timeouts(total_s=5.0, connect_s=0.3), ca_bundle=sys.argv[2] or None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        try:
            await transport.send(Outgoing("/chat"))
        except TransportFault as fault:
            print(fault.code)
        for number in held:
            os.close(number)
        print((await transport.send(Outgoing("/chat"))).body)

    asyncio.run(main())
"""


@needs_openssl
@pytest.mark.parametrize("named", ["argument", "environment"])
def test_certificates_that_could_not_be_read_are_read_again(
    authority: Path, tls: ssl.SSLContext, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    bundle = str(authority / "ca.pem") if named == "argument" else ""
    with RawServer(ok(b"secret"), tls=tls) as server:
        told = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(NO_FILES), server.url, bundle],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (told.stdout.split(), told.stderr) == (["unavailable", "b'secret'"], "")


@needs_openssl
def test_a_server_that_nobody_vouches_for(tls: ssl.SSLContext) -> None:
    with RawServer(ok(), tls=tls) as server:
        found = fault(transport_to(server.url))
    assert (found.code, server.requests) == (Code.INVALID, [])
    assert "is not trusted" in found.message
    assert "ca_bundle" in found.hint
    assert "SSL_CERT_FILE" in found.hint


@needs_openssl
def test_a_certificate_for_another_host(authority: Path, tls: ssl.SSLContext) -> None:
    with RawServer(ok(), tls=tls) as server:
        found = fault(transport_to(server.url.replace("127.0.0.1", "localhost"), ca_bundle=authority / "ca.pem"))
    assert (found.code, server.requests) == (Code.INVALID, [])
    assert "not valid for 'localhost'" in found.message


def test_a_server_without_tls_at_an_address_with_it() -> None:
    def serve(peer: Peer) -> None:
        peer.socket.recv(4096)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_end()

    with RawServer(serve) as server:
        found = fault(transport_to(server.url.replace("http:", "https:")))
    assert found.code is Code.INVALID
    assert "does not speak TLS" in found.message
    assert "http://" in found.hint


@pytest.mark.parametrize("wait_for_hello", [False, True])
def test_a_server_that_ends_the_connection_before_tls_stands(wait_for_hello: bool) -> None:
    def serve(peer: Peer) -> None:
        if wait_for_hello:
            peer.socket.recv(4096)

    with RawServer(serve) as server:
        found = fault(transport_to(server.url.replace("http:", "https:")))
    assert found.code is Code.UNAVAILABLE


def test_tls_that_never_stands_is_late() -> None:
    with RawServer(lambda peer: peer.wait_for_end()) as server:
        found = fault(transport_to(server.url.replace("http:", "https:"), connect_s=0.1))
        server.wait_for(lambda s: s.open_connections == 0)
    assert found.code is Code.TIMEOUT
    assert "no connection to" in found.message


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read(content: str | None, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    found = fault(transport_to("https://127.0.0.1:9", ca_bundle=bundle))
    assert (found.code, found.hint) == (Code.INVALID, "check ca_bundle")
    assert str(bundle) in found.message


@needs_openssl
def test_an_early_reply_over_tls_ends_the_connection(authority: Path, tls: ssl.SSLContext) -> None:
    over = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.head().endswith(b"content-length: 14"):
            peer.send(ok(b"next"))
            peer.wait_for_end()
            return
        peer.send(ok(b"early", status="413 Too Large"))
        over.wait(5)

    async def go() -> None:
        transport = transport_to(server.url, ca_bundle=authority / "ca.pem")
        early = await transport.send(Outgoing("/chat", {"prompt": "x" * 20_000_000}))
        assert (early.status, early.body) == (413, b"early")
        assert (await transport.send(ASK)).body == b"next"
        over.set()

    with RawServer(serve, tls=tls) as server:
        run(go())


@needs_openssl
def test_a_slow_consumer_over_tls(authority: Path, tls: ssl.SSLContext) -> None:
    pieces = [b"x" * 0x10000] * 100

    async def go() -> int:
        async with transport_to(server.url, ca_bundle=authority / "ca.pem", between_bytes_s=1.0).open(ASK) as reply:
            await asyncio.sleep(1.5)
            return sum([len(piece) async for piece in reply.pieces()])

    with RawServer(chunked(*pieces), tls=tls) as server:
        assert run(go()) == 100 * 0x10000


@needs_openssl
def test_close_over_tls(authority: Path, tls: ssl.SSLContext) -> None:
    async def go() -> None:
        transport = transport_to(server.url, ca_bundle=authority / "ca.pem")
        await transport.send(ASK)
        await transport.close()
        await asyncio.get_running_loop().run_in_executor(None, server.wait_for, lambda s: s.open_connections == 0)

    with RawServer(ok(), tls=tls) as server:
        run(go())


# -------------------------------------------------------------------------------------------------------- proxies


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[RawServer], None]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)

    def use(proxy: RawServer) -> None:
        address = f"http://me:pass%40word@127.0.0.1:{proxy.port}"
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("HTTPS_PROXY", address)

    return use


AUTHORIZATION = b"proxy-authorization: Basic bWU6cGFzc0B3b3Jk"  # me:pass@word


class Tunnels:
    """A proxy that lets everything through."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        head = peer.head()
        self.heads.append(head)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            peer.send(b"HTTP/1.1 200 Connection established\r\nvia: proxy\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, peer.socket))
            back.start()
            pump(peer.socket, onward)
            back.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def test_without_tls_the_proxy_gets_the_whole_address(proxied: Callable[[RawServer], None]) -> None:
    with RawServer(ok(b"by proxy")) as proxy:
        proxied(proxy)

        async def go() -> None:
            transport = transport_to("http://model.example:8000/v1?v=2")
            for _ in range(3):
                assert (await transport.send(ASK)).body == b"by proxy"
                gc.collect()  # nothing but the pool keeps the connection

        run(go())
    assert proxy.connections == 1
    first, *lines = proxy.requests[0].split(b"\r\n")
    assert first == b"POST http://model.example:8000/v1/chat?v=2 HTTP/1.1"
    assert b"host: model.example:8000" in lines
    assert AUTHORIZATION in lines


@needs_openssl
def test_with_tls_the_proxy_only_opens_the_way(
    proxied: Callable[[RawServer], None], authority: Path, tls: ssl.SSLContext
) -> None:
    tunnels = Tunnels()
    with RawServer(ok(b"secret"), tls=tls) as server, RawServer(tunnels) as proxy:
        proxied(proxy)

        async def go() -> None:
            transport = transport_to(server.url, ca_bundle=authority / "ca.pem")
            for _ in range(3):
                assert (await transport.send(ASK)).body == b"secret"
                gc.collect()

        run(go())
        proxy.wait_for(lambda p: p.open_connections == 0)
    assert (server.connections, proxy.connections) == (1, 1)
    authority_form = f"127.0.0.1:{server.port}".encode()
    first, *lines = tunnels.heads[0].split(b"\r\n")
    assert first == b"CONNECT %b HTTP/1.1" % authority_form
    assert lines == [b"host: %b" % authority_form, AUTHORIZATION]
    assert AUTHORIZATION not in server.requests[0]
    assert server.requests[0].startswith(b"POST /chat HTTP/1.1\r\n")


@needs_openssl
def test_a_proxy_does_not_vouch_for_the_server(proxied: Callable[[RawServer], None], tls: ssl.SSLContext) -> None:
    with RawServer(ok(), tls=tls) as server, RawServer(Tunnels()) as proxy:
        proxied(proxy)
        assert "is not trusted" in fault(transport_to(server.url)).message


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Code.AUTH, "407 Proxy Authentication Required"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!", Code.UNAVAILABLE, "403 Forbidden"),
        (b"garbage\r\n\r\n", Code.UNAVAILABLE, "speaks no HTTP"),
        (b"HTTP/1.1 200 OK\r\n", Code.UNAVAILABLE, "does not let requests"),
        (b"", Code.UNAVAILABLE, "the proxy closed the connection"),
        (b"x" * 300_000, Code.UNAVAILABLE, "speaks no HTTP"),
    ],
)
def test_a_proxy_that_refuses(said: bytes, code: Code, message: str, proxied: Callable[[RawServer], None]) -> None:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(said)

    with RawServer(serve) as proxy:
        proxied(proxy)
        found = fault(transport_to("https://model.example"))
        proxy.wait_for(lambda p: p.open_connections == 0)
    assert found.code is code
    assert message in found.message
    assert "127.0.0.1" in found.message
    assert "model.example:443" in found.message
    assert "pass" not in found.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached(scheme: str, proxied: Callable[[RawServer], None]) -> None:
    with RawServer() as gone:
        pass
    proxied(gone)
    found = fault(transport_to(f"{scheme}://model.example"))
    assert found.code is Code.UNAVAILABLE
    assert "cannot be reached through the proxy 127.0.0.1" in found.message


def test_a_proxy_that_does_not_answer_is_late(proxied: Callable[[RawServer], None]) -> None:
    with RawServer(lambda peer: peer.wait_for_end()) as proxy:
        proxied(proxy)
        found = fault(transport_to("https://model.example", connect_s=0.1))
        proxy.wait_for(lambda p: p.open_connections == 0)
    assert found.code is Code.TIMEOUT


def test_a_host_that_needs_no_proxy(proxied: Callable[[RawServer], None], monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(ok(b"straight")) as server, RawServer(ok(b"by proxy")) as proxy:
        proxied(proxy)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert run(transport_to(server.url).send(ASK)).body == b"straight"
    assert proxy.connections == 0


def test_a_connection_that_is_gone_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pool.dial

    async def dial(*args: Any) -> None:
        await made(*args)
        server.wait_for(lambda s: s.open_connections == 0)

    monkeypatch.setattr(pool, "dial", dial)
    with RawServer(lambda peer: None) as server:
        assert "without an answer" in fault(transport_to(server.url)).message
