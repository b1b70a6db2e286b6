"""One door for plugins: providers go to the chat layer's table, step types to the one here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmodels.registry import (
    Registered,
    list_chat_models,
    models,
    register_chat_model,
    unregister_chat_model,
)
from fmf_core.errors import Code, PluginRegistrationError
from fmf_core.registry import Entry, Registry
from generative_ai_workflow.workflow_step import WorkflowStep

RegisteredStep = type[WorkflowStep] | WorkflowStep
"""What a step type may stand for: a class, or one ready step."""

BUILTIN = {
    "llm": Entry("generative_ai_workflow.step:LLMStep", metadata={"description": "Asks a chat model"}),
    "transform": Entry("generative_ai_workflow.step:TransformStep", metadata={"description": "Applies a function"}),
    "conditional": Entry(
        "generative_ai_workflow.control_flow:ConditionalStep",
        metadata={"description": "Runs one list of steps or the other"},
    ),
    "parallel": Entry(
        "generative_ai_workflow.control_flow:ParallelStep", metadata={"description": "Runs several steps at once"}
    ),
    "for_each": Entry(
        "generative_ai_workflow.control_flow:ForEachStep",
        metadata={"description": "Runs its steps for every item of a list"},
    ),
}


def _check(name: str, item: Any) -> None:
    if isinstance(item, WorkflowStep) or (isinstance(item, type) and issubclass(item, WorkflowStep)):
        return
    raise PluginRegistrationError(
        f"{item!r} cannot be registered as step type {name!r}: it is no WorkflowStep",
        op="registry.add",
        code=Code.INVALID,
        hint="give a subclass of WorkflowStep, or an instance of one",
    )


steps: Registry[RegisteredStep] = Registry("step type", BUILTIN, group="generative_ai_workflow.steps", check=_check)


class PluginRegistry:
    """Publishes chat models and step types under names; one table for the whole process.

        PluginRegistry.register_provider("house", HouseModel)
        LLMStep("answer", "{question}", provider="house")

    Every method can be called on the class itself or on an instance.
    """

    @staticmethod
    def register_provider(
        name: str, provider: Registered, *, metadata: Mapping[str, Any] | None = None, replace: bool = False
    ) -> None:
        """Publish a chat model: a class, an instance, or a function that returns one.

        Raises:
            PluginRegistrationError: the name is taken (unless `replace`), or the thing is no chat model.
        """
        register_chat_model(name, provider, metadata=metadata, replace=replace)

    @staticmethod
    def get_provider(name: str) -> Registered:
        """What was registered under `name`.

        Raises:
            PluginNotFoundError: nothing was; the hint lists what is.
        """
        return models.get(name)

    @staticmethod
    def list_providers() -> list[str]:
        """The names of all providers, sorted."""
        return list_chat_models()

    @staticmethod
    def unregister_provider(name: str) -> None:
        """Take back a registration.

        Raises:
            PluginNotFoundError: nothing was registered under `name`.
        """
        unregister_chat_model(name)

    @staticmethod
    def register_step(
        name: str, step: RegisteredStep, *, metadata: Mapping[str, Any] | None = None, replace: bool = False
    ) -> None:
        """Publish a step type for workflow files: a subclass of `WorkflowStep`, or an instance of one.

        Raises:
            PluginRegistrationError: the name is taken (unless `replace`), or the thing is no step.
        """
        steps.add(name, step, metadata=metadata, replace=replace)

    @staticmethod
    def get_step(name: str) -> RegisteredStep:
        """What was registered under `name`.

        Raises:
            PluginNotFoundError: nothing was; the hint lists what is.
        """
        return steps.get(name)

    @staticmethod
    def list_steps() -> list[str]:
        """The names of all step types, sorted."""
        return steps.names()

    @staticmethod
    def unregister_step(name: str) -> None:
        """Take back a registration.

        Raises:
            PluginNotFoundError: nothing was registered under `name`.
        """
        steps.remove(name)

    @staticmethod
    def clear() -> None:
        """Take back every registration of this process; what the house ships stays."""
        models.clear()
        steps.clear()
