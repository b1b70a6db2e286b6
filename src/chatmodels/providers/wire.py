"""What the wire formats of OpenAI share: how one is handed to a model, and the checks that no reply gets around."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from chatmodels.capabilities import expected_capabilities, family_of, temperature_to_send
from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call, shown
from chatmodels.providers.checks import object_in
from chatmodels.providers.openai_errors import reported
from chatmodels.providers.strict_schema import fits_strict
from chatmodels.providers.token_counts import Counts
from chatmodels.providers.tool_calls import name_for
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, ResponseFormat, ToolCall
from fmf_core.errors import Code

FAMILIES: Final = "openai"
"""Whose names of models mean something in these formats, on whatever server."""


class Decoder(Protocol):
    """Turns the events of one streamed answer into chunks."""

    ended: bool
    """Whether the answer is whole: nothing that may yet come belongs to it."""

    def feed_event(self, data: bytes) -> ChatChunk | None:
        """The text that the data of one server-sent event adds, if any."""
        ...

    def finish(self) -> ChatChunk:
        """The last chunk; raises when the answer was not whole."""
        ...

    def charge(self, error: ChatModelError) -> None:
        """Say on `error`, which ends the stream, what the provider has counted by now."""
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


def temperature_of(request: ChatRequest) -> float | None:
    """The temperature that goes out; left out where nobody chose it and the model takes none."""
    return temperature_to_send(request, expected_capabilities(FAMILIES, bare_name(request)))


def limit_of(request: ChatRequest) -> str:
    """What chat completions call the limit of the model's answer."""
    return family_of(FAMILIES, bare_name(request)).limit


def bare_name(request: ChatRequest) -> str:
    """The model's name without the vendor that routers put before it."""
    return request.model.rpartition("/")[2]


def schema_format(wanted: ResponseFormat) -> dict[str, Any]:
    """Name, schema and strictness of a wanted JSON Schema, as both formats spell them."""
    name = name_for(wanted.name, "answer")
    return {"name": name, "schema": wanted.json_schema, "strict": fits_strict(wanted.json_schema)}


# ----------------------------------------------------------------------------------------------------------- replies


def parse_body(raw: bytes, content_type: str, call: Call) -> dict[str, Any]:
    """The JSON object that a successful reply holds; anything else is a `BAD_REPLY`."""
    if "html" in content_type.lower() or raw.lstrip()[:1] == b"<":
        raise call.bad_reply(f"the reply is a web page, not JSON (content type {content_type!r})", raw)
    return parse_object(raw, call)


def parse_object(raw: bytes | str, call: Call, *, piece: bool = False) -> dict[str, Any]:
    """The JSON object in `raw`; an `error` object in it is raised as the error that it reports.

    `piece` is whether it belongs to a stream, see `object_in`.
    """
    payload = object_in(raw, call, piece=piece)
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
