from __future__ import annotations

import json
from contextlib import suppress

import pytest
from botocore.loaders import create_loader
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatModelError, ChatRequest, ImagePart, Message, TextPart, ToolCall
from chatmodels.providers.bedrock.models import refuse_impossible, traits_of
from chatmodels.providers.bedrock.wire import CONVERSE_FIELDS, MERGED_FIELDS, ConverseDecoder, decode, encode, tool_id
from chatmodels.providers.call import Call
from chatmodels.types import ResponseFormat, Tool
from fmf_core.errors import Code

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OLD_CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
CLOCK = Tool(name="clock", description="Tells the time.", parameters={"type": "object", "properties": {}})
ASKED = ToolCall(id="call_1", name="clock", arguments={"zone": "UTC"})
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}


def call_of(model: str = OLD_CLAUDE, **fields: object) -> Call:
    if "messages" not in fields:
        fields = {"prompt": "hello", **fields}
    return Call("aws_bedrock", "aws_bedrock.complete", ChatRequest(model=model, **fields))


def encoded(model: str = OLD_CLAUDE, **fields: object) -> dict:
    return encode(call_of(model, **fields), traits_of(model))


def told(*blocks: dict, **fields: object) -> dict:
    whole = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": "end_turn"}
    return {**whole, "usage": USAGE, **fields}


def stream(*events: dict) -> list:
    decoder = ConverseDecoder(call_of())
    return [chunk for chunk in map(decoder.feed, events) if chunk is not None] + [decoder.finish()]


# Requests


def test_a_plain_request():
    assert encoded(temperature=0.5, max_tokens=9, stop="END") == {
        "modelId": OLD_CLAUDE,
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]},
    }


def test_none_is_left_out():
    assert encoded(temperature=None, max_tokens=None)["inferenceConfig"] == {}


def test_the_system_prompt_stands_apart_and_turns_of_one_role_are_one():
    turns = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="one"),
        Message(role="user", content="two"),
        Message(role="assistant", content="three"),
        Message(role="assistant", content="  "),
        Message(role="user", content="four"),
    )
    body = encoded(messages=turns)
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
        {"role": "assistant", "content": [{"text": "three"}]},
        {"role": "user", "content": [{"text": "four"}]},
    ]


def test_tools_and_their_results():
    turns = (
        Message(role="user", content="time?"),
        Message(role="assistant", content="Let me see.", tool_calls=(ASKED, ToolCall(id="b c", name="clock"))),
        Message(role="tool", content="12:00", tool_call_id="call_1"),
        Message(role="tool", content="", tool_call_id="b c"),
        Message(role="user", content="and?"),
    )
    body = encoded(messages=turns, tools=(CLOCK,), tool_choice="required")
    changed = tool_id("b c", traits_of(OLD_CLAUDE))
    assert changed.startswith("b_c_")
    assert body["messages"][1]["content"] == [
        {"text": "Let me see."},
        {"toolUse": {"toolUseId": "call_1", "name": "clock", "input": {"zone": "UTC"}}},
        {"toolUse": {"toolUseId": changed, "name": "clock", "input": {}}},
    ]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "12:00"}]}},
        {"toolResult": {"toolUseId": changed, "content": []}},
        {"text": "and?"},
    ]
    spec = {"name": "clock", "description": "Tells the time.", "inputSchema": {"json": CLOCK.parameters}}
    assert body["toolConfig"] == {"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}}
    assert encoded(messages=turns)["toolConfig"]["tools"][0]["toolSpec"]["name"] == "clock"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [(None, None), ("auto", {"auto": {}}), ("required", {"any": {}}), ("clock", {"tool": {"name": "clock"}})],
)
def test_the_choice_of_a_tool(choice, sent):
    assert encoded(tools=(CLOCK,), tool_choice=choice)["toolConfig"].get("toolChoice") == sent


