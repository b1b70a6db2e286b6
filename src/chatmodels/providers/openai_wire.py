"""The chat-completions wire format, in pure functions: requests to bodies, bodies and event streams to responses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatmodels.providers.call import Call, shown
from chatmodels.providers.openai_errors import reported
from chatmodels.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    ResponseFormat,
    TokenUsage,
    ToolCall,
)
from fmf_core.errors import Code

CHARS_PER_TOKEN = 4
"""The estimate for replies without counts: English text has about four characters to a token."""

# Models that think before they answer take `max_completion_tokens`, and no temperature but their own.
THINKING_MODELS = re.compile(r"^(?:o[1-9]|gpt-5)(?!.*-chat)")
COMPLETION_LIMIT_MODELS = re.compile(r"^(?:o[1-9]|gpt-5)")


# ---------------------------------------------------------------------------------------------------------- requests


def encode(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    """The body that asks for `request`; a setting that is `None` is left out, `extra_params` go in last."""
    body: dict[str, Any] = {"model": request.model, "messages": [_message(message) for message in request.messages]}
    name = request.model.rpartition("/")[2]
    if request.temperature is not None and not _leaves_out_temperature(request, name):
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        limit = "max_completion_tokens" if COMPLETION_LIMIT_MODELS.match(name) else "max_tokens"
        body[limit] = request.max_tokens
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


def _leaves_out_temperature(request: ChatRequest, name: str) -> bool:
    # A temperature that the caller chose goes out whatever the model, so that a refusal is the provider's and visible.
    return "temperature" not in request.model_fields_set and THINKING_MODELS.match(name) is not None


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
    arguments = _json().dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in {"auto", "none", "required"}:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.json_schema is None:
        return {"type": wanted.type}
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted.name)[:64] or "answer"
    schema: dict[str, Any] = {"name": name, "schema": wanted.json_schema, "strict": fits_strict(wanted.json_schema)}
    return {"type": "json_schema", "json_schema": schema}


def fits_strict(schema: object) -> bool:
    """Whether a JSON Schema may be sent as `strict`: every object closed, and all of its properties required."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if isinstance(properties, Mapping) or schema.get("type") == "object":
            named = set(properties) if isinstance(properties, Mapping) else set()
            if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != named:
                return False
        return all(fits_strict(value) for value in schema.values())
    if isinstance(schema, (list, tuple)):
        return all(fits_strict(value) for value in schema)
    return True


# ----------------------------------------------------------------------------------------------------------- replies


def parse_body(raw: bytes, content_type: str, call: Call) -> dict[str, Any]:
    """The JSON object that a successful reply holds; anything else is a `BAD_REPLY`."""
    if "html" in content_type.lower() or raw.lstrip()[:1] == b"<":
        raise call.bad_reply(f"the reply is a web page, not JSON (content type {content_type!r})", raw)
    return parse_object(raw, call)


def parse_object(raw: bytes | str, call: Call) -> dict[str, Any]:
    """The JSON object in `raw`; an `error` object in it is raised as the error that it reports."""
    if not raw.strip():
        raise call.bad_reply("the reply is empty", raw)
    try:
        payload = _json().loads(raw)
    except ValueError as error:
        raise call.bad_reply(f"the reply is no valid JSON ({error})", raw) from error
    if not isinstance(payload, dict):
        raise call.bad_reply(f"the reply is JSON of type {type(payload).__name__}, not an object", raw)
    if payload.get("error"):
        raise reported(payload["error"], call)
    return payload


def decode(payload: Mapping[str, Any], call: Call) -> ChatResponse:
    """The response that a checked reply holds."""
    choice = _only_choice(payload, call)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise call.bad_reply("the first choice has no message", payload)
    text = _text(message.get("content"), call, payload)
    if not text and isinstance(message.get("refusal"), str) and message["refusal"]:
        raise call.error(f"the model refused: {message['refusal']}", Code.REFUSED)
    finish = _finish_reason(choice.get("finish_reason"))
    tool_calls = tuple(_tool_call(item, finish, call) for item in _list(message.get("tool_calls")))
    check_answer(text, tool_calls, finish, call)
    return ChatResponse(
        content=text,
        model=_name(payload, call),
        usage=usage_of(payload.get("usage"), call, model=_name(payload, call), answer=text),
        finish_reason=finish,
        tool_calls=tool_calls,
        response_id=_string(payload.get("id")),
    )


def check_answer(text: str, tool_calls: Sequence[ToolCall], finish: str, call: Call) -> None:
    """Refuse an answer that is none: filtered, or empty although the model says it finished."""
    if finish == "content_filter":
        raise call.error(f"the provider's content filter stopped the answer after {shown(text)}", Code.REFUSED)
    if not text and not tool_calls and finish != "length":
        raise call.error(f"the answer is empty (finish_reason {finish!r})", Code.BAD_REPLY)


