"""What a model's annotations say about a place in its data: which keys, which values, text or not."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, SecretBytes, SecretStr, Tag
from pydantic.fields import FieldInfo

UNKNOWN: Final = Any
"""The shape of a place that no annotation describes."""

_WORDS: Final[Mapping[Any, str]] = {
    str: "a text",
    bytes: "a text",
    SecretStr: "a text",
    SecretBytes: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    date: "a date",
    datetime: "a date and time",
    time: "a time",
}
_TEXT_KINDS: Final = (str, bytes, SecretStr, SecretBytes, PurePath, date, time)


def bare(shape: Any) -> Any:
    """The shape without `Annotated`, named aliases and new types around it."""
    while True:
        if get_origin(shape) is Annotated:
            shape = get_args(shape)[0]
        elif hasattr(shape, "__value__"):
            shape = shape.__value__
        elif hasattr(shape, "__supertype__"):
            shape = shape.__supertype__
        elif isinstance(shape, TypeVar):
            shape = shape.__bound__ or UNKNOWN
        else:
            return shape


def members(shape: Any) -> tuple[Any, ...]:
    """What the shape may be besides `None`: one shape, or the members of a union, still annotated."""
    plain = bare(shape)
    if get_origin(plain) not in (Union, types.UnionType):
        return (shape,)
    found: list[Any] = []
    for member in get_args(plain):
        if bare(member) is not type(None):
            found += members(member) if discriminator(member) is None else [member]
    # An annotation around `X | None` belongs to X for everybody who asks further.
    return (
        (shape if discriminator(shape) is not None and len(found) == 1 else found[0],) if len(found) == 1 else (*found,)
    )


def nullable(shape: Any) -> bool:
    """Whether the shape allows `None`."""
    plain = bare(shape)
    if plain is None or plain is type(None) or plain is UNKNOWN:
        return True
    return get_origin(plain) in (Union, types.UnionType) and any(nullable(member) for member in get_args(plain))


def model_of(shape: Any) -> type[BaseModel] | None:
    """The model that the shape is, if it is one."""
    plain = bare(shape)
    plain = get_origin(plain) if isinstance(get_origin(plain), type) and _is_model(get_origin(plain)) else plain
    return plain if _is_model(plain) else None


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Key in the data (the alias, where there is one) to shape, of every field that can be given."""
    if not model.__pydantic_complete__:
        model.model_rebuild()
    return {key_of(name, field): Annotated[field.annotation, field] for name, field in model.model_fields.items()}


def key_of(name: str, field: FieldInfo) -> str:
    """The key under which a field stands in the data."""
    alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
    return alias or name


def is_open(model: type[BaseModel]) -> bool:
    """Whether the model takes keys that it has no field for."""
    return model.model_config.get("extra") in ("allow", "ignore")


def discriminator(shape: Any) -> str | Callable[[Any], Any] | None:
    """The key, or the function, that tells the members of a tagged union apart; `None` for any other shape."""
    while get_origin(shape) is Annotated or hasattr(shape, "__value__"):
        for mark in getattr(shape, "__metadata__", ()):
            if (found := _discriminator_of(mark)) is not None:
                return found
        shape = get_args(shape)[0] if get_origin(shape) is Annotated else shape.__value__
    if get_origin(shape) in (Union, types.UnionType):
        inner = [member for member in get_args(shape) if bare(member) is not type(None)]
        return discriminator(inner[0]) if len(inner) == 1 else None
    return None


def tag_key(shape: Any) -> str | None:
    """The key that holds the tag of a tagged union."""
    told_by = discriminator(shape)
    if isinstance(told_by, str):
        return told_by
    counts: dict[str, int] = {}
    for member in members(shape):
        for key, value in _keys_of(member).items():
            counts[key] = counts.get(key, 0) + bool(literals(value))
    return max(counts, key=lambda key: counts[key]) if any(counts.values()) else None


def tags(shape: Any) -> tuple[str, ...]:
    """The values that the tag of a tagged union may have."""
    key = tag_key(shape)
    found = (literals(_keys_of(member).get(key, UNKNOWN)) for member in members(shape)) if key else ()
    return tuple(dict.fromkeys(tag for group in found for tag in group))


def literals(shape: Any) -> tuple[str, ...]:
    """The values that the shape lists, as text; none when it is no list of values."""
    found: list[str] = []
    for member in members(shape):
        plain = bare(member)
        if get_origin(plain) is Literal:
            found += [_shown(value) for value in get_args(plain) if value is not None]
        elif isinstance(plain, type) and issubclass(plain, Enum):
            found += [_shown(item.value) for item in plain]
        else:
            return ()
    return tuple(found)


def is_secret(shape: Any) -> bool:
    """Whether the value must not be shown."""
    return any(bare(member) in (SecretStr, SecretBytes) for member in members(shape))


def takes_text(shape: Any) -> bool:
    """Whether text is meant as it stands there, without being read as YAML."""
    return all(_is_text(bare(member)) for member in members(shape))


def may_be_text(shape: Any) -> bool:
    """Whether text is one of the things that may stand there."""
    return any(_is_text(bare(member)) for member in members(shape))


