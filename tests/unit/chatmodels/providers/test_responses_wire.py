from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call
from chatmodels.providers.responses_wire import StreamDecoder, decode, encode
from chatmodels.providers.wire import parse_body
from chatmodels.types import ChatRequest, ImagePart, Message, ResponseFormat, TextPart, Tool, ToolCall
from fmf_core.errors import Code


def call(**settings: Any) -> Call:
    given = {"model": "m", **settings} if "messages" in settings else {"prompt": "hello", "model": "m", **settings}
    return Call("openai", "openai.complete", ChatRequest(**given))


def text(*pieces: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": piece} for piece in pieces]}


def function(arguments: object = '{"zone": "UTC"}', **more: object) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": arguments, **more}


def reply(*output: object, **more: Any) -> dict[str, Any]:
    return {"id": "resp-1", "status": "completed", "model": "m-2026", "output": list(output), **more}


def read(payload: object, asked: Call | None = None) -> Any:
    asked = asked or call()
    return decode(parse_body(json.dumps(payload).encode(), "application/json", asked), asked)


def failure(payload: object) -> ChatModelError:
    with pytest.raises(ChatModelError) as caught:
        read(payload)
    return caught.value


# ------------------------------------------------------------------------------------------------------- requests


def test_a_plain_request_is_not_stored() -> None:
    assert encode(call()) == {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "hello"}],
        "temperature": 0.7,
        "max_output_tokens": 1024,
        "store": False,
    }


def test_a_whole_conversation() -> None:
    picture = ImagePart(data=b"x", media_type="image/png")
    messages = (
        Message(role="system", content="Be brief."),
        Message(role="system", content="Be kind."),
        Message(role="user", content=(TextPart(text="Look"), picture)),
        Message(role="assistant", content=(TextPart(text="I look."),)),
        Message(role="assistant", tool_calls=(ToolCall(id="c1", name="clock", arguments={"zone": "UTC"}),)),
        Message(role="tool", content="12:00", tool_call_id="c1"),
        Message(role="system", content="Now be long."),
        Message(role="user", content="And?"),
    )
    body = encode(call(messages=messages), stream=True)
    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert body["stream"] is True
    assert body["input"] == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": picture.as_url(), "detail": "auto"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": '{"zone":"UTC"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
        {"type": "message", "role": "system", "content": "Now be long."},
        {"type": "message", "role": "user", "content": "And?"},
    ]


def test_a_system_prompt_alone_is_the_input() -> None:
    body = encode(call(messages=(Message(role="system", content="Say hello."),)))
    assert "instructions" not in body
    assert body["input"] == [{"type": "message", "role": "system", "content": "Say hello."}]


def test_tools_and_the_choice_between_them() -> None:
    clock = Tool(name="clock", description="The time", parameters={"type": "object"})
    body = encode(call(tools=(clock,), tool_choice="clock"))
    assert body["tools"] == [
        {
            "type": "function",
            "name": "clock",
            "description": "The time",
            "parameters": {"type": "object"},
            "strict": False,
        }
    ]
    assert body["tool_choice"] == {"type": "function", "name": "clock"}
    assert encode(call(tools=(clock,), tool_choice="required"))["tool_choice"] == "required"


@pytest.mark.parametrize(("closed", "strict"), [({"additionalProperties": False}, True), ({}, False)])
def test_a_schema_is_the_format_of_the_text(closed: dict[str, Any], strict: bool) -> None:
    schema = {"type": "object", "properties": {}, **closed}
    body = encode(call(response_format=ResponseFormat(type="json_schema", json_schema=schema, name="an answer")))
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "an_answer", "schema": schema, "strict": strict},
    }
    assert encode(call(response_format=ResponseFormat(type="json_object")))["text"]["format"] == {"type": "json_object"}


def test_extra_parameters_go_in_last_and_leave_the_format_alone() -> None:
    extra = {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "store": True}
    body = encode(call(response_format=ResponseFormat(type="json_object"), extra_params=extra))
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert body["store"] is True


