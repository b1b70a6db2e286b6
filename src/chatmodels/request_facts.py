"""What of a request decides its answer: as JSON values for people and files, and as a hash to look answers up by."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from json.encoder import encode_basestring
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import BaseModel, SecretBytes, SecretStr

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
SETTINGS = ("model", "temperature", "max_tokens", "seed")
"""What a model fills in where a request leaves it open."""
_PLAIN = tuple(name for name in REQUEST_FIELDS if name != "messages")
_IN_ORDER = frozenset({"json_schema", "parameters", "arguments"})
"""Where the order of keys decides: a model that must reason before it answers may answer otherwise."""
DEEPEST = 32
"""How many levels of nesting a setting may have that is told apart from others."""


_SIMPLE = ("model", "temperature", "max_tokens", "seed", "tool_choice")
_SCALARS = frozenset((str, int, float, bool, type(None)))
_HERE = uuid4().hex
"""Stands for the messages while the JSON around them is written: nothing else says it."""
_known_around: dict[str, tuple[bytes, bytes]] = {}
_MOST_KNOWN: Final = 256
_AT_A_TIME: Final = 2000
"""Bytes. To hash more at once, Python gives up its lock, and has to wait for it longer than the hash takes."""


class UntellableError(ValueError):
    """A value that nothing tells apart from others of its kind, such as a function."""


def request_facts(request: ChatRequest) -> dict[str, Any]:
    """What of `request` decides the answer, as JSON values; pictures by their hash. Secrets are not blanked."""
    facts = request.model_dump(mode="json", include=set(_PLAIN))
    facts["messages"] = [_message_facts(message) for message in request.messages]
    return {name: facts[name] for name in REQUEST_FIELDS if facts[name] not in (None, [], {})}


def request_key(request: ChatRequest, **more: Any) -> str:
    """A hash of everything in `request` that decides the answer, and of the facts in `more`; it reveals none of it.

    A setting that was given differs from one that was left open, even where both have the same value: a model may have
    a default of its own for the latter.

    Raises:
        ValueError: something in the request cannot be written as JSON or told apart from others (`UntellableError`).
    """
    around = _around(request, more)
    if around is None:
        return _key_of_all(request, more)
    # Only the texts differ from one request of a run to the next.
    hashed = sha256(around[0])
    for number, message in enumerate(request.messages):
        assert isinstance(message.content, str)  # noqa: S101 - nothing stands around anything else
        content, role = encode_basestring(message.content), encode_basestring(message.role)
        text = f'{"," if number else ""}{{"content":{content},"role":{role}}}'
        raw = text.encode("utf-8", "surrogatepass")
        for start in range(0, len(raw), _AT_A_TIME):
            hashed.update(raw[start : start + _AT_A_TIME])
    hashed.update(around[1])
    return hashed.hexdigest()


def _key_of_all(request: ChatRequest, more: Mapping[str, Any]) -> str:
    given = [name for name in SETTINGS if name in request.model_fields_set]
    settings = {name: getattr(request, name) for name in SETTINGS}
    asked = request_facts(request.model_copy(update={"extra_params": {}}))
    extra = distinct_json(request.extra_params)
    return digest({"more": more, "request": asked, "extra": extra, "given": given, "settings": settings})


def _around(request: ChatRequest, more: Mapping[str, Any]) -> tuple[bytes, bytes] | None:
    """What stands before and after the messages in the JSON of a request; `None` where it is more than plain texts."""
    if request.tools or request.extra_params or request.response_format is not None or not request.messages:
        return None
    if any(type(one.content) is not str or one.tool_calls or one.tool_call_id for one in request.messages):
        return None
    facts = [getattr(request, name) for name in _SIMPLE]
    given = request.model_fields_set
    if not all(type(fact) in _SCALARS for fact in (*facts, *more.values())) or type(request.stop) is not tuple:
        return None
    # As text: 1, 1.0 and True are three settings, and one key of a dict.
    name = repr((facts, request.stop, [setting for setting in SETTINGS if setting in given], more))
    found = _known_around.get(name)
    if found is None:
        if len(_known_around) >= _MOST_KNOWN:
            _known_around.clear()
        found = _known_around[name] = _written_around(request, more)
    return found


def _written_around(request: ChatRequest, more: Mapping[str, Any]) -> tuple[bytes, bytes]:
    given = [name for name in SETTINGS if name in request.model_fields_set]
    settings = {name: getattr(request, name) for name in SETTINGS}
    asked = {**request_facts(request), "messages": [_HERE]}
    told = {"more": more, "request": asked, "extra": distinct_json({}), "given": given, "settings": settings}
    before, _, after = canonical(told).encode("utf-8", "surrogatepass").partition(f'"{_HERE}"'.encode())
    return before, after


def digest(facts: Mapping[str, Any]) -> str:
    """A hash of `facts`, which are JSON values; it reveals none of them."""
    return sha256(canonical(facts).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(facts: Mapping[str, Any]) -> str:
    """The one way to write `facts` as JSON; the order of keys counts only in what a model gets to see as it is."""
    return json.dumps(_sorted(facts), ensure_ascii=False, separators=(",", ":"))


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if not isinstance(value, dict):
        return value
    facts = {}
    for name, item in sorted(value.items()):
        if name == "extra_params" and isinstance(item, dict):
            facts[name] = dict(sorted(item.items()))
        else:
            facts[name] = item if name in _IN_ORDER else _sorted(item)
    return facts


def distinct_json(value: Any) -> Any:
    """`value` as JSON that differs wherever values, their types or the order of nested keys do.

    It may hold secrets, so only hash it.

    Raises:
        UntellableError: it is or holds an object that nothing tells apart from others of its kind.
    """
    return _told(value, 0)


def _told(value: Any, depth: int) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    if depth > DEEPEST:
        raise UntellableError(f"more than {DEEPEST} levels of nesting")
    return _told_other(value, depth + 1)


def _told_other(value: Any, depth: int) -> Any:  # noqa: C901, PLR0911 - one line for each kind of value
    kind = _name(type(value))
    match value:
        case Enum():
            return [kind, value.name]
        case SecretStr() | SecretBytes():
            return [kind, _told(value.get_secret_value(), depth)]
        case str() | int() | float():
            return [kind, value]
        case bytes() | bytearray():
            return [kind, sha256(value).hexdigest()]
        case PurePath() | Decimal() | UUID() | date() | time() | timedelta():
            return [kind, str(value)]
        case Mapping():
            items = [[_told(key, depth), _told(item, depth)] for key, item in value.items()]
            # Only of what is nested may the order decide: it may be a schema.
            return ["mapping", sorted(items, key=_written) if depth == 1 else items]
        case list() | tuple():
            return [kind, [_told(item, depth) for item in value]]
        case AbstractSet():
            return [kind, sorted((_told(item, depth) for item in value), key=_written)]
        case BaseModel() if not value.__pydantic_private__:
            return [kind, _told(dict(value), depth)]
        case type() if _found(value):
            return ["type", _name(value)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return [kind, _told(_fields(value), depth)]
    raise UntellableError(f"nothing tells one {kind} apart from another")


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that holds nothing else."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if set(getattr(value, "__dict__", {})) - set(fields):
        raise UntellableError(f"a {_name(type(value))} holds more than its fields")
    return fields


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _found(kind: type) -> bool:
    """Whether the name of a class leads to it, in other processes as well."""
    module = None if kind.__module__ == "__main__" else sys.modules.get(kind.__module__)
    return getattr(module, kind.__qualname__, None) is kind


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _message_facts(message: Message) -> dict[str, Any]:
    """The message without what it leaves open, and with the hash of each picture instead of its bytes."""
    facts = message.model_dump(mode="json", exclude={"content"})
    if isinstance(message.content, str):
        facts["content"] = message.content
    else:
        facts["content"] = [
            _picture_facts(part) if isinstance(part, ImagePart) else part.model_dump(mode="json")
            for part in message.content
        ]
    ordered = {"role": facts.pop("role"), "content": facts.pop("content"), **facts}
    return {name: value for name, value in ordered.items() if value not in (None, [])}


def _picture_facts(picture: ImagePart) -> dict[str, Any]:
    data, url = None, picture.url
    if picture.data is not None:
        data = f"sha256:{sha256(picture.data).hexdigest()}"
    elif url is not None and url[:5].lower() == "data:":
        url = f"data:sha256:{sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return {"type": picture.type, "data": data, "url": url, "media_type": picture.media_type}
