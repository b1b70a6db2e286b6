from __future__ import annotations

from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, RootModel

from generative_ai_workflow import (
    ConfigurationError,
    DefinitionError,
    LLMStep,
    MockLLMProvider,
    TransformStep,
    Workflow,
    WorkflowEngine,
)
from unit.generative_ai_workflow.loops import run_alone

DECLARED = {
    "text": "string",
    "count": {"type": "integer", "minimum": 1, "default": 3},
    "tags": {"type": "array", "items": {"type": "string"}, "required": False},
}


def workflow(declared: Any = DECLARED) -> Workflow:
    return Workflow([TransformStep("seen", lambda names: dict(names), inline=True)], input_schema=declared)


def test_defaults_are_filled_in() -> None:
    assert workflow().checked({"text": "a"}) == {"text": "a", "count": 3}
    assert workflow().checked({"text": "a", "count": 5, "tags": ["x"]}) == {"text": "a", "count": 5, "tags": ["x"]}


def test_defaults_are_not_shared_between_runs() -> None:
    made = workflow({"items": {"type": "array", "default": []}})
    made.checked({})["items"].append(1)
    assert made.checked({}) == {"items": []}


def test_one_error_names_every_name_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as caught:
        workflow().checked({"txet": "a", "count": 0, "tags": ["a", 1]})
    told = str(caught.value)
    for part in (
        "'text' is missing",
        "'txet' is not declared (did you mean 'text'?)",
        "'count': 0",
        "'tags'",
        "string",
    ):
        assert part in told
    assert "text (string)" in caught.value.hint
    assert "count (integer, optional)" in caught.value.hint


def test_an_error_does_not_grow_with_the_input() -> None:
    with pytest.raises(ConfigurationError) as caught:
        workflow().checked({f"k{number}": 1 for number in range(1000)})
    assert len(caught.value.message) < 1_000
    assert caught.value.message.endswith("and more")


def test_a_tuple_is_an_array() -> None:
    assert workflow().checked({"text": "a", "tags": ("x",)})["tags"] == ("x",)
    with pytest.raises(ConfigurationError, match="'tags'"):
        workflow().checked({"text": "a", "tags": (1,)})


def test_tuples_are_arrays_however_deep_they_stand() -> None:
    rows = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
    made = workflow({"rows": rows, "more": {"type": "object", "default": {"pair": (1, 2)}}})
    assert made.checked({"rows": [(1, 2), [3]]}) == {"rows": [(1, 2), [3]], "more": {"pair": (1, 2)}}
    with pytest.raises(ConfigurationError, match="'rows'"):
        made.checked({"rows": ((1, "x"),)})
    assert workflow({"names": "object"}).checked({"names": MappingProxyType({"a": 1})})


def test_what_is_no_mapping_is_refused_as_ever() -> None:
    with pytest.raises(ConfigurationError, match="dict with text keys"):
        workflow().checked([1])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'text' is missing"):
        workflow().checked(None)


def test_values_that_are_no_json_are_told_by_their_type() -> None:
    with pytest.raises(ConfigurationError, match="'text': a value of type object does not fit"):
        workflow().checked({"text": object()})
    assert workflow({"picture": {}}).checked({"picture": object})["picture"] is object


def test_a_whole_schema_may_be_given() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/word"}, "b": {"type": "integer"}},
        "required": ["a"],
        "dependentRequired": {"b": ["c"]},
        "$defs": {"word": {"type": "string", "maxLength": 3}},
    }
    made = workflow(schema)
    assert made.input_schema == schema
    assert made.checked({"a": "abc", "more": 1}) == {"a": "abc", "more": 1}
    for wrong, told in (({"a": "abcd"}, "maxLength"), ({"b": 1, "a": ""}, "dependentRequired"), ({}, "'a' is missing")):
        with pytest.raises(ConfigurationError, match=told):
            made.checked(wrong)


class Letter(BaseModel):
    text: str
    pages: int = 1


def test_a_pydantic_model_may_be_given() -> None:
    made = workflow(Letter)
    assert made.checked({"text": "a"}) == {"text": "a", "pages": 1}
    with pytest.raises(ConfigurationError, match="'pages'"):
        made.checked({"text": "a", "pages": "two"})


class Order(BaseModel):
    tags: list[str] = Field(default_factory=list)
    day: date = Field(default_factory=lambda: date(2026, 1, 2))
    pages: list[int] = Field(default_factory=lambda: [1], alias="Pages")
    letter: Letter = Field(default_factory=lambda: Letter(text="a"), validation_alias=AliasChoices("Letter", "post"))


