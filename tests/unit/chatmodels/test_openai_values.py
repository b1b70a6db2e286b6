from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from chatmodels import ChatRequest, ConfigurationError, ImagePart, Message, MockChatModel, TextPart, Tool, ToolCall

USER = {"role": "user", "content": "What time is it?"}
HISTORY = [
    {"role": "developer", "content": "Be short."},
    {"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(b"cat").decode()}},
    ]},
    {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": '{"city": "Ulm"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}},
    ]},
    {"role": "tool", "tool_call_id": "call_1", "name": "clock", "content": "12:00"},
    {"role": "user", "content": "Thanks"},
]  # fmt: skip
WANTED = (
    Message(role="system", content="Be short."),
    Message(
        role="user",
        content=[
            TextPart(text="What is this?"),
            ImagePart(url="https://example.org/cat.png"),
            ImagePart(data=b"cat", media_type="image/jpeg"),
        ],
    ),
    Message(
        role="assistant",
        tool_calls=[
            ToolCall(id="call_1", name="clock", arguments={"city": "Ulm"}),
            ToolCall(id="call_2", name="clock"),
        ],
    ),
    Message(role="tool", tool_call_id="call_1", content="12:00"),
    Message(role="user", content="Thanks"),
)


class SdkMessage(BaseModel):
    """Looks like the message of an answer of OpenAI's client."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict] | None = None


def refusal(*messages, **options) -> str:
    with pytest.raises(ConfigurationError) as caught:
        MockChatModel().invoke(list(messages), **options)
    assert "pydantic.dev" not in str(caught.value)
    return caught.value.message


def test_a_conversation_of_another_client_is_asked_as_it_is():
    model = MockChatModel()
    model.invoke(HISTORY)
    assert model.last_request.messages == WANTED
    assert ChatRequest(messages=HISTORY).messages == WANTED


def test_what_is_read_again_is_the_same():
    request = ChatRequest(messages=HISTORY)
    assert ChatRequest.model_validate_json(request.model_dump_json()) == request
    assert ChatRequest.model_validate(request.model_dump()) == request


def test_a_message_of_another_client_is_a_turn():
    said = SdkMessage(tool_calls=HISTORY[2]["tool_calls"][:1])
    messages = ChatRequest(messages=[USER, said]).messages
    assert messages[1] == Message(role="assistant", tool_calls=WANTED[2].tool_calls[:1])


def picture(url, **more):
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **more} if url else {}}]}


def calling(**call):
    return {"role": "assistant", "tool_calls": [call]}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            "part 0: a part of type 'input_aud",
        ),
        ({"role": "user", "content": 5}, "int is no content"),
        ({"role": "user", "content": [{"type": "text", "text": 5}]}, "part 0: text must be a text, got int"),
        ({"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"a": 1}}]}, "'cache_control'"),
        (picture(""), 'image_url must be {"url": ...}'),
        (picture("u", detail="high"), "leave it out"),
        (picture("data:image/png,x"), "must hold base64"),
        (picture("data:;base64,*"), "must hold base64"),
        ({"role": "assistant", "tool_calls": "x"}, "tool_calls must be a list"),
        (calling(function={"name": "x", "arguments": "{"}), "call 0: function.arguments"),
        (calling(function={"name": "x", "arguments": "[]"}), "call 0: function.arguments"),
        (calling(function={"name": "x"}), "call 0: id must be a text"),
        (calling(id="1", type="custom", function={}), "call 0: give"),
        (calling(id="1", function={"name": "x", "arguments": '{"a":' * 300 + "1" + "}" * 300}), "nested more than"),
    ],
)
def test_what_has_no_place_is_one_line_with_its_index(message, said):
    told = refusal(USER, message)
    assert told.startswith("wrong request: messages: the message at index 1: ")
    assert said in told
    assert "\n" not in told


def test_unknown_keys_are_told_by_their_place():
    assert refusal(USER, {**USER, "mood": "good"}) == "wrong request: messages.1.mood: there is no such key"


@given(st.text(min_size=30), st.sampled_from(["type", "text", "url", "more"]))
def test_no_text_is_in_the_error(text, key):
    secret = f"<{text}>"
    for part in ({"type": "image_url", "image_url": {key: secret}}, {"type": "file", key: secret}, {"type": secret}):
        assert secret not in refusal({"role": "user", "content": [part, 5, {"type": "file"}]})


class TestTools:
    def test_every_way_to_write_one(self):
        inner = {"name": "clock", "description": "Tells the time", "parameters": {"type": "object"}}
        ways = [{"type": "function", "function": {**inner, "strict": True}}, {"type": "function", **inner}, inner]
        request = ChatRequest(prompt="x", tools=ways)
        assert set(map(repr, request.tools)) == {repr(Tool(**inner))}
        assert all(Tool.of(way) == Tool(**inner) for way in (*ways, Tool(**inner)))

    @pytest.mark.parametrize(
        ("tool", "said"),
        [
            ({"type": "web_search"}, "a tool of type 'web_search' is the provider's own"),
            ({"type": "function", "function": {}}, "a tool needs a name"),
            ({"type": "function", "function": "x"}, "function must be a mapping"),
            ({"name": "x", "input_schema": {}}, "a tool has no 'input_schema'"),
            ({"name": 5}, "name of a tool cannot be of type int"),
            ("clock", "str is no tool"),
        ],
    )
    def test_what_is_none(self, tool, said):
        told = refusal(USER, tools=[{"name": "fine"}, tool])
        assert told.startswith("wrong request: tools: the tool at index 1: ")
        assert said in told