def test_no_tool_is_offered_when_none_may_be_chosen():
    assert "toolConfig" not in encoded(tools=(CLOCK,), tool_choice="none")
    turns = (Message(role="user", content="x"), Message(role="assistant", tool_calls=(ASKED,)))
    with pytest.raises(ChatModelError, match="tool_choice 'none'") as caught:
        encoded(messages=turns, tools=(CLOCK,), tool_choice="none")
    assert caught.value.code is Code.UNSUPPORTED


def test_pictures_go_as_bytes():
    picture = ImagePart(data=b"\x89PNG", media_type="image/jpg")
    body = encoded(messages=(Message(role="user", content=(TextPart(text="see"), picture)),))
    assert body["messages"][0]["content"] == [
        {"text": "see"},
        {"image": {"format": "jpeg", "source": {"bytes": b"\x89PNG"}}},
    ]


@pytest.mark.parametrize("part", [ImagePart(url="https://x/y.png"), ImagePart(data=b"x", media_type="image/tiff")])
def test_other_pictures_are_refused(part):
    with pytest.raises(ChatModelError) as caught:
        encoded(messages=(Message(role="user", content=(part,)),))
    assert caught.value.code is Code.UNSUPPORTED
    assert caught.value.hint


def test_a_conversation_without_any_text_is_refused():
    with pytest.raises(ChatModelError, match="no turn") as caught:
        encoded(messages=(Message(role="user", content=" \n"),))
    assert caught.value.code is Code.INVALID


def test_extra_params_are_the_models_own_fields_except_for_those_of_converse():
    body = encoded(
        extra_params={
            "top_k": 5,
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "projectIdentifier": "p",
            "inferenceConfig": {"topP": 0.5},
            "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
        },
        temperature=0.1,
        max_tokens=None,
    )
    assert body["additionalModelRequestFields"] == {"top_k": 5, "thinking": {"type": "enabled"}}
    assert (body["guardrailConfig"]["guardrailIdentifier"], body["projectIdentifier"]) == ("g", "p")
    assert body["inferenceConfig"] == {"temperature": 0.1, "topP": 0.5}
    with pytest.raises(ChatModelError, match="inferenceConfig"):
        encoded(extra_params={"inferenceConfig": 1})


def test_a_schema_is_enforced_where_the_model_can_be_held_to_it_and_told_elsewhere():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = ResponseFormat(type="json_schema", json_schema=schema, name="my answer")
    native = encoded(CLAUDE, response_format=wanted)
    inside = native["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(inside["schema"]) == schema
    assert inside["name"] == "my_answer"
    assert "system" not in native
    only_told = encoded(OLD_CLAUDE, response_format=wanted)
    assert "outputConfig" not in only_told
    assert json.dumps(schema, separators=(",", ":")) in only_told["system"][0]["text"]
    assert "JSON object" in encoded(CLAUDE, response_format=ResponseFormat(type="json_object"))["system"][0]["text"]
    assert "system" not in encoded(response_format=ResponseFormat(type="text"))


def test_a_model_without_a_place_for_the_system_prompt_gets_it_in_the_first_turn():
    body = encoded("amazon.titan-text-express-v1", prompt="hello", system_prompt="Be brief.")
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "Be brief."}, {"text": "hello"}]}]


def test_a_temperature_that_nobody_chose_is_left_out_where_a_model_takes_none():
    model = "global.anthropic.claude-opus-4-7"
    assert "temperature" not in encoded(model)["inferenceConfig"]
    assert encoded(model, temperature=0.3)["inferenceConfig"]["temperature"] == 0.3


@given(st.text(max_size=100), st.text(max_size=100), st.sampled_from([CLAUDE, "amazon.nova-lite-v1:0"]))
def test_ids_of_calls_are_always_of_the_allowed_kind_and_stay_different(one, other, model):
    made, second = (tool_id(text, traits_of(model)) for text in (one, other))
    marks = "_-" if model == CLAUDE else "_.:-"
    assert 1 <= len(made) <= 64
    assert all(character.isascii() and (character.isalnum() or character in marks) for character in made)
    assert (made == second) == (one == other)


