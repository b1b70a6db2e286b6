"""The chat-completions wire format, in pure functions: requests to bodies, bodies and event streams to responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatmodels.errors import ChatModelError
from chatmodels.pieces import text_piece
from chatmodels.providers.call import Call
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
from chatmodels.providers.token_counts import Counts, charged
from chatmodels.providers.tool_calls import arguments_text, tool_call_of
from chatmodels.providers.wire import (
    Wire,
    check_answer,
    cut_off,
    limit_of,
    parse_object,
    schema_format,
    temperature_of,
)
from chatmodels.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    ResponseFormat,
    ToolCall,
)
from fmf_core.errors import Code

DECIDED: Final = {
    "model": BY_NAME,
    "messages": THE_TURNS,
    "prompt": THE_TURNS,
    "system_prompt": THE_SYSTEM,
    "stream": IN_PIECES,
}
"""What `extra_params` may not hold, and what to write instead."""

# ---------------------------------------------------------------------------------------------------------- requests


def encode(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    """The body that asks for `request`; a setting that is `None` is left out, `extra_params` go in last."""
    body: dict[str, Any] = {"model": request.model, "messages": [_message(message) for message in request.messages]}
    temperature = temperature_of(request)
    if temperature is not None:
        body["temperature"] = temperature
    if request.max_tokens is not None:
        body[limit_of(request)] = request.max_tokens
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool.model_dump()} for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return {**body, **request.extra_params}


def _message(message: Message) -> dict[str, Any]:
    encoded: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        encoded["tool_calls"] = [_encoded_call(call) for call in message.tool_calls]
        encoded["content"] = encoded["content"] or None
    if message.tool_call_id is not None:
        encoded["tool_call_id"] = message.tool_call_id
    return encoded


def _content(message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [
        {"type": "image_url", "image_url": {"url": part.as_url()}}
        if isinstance(part, ImagePart)
        else {"type": "text", "text": part.text}
        for part in message.content
    ]


def _encoded_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments_text(call)}}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in {"auto", "none", "required"}:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.json_schema is None:
        return {"type": wanted.type}
    return {"type": "json_schema", "json_schema": schema_format(wanted)}


# ----------------------------------------------------------------------------------------------------------- replies


def decode(payload: Mapping[str, Any], call: Call) -> ChatResponse:
    """The response that a checked reply holds."""
    choice = _first_choice(payload, call)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise call.bad_reply("the first choice has no message", payload)
    text = _text(message.get("content"), call, payload)
    if not text and isinstance(message.get("refusal"), str) and message["refusal"]:
        raise call.error(f"the model refused: {message['refusal']}", Code.REFUSED)
    finish = _finish_reason(choice.get("finish_reason"))
    tool_calls = tuple(_tool_call(item, finish, call) for item in _wanted(message, call))
    check_answer(text, tool_calls, finish, call)
    return ChatResponse(
        content=text,
        model=_name(payload, call),
        usage=_counts(payload.get("usage")).usage(call, model=_name(payload, call), answer=text),
        finish_reason=finish,
        tool_calls=tool_calls,
        response_id=string(payload.get("id")),
    )


def _counts(usage: object) -> Counts:
    counts = mapping(usage)
    return Counts(
        counts.get("prompt_tokens"),
        counts.get("completion_tokens"),
        mapping(counts.get("prompt_tokens_details")).get("cached_tokens"),
        mapping(counts.get("completion_tokens_details")).get("reasoning_tokens"),
    )


def _first_choice(payload: Mapping[str, Any], call: Call) -> dict[str, Any]:
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices:
        raise call.bad_reply("the reply has no choices", payload)
    if not isinstance(choices[0], dict):
        raise call.bad_reply("the first choice is no object", payload)
    return choices[0]


def _text(content: object, call: Call, payload: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    raise call.bad_reply(f"the content is of type {type(content).__name__}, not text", payload)


def _wanted(message: Mapping[str, Any], call: Call) -> list[Any]:
    return of_type(list, message.get("tool_calls"), "what should be tool calls", call)


def _tool_call(item: object, finish: str, call: Call) -> ToolCall:
    wanted = mapping(item)
    function = mapping(wanted.get("function"))
    return tool_call_of(wanted.get("id"), function.get("name"), function.get("arguments"), finish, call)


# ----------------------------------------------------------------------------------------------------------- streams


@dataclass(slots=True)
class StreamDecoder:
    """Turns the payloads of one streamed answer into chunks, and checks at the end that it was whole."""

    call: Call
    text: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    response_id: str | None = None
    ended: bool = False
    _usage: object = None
    _model: str = ""
    _calls: list[dict[str, Any]] = field(default_factory=list)
    _current: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The call that each index of the stream means now."""
    _choice: object = None
    """The index of the one answer that counts: the first."""
    _characters: Characters = field(init=False)

    def __post_init__(self) -> None:
        self._characters = Characters(self.call)

    def feed_event(self, data: bytes) -> ChatChunk | None:
        """The text that the data of one server-sent event adds, if any."""
        if data[-1:] != b"}" and data.strip() == b"[DONE]":
            self.ended = self.finish_reason is not None
            return None
        return self.feed(parse_object(data, self.call, piece=True))

    def feed(self, payload: Mapping[str, Any]) -> ChatChunk | None:
        """The text that `payload` adds, if any."""
        self._model = string(payload.get("model")) or self._model
        self._usage = payload.get("usage") or self._usage
        self.response_id = string(payload.get("id")) or self.response_id
        choices = payload.get("choices")
        if not isinstance(choices, list):
            raise self.call.bad_reply("a piece of the stream has no choices", payload)
        if not choices:
            return None
        choice = self._chosen(payload)
        if choice is None:
            return None
        if choice.get("finish_reason") is not None:
            self.finish_reason = _finish_reason(choice["finish_reason"])
        delta = of_type(dict, choice.get("delta"), "a piece of the stream", self.call)
        if "tool_calls" in delta:
            for item in _wanted(delta, self.call):
                self._add_call(of_type(dict, item, "a tool call", self.call))
        piece = self._characters.feed(_text(delta.get("content"), self.call, payload))
        if not piece:
            return None
        self.text.append(piece)
        return text_piece(piece)

    def _chosen(self, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `payload` tells of the first answer; a second one, which nobody can have asked for, is passed over."""
        if self._choice is None:
            choice = _first_choice(payload, self.call)
            self._choice = choice.get("index")
            return choice
        for choice in payload["choices"]:
            if isinstance(choice, dict) and choice.get("index") in (self._choice, None):
                return choice
        return None

    def finish(self, *, model: str | None = None) -> ChatChunk:
        """The last chunk, with the reason of the end, the token counts and the tool calls.

        Args:
            model: the name under which the tokens count; without it the one that the stream told.
        """
        try:
            return self._last(model)
        except ChatModelError as error:
            self.charge(error)
            raise

    def charge(self, error: ChatModelError) -> None:
        """Say on `error` what the provider has counted by now."""
        if "usage" not in error.fields:
            charged(error, _counts(self._usage), self.call)

    def _last(self, model: str | None) -> ChatChunk:
        text = "".join(self.text)
        if self.finish_reason is None:
            raise cut_off(text, self.call)
        self._characters.finish()
        tool_calls = tuple(_tool_call(item, self.finish_reason, self.call) for item in self._calls)
        check_answer(text, tool_calls, self.finish_reason, self.call)
        name = model or self._model or self.call.request.model
        usage = _counts(self._usage).usage(self.call, model=name, answer=text)
        return ChatChunk(
            text="",
            finish_reason=self.finish_reason,
            usage=usage,
            tool_calls=tool_calls,
            response_id=self.response_id,
        )

    def _add_call(self, item: Mapping[str, Any]) -> None:
        more = of_type(dict, item.get("function"), "what a tool call asks for", self.call)
        call_id, name = string(item.get("id")), string(more.get("name"))
        known = self._call_at(count(item.get("index")), call_id, name)
        known["id"] = known["id"] or call_id
        function = known["function"]
        function["name"] = name or function.get("name")
        before, piece = function.get("arguments"), more.get("arguments")
        if isinstance(piece, dict) and not before:
            function["arguments"] = piece  # some servers send the object itself, all at once
        elif piece:
            texts = [of_type(str, part, "a piece of the arguments", self.call) for part in (before, piece)]
            function["arguments"] = "".join(texts)

    def _call_at(self, index: int | None, call_id: str | None, name: str | None) -> dict[str, Any]:
        """The call that a piece belongs to; some servers give all calls of an answer one index."""
        known = None if index is None else self._current.get(index)
        if known is None or _begins_another(known, call_id, name):
            known = {"id": call_id, "function": {}}
            self._calls.append(known)
            if index is not None:
                self._current[index] = known
        return known


def _begins_another(known: Mapping[str, Any], call_id: str | None, name: str | None) -> bool:
    """Whether a piece with `call_id` and `name` begins another call than the `known` one."""
    function = known["function"]
    # A new id alone does not: there are servers that draw one for every piece.
    if name is None or function.get("name") is None:
        return False
    if call_id is not None and known["id"] is not None:
        return bool(call_id != known["id"])
    return bool(name != function["name"] and function.get("arguments"))


def _finish_reason(value: object) -> str:
    return value if isinstance(value, str) and value else "stop"


def _name(payload: Mapping[str, Any], call: Call) -> str:
    return string(payload.get("model")) or call.request.model


def check_one_answer(call: Call) -> None:
    """Refuse a request for several answers (`n`): a call has one, and all are paid."""
    wanted = call.request.extra_params.get("n")
    if wanted not in (None, 1):
        hint = f"leave n out and ask {wanted} times: model.batch([request] * {wanted})"
        raise call.error(f"extra_params ask for n={wanted!r} answers, and a call has one", Code.UNSUPPORTED, hint=hint)


def _body(call: Call, *, stream: bool = False) -> dict[str, Any]:
    refuse_decided(call, DECIDED)
    check_one_answer(call)
    return encode(call.request, stream=stream)


CHAT = Wire("/chat/completions", "chat_completions", _body, decode, StreamDecoder, _counts)
"""Chat completions: what OpenAI and every server like it speak."""