@pytest.mark.parametrize(("settings", "said"), [({"seed": 1}, "seed"), ({"stop": ("END",)}, "stop")])
def test_what_the_format_cannot_carry_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ChatModelError, match=said) as caught:
        encode(call(**settings))
    assert (caught.value.code, "api='chat'" in caught.value.hint) == (Code.UNSUPPORTED, True)


def test_none_is_left_out_and_thinking_models_keep_their_temperature() -> None:
    assert {"temperature", "max_output_tokens"}.isdisjoint(encode(call(temperature=None, max_tokens=None)))
    assert "temperature" not in encode(call(model="gpt-5-mini"))
    assert encode(call(model="gpt-5-mini", temperature=0.2))["temperature"] == 0.2


# ----------------------------------------------------------------------------------------------------------- replies


def test_a_text_with_its_counts() -> None:
    usage = {
        "input_tokens": 30,
        "output_tokens": 20,
        "input_tokens_details": {"cached_tokens": 10},
        "output_tokens_details": {"reasoning_tokens": 12},
    }
    response = read(reply({"type": "reasoning", "summary": []}, text("Hel", "lo"), text("!"), usage=usage))
    assert (response.content, response.model, response.finish_reason) == ("Hello!", "m-2026", "stop")
    assert response.response_id == "resp-1"
    tokens = response.usage
    counted = (tokens.prompt_tokens, tokens.completion_tokens, tokens.cached_tokens, tokens.reasoning_tokens)
    assert counted == (30, 20, 10, 12)


def test_tool_calls() -> None:
    response = read(reply(function()))
    assert response.finish_reason == "tool_calls"
    assert response.tool_calls == (ToolCall(id="c1", name="clock", arguments={"zone": "UTC"}),)


def test_an_answer_cut_by_the_limit() -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert read(reply(text("Hel"), **cut)).finish_reason == "length"
    assert read(reply({"type": "reasoning"}, **cut)).content == ""
    with pytest.raises(ChatModelError, match="cut the arguments") as caught:
        read(reply(function('{"zo'), **cut))
    assert caught.value.code is Code.TRUNCATED


@pytest.mark.parametrize(
    ("payload", "code", "said"),
    [
        (reply({"type": "message", "content": [{"type": "refusal", "refusal": "I won't"}]}), Code.REFUSED, "I won't"),
        (
            reply(text("Bad"), status="incomplete", incomplete_details={"reason": "content_filter"}),
            Code.REFUSED,
            "filter",
        ),
        (reply(text("x"), status="incomplete", incomplete_details={"reason": "steered"}), Code.BAD_REPLY, "steered"),
        (reply(text("x"), status="incomplete"), Code.BAD_REPLY, "incomplete"),
        (reply(text("x"), status="in_progress"), Code.BAD_REPLY, "in_progress"),
        (reply(text("x"), status=None), Code.BAD_REPLY, "None"),
        (reply(status="failed"), Code.BAD_REPLY, "no reason given"),
        (reply(status="failed", error={"code": "server_error", "message": "oops"}), Code.UNAVAILABLE, "oops"),
        (reply(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}), Code.RATE_LIMIT, "slow"),
        (reply(status="failed", error={"code": "invalid_prompt", "message": "no"}), Code.INVALID, "no"),
        (reply(status="failed", error={"code": "image_too_large", "message": "big"}), Code.INVALID, "big"),
        (reply(status="failed", error={"code": "bio_policy", "message": "no"}), Code.REFUSED, "no"),
        (reply(), Code.BAD_REPLY, "empty"),
        (reply({"type": "reasoning"}), Code.BAD_REPLY, "empty"),
        (reply("x"), Code.BAD_REPLY, "no output"),
        ({**reply(), "output": None}, Code.BAD_REPLY, "no output"),
        ({**reply(), "output": {}}, Code.BAD_REPLY, "no output"),
        (reply({"type": "message", "content": "Hello"}), Code.BAD_REPLY, "no content"),
        (reply({"type": "message", "content": ["Hello"]}), Code.BAD_REPLY, "type None"),
        (reply({"type": "message", "content": [{"type": "output_audio"}]}), Code.BAD_REPLY, "output_audio"),
        (reply({"type": "message", "content": [{"type": "output_text", "text": 7}]}), Code.BAD_REPLY, "type int"),
        (reply(function("[1]")), Code.BAD_REPLY, "no JSON object"),
        (reply(function("{")), Code.BAD_REPLY, "no valid JSON"),
        (reply(function(name="")), Code.BAD_REPLY, "names no function"),
        ({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}, Code.BAD_REPLY, "status None"),
        ([], Code.BAD_REPLY, "type list"),
    ],
)
def test_what_is_no_answer_is_an_error(payload: object, code: Code, said: str) -> None:
    error = failure(payload)
    assert error.code is code
    assert said in str(error)
    assert (error.op, error.fields["provider"], error.fields["model"]) == ("openai.complete", "openai", "m")


