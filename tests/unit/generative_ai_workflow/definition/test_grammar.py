from __future__ import annotations

import pytest

from generative_ai_workflow import ForEachStep, PluginRegistry
from generative_ai_workflow.control_flow.for_each import CONCURRENCY, MAX_ITEMS
from generative_ai_workflow.definition import ResolvedPrompt, StepDefinition, WorkflowStepDefinition, workflow_schema
from generative_ai_workflow.definition.build import build_steps
from generative_ai_workflow.definition.grammar import LLM_WORDS, WORDS, key_of
from generative_ai_workflow.definition.schema import _NEEDS

OF_TYPE = {
    "conditional": {"condition": "true", "then": [{"id": "a", "prompt": "x"}]},
    "parallel": {"steps": [{"id": "a", "prompt": "x"}]},
    "for_each": {"items": [1], "steps": [{"id": "a", "prompt": "x"}]},
}


def test_the_words_of_steps_that_hold_steps_are_the_fields_that_only_workflow_files_have():
    every = frozenset().union(*WORDS.values())
    assert every == set(WorkflowStepDefinition.model_fields) - set(StepDefinition.model_fields)
    assert set(StepDefinition.model_fields) >= LLM_WORDS


def test_the_defaults_of_a_file_are_those_of_the_step():
    definition = WorkflowStepDefinition.model_validate({"id": "s", "type": "for_each", **OF_TYPE["for_each"]})
    [step] = build_steps([definition], lambda text: ResolvedPrompt(template=text), pytest.fail)
    alone = ForEachStep("s", [1], step.steps)
    assert (step.concurrency, step.max_items) == (alone.concurrency, alone.max_items) == (CONCURRENCY, MAX_ITEMS)
    told = workflow_schema()["$defs"]["WorkflowStepDefinition"]["properties"]
    assert told["max_items"]["default"] == MAX_ITEMS
    assert f"default {CONCURRENCY}" in told["concurrency"]["description"]


def test_a_field_has_the_key_that_the_file_is_read_by():
    properties = workflow_schema()["$defs"]["WorkflowStepDefinition"]["properties"]
    assert {key_of(field) for field in WorkflowStepDefinition.model_fields} == set(properties)
    assert (key_of("otherwise"), key_of("then")) == ("else", "then")


def test_the_schema_asks_something_of_every_type_that_holds_steps():
    assert set(_NEEDS) == set(WORDS) == set(OF_TYPE)


@pytest.mark.parametrize("kind", WORDS)
def test_every_type_that_holds_steps_is_made_as_what_is_registered_under_its_name(kind):
    definition = WorkflowStepDefinition.model_validate({"id": "s", "type": kind, **OF_TYPE[kind]})
    [step] = build_steps([definition], lambda text: ResolvedPrompt(template=text), pytest.fail)
    assert type(step) is PluginRegistry.get_step(kind)
