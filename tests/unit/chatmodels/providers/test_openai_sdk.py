from __future__ import annotations

import asyncio
import gc
import gzip
import json
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import openai
import pytest

from chatmodels.errors import ChatModelError
from chatmodels.providers import openai_sdk
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.providers.openai_sdk import SdkTransport
from chatmodels.testing import allow_model_requests
from chatmodels.transport import seam
from chatmodels.transport.seam import OpenReply, Outgoing, Timeouts, TransportFault
from fmf_core.errors import Code
from peers.raw_server import Peer, RawServer, ok
from peers.scripted_server import Reply, ScriptedServer

ASK = Outgoing("/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}], "top_k": 5})
STREAM = ASK._replace(body={**(ASK.body or {}), "stream": True})
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def using(
    base_url: str, use: Callable[[SdkTransport], Awaitable[Any]], *, total_s: float | None = 5.0, **settings: Any
) -> Any:
    """What `use` makes of a transport over a client of one's own, which is still open afterwards."""

    async def go() -> Any:
        async with openai.AsyncOpenAI(api_key="own-client-key", base_url=base_url, **settings) as client:
            transport = SdkTransport(client, Timeouts(total_s))
            try:
                return await use(transport)
            finally:
                await transport.close()
                assert not client.is_closed()

    return run(go())


async def send(transport: SdkTransport) -> seam.Reply:
    return await transport.send(ASK)


async def read(transport: SdkTransport) -> bytes:
    async with transport.open(STREAM) as reply:
        return b"".join([piece async for piece in reply.pieces()])


def fault(base_url: str, use: Callable[[SdkTransport], Awaitable[Any]] = send, **settings: Any) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        using(base_url, use, **settings)
    return caught.value


def test_our_body_goes_out_as_it_is_with_the_clients_key(scripted_server: ScriptedServer) -> None:
    reply = using(scripted_server.base_url, send, default_headers={"x-team": "t"})
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Scripted reply"
    assert scripted_server.bodies == [ASK.body]
    headers = scripted_server.chats[0].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer own-client-key", "t")


def test_a_look_up_lists_the_models(scripted_server: ScriptedServer) -> None:
    async def look(transport: SdkTransport) -> seam.Reply:
        return await transport.send(Outgoing("/models"))

    assert b"scripted" in using(scripted_server.base_url, look).body
    assert scripted_server.requests[0].method == "GET"


@pytest.mark.parametrize("use", [send, read])
@pytest.mark.parametrize("reply", [Reply(status=500), Reply(status=429), Reply(drop=True)])
def test_nothing_is_repeated(
    scripted_server: ScriptedServer, reply: Reply, use: Callable[[SdkTransport], Awaitable[Any]]
) -> None:
    scripted_server.add(reply)
    if reply.drop:
        assert fault(scripted_server.base_url, use, max_retries=5).code is Code.UNAVAILABLE
    else:
        using(scripted_server.base_url, use, max_retries=5)
    assert scripted_server.count == 1


@pytest.mark.parametrize("status", [400, 401, 404, 429, 503])
def test_a_status_is_a_reply_like_any_other(scripted_server: ScriptedServer, status: int) -> None:
    scripted_server.add(Reply(status=status, body="what went wrong", headers={"Retry-After": "3"}))
    reply = using(scripted_server.base_url, send)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"what went wrong", "3")


def test_the_errors_of_a_model_over_it_tell_what_to_do(scripted_server: ScriptedServer) -> None:
    scripted_server.add(Reply(status=429, headers={"Retry-After": "3"}))

    async def go() -> None:
        async with openai.AsyncOpenAI(api_key="own-client-key", base_url=scripted_server.base_url) as client:
            model = OpenAIChatModel(model="m", client=client)
            with pytest.raises(ChatModelError) as caught:
                await model.ainvoke("x")
            assert (caught.value.code, caught.value.retry_after) == (Code.RATE_LIMIT, 3)
            assert [chunk.text async for chunk in model.astream("x")] == ["Scripted ", "reply", ""]

    run(go())


@pytest.mark.parametrize("use", [send, read])
@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(drip=True, pace_s=0.02, body="x" * 200)])
def test_time_is_counted_to_the_last_byte(
    scripted_server: ScriptedServer, reply: Reply, use: Callable[[SdkTransport], Awaitable[Any]]
) -> None:
    scripted_server.add(reply)
    found = fault(scripted_server.base_url, use, total_s=0.3)
    assert (found.code, found.message) == (Code.TIMEOUT, "no complete answer within 0.3 s")
    scripted_server.wait_for(lambda s: all(request.closed_early for request in s.requests))


def test_without_a_limit_a_slow_answer_is_waited_for(scripted_server: ScriptedServer) -> None:
    scripted_server.add(Reply(latency_s=0.1))
    assert using(scripted_server.base_url, send, total_s=None, timeout=0.01).status == 200


