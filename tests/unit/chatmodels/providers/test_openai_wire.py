from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call
from chatmodels.providers.openai_errors import reported
from chatmodels.providers.openai_wire import CHAT, StreamDecoder, decode, encode
from chatmodels.providers.strict_schema import fits_strict
from chatmodels.providers.wire import parse_body
from chatmodels.types import ChatRequest, ImagePart, Message, ResponseFormat, TextPart, Tool, ToolCall
from fmf_core.errors import Code, ConfigurationError

JSON = "application/json"


def call(**settings: object) -> Call:
    return Call("openai", "openai.complete", ChatRequest(**{"prompt": "hello", "model": "m", **settings}))


def payload(**choice: object) -> dict[str, object]:
    message = {"role": "assistant", "content": "Hi"}
    return {
        "id": "r1",
        "model": "m-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


# ------------------------------------------------------------------------------------------------------- requests


def test_zero_is_sent_and_none_is_left_out() -> None:
    body = encode(ChatRequest(prompt="x", temperature=0.0, max_tokens=None, seed=0))
    assert body["temperature"] == 0.0
    assert body["seed"] == 0
    assert "max_tokens" not in body
    assert set(encode(ChatRequest(prompt="x", temperature=None, max_tokens=None))) == {"model", "messages"}


def test_every_default_stands_in_the_body() -> None:
    body = encode(ChatRequest(prompt="x"))
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o-mini", 0.7, 1024)


def test_system_prompt_and_turns_keep_their_order() -> None:
    turns = [("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "again")]
    request = ChatRequest(messages=tuple(Message(role=role, content=text) for role, text in turns))
    assert [(m["role"], m["content"]) for m in encode(request)["messages"]] == turns
    short = encode(ChatRequest(prompt="u", system_prompt="s"))
    assert [m["role"] for m in short["messages"]] == ["system", "user"]


def test_images_go_as_urls_and_bytes_as_data_urls() -> None:
    parts = (
        TextPart(text="look"),
        ImagePart(data=b"\x01", media_type="image/png"),
        ImagePart(url="https://example.org/a.png"),
    )
    content = encode(ChatRequest(messages=(Message(role="user", content=parts),)))["messages"][0]["content"]
    assert content == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQ=="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]


def test_tools_their_calls_and_their_answers() -> None:
    request = ChatRequest(
        messages=(
            Message(role="user", content="weather?"),
            Message(role="assistant", tool_calls=(ToolCall(id="c1", name="weather", arguments={"city": "Köln"}),)),
            Message(role="tool", content="rain", tool_call_id="c1"),
        ),
        tools=(Tool(name="weather", description="d"),),
        tool_choice="weather",
    )
    body = encode(request)
    assistant, answer = body["messages"][1:]
    assert assistant["content"] is None
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "Köln"}
    assert answer == {"role": "tool", "content": "rain", "tool_call_id": "c1"}
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert encode(ChatRequest(prompt="x", tool_choice="auto"))["tool_choice"] == "auto"


@pytest.mark.parametrize(
    "model",
    ["o1", "o3-mini", "gpt-5", "gpt-5-mini", "openai/gpt-5", "gpt-5.1", "o1-pro", "ft:o4-mini-2025-04-16:org::id"],
)
def test_thinking_models_take_another_limit_and_no_default_temperature(model: str) -> None:
    body = encode(ChatRequest(prompt="x", model=model))
    assert body["max_completion_tokens"] == 1024
    assert "max_tokens" not in body
    assert "temperature" not in body
    assert encode(ChatRequest(prompt="x", model=model, temperature=0.3))["temperature"] == 0.3


@pytest.mark.parametrize("model", ["gpt-4o", "openhermes", "o-mini-local", "llama3"])
def test_other_models_take_max_tokens(model: str) -> None:
    body = encode(ChatRequest(prompt="x", model=model))
    assert body["max_tokens"] == 1024
    assert body["temperature"] == 0.7


def test_extra_parameters_win() -> None:
    body = encode(ChatRequest(prompt="x", seed=1, extra_params={"seed": 2, "top_k": 5}), stream=True)
    assert (body["seed"], body["top_k"], body["stream"]) == (2, 5, True)
    assert body["stream_options"] == {"include_usage": True}


def test_a_schema_is_strict_only_where_the_provider_would_take_it() -> None:
    closed = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}
    open_inside = {**closed, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}
    for schema, strict in ((closed, True), (open_inside, False), ({"type": "object"}, False)):
        assert fits_strict(schema) is strict
        wanted = ResponseFormat(type="json_schema", json_schema=schema, name="my answer!")
        sent = encode(ChatRequest(prompt="x", response_format=wanted))["response_format"]["json_schema"]
        assert sent == {"name": "my_answer_", "schema": schema, "strict": strict}
    text = encode(ChatRequest(prompt="x", response_format=ResponseFormat(type="json_object")))
    assert text["response_format"] == {"type": "json_object"}


# -------------------------------------------------------------------------------------------------------- replies


def test_a_good_reply() -> None:
    response = decode(parse_body(json.dumps(payload()).encode(), JSON, call()), call())
    assert (response.content, response.model, response.finish_reason, response.response_id) == (
        "Hi",
        "m-2026",
        "stop",
        "r1",
    )
    assert response.usage.total_tokens == 5
    assert response.usage.provider == "openai"


def test_details_of_usage_are_kept() -> None:
    reply = payload()
    reply["usage"] = {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    usage = decode(reply, call()).usage
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 5)


@pytest.mark.parametrize("usage", [None, [], "many", {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_missing_counts_are_estimated(usage: object) -> None:
    counted = decode({**payload(), "usage": usage}, call(prompt="x" * 40)).usage
    assert (counted.prompt_tokens, counted.completion_tokens) == (10, 1)


def test_tool_calls_of_a_reply() -> None:
    wanted = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    reply = payload(message={"content": None, "tool_calls": [wanted]}, finish_reason="tool_calls")
    response = decode(reply, call())
    assert response.tool_calls == (ToolCall(id="c", name="f", arguments={"a": 1}),)
    assert response.content == ""


@pytest.mark.parametrize("message", [{"content": "Hi"}, {"content": "Hi", "tool_calls": None}])
def test_an_answer_may_ask_for_no_tools(message: dict[str, object]) -> None:
    assert decode(payload(message=message), call()).tool_calls == ()


def test_content_in_parts_is_joined() -> None:
    assert decode(payload(message={"content": [{"type": "text", "text": "a"}, {"text": "b"}]}), call()).content == "ab"


def test_a_cut_answer_keeps_its_reason() -> None:
    assert decode(payload(finish_reason="length"), call()).finish_reason == "length"
    assert decode(payload(message={"content": None}, finish_reason="length"), call()).content == ""


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"<!doctype html><html>Sign in</html>", "text/html; charset=utf-8", "web page"),
        (b"\n <html>", JSON, "web page"),
        (b"", JSON, "empty"),
        (b"pong", "text/plain", "no valid JSON"),
        (b'{"choices": [', JSON, "no valid JSON"),
        (b"\xff\xfe", JSON, "no valid JSON"),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', JSON, "no valid JSON"),
        (b"[" * 100_000, JSON, "no valid JSON"),
        (b"[]", JSON, "type list"),
        (b'"text"', JSON, "type str"),
        (b"null", JSON, "type NoneType"),
        (b"{}", JSON, "no choices"),
        (b'{"choices": []}', JSON, "no choices"),
        (b'{"choices": null}', JSON, "no choices"),
        (b'{"choices": {}}', JSON, "no choices"),
        (b'{"choices": ["x"]}', JSON, "no object"),
        (b'{"choices": [{}]}', JSON, "no message"),
        (b'{"choices": [{"message": "x"}]}', JSON, "no message"),
        (b'{"choices": [{"message": {}}]}', JSON, "empty"),
        (b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}', JSON, "empty"),
        (b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}', JSON, "empty"),
        (b'{"choices": [{"message": {"content": 7}}]}', JSON, "type int"),
        (b'{"choices": [{"message": {"tool_calls": [{}]}}]}', JSON, "names no function"),
        (b'{"choices": [{"message": {"content": "Hi", "tool_calls": 5}}]}', JSON, "type int, not list"),
        (b'{"choices": [{"message": {"content": "Hi", "tool_calls": {}}}]}', JSON, "type dict, not list"),
        (b'{"choices": [{"message": {"content": "Hi", "tool_calls": "f"}}]}', JSON, "type str, not list"),
        (
            b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}}]}',
            JSON,
            "no valid JSON",
        ),
        (
            b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}}]}',
            JSON,
            "no JSON object",
        ),
        (b'{"error": "boom"}', JSON, "boom"),
        (b'{"error": {"message": "model is loading"}}', JSON, "model is loading"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_was_seen(body: bytes, content_type: str, said: str) -> None:
    with pytest.raises(ChatModelError, match=said) as caught:
        decode(parse_body(body, content_type, call()), call())
    assert caught.value.code is Code.BAD_REPLY
    assert not caught.value.retryable
    assert caught.value.fields == {"provider": "openai", "model": "m"}
    assert caught.value.op == "openai.complete"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with pytest.raises(ChatModelError):
        decode(parse_body(body, JSON, call()), call())


REPLY_WORDS = [
    "choices",
    "message",
    "content",
    "delta",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "index",
    "usage",
    "prompt_tokens",
    "finish_reason",
    "id",
    "error",
    "code",
    "model",
    "text",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(["stop", "length"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(REPLY_WORDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["choices", "usage", "id", "model", "error"]), json_values), json_values)
def test_no_shape_raises_anything_else(reply: dict[str, object], choice: object) -> None:
    for shape in (reply, {**reply, "choices": [choice]}):
        with suppress(ChatModelError):
            decode(parse_body(json.dumps(shape).encode(), JSON, call()), call())
        decoder = StreamDecoder(call())
        with suppress(ChatModelError):
            decoder.feed_event(json.dumps(shape).encode())
            decoder.finish()


def test_what_was_seen_is_short_and_without_secrets() -> None:
    body = b"oops sk-proj-abcdefghijklmnopqrstuvwxyz012345 " + b"x" * 5000
    with pytest.raises(ChatModelError) as caught:
        parse_body(body, "text/plain", call())
    assert "sk-proj" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_refusals_and_filters() -> None:
    for reply in (
        payload(finish_reason="content_filter"),
        payload(message={"content": None, "refusal": "I will not."}),
    ):
        with pytest.raises(ChatModelError) as caught:
            decode(reply, call())
        assert caught.value.code is Code.REFUSED


def test_cut_tool_arguments_are_called_truncated() -> None:
    wanted = {"function": {"name": "f", "arguments": '{"a": '}}
    with pytest.raises(ChatModelError) as caught:
        decode(payload(message={"tool_calls": [wanted]}, finish_reason="length"), call())
    assert caught.value.code is Code.TRUNCATED


# -------------------------------------------------------------------------------------------------------- streams


def delta(text: str | None = None, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"model": "m", "choices": [{"delta": {"content": text, **more}, "finish_reason": finish}]}


def test_a_stream_of_tool_calls_is_put_together() -> None:
    decoder = StreamDecoder(call())
    first = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}
    second = {"index": 1, "id": "c2", "function": {"name": "g", "arguments": ""}}
    third = {"index": 0, "function": {"arguments": ": 1}"}}
    for item in (first, second, third):
        assert decoder.feed(delta(tool_calls=[item])) is None
    decoder.feed(delta(finish="tool_calls"))
    assert decoder.finish().tool_calls == (
        ToolCall(id="c1", name="f", arguments={"a": 1}),
        ToolCall(id="c2", name="g", arguments={}),
    )


def piece(call_id: str | None, name: str | None, arguments: str) -> dict[str, object]:
    return {"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([("a", "pay", '{"to":"A"}'), ("b", "weather", "")], [("a", "pay", {"to": "A"}), ("b", "weather", {})]),
        ([("a", "f", "{}"), ("b", "f", '{"n":1}')], [("a", "f", {}), ("b", "f", {"n": 1})]),
        ([(None, "f", "{}"), (None, "g", "{}")], [("f", "f", {}), ("g", "g", {})]),
        ([("a", "f", '{"n"'), ("a", "f", ":1}")], [("a", "f", {"n": 1})]),
        ([("a", "f", '{"n"'), ("other", None, ":1}")], [("a", "f", {"n": 1})]),
        ([("a", "f", ""), ("b", "g", ""), (None, None, '{"n":1}')], [("a", "f", {}), ("b", "g", {"n": 1})]),
    ],
)
def test_calls_under_one_index_stay_apart(pieces: list[tuple[str, str, str]], wanted: list[object]) -> None:
    decoder = StreamDecoder(call())
    for item in pieces:
        decoder.feed(delta(tool_calls=[piece(*item)]))
    decoder.feed(delta(finish="tool_calls"))
    assert [(made.id, made.name, made.arguments) for made in decoder.finish().tool_calls] == wanted


