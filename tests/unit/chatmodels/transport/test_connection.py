from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.transport import body, connection, seam
from chatmodels.transport.address import Target
from chatmodels.transport.connection import Connection
from chatmodels.transport.exchange import WholeExchange
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import Outgoing, Reply, Timeouts, TransportFault
from fmf_core.errors import Code
from peers.raw_server import Peer, RawServer, chunked, ok, packed

ASK = Outgoing("/chat", {"prompt": "x"})
ONE, TWO = ok(b"one"), ok(b"two")
HEAD = b"HTTP/1.1 200 OK\r\n"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def transport_to(server: RawServer, **limits: Any) -> HttpTransport:
    target = Target(server.url, {})
    return HttpTransport(lambda: target, Timeouts(**{"total_s": 5.0, **limits}))


def replies(server: RawServer, count: int = 1, **limits: Any) -> list[Reply]:
    async def go() -> list[Reply]:
        transport = transport_to(server, **limits)
        return [await transport.send(ASK) for _ in range(count)]

    found: list[Reply] = run(go())
    return found


def fault(server: RawServer, **limits: Any) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        replies(server, **limits)
    return caught.value


def then_close(data: bytes) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(data)

    return serve


# ------------------------------------------------------------------------------------------------ requests, replies


def test_the_request_is_one_that_any_server_reads() -> None:
    with RawServer(ONE) as server:
        assert replies(server) == [Reply(200, {"content-length": "3"}, b"one")]
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /chat HTTP/1.1\r\nhost: 127.0.0.1:")
    assert head.endswith(b"content-length: 14")
    assert sent == b'{"prompt":"x"}'


def test_without_a_body_the_request_is_a_get() -> None:
    with RawServer(ONE) as server:
        run(transport_to(server).send(Outgoing("/models")))
    assert server.requests[0].startswith(b"GET /models HTTP/1.1\r\n")


@pytest.mark.parametrize("value", [{1, 2}, 1 << 70, "\ud800"])
def test_a_body_that_is_no_json_is_not_sent(value: object) -> None:
    with RawServer(ONE) as server, pytest.raises(TransportFault, match="JSON") as caught:
        run(transport_to(server).send(Outgoing("/chat", {"x": value})))
    assert (caught.value.code, server.connections) == (Code.INVALID, 0)


REPLIES = {
    "length": (ok(b"body"), b"body"),
    "chunks": (chunked(b"bo", b"dy"), b"body"),
    "chunks with trailers": (chunked(b"body", headers="trailer: x-sum\r\n", trailers="x-sum: 1\r\n"), b"body"),
    "an extension of a chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n", b"body"),
    "compressed": (ok(packed(b"body"), "content-encoding: gzip"), b"body"),
    "compressed otherwise": (ok(zlib.compress(b"body"), "Content-Encoding: Deflate"), b"body"),
    "compressed in two parts": (ok(packed(b"bo") + packed(b"dy"), "content-encoding: gzip"), b"body"),
    "compressed nothing": (ok(b"", "content-encoding: gzip"), b""),
    "not compressed": (ok(b"body", "content-encoding: identity"), b"body"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + ok(b"body"), b"body"),
    "go on": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + chunked(b"body"), b"body"),
    "no reason": (b"HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\nbody", b"body"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n", b""),
    "empty": (ok(b""), b""),
}


@pytest.mark.parametrize("name", REPLIES)
def test_whatever_a_reply_looks_like_the_connection_serves_the_next_one(name: str) -> None:
    sent, wanted = REPLIES[name]
    with RawServer([sent, TWO]) as server:
        first, second = replies(server, 2)
    assert (first.body, second.body, server.connections) == (wanted, b"two", 1)
    assert "link" not in first.headers
    assert "x-sum" not in first.headers


@given(st.sampled_from(sorted(REPLIES)), st.lists(st.integers(0, 200), max_size=8))
def test_a_reply_is_the_same_wherever_it_is_cut(name: str, cuts: list[int]) -> None:
    sent, wanted = REPLIES[name]
    edges = sorted({0, *(cut % len(sent) for cut in cuts), len(sent)})
    pieces = [sent[a:b] for a, b in pairwise(edges)]
    assert parsed(pieces).body == wanted
    assert parsed(pieces) == parsed([sent])