def test_a_stream_comes_piece_by_piece(scripted_server: ScriptedServer) -> None:
    scripted_server.add(Reply(deltas=("one", "two"), pace_s=0.02))

    async def count(transport: SdkTransport) -> int:
        async with transport.open(STREAM) as reply:
            assert "event-stream" in reply.headers["content-type"]
            return len([piece async for piece in reply.pieces()])

    assert using(scripted_server.base_url, count) >= 3


async def pieces_of(reply: OpenReply) -> Any:
    async for piece in reply.pieces():
        yield piece


def test_a_stream_left_early_is_given_up(scripted_server: ScriptedServer) -> None:
    scripted_server.add(Reply(deltas=("a",) * 100, pace_s=0.05))

    async def leave(transport: SdkTransport) -> bytes:
        async with transport.open(STREAM) as reply, aclosing(pieces_of(reply)) as pieces:
            assert await anext(pieces)
        async with transport.open(STREAM) as reply:
            pass
        gc.collect()
        return (await transport.send(ASK)).body

    assert b"Scripted reply" in using(scripted_server.base_url, leave)
    scripted_server.wait_for(lambda s: s.requests[0].closed_early)


def test_a_cancelled_call_leaves_its_connection(scripted_server: ScriptedServer) -> None:
    scripted_server.add(Reply(hang=True))

    async def cancel(transport: SdkTransport) -> None:
        task = asyncio.create_task(transport.send(ASK))
        await asyncio.get_running_loop().run_in_executor(None, scripted_server.wait_for, lambda s: s.count == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await transport.send(ASK)).status == 200

    using(scripted_server.base_url, cancel)
    scripted_server.wait_for(lambda s: s.requests[0].closed_early)


@pytest.mark.parametrize("use", [send, read])
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (HEAD + b"4\r\nbody\r\n", Code.UNAVAILABLE),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbody", Code.UNAVAILABLE),
        (ok(b"no gzip", "content-encoding: gzip"), Code.BAD_REPLY),
        (b"garbage\r\n\r\n", Code.UNAVAILABLE),
    ],
)
def test_what_is_no_whole_reply(sent: bytes, code: Code, use: Callable[[SdkTransport], Awaitable[Any]]) -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(sent)

    with RawServer(serve) as server:
        assert fault(server.url, use).code is code


@pytest.mark.parametrize("use", [send, read])
def test_a_reply_that_is_too_large(
    use: Callable[[SdkTransport], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_sdk, "MAX_REPLY_BYTES", 1000)
    with RawServer(ok(gzip.compress(b"x" * 100_000), "content-encoding: gzip")) as server:
        found = fault(server.url, use)
    assert found.code is Code.BAD_REPLY
    assert "larger than" in found.message


def test_nobody_listens() -> None:
    with ScriptedServer() as gone:
        pass
    with allow_model_requests():
        found = fault(gone.base_url)
    assert (found.code, found.hint) == (Code.UNAVAILABLE, "is the server up?")


def test_an_address_that_is_none() -> None:
    found = fault("ftp://127.0.0.1/v1")
    assert found.code is Code.INVALID
    assert "base_url" in found.hint


@pytest.mark.parametrize("value", [{1, 2}, "\ud800"])
def test_a_body_that_is_no_json(scripted_server: ScriptedServer, value: object) -> None:
    async def go(transport: SdkTransport) -> None:
        await transport.send(Outgoing(ASK.path, {**(ASK.body or {}), "x": value}))

    found = fault(scripted_server.base_url, go)
    assert (found.code, scripted_server.count) == (Code.INVALID, 0)
    assert "JSON" in found.message


def test_where_redirects_lead_is_up_to_the_client(scripted_server: ScriptedServer) -> None:
    to_itself = Reply(status=307, headers={"Location": f"{scripted_server.base_url}/chat/completions"}, body="")
    scripted_server.add(to_itself)
    keeps_to_its_server = openai.DefaultAsyncHttpxClient(follow_redirects=False)
    assert using(scripted_server.base_url, send, http_client=keeps_to_its_server).status == 307
    scripted_server.add(to_itself)
    assert using(scripted_server.base_url, send).status == 200
    scripted_server.add(*[to_itself] * 30)
    assert fault(scripted_server.base_url).code is Code.BAD_REPLY


FEW_FILES = """
    import asyncio, resource, sys
    import openai
    from chatmodels import create_chat_model

    client = openai.AsyncOpenAI(base_url=sys.argv[1], api_key="k", max_retries=0)
    once = {"concurrency": {"adaptive": False}, "retry": {"max_attempts": 1}}
    model = create_chat_model("openai", model="m", client=client, **once)

    async def main():
        await model.ainvoke("first")
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        answers = await asyncio.gather(*[model.ainvoke(f"n{number}") for number in range(200)])
        print(sum(answer.content == f"n{number}" for number, answer in enumerate(answers)))

    with asyncio.Runner() as runner:
        runner.run(main())
"""


def test_more_calls_than_file_descriptors_wait_for_the_client_to_have_some() -> None:
    with ScriptedServer(lambda request: Reply(text=request.prompt, latency_s=0.05)) as server:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FEW_FILES), server.base_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert server.most_in_flight < 40
