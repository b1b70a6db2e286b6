"""Workflows written as YAML: the grammar of a step, and the functions that make steps of it."""

from typing import TYPE_CHECKING

from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from generative_ai_workflow.definition.build import Resolve as Resolve
    from generative_ai_workflow.definition.build import build_step as build_step
    from generative_ai_workflow.definition.build import build_steps as build_steps
    from generative_ai_workflow.definition.file import Draft as Draft
    from generative_ai_workflow.definition.file import load_workflow as load_workflow
    from generative_ai_workflow.definition.grammar import ResolvedPrompt as ResolvedPrompt
    from generative_ai_workflow.definition.grammar import StepDefinition as StepDefinition
    from generative_ai_workflow.definition.grammar import WorkflowDefinition as WorkflowDefinition
    from generative_ai_workflow.definition.grammar import WorkflowStepDefinition as WorkflowStepDefinition
    from generative_ai_workflow.definition.prompts import PromptFiles as PromptFiles
    from generative_ai_workflow.definition.schema import workflow_schema as workflow_schema

facade(
    __name__,
    {
        "generative_ai_workflow.definition.build": "Resolve build_step build_steps",
        "generative_ai_workflow.definition.file": "Draft load_workflow",
        "generative_ai_workflow.definition.grammar": (
            "ResolvedPrompt StepDefinition WorkflowDefinition WorkflowStepDefinition"
        ),
        "generative_ai_workflow.definition.prompts": "PromptFiles",
        "generative_ai_workflow.definition.schema": "workflow_schema",
    },
)
