"""Conversations and tools as OpenAI's clients write them, put into the words of the house."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatmodels.json_values import DEEPEST, exact, is_too_deep

_TEXT = ("text", "input_text", "output_text")
_IMAGE = ("image_url", "input_image")
_TOOL: Mapping[str, type] = {"name": str, "description": str, "parameters": Mapping}
_OWN = {"text": ("type", "text"), "image": ("type", "data", "url", "media_type")}
_LONGEST_SHOWN = 20
_PARTS = 'give a text, or a list of {"type": "text", "text": ...} and {"type": "image_url", "image_url": {"url": ...}}'


def turns_of(messages: Iterable[Any], known: Iterable[str]) -> tuple[Any, ...]:
    """The turns of a conversation, those that are mappings with the keys and values of the house.

    `developer` is the role `system`, `image_url` parts are pictures, and `function.arguments` the mapping that its JSON
    stands for. The message of an answer of OpenAI's client counts as a mapping.

    Args:
        messages: mappings, and whatever else; the others stay as they are.
        known: the keys that a turn may have. Others are left out where they are empty (`"refusal": None`).

    Raises:
        ValueError: something has no place here; the message tells which turn it is.
    """
    keys = frozenset(known)
    return tuple(_turn(number, message, keys) for number, message in enumerate(messages))


def tool_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The tool of `{"type": "function", "function": {...}}`, or of the same without the inner mapping.

    Raises:
        ValueError: it is a tool of another kind, or has keys that no tool has.
    """
    kind = tool.get("type", "function")
    if kind != "function":
        raise ValueError(f"a tool of type {_short(kind)} is the provider's own: give it in extra_params")
    inner = tool.get("function", {key: value for key, value in tool.items() if key != "type"})
    if not isinstance(inner, Mapping):
        raise ValueError(f"function must be a mapping with a name, got {type(inner).__name__}")  # noqa: TRY004 - pydantic takes a ValueError
    # `strict` is OpenAI's way to hold a model to the schema; what comes back is for the caller to check in any case.
    given = {key: value for key, value in inner.items() if key != "strict" and value is not None}
    unknown = [key for key in given if key not in _TOOL]
    if unknown or not given.get("name"):
        wrong = f"has no {unknown[0]!r}" if unknown else "needs a name"
        raise ValueError(f"a tool {wrong}: its keys are {', '.join(_TOOL)}")
    for key, value in given.items():
        if not isinstance(value, _TOOL[key]):
            raise ValueError(f"{key} of a tool cannot be of type {type(value).__name__}")  # noqa: TRY004 - as above
    return given


def _turn(number: int, message: Any, keys: frozenset[str]) -> Any:
    if (
        hasattr(message, "model_dump")
        and isinstance(getattr(message, "role", None), str)
        and not keys <= set(type(message).model_fields)
    ):
        message = message.model_dump(exclude_none=True)
    if not isinstance(message, Mapping):
        return message
    needless = {"name"} if message.get("role") == "tool" else set()  # the call that it answers says it
    turn = {
        key: value
        for key, value in message.items()
        if key in keys or (key not in needless and value not in (None, [], "", {}))
    }
    try:
        if turn.get("role") == "developer":
            turn["role"] = "system"
        if "content" in turn:
            turn["content"] = _content(turn["content"])
        if "tool_calls" in turn:
            turn["tool_calls"] = _calls(turn["tool_calls"])
    except ValueError as error:
        raise ValueError(f"the message at index {number}: {error}") from None
    return turn


def _content(content: Any) -> Any:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise ValueError(f"{type(content).__name__} is no content: {_PARTS}")  # noqa: TRY004 - pydantic takes a ValueError
    return tuple(_part(number, part) for number, part in enumerate(content))


def _calls(calls: Any) -> Any:
    if calls is None:
        return ()
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise ValueError(f"tool_calls must be a list, got {type(calls).__name__}")  # noqa: TRY004 - pydantic takes a ValueError
    return tuple(_call(number, call) if isinstance(call, Mapping) else call for number, call in enumerate(calls))


def _part(number: int, part: Any) -> Any:
    if not isinstance(part, Mapping):
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return part
    kind = part.get("type", "text" if "text" in part else None)
    try:
        if kind in _TEXT:
            return _text(part)
        if kind in _IMAGE:
            return _image(part)
    except ValueError as error:
        raise ValueError(f"part {number}: {error}") from None
    if kind in _OWN or (kind is None and {"data", "url"} & set(part)):
        return {"type": "image", **part}
    raise ValueError(f"part {number}: a part of type {_short(kind)} has no place here: {_PARTS}")


def _text(part: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown(part, ("type", "text", "annotations", "logprobs"))
    if not isinstance(part.get("text"), str):
        raise ValueError(f"text must be a text, got {type(part.get('text')).__name__}")  # noqa: TRY004 - pydantic takes a ValueError
    return {"type": "text", "text": part["text"]}


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown(part, ("type", "image_url", "detail"))
    where = part.get("image_url")
    inner = {"url": where} if isinstance(where, str) else where
    if not isinstance(inner, Mapping) or not isinstance(inner.get("url"), str):
        raise ValueError('image_url must be {"url": ...} with an address or a data: URL')  # noqa: TRY004 - pydantic takes a ValueError
    _refuse_unknown(inner, ("url", "detail"))
    if (detail := inner.get("detail") or part.get("detail")) not in (None, "auto"):
        raise ValueError(f"detail {_short(detail)} has no place here: leave it out")
    url = inner["url"]
    if not url.startswith("data:"):
        return {"type": "image", "url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    try:
        picture = base64.b64decode(data, validate=True) if "base64" in parameters else b""
    except binascii.Error:
        picture = b""
    if not picture:
        raise ValueError("the data: URL of a picture must hold base64, as in data:image/png;base64,...")
    return {"type": "image", "data": picture, "media_type": media_type or "image/png"}


def _call(number: int, call: Mapping[str, Any]) -> Mapping[str, Any]:
    if "function" not in call:
        return call
    inner = call["function"]
    if call.get("type", "function") != "function" or not isinstance(inner, Mapping):
        raise ValueError(f'call {number}: give {{"id": ..., "type": "function", "function": {{...}}}}')
    arguments = inner.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = exact(arguments)
        except ValueError:
            arguments = None
    if not isinstance(arguments, Mapping):
        raise ValueError(f"call {number}: function.arguments must be the text of a JSON object")  # noqa: TRY004 - pydantic takes a ValueError
    if is_too_deep(arguments):
        raise ValueError(f"call {number}: the arguments are nested more than {DEEPEST} levels deep")
    given = {"id": call.get("id"), "name": inner.get("name")}
    wrong = [key for key, value in given.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"call {number}: {wrong[0]} must be a text")
    return {**given, "arguments": dict(arguments)}


def _refuse_unknown(mapping: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = [key for key, value in mapping.items() if key not in known and value not in (None, [], {})]
    if unknown:
        raise ValueError(f"{unknown[0]!r} has no place here: leave it out")


def _short(value: Any) -> str:
    """A word as it stands there; of anything longer, which may be text of a document, its kind."""
    return repr(value) if isinstance(value, str) and len(value) <= _LONGEST_SHOWN else type(value).__name__
