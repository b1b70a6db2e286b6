from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fmf_core.yaml_text import load_yaml
from generative_ai_workflow import Workflow
from generative_ai_workflow.definition import WorkflowStepDefinition, workflow_schema
from generative_ai_workflow.exceptions import ConfigurationError

A = "{id: a, prompt: 'inline: x'}"
B = "{id: b, prompt: 'inline: x', output: said, retry: 2, timeout: 5}"
VALID = [
    f"steps: [{A}]",
    f"name: x\ndescription: y\nconcurrency: 2\nvariables: {{lang: de}}\nparams: {{temperature: 0}}\nsteps: [{A}, {B}]",
    "steps: [{id: a, prompt: 'inline: x', output: {name: k, schema: {type: object}}, retry: {max_attempts: 2}}]",
    f"steps: [{{id: c, type: conditional, condition: 'true', then: [{A}], else: [{B}]}}]",
    f"steps: [{{id: c, type: conditional, when: 'true', else: [{A}]}}]",
    f"steps: [{{id: p, type: parallel, concurrency: 2, steps: [{A}, {B}]}}]",
    f"steps: [{{id: p, type: parallel, branches: [[{A}], [{B}]]}}]",
    f"steps: [{{id: f, type: for_each, items: xs, item: x, max_items: 3, continue_on_error: true, steps: [{A}]}}]",
    f"steps: [{{id: f, type: for_each, items: [1, 2], steps: [{A}]}}]",
    f"input: {{text: string, n: {{type: integer, default: 1}}, m: {{}}}}\nsteps: [{A}]",
    f"input: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}\nsteps: [{A}]",
    f"input: {{type: string}}\nsteps: [{A}]",
]
INVALID = [
    "steps: []",
    "name: x",
    "steps: [{id: a}]",
    "steps: [{prompt: 'inline: x'}]",
    f"nmae: x\nsteps: [{A}]",
    "steps: [{id: a, prompt: 'inline: x', then: []}]",
    "steps: [{id: a, prompt: 'inline: x', options: {a: 1}}]",
    "steps: [{id: a, prompt: 'inline: x', params: {temperature: 3}}]",
    "steps: [{id: a, prompt: 'inline: x', timeout: 0}]",
    f"steps: [{{id: c, type: conditional, then: [{A}]}}]",
    "steps: [{id: c, type: conditional, condition: 'true'}]",
    f"steps: [{{id: c, type: conditional, condition: 'true', then: [{A}], items: xs}}]",
    f"steps: [{{id: p, type: parallel, steps: [{A}], branches: [[{B}]]}}]",
    "steps: [{id: p, type: parallel}]",
    f"steps: [{{id: p, type: parallel, prompt: 'inline: x', steps: [{A}]}}]",
    f"steps: [{{id: f, type: for_each, steps: [{A}]}}]",
    f"steps: [{{id: f, type: for_each, items: xs, max_items: 0, steps: [{A}]}}]",
    "steps: [{id: f, type: for_each, items: xs, steps: [{id: a, promt: 'inline: x'}]}]",
    f"input: {{text: str}}\nsteps: [{A}]",
    f"input: {{text: 3}}\nsteps: [{A}]",
    f"inputs: {{connector: docs}}\nsteps: [{A}]",
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(workflow_schema()))
    return made


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", VALID)
def test_what_is_a_workflow_is_valid_for_editors(text: str, schema: dict[str, Any]) -> None:
    Path("w.yaml").write_text(text)
    Workflow.from_yaml("w.yaml")
    jsonschema.validate(load_yaml(text, source="w.yaml").data, schema)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_none_is_invalid_for_editors(text: str, schema: dict[str, Any]) -> None:
    Path("w.yaml").write_text(text)
    with pytest.raises(ConfigurationError):
        Workflow.from_yaml("w.yaml")
    assert not jsonschema.Draft202012Validator(schema).is_valid(load_yaml(text, source="w.yaml").data)


def test_steps_of_registered_types_are_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate({"steps": [{"id": "a", "type": "ours", "options": {"x": 1}}]}, schema)


def test_every_key_of_this_room_is_described(schema: dict[str, Any]) -> None:
    parts = {"WorkflowDefinition": schema, **schema["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, told in part.get("properties", {}).items()
        if not told.get("description") and name != "OutputSpec"
    ]
    assert bare == []


LEAF: dict[str, Any] = {"id": "a", "prompt": "inline: x {{ item }}"}
PLAIN = [None, True, 0, 1, 2.5, -1, "", "a", "b", "true", "xs", "${input.xs}", "${steps.a}", "${", "inline: {{ a }}"]
NESTED = [[], [1], {}, {"a": 1}, {"type": "string"}, {"max_attempts": 2}, {"name": "k"}, LEAF, [LEAF], [[LEAF]]]
VALUES = st.sampled_from([*PLAIN, *NESTED])
KEYS = st.sampled_from([*WorkflowStepDefinition.model_fields, "else", "unknown"])
IDS = st.just("s")


def step(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=2)
    whole = st.one_of(
        st.fixed_dictionaries({"id": IDS, "prompt": st.just("inline: x")}),
        st.fixed_dictionaries(
            {"id": IDS, "type": st.just("conditional"), "condition": st.just("xs"), "then": several},
            optional={"else": several},
        ),
        st.fixed_dictionaries({"id": IDS, "type": st.just("parallel"), "steps": several}),
        st.fixed_dictionaries(
            {"id": IDS, "type": st.just("parallel"), "branches": st.lists(several, min_size=1, max_size=2)}
        ),
        st.fixed_dictionaries({"id": IDS, "type": st.just("for_each"), "items": st.just("xs"), "steps": several}),
    )
    return st.tuples(whole, st.dictionaries(KEYS, VALUES, max_size=1)).map(lambda parts: {**parts[0], **parts[1]})


def named(data: Any, number: Iterator[int]) -> Any:
    """`data` with a name of its own for every step."""
    if isinstance(data, list):
        return [named(item, number) for item in data]
    if not isinstance(data, dict):
        return data
    made = {key: named(value, number) for key, value in data.items()}
    if isinstance(made.get("id"), str) and made["id"]:
        made["id"] = f"s{next(number)}"
    return made


FILES = st.fixed_dictionaries(
    {"steps": st.lists(st.recursive(step(st.just(LEAF)), step, max_leaves=4), max_size=3)},
    optional={"input": VALUES, "variables": VALUES, "params": VALUES, "timeout": VALUES, "system_prompt": VALUES},
).map(lambda data: named(data, itertools.count()))


@given(FILES)
@example({"steps": [{"id": "a", "prompt": "inline: x", "timeout": 2.5, "retry": 1}], "input": {"type": "string"}})
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_a_workflow_or_one_clear_error_and_editors_flag_no_workflow(
    schema: dict[str, Any], data: dict[str, Any]
) -> None:
    Path("w.yaml").write_text(json.dumps(data))
    told = ""
    try:
        Workflow.from_yaml("w.yaml")
    except ConfigurationError as error:
        told = str(error)
    if told:
        assert "w.yaml:1:" in told
    else:
        jsonschema.validate(data, schema)
