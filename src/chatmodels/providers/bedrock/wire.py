"""Bedrock's `converse` in pure functions: requests to arguments, replies and events to responses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from chatmodels.capabilities import temperature_to_send
from chatmodels.providers.bedrock.answer import GatheredAnswer
from chatmodels.providers.bedrock.models import Traits
from chatmodels.providers.call import Call
from chatmodels.providers.checks import (
    BY_NAME,
    IN_PIECES,
    THE_SYSTEM,
    THE_TURNS,
    mapping,
    of_type,
    refuse_decided,
    string,
)
from chatmodels.providers.tool_calls import LONGEST_NAME, name_for
from chatmodels.structured.telling import json_instruction
from chatmodels.types import ChatChunk, ChatResponse, ImagePart, Message, ResponseFormat, Tool, ToolCall
from fmf_core.errors import Code

CONVERSE_FIELDS: Final = frozenset(
    (
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "performanceConfig",
        "projectIdentifier",
        "promptVariables",
        "requestMetadata",
        "serviceTier",
    )
)
"""Names in `extra_params` that are arguments of `converse` itself; all others are the model's own fields."""
MERGED_FIELDS: Final = frozenset(("additionalModelRequestFields", "inferenceConfig", "outputConfig"))
"""Names in `extra_params` whose mappings are laid over what the request itself says."""
DECIDED: Final = {
    "model": BY_NAME,
    "modelId": BY_NAME,
    "messages": THE_TURNS,
    "prompt": THE_TURNS,
    "system_prompt": THE_SYSTEM,
    "stream": IN_PIECES,
}
"""What `extra_params` may not hold, whichever the interface, and what to write instead."""
IMAGE_FORMATS: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
USAGE_NAMES: Final = {
    "prompt": "inputTokens",
    "completion": "outputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheWriteInputTokens",
}
METADATA: Final = "ResponseMetadata"
"""What boto3 adds to a reply: its id, status and headers; here also the first event of a stream."""

Turn = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------- requests


def encode(call: Call, traits: Traits) -> dict[str, Any]:
    """The arguments of `converse` and `converse_stream` that ask for the request; what is `None` is left out.

    Raises:
        ChatModelError: the request holds something that Bedrock has no place for.
    """
    request = call.request
    refuse_decided(call, DECIDED)
    system, turns = conversation(call, traits)
    arguments: dict[str, Any] = {"modelId": request.model, "messages": turns}
    if system:
        arguments["system"] = [{"text": text} for text in system]
    settings = {"maxTokens": request.max_tokens, "temperature": temperature_to_send(request, traits.able)}
    arguments["inferenceConfig"] = {name: value for name, value in settings.items() if value is not None}
    if request.stop:
        arguments["inferenceConfig"]["stopSequences"] = list(request.stop)
    tools = tool_config(call)
    if tools:
        arguments["toolConfig"] = tools
    if request.response_format is not None and is_native(request.response_format, traits):
        arguments["outputConfig"] = {"textFormat": _text_format(request.response_format)}
    return _with_extras(arguments, request.extra_params, call)


def conversation(call: Call, traits: Traits) -> tuple[list[str], list[Turn]]:
    """The system texts, and the turns as Bedrock wants them: users and assistants in turns, none of them empty."""
    system = [turn.text for turn in call.request.messages if turn.role == "system" and turn.text.strip()]
    wanted = call.request.response_format
    if wanted is not None and wanted.type != "text" and not is_native(wanted, traits):
        system.append(told_format(wanted))
    turns: list[Turn] = []
    for message in call.request.messages:
        blocks = [] if message.role == "system" else _blocks(message, call, traits)
        role = "assistant" if message.role == "assistant" else "user"
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise call.error("no turn of the conversation has any text", Code.INVALID, hint="Bedrock takes no empty turns")
    if system and "system" not in traits.able and turns[0]["role"] == "user":
        turns[0]["content"].insert(0, {"text": "\n\n".join(system)})
        system = []
    return system, turns


def is_native(wanted: ResponseFormat, traits: Traits) -> bool:
    """Whether the model itself can be held to the format; else it is only told."""
    return wanted.json_schema is not None and "json_schema" in traits.able