def test_defaults_that_a_model_makes_are_made_for_each_run() -> None:
    made = workflow(Order)
    first = made.checked({})
    assert first == {"tags": [], "day": "2026-01-02", "Pages": [1], "Letter": {"text": "a", "pages": 1}}
    first["tags"].append("x")
    assert made.checked({"Pages": [2]}) == {**first, "tags": [], "Pages": [2]}
    result = Workflow([LLMStep("a", "{tags} {day}", MockLLMProvider("x"))], input_schema=Order).execute({})
    assert result.error is None


def test_a_default_that_cannot_be_made_is_an_error_of_the_input() -> None:
    class Broken(BaseModel):
        count: int = Field(default_factory=lambda: int("x"))

    with pytest.raises(ConfigurationError, match="default of 'count' could not be made: ValueError") as caught:
        workflow(Broken).checked({})
    assert caught.value.hint
    assert workflow(Broken).checked({"count": 1}) == {"count": 1}


def test_models_that_mention_themselves_or_have_no_fields() -> None:
    made = workflow(Tree)
    assert made.checked({"inside": [{"inside": []}]}) == {"inside": [{"inside": []}]}
    with pytest.raises(ConfigurationError, match="'inside'"):
        made.checked({"inside": [1]})
    with pytest.raises(DefinitionError, match="model with fields"):
        workflow(RootModel[list[int]])

    class Empty(BaseModel):
        pass

    assert workflow(Empty).checked({}) == {}


class Tree(BaseModel):
    inside: list[Tree] = []


def test_without_a_declaration_anything_goes() -> None:
    made = workflow(None)
    assert made.input_schema is None
    assert made.checked({"a": object}) == {"a": object}


def test_an_empty_declaration_takes_nothing() -> None:
    assert workflow({}).checked({}) == {}
    with pytest.raises(ConfigurationError, match="'a' is not declared"):
        workflow({}).checked({"a": 1})


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"a": "str"}, "did you mean 'string'?"),
        ({"a": "strnig"}, "did you mean 'string'?"),
        ({"a": 3}, "'a'"),
        ({"a": {"type": "integer", "default": "x"}}, "default does not fit"),
        ({"a": {"type": "string", "default": "x", "required": True}}, "has a default"),
        ({"a": {"type": "string", "required": "yes"}}, "true or false"),
        ({"a": {"pattern": "("}}, "'a'"),
        ({"a": {"$ref": "https://example.org/x"}}, "'a'"),
        ({1: "string"}, "must be a text"),
        ({"type": "object", "properties": {"text": "string"}}, "inside of properties write {type: string}"),
        ({"type": "object", "properties": {"text": None}}, "got None"),
        ({"type": "object", "properties": {"text": 5}}, "'text'"),
        ("text", "mapping of names to types"),
    ],
)
def test_what_cannot_be_declared(declared: Any, told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        workflow(declared)
    assert told in str(caught.value)


def test_every_way_to_run_fills_in_defaults() -> None:
    made = workflow()
    engine = WorkflowEngine()
    outputs = [
        made.execute({"text": "a"}).output,
        run_alone(made.execute_async({"text": "a"})).output,
        made.start({"text": "a"}).result(timeout=30).output,
        engine.run(made, {"text": "a"}).output,
    ]
    assert all(output is not None and output["seen_output"] == {"text": "a", "count": 3} for output in outputs)


def test_every_way_to_run_refuses_what_does_not_fit_before_anything_runs() -> None:
    ran: list[int] = []
    made = Workflow([TransformStep("note", lambda names: ran.append(1))], input_schema={"text": "string"})
    engine = WorkflowEngine()
    for run in (made.execute, made.start, lambda data: engine.run(made, data), lambda data: engine.start(made, data)):
        with pytest.raises(ConfigurationError, match="'text' is missing"):
            run({})
    with pytest.raises(ConfigurationError, match="'text' is missing"):
        run_alone(made.execute_async({}))
    assert ran == []


def test_the_input_that_a_step_sees_has_the_defaults() -> None:
    made = Workflow(
        [TransformStep("seen", lambda names: names["count"])], input_schema={"count": {"type": "integer", "default": 3}}
    )
    assert made.execute().output == {"seen": 3, "seen_output": 3}