def test_of_several_answers_only_the_first_counts() -> None:
    decoder = StreamDecoder(call())
    for several in (
        [(0, "Pay ", None)],
        [(1, "Do not ", None)],
        [(1, "pay", None), (0, "the bill.", None)],
        [(0, None, "stop"), (1, None, "length")],
        [(1, None, "length")],
    ):
        choices = [{"index": at, "delta": {"content": text}, "finish_reason": end} for at, text, end in several]
        decoder.feed({"choices": choices})
    assert decoder.finish().finish_reason == "stop"
    assert "".join(decoder.text) == "Pay the bill."


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers_are_refused_before_they_are_paid(stream: bool) -> None:
    assert CHAT.encode(call(extra_params={"n": 1}), stream=stream)["n"] == 1
    with pytest.raises(ChatModelError, match="n=2 answers") as caught:
        CHAT.encode(call(extra_params={"n": 2}), stream=stream)
    assert caught.value.code is Code.UNSUPPORTED
    assert "ask 2 times" in caught.value.hint


def test_a_character_that_is_cut_in_two_is_put_together() -> None:
    decoder = StreamDecoder(call())
    halves = [b'{"choices":[{"delta":{"content":"good \\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00!"}}]}']
    chunks = [decoder.feed_event(half) for half in halves]
    assert [chunk.text for chunk in chunks if chunk] == ["good ", "\U0001f600!"]
    decoder.feed(delta(finish="stop"))
    decoder.finish()


