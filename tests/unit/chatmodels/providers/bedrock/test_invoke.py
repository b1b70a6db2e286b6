from __future__ import annotations

import json

import pytest
from botocore.loaders import create_loader
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatModelError, ChatRequest, ImagePart, Message, TextPart, ToolCall
from chatmodels.providers.bedrock.invoke import INVOKE_FIELDS, InvokeDecoder, decode_invoke, encode_invoke
from chatmodels.providers.bedrock.models import Traits, traits_of
from chatmodels.providers.call import Call
from chatmodels.types import ResponseFormat, Tool
from fmf_core.errors import Code

CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
NEW_CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-pro-v1:0"
LLAMA3 = "meta.llama3-1-8b-instruct-v1:0"
LLAMA4 = "us.meta.llama4-scout-17b-instruct-v1:0"
MISTRAL = "mistral.mistral-7b-instruct-v0:2"
MISTRAL_CHAT = "us.mistral.pixtral-large-2502-v1:0"
CLOCK = Tool(name="clock", description="Tells the time.")
TALK = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="one"),
    Message(role="assistant", content="two"),
    Message(role="user", content="three"),
)
WITH_TOOLS = (
    Message(role="user", content="time?"),
    Message(role="assistant", tool_calls=(ToolCall(id="c1", name="clock", arguments={"zone": "UTC"}),)),
    Message(role="tool", content="12:00", tool_call_id="c1"),
)


def call_of(model: str, **fields: object) -> Call:
    if "messages" not in fields:
        fields = {"prompt": "hello", **fields}
    return Call("aws_bedrock", "aws_bedrock.complete", ChatRequest(model=model, **fields))


def body_of(model: str, **fields: object) -> dict:
    arguments = encode_invoke(call_of(model, **fields), traits_of(model))
    assert arguments["modelId"] == model
    return json.loads(arguments["body"])


def answer_of(model: str, payload: object, headers: dict | None = None):
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    reply = {"ResponseMetadata": {"RequestId": "r-1", "HTTPHeaders": headers or {}}}
    return decode_invoke(reply, raw, call_of(model), traits_of(model))


def stream_of(model: str, *payloads: object) -> list:
    decoder = InvokeDecoder(call_of(model), traits_of(model))
    events = [{"ResponseMetadata": {"RequestId": "r-2"}}]
    events += [{"chunk": {"bytes": json.dumps(payload).encode()}} for payload in payloads]
    return [chunk for chunk in map(decoder.feed, events) if chunk is not None] + [decoder.finish()]


# Claude


def test_claude():
    body = body_of(CLAUDE, messages=TALK, temperature=0.1, max_tokens=7, stop="END", extra_params={"top_k": 5})
    assert body == {
        "anthropic_version": "bedrock-2023-05-31",
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": [{"type": "text", "text": "three"}]},
        ],
        "max_tokens": 7,
        "temperature": 0.1,
        "stop_sequences": ["END"],
        "top_k": 5,
    }
    assert body_of(CLAUDE, max_tokens=None, temperature=None).keys() == {"anthropic_version", "max_tokens", "messages"}


def test_claude_with_tools_and_pictures():
    picture = Message(role="user", content=(TextPart(text="see"), ImagePart(data=b"abc", media_type="image/png")))
    body = body_of(CLAUDE, messages=(*WITH_TOOLS, picture), tools=(CLOCK,), tool_choice="clock")
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "c1", "name": "clock", "input": {"zone": "UTC"}}
    ]
    result, seen, image = body["messages"][2]["content"]
    assert result == {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "12:00"}]}
    assert seen == {"type": "text", "text": "see"}
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": "YWJj"}
    assert body["tools"] == [
        {"name": "clock", "description": "Tells the time.", "input_schema": {"type": "object", "properties": {}}}
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "clock"}
    assert body_of(CLAUDE, tools=(CLOCK,), tool_choice="required")["tool_choice"] == {"type": "any"}