def told_format(wanted: ResponseFormat) -> str:
    """The format in words, for models that can only be told."""
    schema = wanted.json_schema
    return json_instruction(schema, "object" if schema is None or schema.get("type") == "object" else "value")


def tool_config(call: Call) -> dict[str, Any]:
    """The tools on offer and how to choose; empty without any."""
    request = call.request
    used = {wanted.name for turn in request.messages for wanted in turn.tool_calls}
    tools: Sequence[Tool] = request.tools
    if request.tool_choice == "none":
        if used:
            hint = "leave tool_choice out, or the turns with tools"
            raise call.error("tool_choice 'none' does not go with earlier tool calls", Code.UNSUPPORTED, hint=hint)
        return {}
    if not tools:
        # Bedrock refuses turns with tools where no tools are named.
        told = {"description": "A tool of earlier turns.", "parameters": {"type": "object", "properties": {}}}
        tools = [Tool.trusted(name=name, **told) for name in sorted(used)]
    if not tools:
        return {}
    config: dict[str, Any] = {"tools": [{"toolSpec": _tool_spec(tool)} for tool in tools]}
    if request.tools and request.tool_choice is not None:
        fixed: dict[str, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}}
        config["toolChoice"] = fixed.get(request.tool_choice) or {"tool": {"name": request.tool_choice}}
    return config


def tool_id(given: str, traits: Traits) -> str:
    """An id that the model takes; one of another provider that has to be changed stays different from all others."""
    marks = "_-" if traits.body == "anthropic" else "_.:-"
    if re.fullmatch(rf"[a-zA-Z0-9{marks}]{{1,{LONGEST_NAME}}}", given):
        return given
    digest = sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name_for(given, 'call')[: LONGEST_NAME - len(digest) - 1]}_{digest}"


def image_of(part: ImagePart, call: Call) -> tuple[str, bytes]:
    """Format and bytes of a picture.

    Raises:
        ChatModelError: it is an address, or of a format that Bedrock does not read.
    """
    if part.data is None:
        hint = "fetch the picture and give its bytes as data"
        raise call.error("Bedrock fetches no pictures from an address", Code.UNSUPPORTED, hint=hint)
    kind = part.media_type.lower().replace("image/jpg", "image/jpeg")
    if kind not in IMAGE_FORMATS:
        hint = f"convert it to one of: {', '.join(IMAGE_FORMATS)}"
        raise call.error(f"Bedrock reads no pictures of type {part.media_type!r}", Code.UNSUPPORTED, hint=hint)
    return IMAGE_FORMATS[kind], part.data


