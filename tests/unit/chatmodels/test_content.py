from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatRequest, ImagePart, Message, TextPart, Tool, ToolCall
from chatmodels.content import INPUT, OUTPUT, SYSTEM, TOOLS, answered, as_text, asked

KEY = "sk-proj-" + "a1B2c3D4" * 6

# The published shapes, in short: what each kind of part must have, and nothing of another type.
TEXT = {"type": "string"}
PARTS = {
    "text": {"content": TEXT},
    "tool_call": {"id": {"type": ["string", "null"]}, "name": TEXT, "arguments": {}},
    "tool_call_response": {"id": {"type": ["string", "null"]}, "response": {}},
    "uri": {"modality": {"enum": ["image", "video", "audio", "document"]}, "mime_type": TEXT, "uri": TEXT},
}
PART = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"type": {"const": kind}, **properties},
            "required": ["type", *properties],
            "additionalProperties": False,
        }
        for kind, properties in PARTS.items()
    ]
}
MESSAGE = {
    "type": "object",
    "properties": {
        "role": {"enum": ["system", "user", "assistant", "tool"]},
        "parts": {"type": "array", "items": PART},
        "finish_reason": TEXT,
    },
    "required": ["role", "parts"],
    "additionalProperties": False,
}
FUNCTION = {
    "type": "object",
    "properties": {"type": {"const": "function"}, "name": TEXT, "description": TEXT, "parameters": {"type": "object"}},
    "required": ["type", "name"],
    "additionalProperties": False,
}
SHAPES = {
    INPUT: MESSAGE,
    OUTPUT: {**MESSAGE, "required": ["role", "parts", "finish_reason"]},
    SYSTEM: PART,
    TOOLS: FUNCTION,
}


def check(facts):
    for name, items in facts.items():
        jsonschema.validate(items, {"type": "array", "items": SHAPES[name], "minItems": 1})
        assert json.loads(as_text(facts)[name]) is not None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)
)
tool_calls = st.builds(ToolCall, id=st.text(), name=st.text(), arguments=st.dictionaries(st.text(), values, max_size=3))
pictures = st.builds(ImagePart, data=st.binary(min_size=1), media_type=st.just("image/png")) | st.builds(
    ImagePart, url=st.text().map("https://x/{}".format)
)
contents = st.text() | st.lists(st.builds(TextPart, text=st.text()) | pictures, max_size=3).map(tuple)
messages = st.one_of(
    st.builds(Message, role=st.sampled_from(["system", "user"]), content=contents),
    st.builds(
        Message, role=st.just("assistant"), content=contents, tool_calls=st.lists(tool_calls, max_size=2).map(tuple)
    ),
    st.builds(Message, role=st.just("tool"), content=st.text(), tool_call_id=st.text(min_size=1)),
)
tools = st.builds(Tool, name=st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"), description=st.text())


@given(st.lists(messages, min_size=1, max_size=4), st.lists(tools, max_size=2))
def test_whatever_is_asked_has_the_published_shape(turns, known):
    check(asked(ChatRequest(messages=tuple(turns), tools=tuple(known))))


@given(st.text(), st.lists(tool_calls, max_size=2), st.sampled_from(["stop", "length", "tool_calls", "other"]))
def test_whatever_is_answered_has_the_published_shape(text, calls, reason):
    check(answered(text, calls, reason))


def test_what_there_is_none_of_is_left_out():
    assert set(asked(ChatRequest(prompt="x"))) == {INPUT}
    assert set(asked(ChatRequest(messages=(Message(role="system", content="x"),)))) == {SYSTEM}


@pytest.mark.parametrize(("reason", "told"), [("tool_calls", "tool_call"), ("stop", "stop"), ("odd", "odd")])
def test_the_reason_of_the_end_is_that_of_the_schema(reason, told):
    assert answered("x", (), reason)[OUTPUT][0]["finish_reason"] == told


def test_pictures_are_told_by_address_or_hash():
    parts = (ImagePart(url="https://example.org/a.png"), ImagePart(data=b"picture", media_type="image/jpeg"))
    told = asked(ChatRequest(messages=(Message(role="user", content=parts),)))[INPUT][0]["parts"]
    assert [part["uri"].split(":")[0] for part in told] == ["https", "sha256"]
    assert told[1]["mime_type"] == "image/jpeg"
    assert "picture" not in str(told)


def test_secrets_are_blanked_wherever_they_stand():
    call = ToolCall(id="1", name="send", arguments={"api_key": "anything", "note": f"use {KEY}"})
    turns = (
        Message(role="system", content=KEY),
        Message(role="user", content=(TextPart(text=KEY),)),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content=KEY, tool_call_id="1"),
    )
    known = Tool(name="send", description=f"sends {KEY}", parameters={"type": "object", "default": KEY})
    told = str({**asked(ChatRequest(messages=turns, tools=(known,))), **answered(KEY, (call,), "stop")})
    assert KEY not in told
    assert "anything" not in told
