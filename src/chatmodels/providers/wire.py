"""What the wire formats of OpenAI share: how one is handed to a model, and the checks that no reply gets around."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call, shown
from chatmodels.providers.openai_errors import reported
from chatmodels.providers.strict_schema import fits_strict
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, ResponseFormat, TokenUsage, ToolCall
from fmf_core.errors import Code

CHARS_PER_TOKEN = 4
"""The estimate for replies without counts: English text has about four characters to a token."""

# Models that think before they answer take no temperature but their own.
THINKING_MODELS = re.compile(r"^(?:o[1-9]|gpt-5)(?!.*-chat)")


class Decoder(Protocol):
    """Turns the events of one streamed answer into chunks."""

    def feed_event(self, data: bytes) -> ChatChunk | None:
        """The text that the data of one server-sent event adds, if any."""
        ...

    def finish(self) -> ChatChunk:
        """The last chunk; raises when the answer was not whole."""
        ...


class Encoder(Protocol):
    """Writes the body that asks for a call's request."""

    def __call__(self, call: Call, *, stream: bool = False) -> Mapping[str, Any]:
        """The body; raises `ChatModelError` where the format cannot carry what is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format: where its requests go, how they are written, and how replies are read. All of it is pure."""

    path: str
    """Below the server's address."""
    api_type: str
    """What telemetry calls the interface."""
    encode: Encoder
    decode: Callable[[Mapping[str, Any], Call], ChatResponse]
    """The response that a checked reply holds."""
    decoder: Callable[[Call], Decoder]
    """What reads one streamed answer."""
    counts: Callable[[object], Counts]
    """The token counts in the `usage` of a reply."""
    lacks: frozenset[str] = frozenset()
    """Capabilities that it has no field for, whatever the model."""


# ---------------------------------------------------------------------------------------------------------- requests


def temperature_to_send(request: ChatRequest) -> float | None:
    """The temperature that goes out: one that the caller chose whatever the model, another only where it is taken."""
    # So a refusal of what was chosen is the provider's and visible.
    chosen = "temperature" in request.model_fields_set
    return request.temperature if chosen or THINKING_MODELS.match(bare_name(request)) is None else None


def bare_name(request: ChatRequest) -> str:
    """The model's name without the vendor that routers put before it."""
    return request.model.rpartition("/")[2]


def schema_format(wanted: ResponseFormat) -> dict[str, Any]:
    """Name, schema and strictness of a wanted JSON Schema, as both formats spell them."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted.name)[:64] or "answer"
    return {"name": name, "schema": wanted.json_schema, "strict": fits_strict(wanted.json_schema)}


def arguments_text(call: ToolCall) -> str:
    """The arguments of a tool call as JSON text."""
    return str(json().dumps(call.arguments).decode())


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
        payload = json().loads(raw)
    except ValueError as error:
        raise call.bad_reply(f"the reply is no valid JSON ({error})", raw) from error
    if not isinstance(payload, dict):
        raise call.bad_reply(f"the reply is JSON of type {type(payload).__name__}, not an object", raw)
    if payload.get("error"):
        raise reported(payload["error"], call)
    return payload


def check_answer(text: str, tool_calls: Sequence[ToolCall], finish: str, call: Call) -> None:
    """Refuse an answer that is none: filtered, or empty although the model says it finished."""
    if finish == "content_filter":
        raise call.error(f"the provider's content filter stopped the answer after {shown(text)}", Code.REFUSED)
    if not text and not tool_calls and finish != "length":
        raise call.error(f"the answer is empty (finish_reason {finish!r})", Code.BAD_REPLY)


def cut_off(received: str, call: Call) -> Exception:
    """The error for a stream that ended before the answer did."""
    message = f"the stream ended before the answer did, after {len(received)} characters"
    return call.error(message, Code.UNAVAILABLE, fields={"received_chars": len(received)})


def tool_call_of(call_id: str | None, name: object, arguments: object, finish: str, call: Call) -> ToolCall:
    """The tool call that a reply holds; `arguments` are JSON text or an object."""
    called = string(name)
    if called is None:
        raise call.bad_reply("a tool call names no function", {"id": call_id, "arguments": arguments})
    given = arguments
    if isinstance(given, str):
        try:
            given = json().loads(given) if given.strip() else {}
        except ValueError as error:
            if finish == "length":
                message = f"max_tokens ({call.request.max_tokens}) cut the arguments of tool call {called!r}"
                raise call.error(message, Code.TRUNCATED, hint="raise max_tokens") from error
            raise call.bad_reply(f"the arguments of tool call {called!r} are no valid JSON", arguments) from error
    if not isinstance(given, dict | None):
        raise call.bad_reply(f"the arguments of tool call {called!r} are no JSON object", arguments)
    return ToolCall(id=call_id or called, name=called, arguments=given or {})


@dataclass(frozen=True, slots=True)
class Counts:
    """The token counts of a reply as they stood there, whatever their types."""

    prompt: object = None
    completion: object = None
    cached: object = None
    reasoning: object = None

    def usage(self, call: Call, *, model: str, answer: str) -> TokenUsage:
        """The provider's counts; where it sends none, an estimate of four characters to a token."""
        prompt, completion = count(self.prompt), count(self.completion)
        if prompt is None:
            prompt = _estimate("".join(message.text for message in call.request.messages))
        if completion is None:
            completion = _estimate(answer)
        return TokenUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            model=model,
            provider=call.provider,
            cached_tokens=min(count(self.cached) or 0, prompt),
            reasoning_tokens=min(count(self.reasoning) or 0, completion),
            estimated=not self.complete,
        )

    @property
    def complete(self) -> bool:
        """Whether the provider counted prompt and answer."""
        return count(self.prompt) is not None and count(self.completion) is not None


# ------------------------------------------------------------------------------------------------------ small checks


def paid(error: ChatModelError, counts: Counts, call: Call) -> ChatModelError:
    """`error` with the `usage` of the answer that could not be used, where the provider counted: it is paid as well."""
    if counts.complete:
        error.fields["usage"] = counts.usage(call, model=call.request.model, answer="")
    return error


def json() -> Any:
    """The JSON library; its import costs more than that of the rest."""
    import orjson

    return orjson


def count(value: object) -> int | None:
    """`value` if it can be a number of things."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def string(value: object) -> str | None:
    """`value` if it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """`value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def _estimate(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)
