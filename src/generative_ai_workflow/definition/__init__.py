"""Workflows written as YAML: the grammar of a step, and the functions that make steps of it."""

from generative_ai_workflow.definition.build import Resolve, build_step, build_steps
from generative_ai_workflow.definition.file import Draft, load_workflow
from generative_ai_workflow.definition.grammar import (
    ResolvedPrompt,
    SharedParams,
    StepDefinition,
    StepParams,
    WorkflowDefinition,
    WorkflowStepDefinition,
)
from generative_ai_workflow.definition.prompts import INLINE, PromptFiles
from generative_ai_workflow.definition.schema import workflow_schema

__all__ = [
    "INLINE",
    "Draft",
    "PromptFiles",
    "Resolve",
    "ResolvedPrompt",
    "SharedParams",
    "StepDefinition",
    "StepParams",
    "WorkflowDefinition",
    "WorkflowStepDefinition",
    "build_step",
    "build_steps",
    "load_workflow",
    "workflow_schema",
]