def test_ids_that_differ_in_what_cannot_be_sent_or_far_behind_stay_different():
    claude, nova = traits_of(CLAUDE), traits_of("amazon.nova-lite-v1:0")
    assert tool_id("functions.clock:0", nova) == "functions.clock:0"
    assert tool_id("functions.clock:0", claude) != tool_id("functions.clock.0", claude)
    assert tool_id("c" * 70 + "1", nova) != tool_id("c" * 70 + "2", nova)


# What models can do


@pytest.mark.parametrize(
    ("model", "body", "lacks"),
    [
        (CLAUDE, "anthropic", set()),
        (OLD_CLAUDE, "anthropic", {"json_schema"}),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "anthropic",
            {"tools", "images", "json_schema"},
        ),
        ("arn:aws:bedrock:eu-west-1:1234:inference-profile/eu.amazon.nova-pro-v1:0", "nova", {"json_schema"}),
        ("amazon.titan-text-lite-v1", None, {"tools", "images", "system", "json_schema"}),
        ("us.meta.llama3-1-70b-instruct-v1:0", "llama3", {"images", "json_schema"}),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "llama4", {"stream", "json_schema"}),
        ("mistral.mistral-7b-instruct-v0:2", "mistral", {"tools", "images", "system", "json_schema"}),
        ("mistral.mistral-small-2402-v1:0", "mistral", {"images", "json_schema"}),
        ("mistral.mistral-large-2407-v1:0", "mistral_chat", {"images", "json_schema"}),
        ("arn:aws:bedrock:us-east-1:1234:application-inference-profile/abc", None, {"json_schema"}),
    ],
)
def test_what_is_known_of_models(model, body, lacks):
    traits = traits_of(model)
    assert traits.body == body
    assert {"tools", "images", "system", "json_schema", "stream"} - traits.able == lacks


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (OLD_CLAUDE, {"prompt": "x", "seed": 7}),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "x", "tools": (CLOCK,)}),
        ("mistral.mistral-7b-instruct-v0:2", {"messages": (Message(role="tool", content="x", tool_call_id="y"),)}),
        (
            "amazon.nova-micro-v1:0",
            {"messages": (Message(role="user", content=(ImagePart(data=b"x", media_type="image/png"),)),)},
        ),
    ],
)
def test_what_a_model_certainly_cannot_do_is_refused_before_it_is_asked(model, fields):
    with pytest.raises(ChatModelError) as caught:
        refuse_impossible(call_of(model, **fields), traits_of(model))
    assert caught.value.code is Code.UNSUPPORTED
    assert caught.value.hint


# Replies


