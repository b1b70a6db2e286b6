from __future__ import annotations

from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from chatmodels.providers.schema_example import example_of


class Leaf(BaseModel):
    kind: Literal["a", "b"]
    weight: float = Field(gt=0, lt=0.5)


class Tree(BaseModel):
    name: str = Field(min_length=6, max_length=8)
    leaves: list[Leaf] = Field(min_length=2)
    parent: Tree | None
    pair: tuple[int, bool]
    count: int = Field(ge=3, multiple_of=4)
    note: str = "optional"


def test_a_model_of_pydantic_gets_what_it_accepts() -> None:
    tree = Tree.model_validate(example_of(Tree.model_json_schema()))
    assert (tree.name, tree.count, len(tree.leaves), tree.note) == ("textxx", 4, 2, "optional")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "text"),
        ({"const": None}, None),
        ({"type": ["null", "string"]}, None),
        ({"type": "array"}, []),
        ({"oneOf": [{"type": "boolean"}, {"type": "string"}]}, False),
        ({"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]}, {"a": 0}),
        ({"properties": {"a": {"type": "string"}}}, {}),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "exclusiveMinimum": 7}, 8),
        ({"examples": ["so"]}, "so"),
        ({"$ref": "#/nowhere"}, "text"),
    ],
)
def test_the_plainest_value(schema: dict[str, Any], value: Any) -> None:
    assert example_of(schema) == value


def test_a_schema_that_holds_itself_ends() -> None:
    schema = {
        "$ref": "#/$defs/t",
        "$defs": {"t": {"type": "object", "required": ["t"], "properties": {"t": {"$ref": "#"}}}},
    }
    assert "t" in example_of(schema)


@given(
    st.recursive(
        st.sampled_from(
            [{"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}, {"enum": [1, "b"]}, {}]
        ),
        lambda inner: st.one_of(
            st.builds(
                lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 3)
            ),
            st.builds(
                lambda properties, every: {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties) if every else [],
                },
                st.dictionaries(st.text(max_size=3), inner, max_size=3),
                st.booleans(),
            ),
            st.builds(lambda several: {"anyOf": several}, st.lists(inner, min_size=1, max_size=3)),
        ),
        max_leaves=8,
    )
)
def test_the_value_fits(schema: dict[str, Any]) -> None:
    jsonschema.validate(example_of(schema), schema)


@given(
    st.sampled_from(["integer", "number"]),
    st.integers(-20, 20),
    st.integers(1, 20),
    st.sampled_from(["minimum", "exclusiveMinimum"]),
    st.sampled_from(["maximum", "exclusiveMaximum"]),
)
def test_numbers_keep_their_limits(kind: str, low: int, width: int, lower: str, upper: str) -> None:
    schema = {"type": kind, lower: low, upper: low + width + 1}
    jsonschema.validate(example_of(schema), schema)
