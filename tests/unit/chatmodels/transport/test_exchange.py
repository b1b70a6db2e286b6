from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import pytest

from chatmodels.transport import exchange
from chatmodels.transport.address import Target
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import OpenReply, Outgoing, Timeouts, TransportFault
from fmf_core.errors import Code
from peers.raw_server import Peer, RawServer, chunked, ok, packed

ASK = Outgoing("/chat", {"prompt": "x"})
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def transport_to(server: RawServer, **limits: Any) -> HttpTransport:
    target = Target(server.url, {})
    return HttpTransport(lambda: target, Timeouts(**{"total_s": 5.0, **limits}))


async def whole(reply: OpenReply) -> bytes:
    return b"".join([piece async for piece in reply.pieces()])


async def until(event: threading.Event) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, event.wait, 5)


def test_status_and_headers_come_before_the_body() -> None:
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD)
        go_on.wait(5)
        peer.send(chunked(b"bo", b"dy").partition(b"\r\n\r\n")[2])
        peer.wait_for_end()

    async def go(server: RawServer) -> None:
        async with transport_to(server).open(ASK) as reply:
            assert (reply.status, reply.headers) == (200, {"transfer-encoding": "chunked"})
            go_on.set()
            assert await whole(reply) == b"body"

    with RawServer(serve) as server:
        run(go(server))


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (chunked(b"bo", b"dy"), b"body"),
        (ok(b"body", status="500 Oh"), b"body"),
        (ok(packed(b"body"), "content-encoding: gzip"), b"body"),
        (ok(b""), b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_stream_that_was_read_leaves_its_connection_to_the_next(sent: bytes, wanted: bytes) -> None:
    async def go(server: RawServer) -> None:
        transport = transport_to(server)
        for _ in range(3):
            async with transport.open(ASK) as reply:
                assert await whole(reply) == wanted
            assert (await transport.send(ASK)).body == wanted

    with RawServer(sent) as server:
        run(go(server))
    assert server.connections == 1


def test_what_came_is_given_before_the_fault() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"4\r\nbody\r\n")

    async def go(server: RawServer) -> None:
        async with transport_to(server).open(ASK) as reply:
            pieces = reply.pieces()
            assert await anext(pieces) == b"body"
            with pytest.raises(TransportFault, match="in the middle of its reply"):
                await anext(pieces)

    with RawServer(serve) as server:
        run(go(server))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (ok(packed(b"body")[:-4], "content-encoding: gzip"), "ends too early"),
        (ok(b"body", "content-encoding: br"), "'br'"),
        (HEAD + b"4\r\nbody\r\nx", "no HTTP"),
    ],
)
def test_a_body_that_is_none(sent: bytes, said: str) -> None:
    async def go(server: RawServer) -> None:
        async with transport_to(server).open(ASK) as reply:
            await whole(reply)

    with RawServer(sent) as server, pytest.raises(TransportFault, match=said) as caught:
        run(go(server))
    assert caught.value.code is Code.BAD_REPLY


def test_a_stream_left_early_is_given_up() -> None:
    ended = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.request() and server.connections == 1:
            peer.send(HEAD + b"4\r\nbody\r\n")
            peer.wait_for_end()
            ended.set()
            return
        peer.send(ok(b"next"))
        peer.wait_for_end()

    async def go() -> None:
        transport = transport_to(server)
        async with transport.open(ASK) as reply, aclosing(as_generator(reply)) as pieces:
            assert await anext(pieces) == b"body"
        await until(ended)
        assert (await transport.send(ASK)).body == b"next"

    with RawServer(serve) as server:
        run(go())


async def as_generator(reply: OpenReply) -> AsyncIterator[bytes]:
    async for piece in reply.pieces():
        yield piece


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"4\r\nbody\r\n"])
@pytest.mark.parametrize("streams", [False, True])
def test_a_cancelled_call_closes_its_connection_and_disturbs_nobody(sent: bytes, streams: bool) -> None:
    asked, ended = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        if asked.is_set():
            peer.send(ok(b"next"))
            peer.wait_for_end()
            return
        peer.send(sent)
        asked.set()
        peer.wait_for_end()
        ended.set()

    async def go() -> None:
        transport = transport_to(server)

        async def ask() -> None:
            if not streams:
                await transport.send(ASK)
            async with transport.open(ASK) as reply:
                await whole(reply)

        task = asyncio.create_task(ask())
        await until(asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(ended)
        assert (await transport.send(ASK)).body == b"next"

    with RawServer(serve) as server:
        run(go())


def test_a_call_that_is_cancelled_when_its_reply_is_there_does_not_disturb_the_next_one() -> None:
    """The connection is free as soon as the reply is whole, which is before the caller wakes up."""

    async def go() -> None:
        transport = transport_to(server)
        await transport.send(ASK)
        loop = asyncio.get_running_loop()
        for streams in (False, True):
            for _ in range(5):
                first = asyncio.create_task(read(transport, streams))
                await asyncio.sleep(0)
                second = loop.create_future()
                # Polls in every turn of the loop, so that it takes the connection before the first call goes on.
                loop.call_soon(steal, loop, transport, first, second)
                assert (await second).body == b"reply"
                with pytest.raises(asyncio.CancelledError):
                    await first
        assert server.connections == 1

    async def read(transport: HttpTransport, streams: bool) -> None:
        if not streams:
            await transport.send(ASK)
        else:
            async with transport.open(ASK) as reply:
                await whole(reply)
        await asyncio.sleep(5)

    def steal(
        loop: asyncio.AbstractEventLoop,
        transport: HttpTransport,
        first: asyncio.Task[None],
        second: asyncio.Future[Any],
    ) -> None:
        if not any(transport._pools[loop]._idle.values()):
            loop.call_soon(steal, loop, transport, first, second)
            return
        asked = loop.create_task(transport.send(ASK))
        asked.add_done_callback(lambda task: second.set_result(task.result()))
        first.cancel()

    with RawServer(ok(b"reply")) as server:
        run(go())


def test_many_calls_that_are_cancelled_at_any_moment_mix_up_no_reply() -> None:
    def serve(peer: Peer) -> None:
        while request := peer.request():
            peer.send(ok(request.partition(b"\r\n\r\n")[2]))

    async def go() -> None:
        transport = transport_to(server)

        async def ask(number: int) -> None:
            for turn in range(6):
                asked = Outgoing("/chat", {"n": f"{number}.{turn}"})
                task = asyncio.create_task(transport.send(asked))
                for _ in range((number * 7 + turn) % 12):
                    await asyncio.sleep(0)
                if (number + turn) % 3:
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    assert (await task).body == b'{"n":"%d.%d"}' % (number, turn)

        await asyncio.gather(*[ask(number) for number in range(12)])

    with RawServer(serve) as server:
        run(go())


# -------------------------------------------------------------------------------------------------- back-pressure

PIECE = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
MANY = 400  # 26 MB: more than the kernel holds


def fast(sent: list[int]) -> Any:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD)
        for number in range(MANY):
            peer.send(PIECE)
            sent.append(number)
        peer.send(END)
        peer.wait_for_end()

    return serve


