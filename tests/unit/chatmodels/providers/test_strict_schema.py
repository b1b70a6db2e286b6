from __future__ import annotations

import datetime as dt
from enum import StrEnum
from functools import reduce
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from chatmodels.providers.strict_schema import fits_strict
from chatmodels.python_types import schema_of

TEXT = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(a=TEXT, b=closed(c={"type": ["integer", "null"], "minimum": 0})),
        closed(a={"type": "array", "items": closed(b={"enum": [1, 2]}), "maxItems": 3}),
        closed(a={"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}) | {"$defs": {"b": closed(c=TEXT)}},
        closed(a={"type": "string", "format": "date", "description": "when", "title": "A"}),
        closed(properties=TEXT, oneOf=TEXT),
    ],
)
def test_what_is_enforced(schema: dict[str, Any]) -> None:
    assert fits_strict(schema)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "object"},
        {"type": "array", "items": TEXT},
        closed() | {"anyOf": [closed()]},
        closed(a=TEXT) | {"required": []},
        closed(a=TEXT) | {"additionalProperties": True},
        closed(a={}),
        closed(a=True),
        closed(a={"type": "object"}),
        closed(a={"type": ["object", "null"]}),
        closed(a={"type": "array", "items": {"type": "object"}}),
        closed(a={"oneOf": [TEXT]}),
        closed(a={"anyOf": [TEXT, {"allOf": [TEXT]}]}),
        closed(a={"anyOf": TEXT}),
        closed(a={"type": "string", "default": "x"}),
        closed(a={"type": "string", "format": "uri"}),
        closed(a={"$ref": "#/$defs/b", "description": "x"}) | {"$defs": {"b": TEXT}},
        closed(a=TEXT) | {"$defs": {"b": {"type": "object"}}},
        closed(a=TEXT) | {"properties": [TEXT]},
        reduce(lambda inner, _: closed(a=inner), range(11), TEXT),
        closed(**{f"p{number}": TEXT for number in range(5001)}),
    ],
)
def test_what_would_be_refused(schema: object) -> None:
    assert not fits_strict(schema)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: str = Field(description="as on the label")
    colour: Colour
    spare: Part | None = Field(None, description="what may replace it")


class Order(BaseModel):
    """An order."""

    day: dt.date
    parts: list[Part] = Field(max_length=10)
    main: Part = Field(description="the one that matters")
    note: str | None = None
    state: Literal["open", "done"]


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Defaulted(BaseModel):
    count: int = 3


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Pet(BaseModel):
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("model", "strict"),
    [(Order, True), (Part, True), (Loose, False), (Defaulted, False), (Pet, False)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_pydantic_models(model: type[BaseModel], strict: bool) -> None:
    assert fits_strict(schema_of(model)) is strict