def in_json(value: Any) -> Any:
    """`value` for a JSON body: bytes become base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {key: in_json(item) for key, item in value.items()}
    return [in_json(item) for item in value] if isinstance(value, list | tuple) else value


def _blocks(message: Message, call: Call, traits: Traits) -> list[dict[str, Any]]:
    content = list(_content(message, call))
    if message.role == "tool":
        result = {"toolUseId": tool_id(message.tool_call_id or "call", traits), "content": content}
        return [{"toolResult": result}]
    return [*content, *({"toolUse": _tool_use(wanted, traits)} for wanted in message.tool_calls)]


def _content(message: Message, call: Call) -> Iterable[dict[str, Any]]:
    parts = [message.content] if isinstance(message.content, str) else message.content
    for part in parts:
        if isinstance(part, ImagePart):
            kind, data = image_of(part, call)
            yield {"image": {"format": kind, "source": {"bytes": data}}}
            continue
        text = part if isinstance(part, str) else part.text
        if text.strip():
            yield {"text": text}


def _tool_use(wanted: ToolCall, traits: Traits) -> dict[str, Any]:
    return {"toolUseId": tool_id(wanted.id, traits), "name": wanted.name, "input": wanted.arguments}


def _tool_spec(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "inputSchema": {"json": tool.parameters}}


def _text_format(wanted: ResponseFormat) -> dict[str, Any]:
    schema = {"schema": json.dumps(wanted.json_schema), "name": name_for(wanted.name, "answer")}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _with_extras(arguments: dict[str, Any], extras: Mapping[str, Any], call: Call) -> dict[str, Any]:
    merged: dict[str, dict[str, Any]] = {}
    for name, value in extras.items():
        if name in CONVERSE_FIELDS:
            arguments[name] = value
        elif name not in MERGED_FIELDS:
            merged.setdefault("additionalModelRequestFields", {})[name] = value
        elif isinstance(value, Mapping):
            merged.setdefault(name, {}).update(value)
        else:
            raise call.error(
                f"{name} in extra_params is no mapping: {value!r}", Code.INVALID, hint="look at extra_params"
            )
    for name, values in merged.items():
        arguments[name] = {**arguments.get(name, {}), **values}
    return arguments


# ----------------------------------------------------------------------------------------------------------- replies


def decode(payload: Mapping[str, Any], call: Call) -> ChatResponse:
    """The response that a reply to `converse` holds."""
    answer = GatheredAnswer(call, response_id=request_id(payload))
    take_whole(payload, answer)
    return answer.response()


def take_whole(payload: Mapping[str, Any], answer: GatheredAnswer) -> None:
    """Take in a whole reply of the `converse` format."""
    call = answer.call
    message = mapping(mapping(payload.get("output")).get("message"))
    content = message.get("content")
    if not isinstance(content, list):
        kind = mapping(mapping(payload.get(METADATA)).get("HTTPHeaders")).get("content-type", "unknown")
        raise call.bad_reply(f"the reply has no message with content (content type {kind!r})", _own_part(payload))
    for index, block in enumerate(of_type(dict, item, "a block of the reply", call) for item in content):
        if "text" in block:
            answer.say(block["text"])
        elif "citationsContent" in block:  # with sources, the text stands beside them
            for piece in of_type(list, mapping(block["citationsContent"]).get("content"), "a text with sources", call):
                answer.say(mapping(piece).get("text", ""))
        elif "toolUse" in block:
            wanted = block["toolUse"]
            answer.want(index, wanted, id_key="toolUseId", arguments=mapping(wanted).get("input"))
    answer.end(payload.get("stopReason"))
    answer.count(payload.get("usage"), USAGE_NAMES)


def request_id(payload: Mapping[str, Any]) -> str | None:
    """The id of the request, as Bedrock's logs have it."""
    return string(mapping(payload.get(METADATA)).get("RequestId"))


@dataclass(slots=True)
class ConverseDecoder:
    """Turns the events of one `converse_stream` into chunks, and checks at the end that the answer was whole."""

    call: Call
    answer: GatheredAnswer = field(init=False)

    def __post_init__(self) -> None:
        self.answer = GatheredAnswer(self.call, streamed=True)

    def feed(self, event: Mapping[str, Any]) -> ChatChunk | None:
        """The text that one event adds, if any; thoughts are left out."""
        answer = self.answer
        if "contentBlockDelta" in event:
            body = mapping(event["contentBlockDelta"])
            delta = mapping(body.get("delta"))
            if not delta:
                raise self.call.bad_reply("a piece of the stream adds nothing", event)
            if "text" in delta:
                return answer.say(delta["text"])
            if "toolUse" in delta:
                answer.add_arguments(body.get("contentBlockIndex"), mapping(delta["toolUse"]).get("input"))
        elif "contentBlockStart" in event:
            body = mapping(event["contentBlockStart"])
            start = mapping(body.get("start"))
            if "toolUse" in start:
                answer.want(body.get("contentBlockIndex"), start["toolUse"], id_key="toolUseId")
        elif "messageStop" in event:
            answer.end(mapping(event["messageStop"]).get("stopReason"))
        elif "metadata" in event:
            answer.count(mapping(event["metadata"]).get("usage"), USAGE_NAMES)
        elif METADATA in event:
            answer.response_id = request_id(event)
        return None

    def finish(self) -> ChatChunk:
        """The last chunk; raises when the stream was cut or the answer is none."""
        return self.answer.finish()


def _own_part(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != METADATA}
