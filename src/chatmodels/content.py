"""Messages in the shape that the GenAI conventions publish, redacted; used only where somebody opted in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatmodels.types import ChatRequest, ImagePart, Message, Part, ToolCall
from fmf_core.redact import redact_value

INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
SYSTEM = "gen_ai.system_instructions"
TOOLS = "gen_ai.tool.definitions"

FINISH_REASONS: Mapping[str, str] = {"tool_calls": "tool_call", "function_call": "tool_call"}
"""Providers' reasons to those of the published schema, where they differ."""


def asked(request: ChatRequest) -> dict[str, Any]:
    """What `request` says: system instructions, messages and tools, each only where there are some."""
    system = [part for message in request.messages if message.role == "system" for part in _parts(message)]
    turns = [
        {"role": message.role, "parts": _parts(message)} for message in request.messages if message.role != "system"
    ]
    tools = [{"type": "function", **tool.model_dump(include={"name", "description", "parameters"})}
             for tool in request.tools]  # fmt: skip
    found = {SYSTEM: system, INPUT: turns, TOOLS: tools}
    return {name: redact_value(value) for name, value in found.items() if value}


def answered(text: str, tool_calls: Sequence[ToolCall], finish_reason: str) -> dict[str, Any]:
    """What the model said."""
    message = Message(role="assistant", content=text, tool_calls=tuple(tool_calls))
    reason = FINISH_REASONS.get(finish_reason, finish_reason)
    return {OUTPUT: redact_value([{"role": "assistant", "parts": _parts(message), "finish_reason": reason}])}


def as_text(facts: Mapping[str, Any]) -> dict[str, str]:
    """`facts` for a span, whose attributes cannot be nested: as JSON text."""
    return {name: _json(value) for name, value in facts.items()}


def _parts(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
    content = message.content
    shown = [_part(part) for part in content] if not isinstance(content, str) else [_text(content)] if content else []
    calls = [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return [*shown, *calls]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _part(part: Part) -> dict[str, Any]:
    if not isinstance(part, ImagePart):
        return _text(part.text)
    # Pictures are told by their address or their hash: bytes would not fit into what backends take.
    return {"type": "uri", "modality": "image", "mime_type": part.media_type, "uri": part.url or _hash(part)}


def _hash(part: ImagePart) -> str:
    from hashlib import sha256

    return f"sha256:{sha256(part.data or b'').hexdigest()}"


def _json(value: Any) -> str:
    import json

    import orjson

    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a whole number beyond 64 bits, half a surrogate pair
        return json.dumps(value, default=str)
