"""The Responses wire format, in pure functions: requests to bodies, bodies and event streams to responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatmodels.errors import ChatModelError
from chatmodels.families import INTERFACE_LACKS
from chatmodels.pieces import text_piece
from chatmodels.providers.call import Call, shown
from chatmodels.providers.characters import Characters
from chatmodels.providers.checks import (
    BY_NAME,
    IN_PIECES,
    THE_SYSTEM,
    THE_TURNS,
    count,
    mapping,
    of_type,
    refuse_decided,
    string,
)
from chatmodels.providers.openai_errors import reported
from chatmodels.providers.token_counts import Counts, charged
from chatmodels.providers.tool_calls import arguments_text, tool_call_of
from chatmodels.providers.wire import Wire, check_answer, cut_off, parse_object, schema_format, temperature_of
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, ImagePart, Message, ResponseFormat, Tool, ToolCall
from fmf_core.errors import Code

API_TYPE = "responses"
LACKS = INTERFACE_LACKS[API_TYPE]
"""Capabilities that this format has no field for, whatever the model."""
CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why an answer may be incomplete, and the finish reason that tells of it."""
ENDINGS = frozenset({"response.completed", "response.incomplete", "response.failed"})


DECIDED: Final = {
    "model": BY_NAME,
    "input": THE_TURNS,
    "messages": THE_TURNS,
    "instructions": THE_SYSTEM,
    "system_prompt": THE_SYSTEM,
    "stream": IN_PIECES,
}
"""What `extra_params` may not hold, and what to write instead."""

# ---------------------------------------------------------------------------------------------------------- requests


def encode(call: Call, *, stream: bool = False) -> dict[str, Any]:
    """The body that asks for the call's request; a setting that is `None` is left out, `extra_params` go in last.

    The provider is told not to keep the answer (`store`), unless `extra_params` say otherwise.

    Raises:
        ChatModelError: `Code.UNSUPPORTED` for a seed or stop texts, which the format cannot carry.
    """
    request = call.request
    _refuse_impossible(call)
    refuse_decided(call, DECIDED)
    instructions, turns = _split(request.messages)
    body: dict[str, Any] = {"model": request.model, "input": [item for turn in turns for item in _items(turn)]}
    if instructions:
        body["instructions"] = instructions
    temperature = temperature_of(request)
    if temperature is not None:
        body["temperature"] = temperature
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        body["text"] = {"format": _text_format(request.response_format)}
    if stream:
        body["stream"] = True
    return {**body, "store": False, **_extra(request, body)}


def _refuse_impossible(call: Call) -> None:
    asked = [name for name in sorted(LACKS) if getattr(call.request, name) not in (None, ())]
    if asked:
        raise call.error(
            f"the Responses interface takes no {' and no '.join(asked)}",
            Code.UNSUPPORTED,
            hint=f"leave {' and '.join(asked)} out, or use api='chat'",
        )


def _split(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The system prompt at the beginning, and what follows; a conversation of nothing else stays one."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), 0)
    return "\n\n".join(message.text for message in messages[:first]), messages[first:]


def _items(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": _content(message)}]
    calls = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments_text(call)}
        for call in message.tool_calls
    ]
    said = [{"type": "message", "role": message.role, "content": _content(message)}] if message.content else []
    return [*(said if said or calls else [{"type": "message", "role": message.role, "content": ""}]), *calls]


