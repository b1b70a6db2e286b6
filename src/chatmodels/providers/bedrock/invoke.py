"""Bedrock's `invoke_model` in pure functions: the bodies of each family of models, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from chatmodels.capabilities import temperature_to_send
from chatmodels.families import BodyShape
from chatmodels.json_values import library
from chatmodels.providers import openai_wire
from chatmodels.providers.bedrock.answer import SERVER_TOOL, GatheredAnswer
from chatmodels.providers.bedrock.models import BODY_SHAPES, PROMPT_SHAPES, PROVIDER, Traits
from chatmodels.providers.bedrock.prompts import encode_llama, encode_mistral, take_llama, take_mistral
from chatmodels.providers.bedrock.wire import (
    DECIDED,
    METADATA,
    ConverseDecoder,
    conversation,
    encode,
    in_json,
    is_native,
    request_id,
    take_whole,
    tool_config,
)
from chatmodels.providers.call import Call, shown
from chatmodels.providers.checks import count_in, mapping, object_in, of_type, refuse_decided
from chatmodels.types import ChatChunk, ChatResponse, Message
from fmf_core.errors import Code

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
ANTHROPIC_MAX_TOKENS: Final = 4096
"""Sent to Claude where a request leaves the limit open: this body must hold one."""
INVOKE_FIELDS: Final = frozenset(
    (
        *("guardrailIdentifier", "guardrailVersion", "performanceConfigLatency"),
        *("projectIdentifier", "requestMetadata", "serviceTier", "trace"),
    )
)
"""Names in `extra_params` that are arguments of `invoke_model` itself; all others go into the body."""
ANTHROPIC_USAGE: Final = {
    "prompt": "input_tokens",
    "completion": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}
CHAT_USAGE: Final = {"prompt": "prompt_tokens", "completion": "completion_tokens"}
METRICS: Final = "amazon-bedrock-invocationMetrics"
METRICS_USAGE: Final = {
    "prompt": "inputTokenCount",
    "completion": "outputTokenCount",
    "cache_read": "cacheReadInputTokenCount",
    "cache_write": "cacheWriteInputTokenCount",
}
HEADER_USAGE: Final = {
    "prompt": "x-amzn-bedrock-input-token-count",
    "completion": "x-amzn-bedrock-output-token-count",
    "cache_read": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write": "x-amzn-bedrock-cache-write-input-token-count",
}
BESIDE_THE_ANSWER: Final = "amazon-bedrock-"
"""How the names of what Bedrock adds to a model's own pieces begin."""
GUARDRAIL: Final = "amazon-bedrock-guardrailAction"
UNCOUNTED_SHAPES: Final = PROMPT_SHAPES | {"mistral_chat"}
"""Bodies whose models do not count tokens themselves, or only a part of them."""
ENFORCING_SHAPES: Final = frozenset[BodyShape](("anthropic",))
"""Bodies that have a field for a JSON Schema; elsewhere the model is told in words."""


# ---------------------------------------------------------------------------------------------------------- requests


def encode_invoke(call: Call, traits: Traits) -> dict[str, Any]:
    """The arguments of `invoke_model` and `invoke_model_with_response_stream`; `body` is JSON.

    Raises:
        ChatModelError: the id does not tell the family of the model, or the request holds what its body has no place
            for.
    """
    refuse_decided(call, DECIDED)
    shape = body_shape_of(call, traits)
    if shape not in ENFORCING_SHAPES:
        traits = replace(traits, able=traits.able - {"json_schema"})
    extras = call.request.extra_params
    body = ENCODERS[shape](call, traits)
    body = _overlaid(body, {name: value for name, value in extras.items() if name not in INVOKE_FIELDS})
    own = {name: value for name, value in extras.items() if name in INVOKE_FIELDS}
    try:
        encoded = library().dumps(in_json(body))
    except (TypeError, ValueError) as error:
        message = f"the request cannot be written as JSON: {error}"
        raise call.error(message, Code.INVALID, hint="look at extra_params") from error
    return {"modelId": call.request.model, "body": encoded, "contentType": "application/json", **own}


