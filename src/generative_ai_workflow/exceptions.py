"""Workflow errors; provider errors are the chat layer's, under the names used here."""

from __future__ import annotations

from chatmodels.errors import ChatModelError as ProviderError
from chatmodels.errors import ProviderAuthError
from fmf_core.errors import (
    Code,
    ConfigurationError,
    FrameworkError,
    PluginError,
    PluginNotFoundError,
    PluginRegistrationError,
)

__all__ = [
    "AbortError",
    "BudgetExceededError",
    "Code",
    "ConfigurationError",
    "DefinitionError",
    "ExpressionError",
    "FrameworkError",
    "PluginError",
    "PluginNotFoundError",
    "PluginRegistrationError",
    "ProviderAuthError",
    "ProviderError",
    "StepError",
    "TemplateError",
    "WorkflowError",
]


class WorkflowError(FrameworkError):
    """A workflow could not be defined or run."""


class DefinitionError(WorkflowError, ConfigurationError):
    """A workflow, a step or a template is wrong as it was written; raised before anything runs."""

    default_code = Code.INVALID


class StepError(WorkflowError):
    """A step failed; the message names it."""


class AbortError(WorkflowError):
    """Raised by a middleware hook to stop the run on purpose: it ends as FAILED with this reason."""

    default_code = Code.CANCELLED


class TemplateError(WorkflowError, ConfigurationError):
    """A template or a reference mentions something that nothing provides; the hint lists what there is."""

    default_code = Code.INVALID


class ExpressionError(WorkflowError, ConfigurationError):
    """A condition cannot be read, or cannot be decided with the values at hand."""

    default_code = Code.INVALID


class BudgetExceededError(WorkflowError, AssertionError):
    """More was spent than a `CostTracker` allows; an `AssertionError` too, so that in a test it reads as a failure."""

    default_code = Code.BUDGET
