"""What of a request decides its answer: as JSON values for people and files, and as a hash to look answers up by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from chatmodels.types import ChatRequest, ImagePart, Message

REQUEST_FIELDS = (
    "model",
    "messages",
    "temperature",
    "max_tokens",
    "seed",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "extra_params",
)
"""What makes two requests the same; `prompt` and `system_prompt` are views of `messages`."""
_SETTINGS = ("model", "temperature", "max_tokens", "seed")
_PLAIN = tuple(name for name in REQUEST_FIELDS if name != "messages")


def request_facts(request: ChatRequest) -> dict[str, Any]:
    """What of `request` decides the answer, as JSON values; pictures by their hash. Secrets are not blanked."""
    facts = request.model_dump(mode="json", include=set(_PLAIN))
    facts["messages"] = [_message_facts(message) for message in request.messages]
    return {name: facts[name] for name in REQUEST_FIELDS if facts[name] not in (None, [], {})}


def request_key(request: ChatRequest, **more: Any) -> str:
    """A hash of everything in `request` that decides the answer, and of the facts in `more`; it reveals none of it.

    A setting that was given differs from one that was left open, even where both have the same value: a model may have
    a default of its own for the latter.
    """
    given = [name for name in _SETTINGS if name in request.model_fields_set]
    settings = {name: getattr(request, name) for name in _SETTINGS}
    facts = {"more": more, "request": request_facts(request), "given": given, "settings": settings}
    return sha256(canonical(facts).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(facts: Mapping[str, Any]) -> str:
    """The one way to write `facts` as JSON."""
    return json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def plain(value: Any) -> Any:
    """`value` as JSON; an object counts by its kind, for what is in it cannot be told."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _message_facts(message: Message) -> dict[str, Any]:
    """The message without what it leaves open, and with the hash of each picture instead of its bytes."""
    facts = message.model_dump(mode="json", exclude={"content"})
    if isinstance(message.content, str):
        facts["content"] = message.content
    else:
        facts["content"] = [
            _picture_facts(part) if isinstance(part, ImagePart) and part.data else part.model_dump(mode="json")
            for part in message.content
        ]
    ordered = {"role": facts.pop("role"), "content": facts.pop("content"), **facts}
    return {name: value for name, value in ordered.items() if value not in (None, [])}


def _picture_facts(picture: ImagePart) -> dict[str, Any]:
    facts = picture.model_dump(mode="json", exclude={"data"})
    digest = sha256(picture.data or b"").hexdigest()
    return {"type": facts["type"], "data": f"sha256:{digest}", "url": facts["url"], "media_type": facts["media_type"]}