def read(events: list[bytes]) -> None:
    decoder = StreamDecoder(call())
    for event in events:
        decoder.feed_event(event)
    decoder.finish()


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\ude00", b"\\ud83dx"])
def test_half_a_character_is_a_bad_reply(half: bytes) -> None:
    events = [b'{"choices":[{"delta":{"content":"good ' + half + b'"},"finish_reason":"stop"}]}', b"[DONE]"]
    with pytest.raises(ChatModelError, match="half a character") as caught:
        read(events)
    assert caught.value.code is Code.BAD_REPLY


@pytest.mark.parametrize("as_text", [True, False])
def test_whole_numbers_in_arguments_keep_their_digits_there_and_back(as_text: bool) -> None:
    digits = '{"account":12345678901234567890123,"ok":9007199254740993}'
    wanted = {"account": 12345678901234567890123, "ok": 9007199254740993}
    arguments = json.dumps(digits) if as_text else digits
    raw = (
        '{"choices":[{"message":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":'
        f'{arguments}}}}}]}},"finish_reason":"tool_calls"}}]}}'
    )
    made = decode(parse_body(raw.encode(), JSON, call()), call()).tool_calls[0]
    assert made.arguments == wanted
    turns = (Message(role="user", content="x"), Message(role="assistant", tool_calls=(made,)))
    body = encode(ChatRequest(messages=turns))
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == digits