def test_a_reply():
    reply = told({"text": "Hel"}, {"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "lo"})
    answer = decode({**reply, "ResponseMetadata": {"RequestId": "r-1"}}, call_of())
    assert (answer.content, answer.finish_reason, answer.response_id) == ("Hello", "stop", "r-1")
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.completion_tokens) == (OLD_CLAUDE, 3, 4)


def test_the_prompt_includes_what_went_through_the_cache():
    usage = {**USAGE, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
    counted = decode(told({"text": "x"}, usage=usage), call_of()).usage
    assert (counted.prompt_tokens, counted.cached_tokens, counted.cache_write_tokens) == (123, 100, 20)


def test_tool_calls_of_a_reply():
    wanted = {"toolUse": {"toolUseId": "t1", "name": "clock", "input": {"zone": "UTC"}}}
    answer = decode(told(wanted, stopReason="tool_use"), call_of())
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == (ToolCall(id="t1", name="clock", arguments={"zone": "UTC"}),)


def test_every_argument_of_converse_is_known_to_be_one():
    """Otherwise it would go to the model, which knows nothing of it."""
    model = create_loader().load_service_model("bedrock-runtime", "service-2")
    ours = {"modelId", "messages", "system", "toolConfig"}
    for shape in ("ConverseRequest", "ConverseStreamRequest"):
        assert set(model["shapes"][shape]["members"]) - ours <= CONVERSE_FIELDS | MERGED_FIELDS


def test_text_with_sources_is_text():
    sources = {"citationsContent": {"content": [{"text": "It is "}, {"text": "noon."}], "citations": [{"title": "t"}]}}
    assert decode(told({"text": "Look: "}, sources), call_of()).content == "Look: It is noon."
    for wrong in ({"citationsContent": {"content": 5}}, {"citationsContent": {"content": [{"text": 5}]}}):
        with pytest.raises(ChatModelError) as caught:
            decode(told({"text": "x"}, wrong), call_of())
        assert caught.value.code is Code.BAD_REPLY


def test_a_tool_that_the_provider_runs_itself_is_no_wish_of_the_model():
    search = {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    whole = decode(told({"toolUse": {**search, "input": {"q": "time"}}}, {"text": "noon"}), call_of())
    begun = {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": search}}}
    spoken = {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "noon"}}}
    last = stream(begun, arguments('{"q"', 0), arguments(": 1}", 0), spoken, STOP, COUNTS)[-1]
    assert whole.tool_calls == last.tool_calls == ()
    assert whole.finish_reason == last.finish_reason == "stop"


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "something_new"),
    ],
)
def test_why_an_answer_ended(stop, reason):
    assert decode(told({"text": "x"}, stopReason=stop), call_of()).finish_reason == reason


def test_a_cut_answer_may_be_empty():
    assert decode(told(stopReason="max_tokens"), call_of()).finish_reason == "length"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ({}, Code.BAD_REPLY),
        ({"output": {}}, Code.BAD_REPLY),
        (told(), Code.BAD_REPLY),
        (told({"text": ""}), Code.BAD_REPLY),
        (told({"text": 5}), Code.BAD_REPLY),
        (told({"text": "x"}, 5), Code.BAD_REPLY),
        (told({"text": "x"}, stopReason=None), Code.BAD_REPLY),
        (told({"text": "x"}, usage=None), Code.BAD_REPLY),
        (told({"text": "x"}, usage={"inputTokens": -1, "outputTokens": 1}), Code.BAD_REPLY),
        (told({"text": "x"}, usage={"inputTokens": True, "outputTokens": 1}), Code.BAD_REPLY),
        (told({"text": "x"}, stopReason="malformed_model_output"), Code.BAD_REPLY),
        (told({"toolUse": {"toolUseId": "t"}}), Code.BAD_REPLY),
        (told({"toolUse": {"name": "n", "input": [1]}}), Code.BAD_REPLY),
        (told({"text": "no"}, stopReason="guardrail_intervened"), Code.REFUSED),
        (told({"text": "no"}, stopReason="content_filtered"), Code.REFUSED),
    ],
)
def test_what_is_no_answer(reply, code):
    with pytest.raises(ChatModelError) as caught:
        decode(reply, call_of())
    assert caught.value.code is code
    assert OLD_CLAUDE in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
blocks = st.lists(
    st.dictionaries(st.sampled_from(["text", "toolUse", "reasoningContent"]), json_values, max_size=2), max_size=3
)
replies = st.fixed_dictionaries(
    {},
    optional={
        "output": json_values | st.fixed_dictionaries({"message": st.fixed_dictionaries({"content": blocks})}),
        "stopReason": json_values | st.sampled_from(["end_turn", "tool_use", "max_tokens"]),
        "usage": json_values | st.just(USAGE),
    },
)


@given(replies)
def test_whatever_comes_is_an_answer_or_one_of_our_errors(reply):
    with suppress(ChatModelError):
        answer = decode(reply, call_of())
        assert answer.content or answer.tool_calls or answer.finish_reason == "length"