def usage_of(reported_usage: object, call: Call, *, model: str, answer: str) -> TokenUsage:
    """The provider's token counts; where it sends none, an estimate of four characters to a token."""
    counts = reported_usage if isinstance(reported_usage, dict) else {}
    prompt, completion = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    if prompt is None:
        prompt = _estimate("".join(message.text for message in call.request.messages))
    if completion is None:
        completion = _estimate(answer)
    cached = _count(_mapping(counts.get("prompt_tokens_details")).get("cached_tokens")) or 0
    reasoning = _count(_mapping(counts.get("completion_tokens_details")).get("reasoning_tokens")) or 0
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        model=model,
        provider=call.provider,
        cached_tokens=min(cached, prompt),
        reasoning_tokens=min(reasoning, completion),
    )


def _only_choice(payload: Mapping[str, Any], call: Call) -> dict[str, Any]:
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


def _tool_call(item: object, finish: str, call: Call) -> ToolCall:
    wanted = _mapping(item)
    function = _mapping(wanted.get("function"))
    name = _string(function.get("name"))
    if name is None:
        raise call.bad_reply("a tool call names no function", item)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = _json().loads(arguments) if arguments.strip() else {}
        except ValueError as error:
            if finish == "length":
                message = f"max_tokens ({call.request.max_tokens}) cut the arguments of tool call {name!r}"
                raise call.error(message, Code.TRUNCATED, hint="raise max_tokens") from error
            raise call.bad_reply(f"the arguments of tool call {name!r} are no valid JSON", arguments) from error
    if not isinstance(arguments, dict | None):
        raise call.bad_reply(f"the arguments of tool call {name!r} are no JSON object", item)
    return ToolCall(id=_string(wanted.get("id")) or name, name=name, arguments=arguments or {})


# ----------------------------------------------------------------------------------------------------------- streams


@dataclass(slots=True)
class StreamDecoder:
    """Turns the payloads of one streamed answer into chunks, and checks at the end that it was whole."""

    call: Call
    text: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    response_id: str | None = None
    _usage: object = None
    _model: str = ""
    _calls: dict[int, dict[str, Any]] = field(default_factory=dict)

    def feed_event(self, data: bytes) -> ChatChunk | None:
        """The text that the data of one server-sent event adds, if any."""
        return None if data.strip() == b"[DONE]" else self.feed(parse_object(data, self.call))

    def feed(self, payload: Mapping[str, Any]) -> ChatChunk | None:
        """The text that `payload` adds, if any."""
        self._model = _string(payload.get("model")) or self._model
        self._usage = payload.get("usage") or self._usage
        self.response_id = _string(payload.get("id")) or self.response_id
        choices = payload.get("choices")
        if not isinstance(choices, list):
            raise self.call.bad_reply("a piece of the stream has no choices", payload)
        if not choices:
            return None
        choice = _only_choice(payload, self.call)
        if choice.get("finish_reason") is not None:
            self.finish_reason = _finish_reason(choice["finish_reason"])
        delta = _mapping(choice.get("delta"))
        for item in _list(delta.get("tool_calls")):
            self._add_call(_mapping(item))
        piece = _text(delta.get("content"), self.call, payload)
        if not piece:
            return None
        self.text.append(piece)
        return ChatChunk(text=piece)

    def finish(self, *, model: str | None = None) -> ChatChunk:
        """The last chunk, with the reason of the end, the token counts and the tool calls.

        Args:
            model: the name under which the tokens count; without it the one that the stream told.
        """
        if self.finish_reason is None:
            seen = "".join(self.text)
            message = f"the stream ended before the answer did, after {len(seen)} characters"
            raise self.call.error(message, Code.UNAVAILABLE, fields={"received_chars": len(seen)})
        text = "".join(self.text)
        tool_calls = tuple(_tool_call(item, self.finish_reason, self.call) for item in self._calls.values())
        check_answer(text, tool_calls, self.finish_reason, self.call)
        name = model or self._model or self.call.request.model
        usage = usage_of(self._usage, self.call, model=name, answer=text)
        return ChatChunk(text="", finish_reason=self.finish_reason, usage=usage, tool_calls=tool_calls)

    def _add_call(self, item: Mapping[str, Any]) -> None:
        index = _count(item.get("index"))
        known = self._calls.setdefault(len(self._calls) if index is None else index, {"function": {}})
        known["id"] = _string(item.get("id")) or known.get("id")
        function, more = known["function"], _mapping(item.get("function"))
        function["name"] = _string(more.get("name")) or function.get("name")
        function["arguments"] = (function.get("arguments") or "") + (_string(more.get("arguments")) or "")


# ------------------------------------------------------------------------------------------------------ small checks


def _json() -> Any:
    import orjson

    return orjson


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _estimate(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _finish_reason(value: object) -> str:
    return value if isinstance(value, str) and value else "stop"


def _name(payload: Mapping[str, Any], call: Call) -> str:
    return _string(payload.get("model")) or call.request.model
