"""Workflows: named steps in a row, run by one engine, awaited or blocking."""

from chatmodels.providers.mock import MockChatModel as MockLLMProvider
from fmf_core.redact import detect_pii as detect_pii
from fmf_core.redact import redact_pii as redact_pii
from generative_ai_workflow.config import FrameworkConfig as FrameworkConfig
from generative_ai_workflow.config import WorkflowConfig as WorkflowConfig
from generative_ai_workflow.control_flow import ConditionalStep as ConditionalStep
from generative_ai_workflow.engine import WorkflowEngine as WorkflowEngine
from generative_ai_workflow.exceptions import AbortError as AbortError
from generative_ai_workflow.exceptions import ConfigurationError as ConfigurationError
from generative_ai_workflow.exceptions import ExpressionError as ExpressionError
from generative_ai_workflow.exceptions import FrameworkError as FrameworkError
from generative_ai_workflow.exceptions import PluginError as PluginError
from generative_ai_workflow.exceptions import PluginNotFoundError as PluginNotFoundError
from generative_ai_workflow.exceptions import PluginRegistrationError as PluginRegistrationError
from generative_ai_workflow.exceptions import ProviderAuthError as ProviderAuthError
from generative_ai_workflow.exceptions import ProviderError as ProviderError
from generative_ai_workflow.exceptions import StepError as StepError
from generative_ai_workflow.exceptions import WorkflowError as WorkflowError
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
    "ConditionalStep",
    "ConfigurationError",
    "CostTracker",
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
    "TokenUsage",
    "TokenUsageTracker",
    "TransformStep",
    "Workflow",
    "WorkflowConfig",
    "WorkflowEngine",
    "WorkflowError",
    "WorkflowResult",
    "WorkflowStatus",
    "WorkflowStep",
    "detect_pii",
    "redact_pii",
]