NAMES = st.sampled_from(["X-Team", "x-team", "X-TEAM", "Retry-After", "retry-after", "Content-Type"])
VALUES = st.text("abc ,;=\xe9", max_size=8).map(str.strip)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_headers_are_found_whatever_their_case_and_repeats_are_joined(headers: list[tuple[str, str]]) -> None:
    found = dict(parsed([ok(b"x", *(f"{name}: {value}" for name, value in headers))]).headers)
    assert found.pop("content-length") == "1"
    wanted: dict[str, list[str]] = {}
    for name, value in headers:
        wanted.setdefault(name.lower(), []).append(value)
    assert found == {name: ", ".join(values) for name, values in wanted.items()}


class Wire(asyncio.Transport):
    """The least that a connection asks of a transport."""

    aborted = False

    def write(self, data: object) -> None: ...

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return 0


def parsed(pieces: list[bytes]) -> Reply:
    loop = asyncio.new_event_loop()
    try:
        served, exchange = Connection(loop, lambda _: None), WholeExchange(loop)
        served.connection_made(Wire())
        served.begin(exchange, b"", Timeouts(), 0.0)
        for piece in pieces:
            served.data_received(piece)
        return exchange.reply.result()
    finally:
        loop.close()


# ------------------------------------------------------------------------------------------- when it cannot go on


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (HEAD + b"\r\nbody", b"body"),
        (HEAD + b"\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nbody", b"body"),
        (HEAD + b"transfer-encoding: identity\r\n\r\nbody", b"body"),
        (HEAD + b"content-encoding: gzip\r\n\r\n" + packed(b"body"), b"body"),
        (ok(b"body", "connection: close"), b"body"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody", b"body"),
    ],
)
def test_a_reply_that_ends_with_its_connection(sent: bytes, wanted: bytes) -> None:
    with RawServer(then_close(sent)) as server:
        first, second = replies(server, 2)
    assert (first.body, second.body, server.connections) == (wanted, wanted, 2)


def test_a_connection_that_the_server_wants_closed_is_closed_from_this_side() -> None:
    with RawServer(ok(b"one", "connection: close")) as server:
        assert [reply.body for reply in replies(server, 2)] == [b"one", b"one"]
        assert server.connections == 2
        server.wait_for(lambda s: s.open_connections == 0)


def test_a_server_that_closes_between_two_requests_is_connected_again() -> None:
    with RawServer(then_close(ONE)) as server:

        async def go() -> None:
            transport = transport_to(server)
            for _ in range(2):
                await transport.send(ASK)
                server.wait_for(lambda s: s.open_connections == 0)  # the loop has no chance to see it

        run(go())
        assert server.connections == 2


@pytest.mark.parametrize("more", [TWO, b"garbage", b"HTTP/1.1 200 OK\r\ncontent-le", b"\x00" * 100])
@pytest.mark.parametrize("apart", [False, True])
def test_bytes_that_nobody_asked_for_are_not_the_next_reply(more: bytes, apart: bool) -> None:
    go_on, sent = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        if sent.is_set():
            peer.send(ok(b"asked for"))
        elif apart:
            peer.send(ONE)
            go_on.wait(5)
            peer.send(more)
        else:
            peer.send(ONE + more)
        sent.set()
        peer.wait_for_end()

    with RawServer(serve) as server:

        async def go() -> None:
            transport = transport_to(server)
            assert (await transport.send(ASK)).body == b"one"
            go_on.set()
            sent.wait(5)  # the loop stands still: what has come is unread
            assert (await transport.send(ASK)).body == b"asked for"
            assert server.connections == 2

        run(go())


def test_a_connection_that_speaks_unasked_is_closed_at_once() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(ONE)
        time.sleep(0.02)
        peer.send(TWO)
        peer.wait_for_end()

    async def go() -> None:
        await transport_to(server).send(ASK)
        await asyncio.get_running_loop().run_in_executor(None, server.wait_for, lambda s: s.open_connections == 0)

    with RawServer(serve) as server:
        run(go())


