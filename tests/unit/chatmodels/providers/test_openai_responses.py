from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from chatmodels import create_chat_model
from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.testing import ChatModelExam, allow_model_requests
from chatmodels.types import Tool
from fmf_core.errors import Code, ConfigurationError
from fmf_core.portal import run_sync
from peers.raw_server import Peer, RawServer
from peers.responses_server import ResponsesServer
from peers.scripted_server import Reply, ScriptedServer

CALL = {"id": "c1", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    with ResponsesServer() as started:
        yield started


def model_of(server: ScriptedServer, **settings: Any) -> OpenAIChatModel:
    return OpenAIChatModel(
        **{"base_url": server.base_url, "api": "responses", "timeout_s": 5.0, "model": "m", **settings}
    )


def test_a_call_goes_to_responses_and_is_not_stored(server: ResponsesServer) -> None:
    response = model_of(server, api_key="key-of-nobody").invoke("Hello", extra_params={"reasoning": {"effort": "low"}})
    [request] = server.requests
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == "Bearer key-of-nobody"
    assert request.body["store"] is False
    assert request.body["reasoning"] == {"effort": "low"}
    assert (response.content, response.usage.prompt_tokens, response.usage.provider) == ("Scripted reply", 11, "openai")


def test_a_stream_comes_in_pieces(server: ResponsesServer) -> None:
    server.add(Reply(deltas=("One", " two", " three")))
    chunks = list(model_of(server).stream("Count"))
    assert server.bodies[0]["stream"] is True
    assert [chunk.text for chunk in chunks] == ["One", " two", " three", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage.completion_tokens) == ("stop", 7)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called(server: ResponsesServer, streamed: bool) -> None:
    server.add(Reply(text=None, tool_calls=(CALL,)))
    tools = (Tool(name="clock"),)
    model = model_of(server)
    last = list(model.stream("Time?", tools=tools))[-1] if streamed else model.invoke("Time?", tools=tools)
    assert last.finish_reason == "tool_calls"
    assert last.tool_calls[0].arguments == {"zone": "UTC"}
    assert server.bodies[0]["tools"][0]["name"] == "clock"


def test_a_server_that_does_not_stream_answers_in_one_piece(server: ResponsesServer) -> None:
    whole = {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "All at once"}]}],
    }
    server.add(Reply(body=whole))
    assert [chunk.text for chunk in model_of(server).stream("x")] == ["All at once", ""]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(status=401), Code.AUTH),
        (Reply(status=429, headers={"retry-after": "3"}), Code.RATE_LIMIT),
        (Reply(body="<html>Sign in</html>", content_type="text/html"), Code.BAD_REPLY),
        (Reply(body={"status": "failed", "error": {"code": "server_error", "message": "oops"}}), Code.UNAVAILABLE),
        (Reply(events=({"type": "response.output_text.delta", "delta": "Hel"},)), Code.UNAVAILABLE),
        (Reply(deltas=("Hel", "lo"), cut_after=2), Code.UNAVAILABLE),
        (Reply(hang=True), Code.TIMEOUT),
        (Reply(drop=True), Code.UNAVAILABLE),
    ],
)
def test_faults(server: ResponsesServer, reply: Reply, code: Code) -> None:
    server.add(reply)
    with pytest.raises(ChatModelError) as caught:
        list(model_of(server, timeout_s=0.5).stream("x"))
    assert caught.value.code is code
    assert caught.value.op == "openai.stream"


def test_the_answer_cut_by_the_limit_is_no_complete_one(server: ResponsesServer) -> None:
    server.add(Reply(text="Cut", finish_reason="length"))
    assert model_of(server).invoke("x").finish_reason == "length"


def test_a_client_of_ones_own_asks_there_too(server: ResponsesServer) -> None:
    async def go() -> None:
        client = openai.AsyncOpenAI(api_key="own-client-key", base_url=server.base_url)
        model = OpenAIChatModel(model="m", client=client, api="responses")
        assert (await model.ainvoke("x")).content == "Scripted reply"
        assert "".join([chunk.text async for chunk in model.astream("x")]) == "Scripted reply"
        await client.close()

    run_sync(go())
    assert [(chat.path, chat.body["store"], chat.body["model"]) for chat in server.chats] == [
        ("/v1/responses", False, "m")
    ] * 2


def test_the_factory_hands_the_interface_on(server: ResponsesServer) -> None:
    model = create_chat_model("openai", base_url=server.base_url, api="responses", model="m", temperature=0.0)
    assert model.invoke("x").content == "Scripted reply"
    assert json.loads(server.chats[0].raw)["temperature"] == 0.0


def test_another_interface_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'assistants'") as caught:
        create_chat_model("openai", api="assistants")
    assert caught.value.hint == "api is one of: chat, responses"


class TestExam(ChatModelExam):
    model = "m"
    capabilities = ("chat", "stream")  # the peer says always the same

    @pytest.fixture(autouse=True)
    def _server(self, server: ResponsesServer) -> None:
        self.server = server

    def make_model(self) -> ChatModel:
        return model_of(self.server)

    def make_failing_model(self) -> ChatModel:
        with ResponsesServer() as gone:
            pass
        return model_of(gone)


def test_a_stream_whose_answer_is_whole_does_not_wait_for_its_end() -> None:
    delta = {"type": "response.output_text.delta", "delta": "a"}
    output = [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]
    last = {"type": "response.completed", "response": {"status": "completed", "output": output}}
    events = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (delta, last))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(head + events)
        peer.wait_for_end()

    with allow_model_requests(), RawServer(serve) as raw:
        model = OpenAIChatModel(model="m", base_url=raw.url, api="responses", timeout_s=60.0)
        started = time.monotonic()
        assert "".join(chunk.text for chunk in model.stream("x")) == "a"
        assert time.monotonic() - started < 30
