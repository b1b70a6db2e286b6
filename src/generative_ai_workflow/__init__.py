"""Workflows: named steps in a row, run by one engine, awaited or blocking."""

from typing import TYPE_CHECKING

from fmf_core import __version__ as __version__
from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from chatmodels.providers.mock import MockChatModel
    from fmf_core.personal import Finding as Finding
    from fmf_core.personal import detect_pii as detect_pii
    from fmf_core.personal import find_pii as find_pii
    from fmf_core.personal import redact_pii as redact_pii
    from fmf_core.pseudonyms import Pseudonyms as Pseudonyms
    from generative_ai_workflow.condition import Condition as Condition
    from generative_ai_workflow.config import FrameworkConfig as FrameworkConfig
    from generative_ai_workflow.config import WorkflowConfig as WorkflowConfig
    from generative_ai_workflow.context import StepContext as StepContext
    from generative_ai_workflow.control_flow import ConditionalStep as ConditionalStep
    from generative_ai_workflow.control_flow import ForEachStep as ForEachStep
    from generative_ai_workflow.control_flow import ParallelStep as ParallelStep
    from generative_ai_workflow.durable.sqlite import SQLiteRunStore as SQLiteRunStore
    from generative_ai_workflow.durable.store import KeptRun as KeptRun
    from generative_ai_workflow.durable.store import RunIdentity as RunIdentity
    from generative_ai_workflow.durable.store import RunStore as RunStore
    from generative_ai_workflow.durable.store import StoredRun as StoredRun
    from generative_ai_workflow.engine import WorkflowEngine as WorkflowEngine
    from generative_ai_workflow.exceptions import AbortError as AbortError
    from generative_ai_workflow.exceptions import BudgetExceededError as BudgetExceededError
    from generative_ai_workflow.exceptions import ConfigurationError as ConfigurationError
    from generative_ai_workflow.exceptions import DefinitionError as DefinitionError
    from generative_ai_workflow.exceptions import ExpressionError as ExpressionError
    from generative_ai_workflow.exceptions import FrameworkError as FrameworkError
    from generative_ai_workflow.exceptions import PluginError as PluginError
    from generative_ai_workflow.exceptions import PluginNotFoundError as PluginNotFoundError
    from generative_ai_workflow.exceptions import PluginRegistrationError as PluginRegistrationError
    from generative_ai_workflow.exceptions import ProviderAuthError as ProviderAuthError
    from generative_ai_workflow.exceptions import ProviderError as ProviderError
    from generative_ai_workflow.exceptions import StepError as StepError
    from generative_ai_workflow.exceptions import TemplateError as TemplateError
    from generative_ai_workflow.exceptions import WorkflowError as WorkflowError
    from generative_ai_workflow.handle import WorkflowHandle as WorkflowHandle
    from generative_ai_workflow.input_rules import InputLimits as InputLimits
    from generative_ai_workflow.input_rules import clean_text as clean_text
    from generative_ai_workflow.middleware.base import Middleware as Middleware
    from generative_ai_workflow.middleware.pseudonyms import PseudonymMiddleware as PseudonymMiddleware
    from generative_ai_workflow.observability.prometheus import PrometheusExporter as PrometheusExporter
    from generative_ai_workflow.observability.prometheus import RunCollector as RunCollector
    from generative_ai_workflow.observability.run_metrics import RunMetrics as RunMetrics
    from generative_ai_workflow.observability.tracker import CostTracker as CostTracker
    from generative_ai_workflow.observability.tracker import TokenUsageTracker as TokenUsageTracker
    from generative_ai_workflow.plugins.registry import PluginRegistry as PluginRegistry
    from generative_ai_workflow.providers.base import LLMProvider as LLMProvider
    from generative_ai_workflow.providers.base import LLMRequest as LLMRequest
    from generative_ai_workflow.providers.base import LLMResponse as LLMResponse
    from generative_ai_workflow.providers.base import TokenUsage as TokenUsage
    from generative_ai_workflow.state import ExecutionMetrics as ExecutionMetrics
    from generative_ai_workflow.state import StepResult as StepResult
    from generative_ai_workflow.state import StepStatus as StepStatus
    from generative_ai_workflow.state import WorkflowResult as WorkflowResult
    from generative_ai_workflow.state import WorkflowStatus as WorkflowStatus
    from generative_ai_workflow.step import LLMStep as LLMStep
    from generative_ai_workflow.step import TransformStep as TransformStep
    from generative_ai_workflow.step import WorkflowStep as WorkflowStep
    from generative_ai_workflow.workflow import Workflow as Workflow

    # Second names: an import under another name would not be public.
    MockLLMProvider = MockChatModel

facade(
    __name__,
    {
        "chatmodels.providers.mock": "MockLLMProvider=MockChatModel",
        "fmf_core.personal": "Finding detect_pii find_pii redact_pii",
        "fmf_core.pseudonyms": "Pseudonyms",
        "generative_ai_workflow.condition": "Condition",
        "generative_ai_workflow.config": "FrameworkConfig WorkflowConfig",
        "generative_ai_workflow.context": "StepContext",
        "generative_ai_workflow.control_flow": "ConditionalStep ForEachStep ParallelStep",
        "generative_ai_workflow.durable.sqlite": "SQLiteRunStore",
        "generative_ai_workflow.durable.store": "KeptRun RunIdentity RunStore StoredRun",
        "generative_ai_workflow.engine": "WorkflowEngine",
        "generative_ai_workflow.exceptions": (
            "AbortError BudgetExceededError ConfigurationError DefinitionError ExpressionError FrameworkError "
            "PluginError PluginNotFoundError PluginRegistrationError ProviderAuthError ProviderError StepError "
            "TemplateError WorkflowError"
        ),
        "generative_ai_workflow.handle": "WorkflowHandle",
        "generative_ai_workflow.input_rules": "InputLimits clean_text",
        "generative_ai_workflow.middleware.base": "Middleware",
        "generative_ai_workflow.middleware.pseudonyms": "PseudonymMiddleware",
        "generative_ai_workflow.observability.prometheus": "PrometheusExporter RunCollector",
        "generative_ai_workflow.observability.run_metrics": "RunMetrics",
        "generative_ai_workflow.observability.tracker": "CostTracker TokenUsageTracker",
        "generative_ai_workflow.plugins.registry": "PluginRegistry",
        "generative_ai_workflow.providers.base": "LLMProvider LLMRequest LLMResponse TokenUsage",
        "generative_ai_workflow.state": ("ExecutionMetrics StepResult StepStatus WorkflowResult WorkflowStatus"),
        "generative_ai_workflow.step": "LLMStep TransformStep WorkflowStep",
        "generative_ai_workflow.workflow": "Workflow",
    },
)
