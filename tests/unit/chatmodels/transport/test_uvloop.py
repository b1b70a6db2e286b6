from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from chatmodels.transport import exchange
from chatmodels.transport.address import Target
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import Outgoing, Timeouts, TransportFault
from fmf_core.errors import Code
from peers.raw_server import Peer, RawServer, chunked, ok, packed

ASK = Outgoing("/chat", {"prompt": "x"})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def transport_to(url: str, *, ca_bundle: str | None = None, **limits: Any) -> HttpTransport:
    target = Target(url, {})
    return HttpTransport(lambda: target, Timeouts(**{"total_s": 5.0, **limits}), ca_bundle=ca_bundle)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_calls_share_kept_connections(host: str) -> None:
    async def go() -> None:
        transport = transport_to(f"http://{host}:{server.port}")
        for _ in range(3):
            replies = await asyncio.gather(*[transport.send(ASK) for _ in range(5)])
            assert [reply.body for reply in replies] == [b"{}"] * 5
        assert server.connections == 5
        await transport.close()

    with RawServer(ok()) as server:
        run(go())
        server.wait_for(lambda s: s.open_connections == 0)


def test_streams_slow_consumers_and_streams_that_are_left() -> None:
    piece = b"x" * 0x10000
    sent = chunked(*[piece] * 200)

    async def go() -> None:
        transport = transport_to(server.url)
        async with transport.open(ASK) as reply:
            await asyncio.sleep(0.2)
            assert sum([len(piece) async for piece in reply.pieces()]) == 200 * len(piece)
        async with transport.open(ASK) as reply:
            assert await anext(aiter(reply.pieces()))

    with RawServer(sent) as server:
        run(go())
        server.wait_for(lambda s: s.open_connections == 0)
    assert len(sent) > exchange.MOST_BUFFERED
    assert server.connections == 1


def test_tls(tmp_path: Path) -> None:
    key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2"
    name = ["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *key.split(), *name], cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def go() -> None:
        transport = transport_to(server.url, ca_bundle=str(tmp_path / "cert.pem"))
        for _ in range(3):
            assert (await transport.send(ASK)).body == b"secret"
        with pytest.raises(TransportFault, match="not trusted"):
            await transport_to(server.url).send(ASK)

    with RawServer(ok(packed(b"secret"), "content-encoding: gzip"), tls=tls) as server:
        run(go())
    assert server.connections == 2


def test_limits_and_a_cancelled_call() -> None:
    def silent(peer: Peer) -> None:
        peer.request()
        peer.wait_for_end()

    async def go() -> None:
        transport = transport_to(server.url, first_byte_s=0.1)
        with pytest.raises(TransportFault, match=r"within 0.1 s") as caught:
            await transport.send(ASK)
        assert caught.value.code is Code.TIMEOUT
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.send(ASK)

    with RawServer(silent) as server:
        run(go())
        server.wait_for(lambda s: s.open_connections == 0)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # raised as an error, it stops uvloop for ever
def test_a_loop_that_was_closed_leaves_nothing_open() -> None:
    with RawServer(ok()) as server:
        transport = transport_to(server.url)
        loop = uvloop.new_event_loop()
        loop.run_until_complete(transport.send(ASK))
        loop.close()
        run(transport.send(ASK))
        server.wait_for(lambda s: s.open_connections == 0)
