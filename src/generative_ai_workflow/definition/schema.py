"""The JSON Schema of workflow files, for editors and for people."""

from __future__ import annotations

from typing import Any

from fmf_core.described import described_schema
from generative_ai_workflow.definition.grammar import LLM, LLM_WORDS, WORDS, WorkflowDefinition, key_of
from generative_ai_workflow.input_schema import TYPES

_NEEDS: dict[str, dict[str, Any]] = {
    "conditional": {
        "allOf": [
            {"anyOf": [{"required": ["condition"]}, {"required": ["when"]}]},
            {"anyOf": [{"required": ["then"]}, {"required": [key_of("otherwise")]}]},
        ]
    },
    "parallel": {"oneOf": [{"required": ["steps"]}, {"required": ["branches"]}]},
    "for_each": {"required": ["items", "steps"]},
}


def workflow_schema() -> dict[str, Any]:
    """The schema of a workflow file as JSON Schema (draft 2020-12), every key with its description and default."""
    schema = described_schema(WorkflowDefinition, "workflow file")
    step = schema["$defs"]["WorkflowStepDefinition"]
    step["properties"]["output"]["anyOf"].append({"type": "string", "minLength": 1})
    step["allOf"] = [
        {"if": _of_type(kind), "then": {**needs, "properties": _without(LLM_WORDS | {"options"} | _foreign(kind))}}
        for kind, needs in _NEEDS.items()
    ]
    step["allOf"].append(
        {
            "if": {"not": {"properties": {"type": {"enum": list(WORDS)}}, "required": ["type"]}},
            "then": {"properties": _without(frozenset().union(*WORDS.values()))},
        }
    )
    step["allOf"].append(
        {
            "if": {"properties": {"type": {"const": LLM}}},
            "then": {"required": ["prompt"], "properties": _without(frozenset({"options"}))},
        }
    )
    declared = {"anyOf": [{"enum": list(TYPES)}, {"type": "object"}]}
    schema["properties"]["input"]["anyOf"][0]["additionalProperties"] = True
    schema["properties"]["input"]["anyOf"][0]["if"] = {
        "not": {
            "properties": {"type": {"const": "object"}, "properties": {"type": "object"}},
            "required": ["type", "properties"],
        }
    }
    schema["properties"]["input"]["anyOf"][0]["then"] = {"additionalProperties": declared}
    return schema


def _of_type(kind: str) -> dict[str, Any]:
    return {"properties": {"type": {"const": kind}}, "required": ["type"]}


def _foreign(kind: str) -> frozenset[str]:
    return frozenset().union(*WORDS.values()) - WORDS[kind]


def _without(words: frozenset[str]) -> dict[str, Any]:
    return {key_of(word): False for word in sorted(words)}