@pytest.mark.parametrize("arguments", [{"a": {1, 2}}, {"a": object()}, {"a": 10**30, "b": b"x"}])
def test_arguments_that_are_no_json_are_one_clear_error(arguments: dict[str, object]) -> None:
    turns = (Message(role="user", content="x"), Message(role="assistant", tool_calls=(_called(arguments),)))
    with pytest.raises(ConfigurationError, match="the arguments of tool call 'f' cannot be written as JSON"):
        encode(ChatRequest(messages=turns))


def _called(arguments: dict[str, object]) -> ToolCall:
    return ToolCall(id="1", name="f", arguments=arguments)


def test_arguments_that_are_nested_too_deeply_are_a_bad_reply() -> None:
    for depth, fine in ((200, True), (201, False), (500, False)):
        wanted = {"function": {"name": "f", "arguments": '{"a":' * depth + "1" + "}" * depth}}
        reply = payload(message={"tool_calls": [wanted]}, finish_reason="tool_calls")
        if fine:
            assert decode(reply, call()).tool_calls[0].name == "f"
            continue
        with pytest.raises(ChatModelError, match="nested more than 200 levels deep") as caught:
            decode(reply, call())
        assert caught.value.code is Code.BAD_REPLY


def test_a_stream_ends_with_its_reason_and_counts() -> None:
    decoder = StreamDecoder(call())
    chunk = decoder.feed(delta("Hi"))
    assert chunk is not None
    assert (chunk.text, chunk.finish_reason, chunk.usage) == ("Hi", None, None)
    decoder.feed(delta(finish="stop"))
    decoder.feed({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1}})
    last = decoder.finish()
    assert (last.text, last.finish_reason) == ("", "stop")
    assert last.usage is not None
    assert last.usage.total_tokens == 5