# ----------------------------------------------------------------------------------------------------------- streams


def stream(*events: object, asked: Call | None = None) -> tuple[str, Any]:
    decoder = StreamDecoder(asked or call())
    chunks = [decoder.feed_event(event if isinstance(event, bytes) else json.dumps(event).encode()) for event in events]
    last = decoder.finish()
    return "".join(chunk.text for chunk in chunks if chunk is not None), last


def delta(piece: object) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "delta": piece}


def ending(*output: object, kind: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": reply(*output, **{"status": kind, **more})}


def test_pieces_and_the_end() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    begun = {"type": "response.created", "response": {"error": None}}
    seen, last = stream(begun, delta("Hel"), delta(""), delta("lo"), ending(text("Hello"), usage=usage), b"[DONE]")
    assert (seen, last.text, last.finish_reason, last.usage.total_tokens) == ("Hello", "", "stop", 5)


def test_text_that_only_the_end_tells_is_handed_on() -> None:
    seen, last = stream(delta("Hel"), ending(text("Hello")))
    assert (seen, last.text) == ("Hel", "lo")


def test_a_character_that_is_cut_in_two_is_put_together() -> None:
    seen, last = stream(delta("good \ud83d"), delta("\ude00"), ending(text("good \U0001f600")))
    assert (seen, last.text) == ("good \U0001f600", "")
    with pytest.raises(ChatModelError, match="half a character"):
        stream(delta("good \ud83d"), ending(text("good")))


def test_a_cut_stream_says_so() -> None:
    cut = ending(text("Hel"), kind="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert stream(delta("Hel"), cut)[1].finish_reason == "length"


@pytest.mark.parametrize("told_in_the_end", [True, False])
@pytest.mark.parametrize(
    "events",
    [
        [("output_item.done", {"item": function()})],
        [
            ("output_item.added", {"item": function("")}),
            ("function_call_arguments.delta", {"delta": '{"zone": '}),
            ("function_call_arguments.delta", {"delta": '"UTC"}'}),
        ],
        [
            ("output_item.added", {"item": function("")}),
            ("function_call_arguments.delta", {"delta": '{"zo'}),
            ("function_call_arguments.done", {"arguments": '{"zone": "UTC"}'}),
        ],
    ],
)
def test_tool_calls_in_pieces(events: list[tuple[str, dict[str, Any]]], told_in_the_end: bool) -> None:
    sent = [{"type": f"response.{kind}", "output_index": 1, **more} for kind, more in events]
    _, last = stream(*sent, ending(*([function()] if told_in_the_end else [])))
    assert last.finish_reason == "tool_calls"
    assert last.tool_calls == (ToolCall(id="c1", name="clock", arguments={"zone": "UTC"}),)


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        ([delta("Hel")], Code.UNAVAILABLE, "after 3 characters"),
        ([], Code.UNAVAILABLE, "after 0 characters"),
        ([delta("Hel"), ending(text("Bye"))], Code.BAD_REPLY, "pieces"),
        ([delta("Hel"), ending()], Code.BAD_REPLY, "empty"),
        ([delta(7)], Code.BAD_REPLY, "type int"),
        ([{"delta": "x"}], Code.BAD_REPLY, "no type"),
        ([{"choices": []}], Code.BAD_REPLY, "no type"),
        ([{"type": "response.completed"}], Code.BAD_REPLY, "no response"),
        (
            [delta("x"), ending(kind="failed", error={"code": "server_error", "message": "oops"})],
            Code.UNAVAILABLE,
            "oo",
        ),
        ([delta("x"), ending(kind="failed")], Code.BAD_REPLY, "no reason"),
        ([{"type": "error", "code": "rate_limit_exceeded", "message": "slow"}], Code.RATE_LIMIT, "slow"),
        ([{"type": "error", "error": {"type": "server_error", "message": "oops"}}], Code.UNAVAILABLE, "oops"),
        ([{"type": "error", "message": "odd"}], Code.BAD_REPLY, "odd"),
        ([b"<html>"], Code.BAD_REPLY, "JSON"),
    ],
)
def test_streams_that_are_no_answer(events: list[object], code: Code, said: str) -> None:
    with pytest.raises(ChatModelError, match=said) as caught:
        stream(*events)
    assert caught.value.code is code