def _overlaid(body: Mapping[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with the caller's own fields; where both have an object (`inferenceConfig`), they become one."""
    both = {
        name for name, value in extras.items() if isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
    }
    return {**body, **extras, **{name: {**body[name], **extras[name]} for name in both}}


def body_shape_of(call: Call, traits: Traits) -> BodyShape:
    """The format of the model's bodies."""
    if traits.body is None:
        raise call.error(
            "invoke_model needs a body that fits the model, and this id does not tell which",
            Code.INVALID,
            hint=f"set shape to one of: {', '.join(BODY_SHAPES)}; or api to converse",
        )
    return traits.body


def _encode_anthropic(call: Call, traits: Traits) -> dict[str, Any]:
    request = call.request
    system, turns = conversation(call, traits)
    body: dict[str, Any] = {
        "anthropic_version": ANTHROPIC_VERSION,
        "max_tokens": request.max_tokens or ANTHROPIC_MAX_TOKENS,
        "messages": [
            {"role": turn["role"], "content": [_anthropic_block(block) for block in turn["content"]]} for turn in turns
        ],
    }
    if system:
        body["system"] = "\n\n".join(system)
    temperature = temperature_to_send(request, traits.able)
    if temperature is not None:
        body["temperature"] = temperature
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    body.update(_anthropic_tools(tool_config(call)))
    if request.response_format is not None and is_native(request.response_format, traits):
        schema = {"type": "json_schema", "schema": request.response_format.json_schema}
        body["output_config"] = {"format": schema}
    return body


def _anthropic_block(block: Mapping[str, Any]) -> dict[str, Any]:
    if "image" in block:
        image = block["image"]
        source = {"type": "base64", "media_type": f"image/{image['format']}", "data": image["source"]["bytes"]}
        return {"type": "image", "source": source}
    if "toolUse" in block:
        wanted = block["toolUse"]
        return {"type": "tool_use", "id": wanted["toolUseId"], "name": wanted["name"], "input": wanted["input"]}
    if "toolResult" in block:
        result = block["toolResult"]
        content = [_anthropic_block(inner) for inner in result["content"]]
        return {"type": "tool_result", "tool_use_id": result["toolUseId"], "content": content}
    return {"type": "text", "text": block["text"]}


def _anthropic_tools(config: Mapping[str, Any]) -> dict[str, Any]:
    if not config:
        return {}
    specs = [tool["toolSpec"] for tool in config["tools"]]
    tools = [
        {
            **{name: spec[name] for name in ("name", "description") if name in spec},
            "input_schema": spec["inputSchema"]["json"],
        }
        for spec in specs
    ]
    choice = config.get("toolChoice")
    if not choice:
        return {"tools": tools}
    [(kind, named)] = choice.items()
    return {"tools": tools, "tool_choice": {"type": kind, **named}}


def _encode_nova(call: Call, traits: Traits) -> dict[str, Any]:
    arguments = encode(Call(call.provider, call.op, call.request.model_copy(update={"extra_params": {}})), traits)
    del arguments["modelId"]
    return {"schemaVersion": "messages-v1", **arguments}


def _encode_mistral_chat(call: Call, traits: Traits) -> dict[str, Any]:
    request = call.request
    if request.tool_choice not in {None, "auto", "none", "required"}:
        hint = "use tool_choice 'required' with that tool alone"
        raise call.error("Mistral takes no name of a tool as tool_choice", Code.UNSUPPORTED, hint=hint)
    told = conversation(call, traits)[0]  # its checks hold here as well
    turns = [turn for turn in request.messages if turn.role != "system"]
    messages = ([Message(role="system", content="\n\n".join(told))] if told else []) + turns
    left: dict[str, Any] = {"messages": tuple(messages), "response_format": None, "seed": None, "extra_params": {}}
    # The id says nothing of OpenAI's families, however it begins.
    left |= {"model": PROVIDER, "temperature": temperature_to_send(request, traits.able)}
    body = openai_wire.encode(request.model_copy(update=left))
    del body["model"]
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    return body


ENCODERS: Final[Mapping[BodyShape, Callable[[Call, Traits], dict[str, Any]]]] = {
    "anthropic": _encode_anthropic,
    "nova": _encode_nova,
    "llama3": encode_llama,
    "llama4": encode_llama,
    "mistral": encode_mistral,
    "mistral_chat": _encode_mistral_chat,
}


# ----------------------------------------------------------------------------------------------------------- replies


def decode_invoke(reply: Mapping[str, Any], raw: bytes, call: Call, traits: Traits) -> ChatResponse:
    """The response in the body `raw` of a reply to `invoke_model`."""
    answer = GatheredAnswer(call, response_id=request_id(reply))
    payload = parsed(raw, call)
    shape = body_shape_of(call, traits)
    if shape == "nova":
        take_whole(payload, answer)
    else:
        WHOLE[shape](payload, answer)
    headers = mapping(mapping(reply.get(METADATA)).get("HTTPHeaders"))
    if not answer.counts.complete:
        answer.count({name: count_in(value) for name, value in headers.items()}, HEADER_USAGE)
    _look_at_guardrail(payload, answer)
    return answer.response()


def parsed(raw: object, call: Call) -> dict[str, Any]:
    """The JSON object in a body or a piece of a stream; anything else is a `BAD_REPLY`."""
    if not isinstance(raw, bytes):
        raise call.bad_reply("a piece of the reply holds no bytes", raw)
    return object_in(raw, call)


@dataclass(slots=True)
class InvokeDecoder:
    """Turns the events of one `invoke_model_with_response_stream` into chunks, and checks that the answer was whole."""

    call: Call
    traits: Traits
    answer: GatheredAnswer = field(init=False)
    _nova: ConverseDecoder = field(init=False)

    def __post_init__(self) -> None:
        self._nova = ConverseDecoder(self.call)
        self.answer = self._nova.answer

    def feed(self, event: Mapping[str, Any]) -> ChatChunk | None:
        """The text that one event adds, if any."""
        if METADATA in event:
            self.answer.response_id = request_id(event)
        if "chunk" not in event:
            return None
        payload = parsed(mapping(event["chunk"]).get("bytes"), self.call)
        _look_at_guardrail(payload, self.answer)
        shape = body_shape_of(self.call, self.traits)
        if METRICS in payload and (shape in UNCOUNTED_SHAPES or not self.answer.counts.complete):
            self.answer.count(payload[METRICS], METRICS_USAGE)
        if payload and all(name.startswith(BESIDE_THE_ANSWER) for name in payload):
            return None
        return self._nova.feed(payload) if shape == "nova" else PIECES[shape](payload, self.answer)

    def finish(self) -> ChatChunk:
        """The last chunk; raises when the stream was cut or the answer is none."""
        return self.answer.finish()


def _look_at_guardrail(payload: Mapping[str, Any], answer: GatheredAnswer) -> None:
    if payload.get(GUARDRAIL) == "INTERVENED":
        answer.stop = "guardrail_intervened"


def _take_anthropic(payload: Mapping[str, Any], answer: GatheredAnswer) -> ChatChunk | None:
    content = payload.get("content")
    if not isinstance(content, list):
        raise answer.call.bad_reply("the reply has no content", payload)
    for index, block in enumerate(content):
        kind = mapping(block).get("type")
        if kind == "text":
            answer.say(block.get("text"))
        elif kind == "tool_use":
            answer.want(index, block, arguments=block.get("input"))
    answer.end(payload.get("stop_reason"))
    answer.count(payload.get("usage"), ANTHROPIC_USAGE)
    return None


def _feed_anthropic(event: Mapping[str, Any], answer: GatheredAnswer) -> ChatChunk | None:
    kind, index, delta = event.get("type"), event.get("index"), event.get("delta")
    delta = mapping(delta)
    if kind == "content_block_delta" and delta.get("type") == "text_delta":
        return answer.say(delta.get("text"))
    if kind == "content_block_delta" and delta.get("type") == "input_json_delta":
        answer.add_arguments(index, delta.get("partial_json"))
    elif kind == "content_block_start":
        block = mapping(event.get("content_block"))
        if block.get("type") in {"tool_use", SERVER_TOOL}:
            answer.want(index, block)
        elif block.get("text"):
            return answer.say(block["text"])
    elif kind == "message_start":
        answer.count(mapping(event.get("message")).get("usage"), ANTHROPIC_USAGE)
    elif kind == "message_delta":
        answer.end(delta.get("stop_reason"))
        answer.count(event.get("usage"), ANTHROPIC_USAGE)
    elif kind == "error":
        raise answer.call.error(f"the model failed in mid stream: {shown(event.get('error'))}", Code.UNAVAILABLE)
    return None


def _take_mistral_chat(payload: Mapping[str, Any], answer: GatheredAnswer) -> ChatChunk | None:
    answer.count(payload.get("usage"), CHAT_USAGE)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise answer.call.bad_reply("the reply has no choices", payload)
    if not choices:
        return None
    choice = choices[0]
    answer.end(choice.get("stop_reason") or choice.get("finish_reason"))
    message = mapping(choice.get("message") or choice.get("delta"))
    for item in of_type(list, message.get("tool_calls"), "what should be tool calls", answer.call):
        wanted = of_type(dict, item, "a tool call", answer.call)
        function = of_type(dict, wanted.get("function"), "what a tool call asks for", answer.call)
        index, arguments = wanted.get("index"), function.get("arguments") or ""
        if function.get("name"):
            answer.want(index, {"id": wanted.get("id"), "name": function["name"]}, arguments=arguments)
        else:
            answer.add_arguments(index, arguments)
    return answer.say(message.get("content") or "")


WHOLE: Final[Mapping[BodyShape, Callable[[Mapping[str, Any], GatheredAnswer], ChatChunk | None]]] = {
    "anthropic": _take_anthropic,
    "llama3": take_llama,
    "llama4": take_llama,
    "mistral": take_mistral,
    "mistral_chat": _take_mistral_chat,
}
PIECES: Final = {**WHOLE, "anthropic": _feed_anthropic}
