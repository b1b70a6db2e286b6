"""Workflows: named steps in a row, run by one engine, awaited or blocking."""

from typing import TYPE_CHECKING

from fmf_core import __version__ as __version__
from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from chatmodels.providers.mock import MockChatModel as MockLLMProvider
    from fmf_core.redact import detect_pii as detect_pii
    from fmf_core.redact import redact_pii as redact_pii
    from generative_ai_workflow.config import FrameworkConfig as FrameworkConfig
    from generative_ai_workflow.config import WorkflowConfig as WorkflowConfig
    from generative_ai_workflow.control_flow import ConditionalStep as ConditionalStep
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
    from generative_ai_workflow.middleware.base import Middleware as Middleware
    from generative_ai_workflow.observability.tracker import CostTracker as CostTracker
    from generative_ai_workflow.observability.tracker import TokenUsageTracker as TokenUsageTracker
    from generative_ai_workflow.plugins.registry import PluginRegistry as PluginRegistry
    from generative_ai_workflow.providers.base import LLMProvider as LLMProvider
    from generative_ai_workflow.providers.base import LLMRequest as LLMRequest
    from generative_ai_workflow.providers.base import LLMResponse as LLMResponse
    from generative_ai_workflow.providers.base import TokenUsage as TokenUsage
    from generative_ai_workflow.state import ExecutionMetrics as ExecutionMetrics
    from generative_ai_workflow.state import StepContext as StepContext
    from generative_ai_workflow.state import StepResult as StepResult
    from generative_ai_workflow.state import StepStatus as StepStatus
    from generative_ai_workflow.state import WorkflowResult as WorkflowResult
    from generative_ai_workflow.state import WorkflowStatus as WorkflowStatus
    from generative_ai_workflow.step import LLMStep as LLMStep
    from generative_ai_workflow.step import TransformStep as TransformStep
    from generative_ai_workflow.step import WorkflowStep as WorkflowStep
    from generative_ai_workflow.workflow import Workflow as Workflow

__all__ = [
    "AbortError",
    "BudgetExceededError",
    "ConditionalStep",
    "ConfigurationError",
    "CostTracker",
    "DefinitionError",
    "ExecutionMetrics",
    "ExpressionError",
    "FrameworkConfig",
    "FrameworkError",
    "LLMProvider",
    "LLMRequest",
    "LLMResponse",
    "LLMStep",
    "Middleware",
    "MockLLMProvider",
    "PluginError",
    "PluginNotFoundError",
    "PluginRegistrationError",
    "PluginRegistry",
    "ProviderAuthError",
    "ProviderError",
    "StepContext",
    "StepError",
    "StepResult",
    "StepStatus",
    "TemplateError",
    "TokenUsage",
    "TokenUsageTracker",
    "TransformStep",
    "Workflow",
    "WorkflowConfig",
    "WorkflowEngine",
    "WorkflowError",
    "WorkflowHandle",
    "WorkflowResult",
    "WorkflowStatus",
    "WorkflowStep",
    "detect_pii",
    "redact_pii",
]

__getattr__, __dir__ = facade(
    __name__,
    {
        "BudgetExceededError": "generative_ai_workflow.exceptions:BudgetExceededError",
        "TemplateError": "generative_ai_workflow.exceptions:TemplateError",
        "DefinitionError": "generative_ai_workflow.exceptions:DefinitionError",
        "WorkflowHandle": "generative_ai_workflow.handle:WorkflowHandle",
        "AbortError": "generative_ai_workflow.exceptions:AbortError",
        "ConditionalStep": "generative_ai_workflow.control_flow:ConditionalStep",
        "ConfigurationError": "generative_ai_workflow.exceptions:ConfigurationError",
        "CostTracker": "generative_ai_workflow.observability.tracker:CostTracker",
        "ExecutionMetrics": "generative_ai_workflow.state:ExecutionMetrics",
        "ExpressionError": "generative_ai_workflow.exceptions:ExpressionError",
        "FrameworkConfig": "generative_ai_workflow.config:FrameworkConfig",
        "FrameworkError": "generative_ai_workflow.exceptions:FrameworkError",
        "LLMProvider": "generative_ai_workflow.providers.base:LLMProvider",
        "LLMRequest": "generative_ai_workflow.providers.base:LLMRequest",
        "LLMResponse": "generative_ai_workflow.providers.base:LLMResponse",
        "LLMStep": "generative_ai_workflow.step:LLMStep",
        "Middleware": "generative_ai_workflow.middleware.base:Middleware",
        "MockLLMProvider": "chatmodels.providers.mock:MockChatModel",
        "PluginError": "generative_ai_workflow.exceptions:PluginError",
        "PluginNotFoundError": "generative_ai_workflow.exceptions:PluginNotFoundError",
        "PluginRegistrationError": "generative_ai_workflow.exceptions:PluginRegistrationError",
        "PluginRegistry": "generative_ai_workflow.plugins.registry:PluginRegistry",
        "ProviderAuthError": "generative_ai_workflow.exceptions:ProviderAuthError",
        "ProviderError": "generative_ai_workflow.exceptions:ProviderError",
        "StepContext": "generative_ai_workflow.state:StepContext",
        "StepError": "generative_ai_workflow.exceptions:StepError",
        "StepResult": "generative_ai_workflow.state:StepResult",
        "StepStatus": "generative_ai_workflow.state:StepStatus",
        "TokenUsage": "generative_ai_workflow.providers.base:TokenUsage",
        "TokenUsageTracker": "generative_ai_workflow.observability.tracker:TokenUsageTracker",
        "TransformStep": "generative_ai_workflow.step:TransformStep",
        "Workflow": "generative_ai_workflow.workflow:Workflow",
        "WorkflowConfig": "generative_ai_workflow.config:WorkflowConfig",
        "WorkflowEngine": "generative_ai_workflow.engine:WorkflowEngine",
        "WorkflowError": "generative_ai_workflow.exceptions:WorkflowError",
        "WorkflowResult": "generative_ai_workflow.state:WorkflowResult",
        "WorkflowStatus": "generative_ai_workflow.state:WorkflowStatus",
        "WorkflowStep": "generative_ai_workflow.step:WorkflowStep",
        "detect_pii": "fmf_core.redact:detect_pii",
        "redact_pii": "fmf_core.redact:redact_pii",
    },
)