def describe(shape: Any) -> str:
    """What may stand there, in words: `a whole number or null`."""
    plain_members = members(shape)
    words = [_word(bare(member)) for member in plain_members]
    if nullable(shape) and bare(shape) is not UNKNOWN:
        words.append("null")
    return " or ".join(dict.fromkeys(words))


def child(shape: Any, key: str | int, data: Any = None) -> Any:
    """The shape of what stands at `key` inside; `data` is what stands there now and decides between members."""
    candidates = [_inside(member, key) for member in _fitting(shape, key, data)]
    known = [found for found in candidates if found is not None]
    return known[0] if known else UNKNOWN


def container(shape: Any, data: Any) -> Any:
    """The member of the shape that `data` is meant for; the shape itself when there is only one or none fits."""
    found = _fitting(shape, None, data)
    return found[0] if len(found) == 1 else shape


def keys_of(shape: Any) -> dict[str, Any]:
    """Key to shape of every field that a model of this shape, or some member of it, has."""
    return {key: value for member in reversed(members(shape)) for key, value in _keys_of(member).items()}


def labelled(shape: Any, label: Any) -> Any:
    """The member of a union that pydantic calls `label` in the place of an error."""
    for member in members(shape):
        if str(label) in _labels(member):
            return member
    return UNKNOWN


def _fitting(shape: Any, key: str | int | None, data: Any) -> list[Any]:
    """The members that `data` may be meant for, the likeliest first."""
    found = list(members(shape))
    if len(found) == 1:
        return found
    name = tag_key(shape) if discriminator(shape) is not None else None
    if name is not None:
        tag = data.get(name) if isinstance(data, Mapping) else None
        if tag is None:
            return [member for member in found if key in _keys_of(member)]
        exact = [member for member in found if tag in literals(_keys_of(member).get(name, UNKNOWN))]
        return exact or [member for member in found if (model := model_of(member)) is not None and is_open(model)]
    if isinstance(data, Mapping) or isinstance(key, str):
        found = [
            member for member in found if model_of(member) or get_origin(bare(member)) is dict or bare(member) is dict
        ]
        return sorted(found, key=lambda member: key is not None and key not in _keys_of(member))
    if isinstance(data, list) or isinstance(key, int):
        return [member for member in found if _item(bare(member)) is not None]
    return found


def _inside(shape: Any, key: str | int) -> Any:
    if (model := model_of(shape)) is not None:
        return fields_of(model).get(str(key))
    plain = bare(shape)
    if plain is dict or get_origin(plain) in (dict, Mapping):
        values = get_args(plain)
        return values[1] if len(values) == 2 else UNKNOWN
    if isinstance(key, int):
        return _item(plain, key)
    return None


def _item(plain: Any, index: int = 0) -> Any:
    """The shape of a list's items; `None` when it is no list."""
    origin = get_origin(plain) or plain
    if not (isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset)) and not _is_sequence(
        origin
    ):
        return None
    items = get_args(plain)
    if not items:
        return UNKNOWN
    fixed = isinstance(origin, type) and issubclass(origin, tuple) and Ellipsis not in items
    return items[index] if fixed and index < len(items) else items[0]


def is_list(plain: Any) -> bool:
    """Whether the shape, without annotations, is a list of something."""
    return _item(plain) is not None


def _is_sequence(origin: Any) -> bool:
    return getattr(origin, "__module__", "") == "collections.abc" and origin.__name__ in (
        "Sequence", "MutableSequence", "Set", "Iterable", "Collection",
    )  # fmt: skip


def _labels(member: Any) -> set[str]:
    marks = [str(mark.tag) for mark in getattr(member, "__metadata__", ()) if isinstance(mark, Tag)]
    model = model_of(member)
    if model is not None:
        named = {value for shape in fields_of(model).values() for value in literals(shape)}
        return {model.__name__, *marks, *named}
    plain = bare(member)
    origin = get_origin(plain)
    text = str(plain).replace("typing.", "").replace(" ", "") if origin else getattr(plain, "__name__", str(plain))
    return {text, *marks}


def _keys_of(member: Any) -> dict[str, Any]:
    model = model_of(member)
    return fields_of(model) if model is not None else {}


def _discriminator_of(mark: Any) -> str | Callable[[Any], Any] | None:
    if isinstance(mark, FieldInfo):
        if mark.discriminator is not None:
            told_by = mark.discriminator
            return told_by.discriminator if isinstance(told_by, Discriminator) else told_by
        return next((found for inner in mark.metadata if (found := _discriminator_of(inner)) is not None), None)
    return mark.discriminator if isinstance(mark, Discriminator) else None


def _is_model(plain: Any) -> bool:
    return isinstance(plain, type) and issubclass(plain, BaseModel)


def _is_text(plain: Any) -> bool:
    if get_origin(plain) is Literal:
        return all(isinstance(value, str) for value in get_args(plain))
    if not isinstance(plain, type):
        return False
    return issubclass(plain, _TEXT_KINDS) or (issubclass(plain, Enum) and all(isinstance(i.value, str) for i in plain))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _word(plain: Any) -> str:
    if listed := literals(plain):
        return f"one of {', '.join(listed)}"
    if _is_model(plain) or get_origin(plain) in (dict, Mapping):
        return "a mapping"
    if _item(plain) is not None:
        return "a list"
    return _WORDS.get(plain, "a text" if _is_text(plain) else "another value")