def test_claude_is_held_to_a_schema_where_it_can_be():
    wanted = ResponseFormat(type="json_schema", json_schema={"type": "object"})
    assert body_of(NEW_CLAUDE, response_format=wanted)["output_config"]["format"]["schema"] == {"type": "object"}
    assert "JSON Schema" in body_of(CLAUDE, response_format=wanted)["system"]


def test_what_claude_answers():
    usage = {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5}
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t", "name": "clock", "input": {"a": 1}},
    ]
    answer = answer_of(CLAUDE, {"content": content, "stop_reason": "tool_use", "usage": usage})
    assert (answer.content, answer.finish_reason, answer.response_id) == ("Hello", "tool_calls", "r-1")
    assert answer.tool_calls[0].arguments == {"a": 1}
    assert (answer.usage.prompt_tokens, answer.usage.cached_tokens, answer.usage.completion_tokens) == (18, 10, 4)


def test_what_claude_streams():
    def delta(index, **facts):
        return {"type": "content_block_delta", "index": index, "delta": facts}

    block = {"type": "tool_use", "id": "t", "name": "clock", "input": {}}
    chunks = stream_of(
        CLAUDE,
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta(0, type="text_delta", text="Hello"),
        delta(0, type="thinking_delta", thinking="hm"),
        {"type": "content_block_start", "index": 1, "content_block": block},
        delta(1, type="input_json_delta", partial_json='{"a"'),
        delta(1, type="input_json_delta", partial_json=": 1}"),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}},
    )
    last = chunks[-1]
    assert [chunk.text for chunk in chunks] == ["Hello", ""]
    assert (last.finish_reason, last.usage.prompt_tokens, last.usage.completion_tokens) == ("tool_calls", 3, 9)
    assert (last.tool_calls[0].arguments, last.response_id) == ({"a": 1}, "r-2")
    with pytest.raises(ChatModelError, match="overloaded") as caught:
        stream_of(CLAUDE, {"type": "error", "error": {"type": "overloaded_error"}})
    assert caught.value.code is Code.UNAVAILABLE


def test_claude_with_a_tool_that_nobody_described_and_one_of_its_own():
    assert body_of(CLAUDE, tools=(Tool(name="clock"),))["tools"][0].keys() == {"name", "input_schema"}
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    piece = {"type": "input_json_delta", "partial_json": '{"q": 1}'}
    last = stream_of(
        CLAUDE,
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": piece},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop", **METRICS},
    )[-1]
    assert (last.tool_calls, last.usage.total_tokens) == ((), 18)


# Nova


def test_objects_among_the_extra_params_are_laid_over_those_of_the_body():
    body = body_of(NOVA, max_tokens=7, temperature=None, extra_params={"inferenceConfig": {"topK": 20}})
    assert body["inferenceConfig"] == {"maxTokens": 7, "topK": 20}
    wanted = ResponseFormat(type="json_schema", json_schema={"type": "object"})
    body = body_of(NEW_CLAUDE, response_format=wanted, extra_params={"output_config": {"effort": "low"}})
    assert body["output_config"].keys() == {"format", "effort"}
    assert body_of(CLAUDE, extra_params={"stop_sequences": ["x"]}, stop="END")["stop_sequences"] == ["x"]


def test_nova():
    picture = Message(role="user", content=(TextPart(text="see"), ImagePart(data=b"abc", media_type="image/png")))
    body = body_of(NOVA, messages=(TALK[0], picture), max_tokens=7, temperature=None, extra_params={"x": 1})
    assert body == {
        "schemaVersion": "messages-v1",
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "see"}, {"image": {"format": "png", "source": {"bytes": "YWJj"}}}],
            }
        ],
        "inferenceConfig": {"maxTokens": 7},
        "x": 1,
    }


def test_what_nova_answers():
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    message = {"role": "assistant", "content": [{"text": "Hello"}]}
    answer = answer_of(NOVA, {"output": {"message": message}, "stopReason": "end_turn", "usage": usage})
    assert (answer.content, answer.usage.total_tokens) == ("Hello", 7)
    chunks = stream_of(
        NOVA,
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hello"}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": usage}, "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}},
    )
    assert [chunk.text for chunk in chunks] == ["Hello", ""]
    assert chunks[-1].usage.total_tokens == 7


