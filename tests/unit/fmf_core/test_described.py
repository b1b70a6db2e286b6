from __future__ import annotations

from pydantic import BaseModel, Field

from fmf_core.described import described_schema, descriptions, models_in


class Inner(BaseModel):
    depth: int = 3
    """How deep."""


class Outer(BaseModel):
    name: str
    """What it is called."""
    inner: Inner = Inner()
    """The part inside."""
    others: list[Inner] = Field(default_factory=list)
    silent: bool = False


class Special(Outer):
    silent: bool = True
    """No longer silent."""


def test_every_field_has_its_description_and_default() -> None:
    schema = described_schema(Outer, "outer file")
    assert schema["title"] == "outer file"
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["properties"]["name"]["description"] == "What it is called."
    assert schema["properties"]["inner"]["description"] == "The part inside."
    assert schema["properties"]["others"]["default"] == []
    assert schema["$defs"]["Inner"]["properties"]["depth"] == {
        "default": 3,
        "description": "How deep.",
        "type": "integer",
    }


def test_descriptions_are_inherited_and_may_be_replaced() -> None:
    assert descriptions(Special) == {
        "name": "What it is called.",
        "inner": "The part inside.",
        "silent": "No longer silent.",
    }


def test_models_are_found_inside_annotations() -> None:
    assert list(models_in(dict[str, tuple[Inner, ...]] | None)) == [Inner]