@pytest.mark.parametrize("status", ["413 Too Large", "200 OK"])
@pytest.mark.parametrize("closes", [False, True])
def test_a_reply_that_comes_while_the_request_is_still_being_sent(status: str, closes: bool) -> None:
    over = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.head().endswith(b"content-length: 14"):
            peer.send(TWO)
            peer.wait_for_end()
            return
        peer.send(ok(b"early", status=status))
        if not closes:
            over.wait(5)  # without reading more of it

    with RawServer(serve) as server:

        async def go() -> None:
            transport = transport_to(server)
            early = await transport.send(Outgoing("/chat", {"prompt": "x" * 20_000_000}))
            assert (early.status, early.body) == (int(status[:3]), b"early")
            assert (await transport.send(ASK)).body == b"two"
            assert server.connections == 2
            over.set()

        run(go())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nbody", "no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\nbody", "no HTTP/1.1"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", "no HTTP/1.1"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "no HTTP/1.1"),
        (ok(b"no gzip", "content-encoding: gzip"), "cannot be decompressed"),
        (ok(packed(b"body")[:-6], "content-encoding: gzip"), "ends too early"),
        (ok(packed(b"body") + b"junk", "content-encoding: gzip"), "cannot be decompressed"),
        (ok(b"body", "content-encoding: br"), "'br'"),
        (HEAD + b"content-encoding: gzip\r\n\r\n" + packed(b"body")[:-1], "ends too early"),
    ],
)
def test_what_is_no_reply(sent: bytes, said: str) -> None:
    with RawServer(then_close(sent)) as server:
        found = fault(server)
    assert said in found.message
    assert found.code is Code.BAD_REPLY


@pytest.mark.parametrize(
    "endless",
    [
        [b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 1000 + b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000],
        [b"", b"HTTP/1.1 100 Continue\r\n\r\n"],
        [HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"y" * 1000 + b"\r\n"],
    ],
    ids=["lines", "line", "interim", "trailers"],
)
def test_a_head_without_end(endless: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_HEAD_BYTES", 20_000)
    ended: list[bool] = []

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(endless[0])
        try:
            while True:
                peer.send(endless[1])
        except OSError:
            ended.append(True)

    with RawServer(serve) as server:
        found = fault(server)
        server.wait_for(lambda _: bool(ended))
    assert found.code is Code.BAD_REPLY
    assert "of head" in found.message


@pytest.mark.parametrize(
    "sent",
    [
        ok(b"x" * 1001),
        chunked(*[b"x" * 100] * 11),
        HEAD + b"\r\n" + b"x" * 1001,
        ok(packed(b"x" * 1_000_000), "content-encoding: gzip"),
        ok(packed(b"x" * 600) * 2, "content-encoding: gzip"),
    ],
    ids=["length", "chunks", "until the end", "bomb", "parts"],
)
def test_a_reply_that_is_too_large(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_REPLY_BYTES", 1000)
    monkeypatch.setattr(seam, "MAX_REPLY_BYTES", 1000)
    with RawServer(then_close(sent)) as server:
        found = fault(server)
    assert (found.code, found.message) == (Code.BAD_REPLY, "the reply is larger than 1000 bytes")
    with RawServer(ok(b"x" * 1000)) as server:
        assert len(replies(server)[0].body) == 1000


def test_a_small_reply_cannot_become_a_large_one() -> None:
    # Some kilobytes of it would take hundreds of megabytes and stop the loop for a second.
    bomb = packed(b'{"choices":[' + b"{}," * 2_000_000 + b"{}]}")
    for sent, said in ((ok(bomb, "content-encoding: gzip"), "times"), (packed(b"") * 1500, "parts")):
        sent = sent if sent.startswith(b"HTTP") else ok(sent, "content-encoding: gzip")
        with RawServer(then_close(sent)) as server:
            found = fault(server)
        assert (found.code, said in found.message) == (Code.BAD_REPLY, True)
    plain = b"a" * 900_000
    with RawServer(ok(packed(plain), "content-encoding: gzip")) as server:
        assert replies(server)[0].body == plain


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 O", "in the middle of its reply"),
        (HEAD + b"content-length: 10\r\n\r\n", "in the middle of its reply"),
        (ok(b"body")[:-1], "in the middle of its reply"),
        (chunked(b"body")[:-5], "in the middle of its reply"),
        (chunked(b"body")[:-2], "in the middle of its reply"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "without an answer"),
    ],
)
def test_a_reply_that_is_cut(sent: bytes, said: str) -> None:
    with RawServer(then_close(sent)) as server:
        found = fault(server)
    assert said in found.message
    assert (found.code, found.hint) == (Code.UNAVAILABLE, "is the server up?")