# Streams

STOP = {"messageStop": {"stopReason": "end_turn"}}
COUNTS = {"metadata": {"usage": USAGE}}


def text(piece: str) -> dict:
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}}


def test_a_stream():
    thought = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}}
    begun = ({"ResponseMetadata": {"RequestId": "r-2"}}, {"messageStart": {"role": "assistant"}})
    chunks = stream(*begun, thought, text("Hel"), text(""), text("lo"), {"somethingNew": {}}, STOP, COUNTS)
    assert [chunk.text for chunk in chunks] == ["Hel", "lo", ""]
    last = chunks[-1]
    assert (last.finish_reason, last.usage.total_tokens, last.response_id) == ("stop", 7, "r-2")


def test_a_character_that_a_stream_cuts_in_two_is_put_together():
    halves = [
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": half}}} for half in ("a \ud83d", "\ude00")
    ]
    assert "".join(chunk.text for chunk in stream(*halves, STOP, COUNTS)) == "a \U0001f600"
    with pytest.raises(ChatModelError, match="half a character") as caught:
        stream(halves[0], STOP, COUNTS)
    assert caught.value.code is Code.BAD_REPLY


def test_tool_calls_of_a_stream_come_in_pieces():
    chunks = stream(
        {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "clock"}}}},
        {"contentBlockStart": {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t2", "name": "clock"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"zo'}}}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": 'ne": "UTC"}'}}}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        COUNTS,
    )
    assert [(wanted.id, wanted.arguments) for wanted in chunks[-1].tool_calls] == [("t1", {"zone": "UTC"}), ("t2", {})]


def start(index: int = 1) -> dict:
    tool = {"toolUseId": "t1", "name": "clock"}
    return {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": tool}}}


def arguments(piece: object, index: int = 1) -> dict:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}}}


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ((), Code.UNAVAILABLE),
        ((text("x"),), Code.UNAVAILABLE),
        ((text("x"), COUNTS), Code.UNAVAILABLE),
        ((text("x"), STOP), Code.UNAVAILABLE),
        ((STOP, COUNTS), Code.BAD_REPLY),
        (({"contentBlockDelta": {}}, STOP, COUNTS), Code.BAD_REPLY),
        ((text("x"), {"messageStop": {"stopReason": "guardrail_intervened"}}, COUNTS), Code.REFUSED),
        ((arguments("{}"), STOP, COUNTS), Code.BAD_REPLY),
        ((start(), arguments(5), STOP, COUNTS), Code.BAD_REPLY),
        ((start(), arguments("{"), STOP, COUNTS), Code.BAD_REPLY),
        ((start(), arguments("[]"), STOP, COUNTS), Code.BAD_REPLY),
        ((start(), arguments("{"), {"messageStop": {"stopReason": "max_tokens"}}, COUNTS), Code.TRUNCATED),
    ],
)
def test_what_is_no_stream(events, code):
    with pytest.raises(ChatModelError) as caught:
        stream(*events)
    assert caught.value.code is code


def test_an_answer_that_cannot_be_used_tells_what_it_took():
    events = ({"messageStop": {"stopReason": "guardrail_intervened"}}, {"metadata": {"usage": USAGE}})
    for ask in (lambda: decode(told(), call_of()), lambda: stream(*events)):
        with pytest.raises(ChatModelError) as caught:
            ask()
        assert caught.value.fields["usage"].completion_tokens == USAGE["outputTokens"]
    with pytest.raises(ChatModelError) as caught:
        stream(events[0])
    assert "usage" not in caught.value.fields


@pytest.mark.parametrize("name", ["messages", "modelId", "stream"])
def test_extra_params_do_not_overwrite_the_request(name):
    with pytest.raises(ChatModelError, match=f"extra_params hold {name}"):
        encoded(extra_params={name: "x"})
