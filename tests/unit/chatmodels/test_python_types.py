from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from chatmodels.json_schema import check_schema, fault_in
from chatmodels.python_types import MOST_FAULTS, FaultsError, is_python_type, name_of, schema_of, value_of
from fmf_core.errors import ConfigurationError


class Part(BaseModel):
    part_name: str
    weight: float | None = None
    spares: list[Part] = Field(default_factory=list, description="what may replace it")


class Order(BaseModel):
    model_config = ConfigDict(strict=True)

    day: dt.date
    main: Part = Field(description="the one that matters")
    never: int = None  # type: ignore[assignment]
    title: str = Field("none", title="Heading")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str | None = None


parts = st.deferred(
    lambda: st.builds(
        Part,
        part_name=st.text(),
        weight=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        spares=st.lists(parts, max_size=2),
    )
)


@given(parts)
def test_what_a_model_writes_fits_its_schema_and_comes_back(part: Part) -> None:
    plain = part.model_dump(mode="json")
    assert fault_in(plain, schema_of(Part)) is None
    assert value_of(Part, plain) == part


def test_a_schema_is_closed_and_asks_for_what_may_be_null() -> None:
    schema = schema_of(Part)
    check_schema(schema)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert schema["required"] == ["part_name", "weight"]
    assert schema["properties"]["part_name"] == {"type": "string"}
    assert schema["properties"]["weight"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert schema["properties"]["spares"]["items"] == {"$ref": "#/$defs/Part"}


def test_nothing_is_asked_for_that_would_have_to_be_made_up() -> None:
    schema = schema_of(Order)
    assert schema["required"] == ["day", "main"]
    assert schema["properties"]["title"]["title"] == "Heading"
    assert schema_of(Open)["additionalProperties"] is True


def test_words_stand_beside_no_reference() -> None:
    main = schema_of(Order)["properties"]["main"]
    assert "$ref" not in main
    assert (main["description"], main["type"]) == ("the one that matters", "object")


def test_a_schema_is_not_shared() -> None:
    schema_of(Part)["properties"].clear()
    assert schema_of(Part)["properties"]


def test_a_strict_model_takes_its_dates_from_text() -> None:
    order = value_of(Order, {"day": "2026-11-21", "main": {"part_name": "x"}})
    assert order.day == dt.date(2026, 11, 21)


def test_faults_have_places_and_no_values() -> None:
    plain = [{"part_name": "x", "spares": [{"part_name": 3}, {"secret" * 100: 1}]}] + [{"weight": "secret"}] * 9
    with pytest.raises(FaultsError) as caught:
        value_of(list[Part], plain)
    told = str(caught.value)
    assert told.startswith("at $[0].spares[0].part_name: Input should be a valid string; at $[0].spares[1]")
    assert told.endswith(f"and {20 - MOST_FAULTS} more")
    assert "secret" not in told
    assert caught.value.__suppress_context__


def test_a_value_that_is_nested_too_deeply_is_a_fault() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(FaultsError, match="nested too deeply"):
        value_of(list[Any], deep)


@pytest.mark.parametrize(
    ("thing", "is_type", "name"),
    [
        (Part, True, "Part"),
        (list[Part], True, "answer"),
        (int | None, True, "answer"),
        (TypeAdapter(int), True, "answer"),
        ({"type": "object"}, False, "answer"),
        ("Part", False, "answer"),
    ],
)
def test_what_is_a_type(thing: object, is_type: bool, name: str) -> None:
    assert is_python_type(thing) is is_type
    assert name_of(thing) == name


class Odd:
    pass


@pytest.mark.parametrize("shape", [Odd, Part(part_name="x"), 3, list[Odd]])
def test_what_has_no_schema(shape: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        schema_of(shape)
    assert caught.value.hint
