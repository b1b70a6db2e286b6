"""The SDK filling against a real server that was recorded once by `vcrpy`: replayed without a socket.

The cassettes under `tests/fixtures/llm_responses/` were made with the embedded engine's own server. To make them anew:

    pytest tests/unit/chatmodels/providers/test_openai_sdk_cassettes.py --record-models=all
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
import vcr

from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.iface import ChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.testing import allow_model_requests
from chatmodels.types import ChatRequest, Message, ResponseFormat
from fmf_core.errors import Code
from fmf_core.redact import redact
from peers.embedded_server import API_KEY

CASSETTES = Path(__file__).resolve().parents[3] / "fixtures" / "llm_responses"
ADDRESS = "http://embedded.test"
MODEL = "smollm2-135m-instruct"
KEPT_HEADERS = {"content-type", "retry-after", "x-request-id"}
COLOURS = ResponseFormat(
    type="json_schema",
    json_schema={
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    },
)


def clean_request(request: Any) -> Any:
    """The request at an address that is the same for everybody, without keys and what the SDK says of the machine."""
    request.uri = ADDRESS + urlsplit(request.uri).path
    request.headers = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
    return request


def clean_response(response: dict[str, Any]) -> dict[str, Any]:
    """The response without what changes from time to time."""
    response["headers"] = {name: value for name, value in response["headers"].items() if name.lower() in KEPT_HEADERS}
    return response


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> bool:
    """Whether the cassettes are to be made anew."""
    return request.config.getoption("record_models") == "all"


@pytest.fixture
def base_url(request: pytest.FixtureRequest, recording: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the SDK's client asks; without recording, nothing may be connected at all."""
    if recording:
        with allow_model_requests():
            yield request.getfixturevalue("embedded_server").base_url
        return

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    with allow_model_requests():
        yield f"{ADDRESS}/v1"


@pytest.fixture
def using(base_url: str, recording: bool) -> Callable[..., Any]:
    """What a function makes of a model over the SDK, with a cassette in the place of the network."""
    tapes = vcr.VCR(
        record_mode=vcr.mode.ALL if recording else vcr.mode.NONE,
        match_on=["method", "path", "body"],
        before_record_request=clean_request,
        before_record_response=clean_response,
        decode_compressed_response=True,
    )

    def use(cassette: str, ask: Callable[[ChatModel], Awaitable[Any]], *, api_key: str = API_KEY) -> Any:
        async def go() -> Any:
            async with (
                httpx.AsyncClient() as http,
                openai.AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=http) as client,
            ):
                return await ask(OpenAIChatModel(model=MODEL, client=client, timeout_s=60.0))

        path = CASSETTES / f"{cassette}.yaml"
        if recording:
            path.unlink(missing_ok=True)
        with tapes.use_cassette(str(path)), asyncio.Runner() as runner:
            return runner.run(go())

    return use


def asked(prompt: str, **settings: Any) -> ChatRequest:
    return ChatRequest(prompt=prompt, temperature=0.0, max_tokens=24, seed=1, **settings)


async def pieces(model: ChatModel) -> list[Any]:
    return [chunk async for chunk in model.astream(asked("Name three colours."))]


def test_a_plain_answer(using: Callable[..., Any]) -> None:
    response = using("chat_plain", lambda model: model.ainvoke(asked("Say hello.")))
    assert response.content
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0
    assert response.finish_reason in ("stop", "length")


def test_a_streamed_answer(using: Callable[..., Any]) -> None:
    chunks = using("chat_streamed", pieces)
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks)
    assert chunks[-1].usage.completion_tokens > 0
    assert all(chunk.finish_reason is None for chunk in chunks[:-1])


def test_an_answer_that_keeps_to_a_schema(using: Callable[..., Any]) -> None:
    request = asked("Red or green? Answer in JSON.", response_format=COLOURS)
    response = using("chat_json_schema", lambda model: model.ainvoke(request))
    assert json.loads(response.content)["colour"] in ("red", "green")


def test_a_conversation(using: Callable[..., Any]) -> None:
    turns = (
        Message(role="system", content="You answer in one word."),
        Message(role="user", content="Hello."),
        Message(role="assistant", content="Hello!"),
        Message(role="user", content="Goodbye."),
    )
    request = ChatRequest(messages=turns, temperature=0.0, max_tokens=8, seed=1)
    assert using("chat_conversation", lambda model: model.ainvoke(request)).content


def test_a_wrong_key(using: Callable[..., Any]) -> None:
    with pytest.raises(ProviderAuthError) as caught:
        using("wrong_key", lambda model: model.ainvoke(asked("Say hello.")), api_key="sk-wrong-key-of-nobody")
    assert caught.value.code is Code.AUTH
    assert "sk-wrong-key-of-nobody" not in str(caught.value)


def test_a_prompt_that_is_too_long(using: Callable[..., Any]) -> None:
    with pytest.raises(ChatModelError, match="context") as caught:
        using("prompt_too_long", lambda model: model.ainvoke(asked("word " * 2500)))
    assert caught.value.code is Code.INVALID


def test_a_request_that_is_not_on_the_cassette_makes_no_connection(using: Callable[..., Any], recording: bool) -> None:
    if recording:
        return
    with pytest.raises(ChatModelError, match="CannotOverwriteExisting"):
        using("chat_plain", lambda model: model.ainvoke(asked("Something else.")))


CASSETTE = sorted(CASSETTES.glob("*.yaml"))


def test_there_are_cassettes() -> None:
    assert len(CASSETTE) == 6


@pytest.mark.parametrize("path", CASSETTE, ids=lambda path: path.stem)
def test_no_cassette_holds_a_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert redact(text) == text
    assert API_KEY not in text
    assert "sk-" not in text
    assert not re.search(r"(?i)authorization|bearer|api-key|cookie|x-stainless", text)
    assert not re.search(r"127\.0\.0\.1|localhost|/root|/home", text)
    assert len(text) < 40_000