# Llama and Mistral


def test_llama():
    body = body_of(LLAMA3, messages=TALK, max_tokens=7, temperature=0.5)
    assert body == {
        "prompt": (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\none<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\ntwo<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nthree<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        "max_gen_len": 7,
        "temperature": 0.5,
    }
    assert body_of(LLAMA4, temperature=None, max_tokens=None) == {
        "prompt": "<|begin_of_text|><|header_start|>user<|header_end|>\n\nhello<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n"
    }


def test_mistral():
    body = body_of(MISTRAL, messages=TALK, max_tokens=7, temperature=0.5, stop="END")
    assert body == {
        "prompt": "<s>[INST] Be brief.\n\none [/INST] two</s>[INST] three [/INST]",
        "max_tokens": 7,
        "temperature": 0.5,
        "stop": ["END"],
    }


@pytest.mark.parametrize("model", [LLAMA3, LLAMA4, MISTRAL])
def test_a_prompt_has_no_place_for_tools_and_pictures(model):
    for fields in (
        {"tools": (CLOCK,), "prompt": "x"},
        {"messages": (Message(role="user", content=(ImagePart(data=b"x", media_type="image/png"),)),)},
    ):
        with pytest.raises(ChatModelError) as caught:
            body_of(model, **fields)
        assert caught.value.code is Code.UNSUPPORTED


def test_llama_takes_no_stop():
    with pytest.raises(ChatModelError, match="stop"):
        body_of(LLAMA3, stop="END")


marks = st.sampled_from(
    [
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|eot|>",
        "<|header_start|>",
        "</s>",
        "<s>",
        "[INST]",
        "[/INST]",
        "a",
        "<",
        "|>",
    ]
)


@given(st.lists(marks, min_size=1, max_size=6).map("".join))
def test_a_text_never_ends_its_turn(text):
    """What stands in a document cannot speak as somebody else."""
    llama3, llama4, mistral = (body_of(model, prompt=f"say {text}")["prompt"] for model in (LLAMA3, LLAMA4, MISTRAL))
    assert (llama3.count("<|eot_id|>"), llama3.count("<|start_header_id|>")) == (1, 2)
    assert (llama4.count("<|eot|>"), llama4.count("<|header_start|>")) == (1, 2)
    assert [mistral.count(mark) for mark in ("[INST]", "[/INST]", "<s>", "</s>")] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("model", "payload"),
    [
        (LLAMA3, {"generation": "Hello", "stop_reason": "stop", "prompt_token_count": 11, "generation_token_count": 7}),
        (MISTRAL, {"outputs": [{"text": "Hello", "stop_reason": "stop"}]}),
        (MISTRAL_CHAT, {"choices": [{"message": {"content": "Hello"}, "stop_reason": "stop"}]}),
        (
            MISTRAL_CHAT,
            {
                "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7},
            },
        ),
    ],
)
def test_what_they_answer(model, payload):
    headers = {"x-amzn-bedrock-input-token-count": "11", "x-amzn-bedrock-output-token-count": "7"}
    answer = answer_of(model, payload, headers)
    assert (answer.content, answer.finish_reason) == ("Hello", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 11, "outputTokenCount": 7}}


@pytest.mark.parametrize(
    ("model", "payloads"),
    [
        (LLAMA3, [{"generation": "Hel"}, {"generation": "lo", "stop_reason": "length", **METRICS}]),
        (MISTRAL, [{"outputs": [{"text": "Hel"}]}, {"outputs": [{"text": "lo", "stop_reason": "length"}], **METRICS}]),
        (
            MISTRAL_CHAT,
            [
                {"choices": [{"message": {"content": "Hel"}}]},
                {"choices": [{"message": {"content": "lo"}, "stop_reason": "length"}]},
                METRICS,
            ],
        ),
        (
            MISTRAL_CHAT,
            [
                {"choices": [{"delta": {"content": "Hel"}}]},
                {"choices": [{"delta": {"content": "lo"}, "finish_reason": "length"}]},
                {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}},
            ],
        ),
    ],
)
def test_what_they_stream(model, payloads):
    chunks = stream_of(model, *payloads)
    assert [chunk.text for chunk in chunks] == ["Hel", "lo", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage.total_tokens) == ("length", 18)
    with pytest.raises(ChatModelError) as caught:
        stream_of(model, payloads[0])
    assert caught.value.code is Code.UNAVAILABLE