def _content(message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    text = "output_text" if message.role == "assistant" else "input_text"
    return [
        {"type": "input_image", "image_url": part.as_url(), "detail": "auto"}
        if isinstance(part, ImagePart)
        else {"type": text, "text": part.text}
        for part in message.content
    ]


def _tool(tool: Tool) -> dict[str, Any]:
    # Left open, this format would hold every schema to be strict.
    return {"type": "function", **tool.model_dump(), "strict": False}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in {"auto", "none", "required"} else {"type": "function", "name": choice}


def _text_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.json_schema is None:
        return {"type": wanted.type}
    return {"type": "json_schema", **schema_format(wanted)}


def _extra(request: ChatRequest, body: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own parameters; those beside the format of the text do not push it out."""
    extra = dict(request.extra_params)
    if isinstance(extra.get("text"), dict):
        extra["text"] = {**body.get("text", {}), **extra["text"]}
    return extra


# ----------------------------------------------------------------------------------------------------------- replies


def decode(payload: Mapping[str, Any], call: Call) -> ChatResponse:
    """The response that a checked reply holds."""
    finish = _finish_reason(payload, call)
    text, refusal, tool_calls = _output(payload, finish, call)
    if refusal and not text:
        raise call.error(f"the model refused: {refusal}", Code.REFUSED)
    check_answer(text, tool_calls, finish, call)
    name = string(payload.get("model")) or call.request.model
    return ChatResponse(
        content=text,
        model=name,
        usage=_counts(payload.get("usage")).usage(call, model=name, answer=text),
        finish_reason="tool_calls" if tool_calls and finish == "stop" else finish,
        tool_calls=tool_calls,
        response_id=string(payload.get("id")),
    )


def _finish_reason(payload: Mapping[str, Any], call: Call) -> str:
    status = payload.get("status")
    if status == "completed":
        return "stop"
    if status == "failed":
        raise reported(payload.get("error"), call)
    if status != "incomplete":
        raise call.bad_reply(f"the reply has the status {status!r}, which is no answer", payload)
    reason = mapping(payload.get("incomplete_details")).get("reason")
    finish = CUT.get(reason) if isinstance(reason, str) else None
    if finish is None:
        raise call.bad_reply(f"the answer is incomplete (reason {reason!r})", payload)
    return finish


def _output(payload: Mapping[str, Any], finish: str, call: Call) -> tuple[str, str, tuple[ToolCall, ...]]:
    """The text, the refusal and the tool calls; what other tools of the provider did is passed over."""
    output = payload.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise call.bad_reply("the reply has no output", payload)
    said: dict[str, list[str]] = {"text": [], "refusal": []}
    tool_calls = []
    for item in output:
        if item.get("type") == "function_call":
            call_id = string(item.get("call_id")) or string(item.get("id"))
            tool_calls.append(tool_call_of(call_id, item.get("name"), item.get("arguments"), finish, call))
        elif item.get("type") == "message":
            _collect(item, said, call)
    return "".join(said["text"]), "".join(said["refusal"]), tuple(tool_calls)


def _collect(message: Mapping[str, Any], said: Mapping[str, list[str]], call: Call) -> None:
    content = message.get("content")
    if not isinstance(content, list):
        raise call.bad_reply("a message of the reply has no content", message)
    for part in content:
        kind = mapping(part).get("type")
        field_of_kind = {"output_text": "text", "refusal": "refusal"}.get(kind) if isinstance(kind, str) else None
        if field_of_kind is None:
            raise call.bad_reply(f"a message of the reply holds a part of type {kind!r}", message)
        piece = part.get(field_of_kind)
        if not isinstance(piece, str):
            raise call.bad_reply(f"the {field_of_kind} of a message is of type {type(piece).__name__}", message)
        said[field_of_kind].append(piece)


def _counts(usage: object) -> Counts:
    counts = mapping(usage)
    return Counts(
        counts.get("input_tokens"),
        counts.get("output_tokens"),
        mapping(counts.get("input_tokens_details")).get("cached_tokens"),
        mapping(counts.get("output_tokens_details")).get("reasoning_tokens"),
    )


# ----------------------------------------------------------------------------------------------------------- streams


@dataclass(slots=True)
class StreamDecoder:
    """Turns the events of one streamed answer into chunks, and checks at the end that they join to the answer."""

    call: Call
    text: list[str] = field(default_factory=list)
    ended: bool = False
    _last: Mapping[str, Any] | None = None
    _items: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What the events told of the output, by its place: some servers leave it out of the last one."""
    _characters: Characters = field(init=False)

    def __post_init__(self) -> None:
        self._characters = Characters(self.call)

    def feed_event(self, data: bytes) -> ChatChunk | None:
        """The text that the data of one server-sent event adds, if any."""
        return None if data.strip() == b"[DONE]" else self.feed(parse_object(data, self.call, piece=True))

    def feed(self, event: Mapping[str, Any]) -> ChatChunk | None:
        """The text that `event` adds, if any."""
        kind = event.get("type")
        if not isinstance(kind, str):
            raise self.call.bad_reply("an event of the stream has no type", event)
        if kind == "response.output_text.delta":
            return self._piece(event)
        if kind == "error":
            raise reported({name: value for name, value in event.items() if name != "type"}, self.call)
        if kind in ENDINGS:
            self._end(event)
        elif kind.startswith(("response.output_item.", "response.function_call_arguments.")):
            self._note(kind, event)
        return None

    def finish(self) -> ChatChunk:
        """The last chunk, with the reason of the end, the token counts and the tool calls."""
        if self._last is None:
            raise cut_off("".join(self.text), self.call)
        try:
            return self._checked(self._last)
        except ChatModelError as error:
            self.charge(error)
            raise

    def charge(self, error: ChatModelError) -> None:
        """Say on `error` what the provider has counted by now."""
        if self._last is not None and "usage" not in error.fields:
            charged(error, _counts(self._last.get("usage")), self.call)

    def _checked(self, last: Mapping[str, Any]) -> ChatChunk:
        self._characters.finish()
        seen = "".join(self.text)
        told = [item for _, item in sorted(self._items.items())]
        response = decode({**last, "output": last.get("output") or told}, self.call)
        whole = response.content
        if not whole.startswith(seen):
            raise self.call.bad_reply(f"the pieces of the stream are not those of its answer, {shown(whole)}", seen)
        return ChatChunk(
            text=whole[len(seen) :],
            finish_reason=response.finish_reason,
            usage=response.usage,
            tool_calls=response.tool_calls,
            response_id=response.response_id,
        )

    def _piece(self, event: Mapping[str, Any]) -> ChatChunk | None:
        piece = event.get("delta")
        if not isinstance(piece, str):
            raise self.call.bad_reply(f"a piece of the stream is of type {type(piece).__name__}, not text", event)
        piece = self._characters.feed(piece)
        self.text.append(piece)
        return text_piece(piece) if piece else None

    def _end(self, event: Mapping[str, Any]) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            raise self.call.bad_reply("the last event of the stream has no response", event)
        if event["type"] == "response.failed" or response.get("error"):
            raise charged(reported(response.get("error"), self.call), _counts(response.get("usage")), self.call)
        self._last = response
        self.ended = True

    def _note(self, kind: str, event: Mapping[str, Any]) -> None:
        place = count(event.get("output_index"))
        if place is None:
            return
        if kind.startswith("response.output_item."):
            self._items[place] = dict(mapping(event.get("item")))
            return
        item = self._items.setdefault(place, {"type": "function_call"})
        if kind.endswith(".done"):
            item["arguments"] = event.get("arguments")
        else:
            piece = of_type(str, event.get("delta"), "a piece of the arguments", self.call)
            item["arguments"] = (string(item.get("arguments")) or "") + piece


RESPONSES = Wire("/responses", API_TYPE, encode, decode, StreamDecoder, _counts, LACKS)
"""OpenAI's newer interface, which tells of its thinking and can use tools of the provider's own."""
