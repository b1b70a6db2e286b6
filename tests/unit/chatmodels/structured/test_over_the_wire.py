"""What goes over the wire for which model, and a real model that fills a pydantic model under a grammar."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from chatmodels import ChatModel, ChatModelError, ErrorCode, RecordingModel, ReplayModel, create_chat_model
from chatmodels.providers.local import LocalChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.types import ModelInfo
from peers.scripted_server import Reply, ScriptedServer


class Line(BaseModel):
    what: str = Field(description="as on the receipt")
    price: float


class Receipt(BaseModel):
    day: dt.date
    lines: list[Line]
    note: str | None = None


class Loose(BaseModel):
    count: int = 3


GOOD = '{"day": "2026-11-21", "lines": [{"what": "pen", "price": 1.2}], "note": null}'
RECEIPT = Receipt(day=dt.date(2026, 11, 21), lines=[Line(what="pen", price=1.2)])
REFUSED = {"error": {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported."}}


class Limited(OpenAIChatModel):
    """A server of which it is known what it can do."""

    can: tuple[str, ...] = ()

    def get_model_info(self) -> ModelInfo:
        return ModelInfo(name="m", provider="openai", capabilities=self.can)


def model_of(server: ScriptedServer, *can: str) -> ChatModel:
    model = Limited(base_url=server.base_url, model="m")
    model.can = can
    return model


@pytest.fixture
def server(scripted_server: ScriptedServer) -> ScriptedServer:
    return scripted_server


def test_a_schema_goes_out_strict_where_it_can(server: ScriptedServer) -> None:
    server.add(GOOD)
    model = create_chat_model("openai", base_url=server.base_url, model="m")
    parsed = model.parse("Read it", Receipt)
    assert parsed.value == RECEIPT
    assert (parsed.usage.prompt_tokens, parsed.usage.completion_tokens) == (11, 7)
    body = server.bodies[0]
    assert body["messages"] == [{"role": "user", "content": "Read it"}]
    wanted = body["response_format"]["json_schema"]
    assert (wanted["name"], wanted["strict"]) == ("Receipt", True)
    assert wanted["schema"]["required"] == ["day", "lines", "note"]
    assert wanted["schema"]["$defs"]["Line"]["additionalProperties"] is False


def test_a_schema_that_is_not_strict_goes_out_all_the_same(server: ScriptedServer) -> None:
    server.add("{}")
    assert model_of(server, "json_schema").parse("x", Loose).value == Loose()
    assert server.bodies[0]["response_format"]["json_schema"]["strict"] is False


def test_json_mode(server: ScriptedServer) -> None:
    server.add(GOOD)
    assert model_of(server, "json").parse("Read it", Receipt).value == RECEIPT
    body = server.bodies[0]
    assert body["response_format"] == {"type": "json_object"}
    system, user = body["messages"]
    assert system["role"] == "system"
    # The provider wants to see the word in this mode.
    assert "JSON Schema" in system["content"]
    assert user == {"role": "user", "content": "Read it"}


def test_the_prompt_alone(server: ScriptedServer) -> None:
    server.add(f"Here you are:\n```json\n{GOOD}\n```")
    parsed = model_of(server).parse("Read it", Receipt)
    assert parsed.value == RECEIPT
    assert "response_format" not in server.bodies[0]
    assert [repair.cause for repair in parsed.repairs] == ["fence"]


def test_a_refused_schema(server: ScriptedServer) -> None:
    server.add(Reply(status=400, body=REFUSED), GOOD)
    parsed = model_of(server, "json", "json_schema").parse("Read it", Receipt, parse_retries=0)
    assert parsed.value == RECEIPT
    assert [body["response_format"]["type"] for body in server.bodies] == ["json_schema", "json_object"]
    assert [repair.cause for repair in parsed.repairs] == ["format_refused"]


def test_a_cut_answer(server: ScriptedServer) -> None:
    server.add(Reply(text=GOOD, finish_reason="length"), GOOD)
    parsed = model_of(server, "json_schema").parse("Read it", Receipt, max_tokens=50)
    assert parsed.value == RECEIPT
    assert [body["max_tokens"] for body in server.bodies] == [50, 100]
    assert (parsed.usage.prompt_tokens, parsed.usage.completion_tokens) == (22, 14)


def test_a_limit_that_the_server_does_not_take(server: ScriptedServer) -> None:
    too_large = {"error": {"message": "max_tokens is too large: 100. This model supports at most 64."}}
    server.add(Reply(text="{", finish_reason="length"), Reply(status=400, body=too_large))
    with pytest.raises(ChatModelError, match="was cut") as caught:
        model_of(server, "json_schema").parse("Read it", Receipt, max_tokens=50)
    assert caught.value.code is ErrorCode.TRUNCATED
    assert "at most 64" in str(caught.value.__cause__)
    assert caught.value.fields["usage"].completion_tokens == 7


def test_an_empty_answer(server: ScriptedServer) -> None:
    server.add("", GOOD)
    parsed = model_of(server, "json_schema").parse("Read it", Receipt)
    assert parsed.value == RECEIPT
    assert [repair.cause for repair in parsed.repairs] == ["empty"]
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="{", finish_reason="content_filter"),
        Reply(body={"choices": [{"message": {"content": None, "refusal": "I cannot"}, "finish_reason": "stop"}]}),
    ],
)
def test_a_refusal(server: ScriptedServer, reply: Reply) -> None:
    server.add(reply)
    with pytest.raises(ChatModelError) as caught:
        model_of(server, "json_schema").parse("Read it", Receipt, parse_retries=5)
    assert caught.value.code is ErrorCode.REFUSED
    assert server.count == 1


@pytest.mark.parametrize("can", [("json_schema",), ("json",), ()])
def test_a_recording_of_it_is_replayed(server: ScriptedServer, tmp_path: Path, can: tuple[str, ...]) -> None:
    server.add("[]", GOOD)
    recorder = RecordingModel(model_of(server, *can), tmp_path / "calls.jsonl")
    assert recorder.parse("Read it", Receipt).asks == 2
    replayed = ReplayModel(tmp_path / "calls.jsonl").parse("Read it", Receipt)
    assert (replayed.value, replayed.asks) == (RECEIPT, 2)
    assert server.count == 2


class Review(BaseModel):
    mood: Literal["good", "bad"]
    stars: int = Field(ge=1, le=5)


@pytest.mark.model
def test_a_real_model_fills_a_pydantic_model_under_a_grammar(embedded_weights: Path) -> None:
    asked: list[Any] = []

    class Watched(LocalChatModel):
        async def complete_async(self, request: Any) -> Any:
            asked.append(request)
            return await super().complete_async(request)

    model = Watched(model=str(embedded_weights), context=2048)
    parsed = model.parse("The soup was cold and the waiter was rude.", Review, temperature=0.0, max_tokens=60)
    assert parsed.value.mood in ("good", "bad")
    assert 1 <= parsed.value.stars <= 5
    assert (parsed.asks, parsed.repairs) == (1, ())
    assert parsed.usage.completion_tokens > 0
    assert asked[0].response_format.json_schema["required"] == ["mood", "stars"]
    two = TypeAdapter(Annotated[list[Review], Field(min_length=2, max_length=2)])
    several = model.parse("Two reviews: great soup. Rude waiter.", two, temperature=0.0, max_tokens=200)
    assert [type(review) for review in several.value] == [Review, Review]


@pytest.mark.model
def test_a_real_model_that_is_cut_gets_more_room(embedded_weights: Path) -> None:
    model = LocalChatModel(model=str(embedded_weights), context=2048)
    parsed = model.parse("The soup was cold.", Review, temperature=0.0, max_tokens=4, parse_retries=5)
    assert json.loads(parsed.response.content)["mood"] in ("good", "bad")
    assert parsed.asks > 1
    assert {repair.cause for repair in parsed.repairs} == {"truncated"}
    assert parsed.usage.completion_tokens > parsed.response.usage.completion_tokens