@pytest.mark.parametrize("sent", [b"", HEAD + b"\r\nbody", HEAD + b"content-length: 10\r\n\r\nbody"])
def test_a_connection_that_is_reset(sent: bytes) -> None:
    came = threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        came.wait(5)
        peer.reset()

    async def go(server: RawServer) -> None:
        asyncio.get_running_loop().call_later(0.05, came.set)
        await transport_to(server).send(ASK)

    with RawServer(serve) as server, pytest.raises(TransportFault, match="ConnectionResetError") as caught:
        run(go(server))
    assert caught.value.code is Code.UNAVAILABLE
    assert isinstance(caught.value.__cause__, ConnectionResetError)


# ---------------------------------------------------------------------------------------------------- time limits


def drip(gap_s: float, data: bytes) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        peer.request()
        for number in range(len(data)):
            peer.send(data[number : number + 1])
            time.sleep(gap_s)
        peer.wait_for_end()

    return serve


@pytest.mark.parametrize(
    ("sent", "limits", "said"),
    [
        (b"", {"total_s": 0.1}, "no complete answer within 0.1 s"),
        (HEAD, {"total_s": 0.1}, "no complete answer within 0.1 s"),
        (b"", {"first_byte_s": 0.1}, "no first byte came within 0.1 s"),
        (b"", {"first_byte_s": 0.1, "total_s": None}, "no first byte came within 0.1 s"),
        (HEAD, {"between_bytes_s": 0.1}, "nothing more came within 0.1 s"),
        (HEAD, {"between_bytes_s": 0.1, "total_s": None}, "nothing more came within 0.1 s"),
        (HEAD, {"between_bytes_s": 0.1, "first_byte_s": 30.0}, "nothing more came within 0.1 s"),
        (HEAD, {"between_bytes_s": 0.1, "first_byte_s": 0.05}, "nothing more came within 0.1 s"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_a_server_that_goes_silent(sent: bytes, limits: dict[str, Any], said: str, streams: bool) -> None:
    closed: list[bool] = []

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        closed.append(peer.wait_for_end())

    async def go(server: RawServer) -> None:
        transport = transport_to(server, **limits)
        if not streams:
            await transport.send(ASK)
        async with transport.open(ASK):
            pass

    started = time.monotonic()
    with RawServer(serve) as server, pytest.raises(TransportFault) as caught:
        run(go(server))
    assert caught.value.code is Code.TIMEOUT
    assert said in caught.value.message
    assert time.monotonic() - started < 3
    assert closed == [True]


def test_a_slow_reply_is_late_although_it_never_goes_silent() -> None:
    with RawServer(drip(0.02, ok(b"x" * 100))) as server:
        found = fault(server, total_s=0.2, first_byte_s=1.0, between_bytes_s=1.0)
    assert "no complete answer within 0.2 s" in found.message


def test_a_reply_that_keeps_coming_is_not_silent() -> None:
    with RawServer(drip(0.01, ok(b"body"))) as server:
        assert replies(server, first_byte_s=0.4, between_bytes_s=0.4)[0].body == b"body"


def test_while_the_request_is_being_sent_nobody_waits_for_its_answer() -> None:
    def serve(peer: Peer) -> None:
        time.sleep(1.0)
        peer.request()
        peer.send(ONE)
        peer.wait_for_end()

    with RawServer(serve) as server:
        big = Outgoing("/chat", {"prompt": "x" * 20_000_000})  # more than the kernel takes
        assert run(transport_to(server, first_byte_s=0.7, total_s=20.0).send(big)).body == b"one"


def test_a_server_that_nobody_can_connect_to_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)  # takes the places in the queue
        target = Target(f"http://127.0.0.1:{address[1]}", {})
        for limits in (Timeouts(5.0, connect_s=0.1), Timeouts(0.1, connect_s=None)):
            with pytest.raises(TransportFault, match=r"no connection to 127.0.0.1:\d+ within 0.1 s") as caught:
                run(HttpTransport(lambda: target, limits).send(ASK))
            assert caught.value.code is Code.TIMEOUT
        for sock in waiting:
            sock.close()


def test_interim_replies_are_no_first_byte() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        with contextlib.suppress(OSError):
            for _ in range(100):
                peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
                time.sleep(0.05)

    started = time.monotonic()
    with RawServer(serve) as server:
        found = fault(server, first_byte_s=0.2)
    assert found.code is Code.TIMEOUT
    assert "no first byte came" in found.message
    assert time.monotonic() - started < 3


def test_the_first_byte_limit_says_nothing_of_what_follows_an_interim_reply() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo")
        time.sleep(0.4)
        peer.send(b"dy")

    with RawServer(serve) as server:
        assert replies(server, first_byte_s=0.2)[0].body == b"body"