def test_a_fast_server_waits_for_a_slow_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    buffered: list[int] = []
    taken = exchange.OpenExchange._taken
    monkeypatch.setattr(exchange.OpenExchange, "_taken", lambda self: (buffered.append(self._buffered), taken(self))[1])

    async def go() -> None:
        size = 0
        async with transport_to(server, between_bytes_s=1.0, first_byte_s=1.0).open(ASK) as reply:
            await asyncio.sleep(1.5)  # the consumer is slow, the server is not silent
            assert len(sent) < MANY
            async for piece in reply.pieces():
                size += len(piece)
        assert size == MANY * 0x10000

    with RawServer(fast(sent)) as server:
        run(go())
    assert max(buffered) < 3 * exchange.MOST_BUFFERED


def test_the_time_in_which_a_consumer_holds_a_stream_is_not_that_of_the_server() -> None:
    async def go() -> None:
        async with transport_to(server, total_s=1.5).open(ASK) as reply:
            await asyncio.sleep(2.0)
            assert len(await whole(reply)) == MANY * 0x10000

    with RawServer(fast([])) as server:
        run(go())


def test_after_a_pause_the_time_in_all_counts_again() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + PIECE * 10)
        peer.wait_for_end()

    async def go() -> None:
        async with transport_to(server, total_s=0.3).open(ASK) as reply:
            await asyncio.sleep(0.5)
            await whole(reply)

    with RawServer(serve) as server, pytest.raises(TransportFault, match=r"within 0.3 s"):
        run(go())


REFUSED = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\n"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (REFUSED + "content-encoding: br\r\ncontent-length: 4\r\n\r\nbody", b""),
        (REFUSED + "content-encoding: gzip\r\ncontent-length: 4\r\n\r\nbody", b""),
        (REFUSED + "content-length: 999999999\r\n\r\n" + "x" * 70_000, None),
        (REFUSED + "content-length: 9\r\n\r\nbody", b"body"),
        (REFUSED + "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\nno chunk", b"body"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_is_one_whatever_is_wrong_with_its_body(sent: str, said: bytes | None, streams: bool) -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(sent.encode())

    async def go() -> None:
        transport = transport_to(server)
        if streams:
            async with transport.open(ASK) as reply:
                status, headers, body = reply.status, reply.headers, await whole(reply)
        else:
            status, headers, body = await transport.send(ASK)
        assert (status, headers["retry-after"]) == (503, "7")
        assert len(body) <= exchange.MOST_OF_AN_ERROR if said is None else body == said

    with RawServer(serve) as server:
        run(go())


def test_after_a_pause_silence_counts_again() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD)
        for _ in range(10):
            peer.send(PIECE)
        peer.wait_for_end()

    async def go() -> None:
        async with transport_to(server, between_bytes_s=1.0).open(ASK) as reply:
            await asyncio.sleep(1.5)
            pieces, size = reply.pieces(), 0
            while size < 10 * 0x10000:
                size += len(await anext(pieces))
            with pytest.raises(TransportFault, match=r"nothing more came within 1 s"):
                await anext(pieces)

    with RawServer(serve) as server:
        run(go())


def test_a_stream_that_was_read_to_its_end_has_no_time_limit_any_more() -> None:
    async def go() -> None:
        async with transport_to(server, total_s=0.1, between_bytes_s=0.05).open(ASK) as reply:
            await asyncio.sleep(0.2)
            assert await whole(reply) == b"body"

    with RawServer(chunked(b"body")) as server:
        run(go())


def test_a_held_stream_whose_reply_ends_with_the_connection() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000)

    async def go() -> None:
        async with transport_to(server).open(ASK) as reply:
            await asyncio.sleep(0.1)
            assert len(await whole(reply)) == 2_000_000

    with RawServer(serve) as server:
        run(go())