def test_mistral_chat():
    body = body_of(MISTRAL_CHAT, messages=(TALK[0], *WITH_TOOLS), tools=(CLOCK,), tool_choice="required", max_tokens=7)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert body["tool_choice"] == "any"
    assert body["tools"][0]["function"]["name"] == "clock"
    assert "model" not in body
    with pytest.raises(ChatModelError, match="tool_choice"):
        body_of(MISTRAL_CHAT, tools=(CLOCK,), tool_choice="clock")


def test_tool_calls_of_mistral_chat_whole_and_in_pieces():
    calls = [{"id": "t", "function": {"name": "clock", "arguments": '{"a": 1}'}}]
    choice = {"message": {"content": "", "tool_calls": calls}, "stop_reason": "tool_calls"}
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    assert answer_of(MISTRAL_CHAT, {"choices": [choice], **usage}).tool_calls[0].arguments == {"a": 1}

    def piece(**function):
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "t", "function": function}]}}]}

    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}], **usage}
    chunks = stream_of(MISTRAL_CHAT, piece(name="clock", arguments='{"a"'), piece(arguments=": 1}"), end)
    assert chunks[-1].tool_calls[0].arguments == {"a": 1}


@pytest.mark.parametrize("wrong", [5, {}, [5], [{"function": 5}], [{"function": {"arguments": "{}"}}]])
def test_tool_calls_of_a_wrong_shape(wrong):
    choice = {"message": {"content": "Hello", "tool_calls": wrong}, "stop_reason": "stop"}
    with pytest.raises(ChatModelError) as caught:
        answer_of(MISTRAL_CHAT, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert caught.value.code is Code.BAD_REPLY


def test_tool_calls_without_an_index_are_told_apart():
    def piece(**function):
        return {"choices": [{"message": {"tool_calls": [{"function": function}]}}]}

    end = {"choices": [{"message": {}, "stop_reason": "tool_calls"}], **METRICS}
    pieces = (piece(name="clock", arguments='{"a": 1}'), piece(name="rain", arguments='{"b"'), piece(arguments=": 2}"))
    calls = stream_of(MISTRAL_CHAT, *pieces, end)[-1].tool_calls
    assert [(wanted.name, wanted.arguments) for wanted in calls] == [("clock", {"a": 1}), ("rain", {"b": 2})]


def test_the_name_of_an_imported_model_means_nothing():
    arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/o3abcdefghij"
    body = json.loads(encode_invoke(call_of(arn, max_tokens=7), Traits("mistral_chat"))["body"])
    assert (body["max_tokens"], body["temperature"]) == (7, 0.7)


# All of them


@pytest.mark.parametrize("body", ["nova", "llama3", "mistral", "mistral_chat"])
def test_a_body_without_a_field_for_a_schema_tells_it_in_words(body):
    wanted = ResponseFormat(type="json_schema", json_schema={"type": "object"})
    able = Traits().able | {"json_schema"}
    sent = encode_invoke(call_of("own", response_format=wanted), Traits(body, able))["body"].decode()
    assert "JSON Schema" in sent
    assert "outputConfig" not in sent


def test_every_argument_of_invoke_model_is_known_to_be_one():
    members = create_loader().load_service_model("bedrock-runtime", "service-2")["shapes"]["InvokeModelRequest"][
        "members"
    ]
    assert set(members) - {"modelId", "body", "contentType", "accept"} <= INVOKE_FIELDS


def test_an_id_that_tells_no_family_needs_a_shape():
    arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc"
    with pytest.raises(ChatModelError, match="does not tell") as caught:
        body_of(arn)
    assert "shape" in caught.value.hint
    assert b"[INST]" in encode_invoke(call_of(arn), Traits("mistral"))["body"]


def test_arguments_of_invoke_model_are_no_fields_of_the_body():
    call = call_of(CLAUDE, extra_params={"guardrailIdentifier": "g", "guardrailVersion": "1", "top_k": 1})
    arguments = encode_invoke(call, traits_of(CLAUDE))
    assert (arguments["guardrailIdentifier"], arguments["guardrailVersion"]) == ("g", "1")
    assert "guardrailIdentifier" not in json.loads(arguments["body"])


def test_what_cannot_be_written_as_json_is_told():
    with pytest.raises(ChatModelError, match="extra_params") as caught:
        body_of(CLAUDE, extra_params={"x": object()})
    assert caught.value.code is Code.INVALID


def test_a_guardrail_that_intervened():
    payload = {"content": [{"type": "text", "text": "no"}], "stop_reason": "end_turn", "usage": {}}
    with pytest.raises(ChatModelError, match="guardrail") as caught:
        answer_of(CLAUDE, {**payload, "amazon-bedrock-guardrailAction": "INTERVENED"})
    assert caught.value.code is Code.REFUSED


@pytest.mark.parametrize(
    ("model", "piece"),
    [
        (LLAMA3, {"generation": "no", "stop_reason": "stop"}),
        (MISTRAL, {"outputs": [{"text": "no", "stop_reason": "stop"}]}),
        (MISTRAL_CHAT, {"choices": [{"message": {"content": "no"}, "stop_reason": "stop"}]}),
        (NOVA, {"messageStop": {"stopReason": "end_turn"}}),
        (CLAUDE, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    ],
)
def test_a_guardrail_that_intervened_in_a_stream(model, piece):
    told = {"amazon-bedrock-guardrailAction": "INTERVENED"}
    for pieces in ([{**piece, **told, **METRICS}], [{**told, **METRICS}, piece]):
        with pytest.raises(ChatModelError, match="guardrail") as caught:
            stream_of(model, *pieces)
        assert caught.value.code is Code.REFUSED


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA3, MISTRAL, MISTRAL_CHAT])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"content": [], "usage": {}}',
        b'{"outputs": [{"text": 5}]}',
        b'{"generation": "", "stop_reason": "stop"}',
        b'{"generation": "Hello", "stop_reason": "stop"}',
        b'{"choices": [5]}',
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": "Hello", "tool_calls": [5]}}]}',
    ],
)
def test_what_is_no_answer(model, raw):
    with pytest.raises(ChatModelError) as caught:
        answer_of(model, raw)
    assert caught.value.code is Code.BAD_REPLY


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
payloads = st.dictionaries(
    st.sampled_from(
        (
            *("type", "index", "delta", "message", "content", "content_block", "usage", "stop_reason", "generation"),
            *("outputs", "choices", "contentBlockDelta", "contentBlockStart", "messageStop", "metadata"),
            "amazon-bedrock-invocationMetrics",
        )
    ),
    json_values | st.sampled_from(["content_block_delta", "content_block_start", "message_start", "message_delta"]),
    max_size=4,
)


@given(st.sampled_from([CLAUDE, NOVA, LLAMA3, MISTRAL, MISTRAL_CHAT]), st.lists(payloads, max_size=4))
def test_whatever_comes_is_an_answer_or_one_of_our_errors(model, pieces):
    with pytest.raises(ChatModelError):
        stream_of(model, *pieces)
    if pieces:
        with pytest.raises(ChatModelError):
            answer_of(model, pieces[0])


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("name", ["messages", "modelId", "stream"])
def test_extra_params_do_not_overwrite_the_request(model, name):
    with pytest.raises(ChatModelError, match=f"extra_params hold {name}"):
        body_of(model, extra_params={name: "x"})
