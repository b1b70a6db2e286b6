"""The SDK filling with `respx` in the place of the network: what leaves, and what each reply becomes.

The SDK rides on httpx2 by itself, which respx does not know; with a client of httpx, which it takes as well, respx sees
every request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
import respx

from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.iface import ChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.testing import allow_model_requests
from chatmodels.types import ChatRequest, Message, ResponseFormat, Tool
from fmf_core.errors import Code

BASE_URL = "https://llm.example.test/v1"
KEY = "sk-respx-of-nobody-4711"
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Two wheels."}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    with allow_model_requests():
        yield


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE_URL, assert_all_called=False) as router:
        yield router


def using(use: Callable[[ChatModel], Awaitable[Any]]) -> Any:
    """What `use` makes of a model over an SDK client with an HTTP client of one's own."""

    async def go() -> Any:
        async with (
            httpx.AsyncClient() as http,
            openai.AsyncOpenAI(api_key=KEY, base_url=BASE_URL, http_client=http) as client,
        ):
            return await use(OpenAIChatModel(model="gpt-4o-mini", client=client, timeout_s=20.0))

    with asyncio.Runner() as runner:
        return runner.run(go())


def ask(**settings: Any) -> Callable[[ChatModel], Awaitable[Any]]:
    return lambda model: model.ainvoke(ChatRequest(prompt="What is a bicycle?", **settings))


async def pieces(model: ChatModel) -> list[Any]:
    return [chunk async for chunk in model.astream("What is a bicycle?")]


def events(*data: object) -> bytes:
    lines = [item if isinstance(item, str) else json.dumps(item) for item in data]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def test_an_answer(api: respx.MockRouter) -> None:
    route = api.post("/chat/completions").respond(json=ANSWER, headers={"x-ratelimit-remaining-requests": "41"})
    response = using(ask(temperature=0.0, seed=7, stop=("END",)))
    assert (response.content, response.model, response.response_id) == (
        "Two wheels.",
        "gpt-4o-mini-2024-07-18",
        "chatcmpl-1",
    )
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (9, 3)
    assert response.rate_limit.remaining_requests == 41
    [call] = route.calls
    body = json.loads(call.request.content)
    assert body["messages"] == [{"role": "user", "content": "What is a bicycle?"}]
    assert (body["model"], body["temperature"], body["seed"], body["stop"]) == ("gpt-4o-mini", 0.0, 7, ["END"])
    assert call.request.headers["authorization"] == f"Bearer {KEY}"


def test_a_stream(api: respx.MockRouter) -> None:
    delta = lambda text: {"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}
    end = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    route = api.post("/chat/completions").respond(
        content=events(delta("Two "), delta("wheels."), end, usage, "[DONE]"), content_type="text/event-stream"
    )
    chunks = using(pieces)
    assert [chunk.text for chunk in chunks] == ["Two ", "wheels.", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage.total_tokens) == ("stop", 11)
    assert json.loads(route.calls.last.request.content)["stream"] is True


def test_tools_and_a_schema_go_out_and_calls_come_back(api: respx.MockRouter) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    route = api.post("/chat/completions").respond(json={**ANSWER, "choices": [choice]})
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = ResponseFormat(type="json_schema", json_schema=schema, name="pair")
    response = using(ask(tools=(Tool(name="clock"),), tool_choice="required", response_format=wanted))
    assert (response.tool_calls[0].name, response.tool_calls[0].arguments) == ("clock", {"zone": "UTC"})
    body = json.loads(route.calls.last.request.content)
    assert (body["tools"][0]["function"]["name"], body["tool_choice"]) == ("clock", "required")
    assert body["response_format"]["json_schema"]["name"] == "pair"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID),
        (401, Code.AUTH),
        (403, Code.AUTH),
        (404, Code.NOT_FOUND),
        (429, Code.RATE_LIMIT),
        (500, Code.UNAVAILABLE),
        (503, Code.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("use", [ask(), pieces])
def test_a_status_becomes_a_code_after_one_request(
    api: respx.MockRouter, status: int, code: Code, use: Callable[[ChatModel], Awaitable[Any]]
) -> None:
    told = {"error": {"message": f"that went wrong with {KEY}"}}
    route = api.post("/chat/completions").respond(status, json=told, headers={"Retry-After": "2"})
    with pytest.raises(ChatModelError) as caught:
        using(use)
    assert caught.value.code is code
    assert isinstance(caught.value, ProviderAuthError) == (code is Code.AUTH)
    assert route.call_count == 1
    assert KEY not in str(caught.value) + repr(caught.value.fields)
    if status == 429:
        assert caught.value.retry_after == 2.0


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (httpx.ConnectError("refused"), Code.UNAVAILABLE),
        (httpx.ReadError("reset"), Code.UNAVAILABLE),
        (httpx.ConnectTimeout("slow"), Code.TIMEOUT),
        (httpx.ReadTimeout("slow"), Code.TIMEOUT),
    ],
)
def test_a_network_that_fails(api: respx.MockRouter, failure: Exception, code: Code) -> None:
    route = api.post("/chat/completions").mock(side_effect=failure)
    with pytest.raises(ChatModelError) as caught:
        using(ask())
    assert (caught.value.code, route.call_count) == (code, 1)


@pytest.mark.parametrize(
    "reply", [b"<html>Bad gateway</html>", b'{"choices": [', b"[]", b"{}", b'{"choices": []}', b"\xff\xfe"]
)
def test_a_reply_that_is_no_answer(api: respx.MockRouter, reply: bytes) -> None:
    api.post("/chat/completions").respond(content=reply, content_type="application/json")
    with pytest.raises(ChatModelError) as caught:
        using(ask())
    assert caught.value.code is Code.BAD_REPLY


def test_a_conversation_goes_out_in_its_order(api: respx.MockRouter) -> None:
    route = api.post("/chat/completions").respond(json=ANSWER)
    turns = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello."),
        Message(role="assistant", content="Hello!"),
        Message(role="user", content="What is a bicycle?"),
    )
    using(lambda model: model.ainvoke(turns))
    sent = json.loads(route.calls.last.request.content)["messages"]
    assert [(turn["role"], turn["content"]) for turn in sent] == [(turn.role, turn.content) for turn in turns]