# --------------------------------------------------------------------------------------------------- whatever comes

WORDS = [
    "output",
    "status",
    "completed",
    "incomplete",
    "failed",
    "incomplete_details",
    "reason",
    "max_output_tokens",
    "type",
    "message",
    "content",
    "text",
    "output_text",
    "refusal",
    "function_call",
    "call_id",
    "name",
    "arguments",
    "usage",
    "input_tokens",
    "output_tokens",
    "error",
    "code",
    "model",
    "id",
    "response",
    "delta",
    "item",
    "output_index",
    "response.output_text.delta",
    "response.completed",
    "response.output_item.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
]
words = st.sampled_from(WORDS)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=12,
)
objects = st.dictionaries(words, values, max_size=6)


@given(objects, st.lists(values, max_size=3))
def test_any_reply_is_an_answer_or_an_error(payload: dict[str, Any], output: list[object]) -> None:
    for body in (payload, {**payload, "status": "completed", "output": output, "error": None}):
        try:
            response = read(body)
        except ChatModelError:
            continue
        assert response.content or response.tool_calls or response.finish_reason == "length"
        texts = json.dumps(body)
        assert all(piece in texts for piece in response.content.split() if piece in WORDS)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error(raw: bytes) -> None:
    with pytest.raises(ChatModelError):
        decode(parse_body(raw, "application/json", call()), call())


@given(st.lists(objects, max_size=4), st.booleans())
def test_any_stream_is_an_answer_or_an_error(events: list[dict[str, Any]], ended: bool) -> None:
    try:
        seen, last = stream(*events, *([ending(text("Hello"))] if ended else []))
    except ChatModelError:
        return
    assert seen + last.text or last.tool_calls or last.finish_reason == "length"


@given(st.text(max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_however_a_text_is_cut_it_comes_out_whole(whole: str, first: int, second: int) -> None:
    low, high = sorted((first, second))
    pieces = [delta(whole[:low]), delta(whole[low:high]), delta(whole[high:]), ending(text(whole or "x"))]
    seen, last = stream(*pieces)
    assert seen + last.text == (whole or "x")


@pytest.mark.parametrize(
    "last",
    [
        ending(text("")),
        ending(text("no"), kind="incomplete", incomplete_details={"reason": "content_filter"}),
        ending(kind="failed", error={"code": "server_error", "message": "no"}),
    ],
)
def test_a_streamed_answer_that_cannot_be_used_tells_what_it_took(last: dict[str, Any]) -> None:
    last["response"]["usage"] = {"input_tokens": 3, "output_tokens": 2}
    with pytest.raises(ChatModelError) as counted:
        stream(last)
    assert counted.value.fields["usage"].total_tokens == 5
    del last["response"]["usage"]
    with pytest.raises(ChatModelError) as uncounted:
        stream(last)
    assert "usage" not in uncounted.value.fields


@pytest.mark.parametrize("name", ["input", "instructions", "messages", "model", "stream"])
def test_extra_params_do_not_overwrite_the_request(name):
    with pytest.raises(ChatModelError, match=f"extra_params hold {name}") as caught:
        encode(call(extra_params={name: "x"}))
    assert caught.value.code is Code.INVALID