@pytest.mark.parametrize("delta", [5, "text", [], {"tool_calls": 5}, {"tool_calls": {}}, {"content": 5}])
def test_a_piece_of_another_type_is_a_bad_reply(delta: object) -> None:
    decoder = StreamDecoder(call())
    with pytest.raises(ChatModelError) as caught:
        decoder.feed({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]})
    assert caught.value.code is Code.BAD_REPLY


@pytest.mark.parametrize("wrong", [5, {"function": 5}, {"function": {"name": "f", "arguments": 5}}])
def test_a_tool_call_of_another_type_is_a_bad_reply(wrong: object) -> None:
    decoder = StreamDecoder(call())
    begun = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    decoder.feed(delta("Hi", tool_calls=[begun]))
    with pytest.raises(ChatModelError) as caught:
        decoder.feed(delta(tool_calls=[wrong]))
    assert caught.value.code is Code.BAD_REPLY


def test_arguments_may_come_as_an_object_in_a_stream_but_not_in_pieces_of_it() -> None:
    whole = {"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}
    decoder = StreamDecoder(call())
    decoder.feed(delta(tool_calls=[whole], finish="tool_calls"))
    assert decoder.finish().tool_calls[0].arguments == {"a": 1}
    for second in ({"b": 2}, "{}"):
        decoder = StreamDecoder(call())
        decoder.feed(delta(tool_calls=[whole]))
        with pytest.raises(ChatModelError) as caught:
            decoder.feed(delta(tool_calls=[{"index": 0, "function": {"arguments": second}}]))
        assert caught.value.code is Code.BAD_REPLY


def test_a_stream_without_its_end_may_be_tried_again() -> None:
    decoder = StreamDecoder(call())
    decoder.feed(delta("Hi"))
    with pytest.raises(ChatModelError, match="after 2 characters") as caught:
        decoder.finish()
    assert caught.value.code is Code.UNAVAILABLE


# --------------------------------------------------------------------------------------------------------- errors


def test_what_an_error_says_beats_its_status() -> None:
    assert reported({"code": "insufficient_quota"}, call(), status=429).code is Code.BUDGET
    assert reported({"code": "content_filter"}, call(), status=400).code is Code.REFUSED
    assert reported({"code": 503, "message": "Loading model"}, call()).code is Code.UNAVAILABLE
    assert "Loading model" in str(reported({"code": 503, "message": "Loading model"}, call()))


def test_a_streamed_answer_that_cannot_be_used_tells_what_it_took() -> None:
    decoder = StreamDecoder(call())
    decoder.feed(delta(finish="content_filter"))
    decoder.feed({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1}})
    with pytest.raises(ChatModelError) as counted:
        decoder.finish()
    assert counted.value.fields["usage"].total_tokens == 5
    assert not counted.value.fields["usage"].estimated
    uncounted = StreamDecoder(call())
    uncounted.feed(delta(finish="content_filter"))
    with pytest.raises(ChatModelError) as caught:
        uncounted.finish()
    assert "usage" not in caught.value.fields


@pytest.mark.parametrize(
    ("extra", "instead"),
    [({"messages": []}, "messages="), ({"model": "other"}, "model="), ({"stream": True}, "model.stream(")],
)
def test_extra_params_do_not_overwrite_the_request(extra, instead):
    with pytest.raises(ChatModelError, match=next(iter(extra))) as caught:
        CHAT.encode(call(extra_params=extra))
    assert caught.value.code is Code.INVALID
    assert instead in caught.value.hint
