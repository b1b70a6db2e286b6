"""Chat models: one request, one response, one interface, any provider."""

from typing import TYPE_CHECKING

from fmf_core import __version__ as __version__
from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from chatmodels.caches.memory import MemoryCache as MemoryCache
    from chatmodels.caches.sqlite import SqliteCache as SqliteCache
    from chatmodels.call_attributes import telemetry_context as telemetry_context
    from chatmodels.cassette import RecordingModel as RecordingModel
    from chatmodels.cassette import ReplayModel as ReplayModel
    from chatmodels.config import Breaker as Breaker
    from chatmodels.config import ChatModelConfig as ChatModelConfig
    from chatmodels.config import Concurrency as Concurrency
    from chatmodels.config import Price as Price
    from chatmodels.config import RateLimit as RateLimit
    from chatmodels.config import ResponseCache as ResponseCache
    from chatmodels.config import RetryBudget as RetryBudget
    from chatmodels.errors import ChatModelError as ChatModelError
    from chatmodels.errors import ProviderAuthError as ProviderAuthError
    from chatmodels.errors import code_of as code_of
    from chatmodels.errors import is_auth_error as is_auth_error
    from chatmodels.errors import is_invalid_request_error as is_invalid_request_error
    from chatmodels.errors import is_quota_error as is_quota_error
    from chatmodels.errors import is_rate_limit_error as is_rate_limit_error
    from chatmodels.errors import is_retryable as is_retryable
    from chatmodels.errors import is_timeout_error as is_timeout_error
    from chatmodels.factory import create_chat_model as create_chat_model
    from chatmodels.iface import ChatModel as ChatModel
    from chatmodels.pricing import cost_of as cost_of
    from chatmodels.protocols import HealthChecker as HealthChecker
    from chatmodels.protocols import MessageGenerator as MessageGenerator
    from chatmodels.protocols import ModelInfoProvider as ModelInfoProvider
    from chatmodels.protocols import Runnable as Runnable
    from chatmodels.protocols import StreamMessageHandler as StreamMessageHandler
    from chatmodels.providers.mock import MockChatModel as MockChatModel
    from chatmodels.registry import get_chat_model_metadata as get_chat_model_metadata
    from chatmodels.registry import list_chat_models as list_chat_models
    from chatmodels.registry import register_chat_model as register_chat_model
    from chatmodels.registry import unregister_chat_model as unregister_chat_model
    from chatmodels.spending import Budget as Budget
    from chatmodels.structured.asking import Parsed as Parsed
    from chatmodels.structured.asking import Repair as Repair
    from chatmodels.types import ChatChunk as ChatChunk
    from chatmodels.types import ChatRequest as ChatRequest
    from chatmodels.types import ChatResponse as ChatResponse
    from chatmodels.types import HealthStatus as HealthStatus
    from chatmodels.types import ImagePart as ImagePart
    from chatmodels.types import Message as Message
    from chatmodels.types import ModelInfo as ModelInfo
    from chatmodels.types import ResponseFormat as ResponseFormat
    from chatmodels.types import TextPart as TextPart
    from chatmodels.types import TokenUsage as TokenUsage
    from chatmodels.types import Tool as Tool
    from chatmodels.types import ToolCall as ToolCall
    from fmf_core.errors import Code
    from fmf_core.errors import ConfigurationError as ConfigurationError
    from fmf_core.errors import FrameworkError as FrameworkError
    from fmf_core.errors import PluginNotFoundError as PluginNotFoundError
    from fmf_core.retry import RetryPolicy as RetryPolicy

    # Second names: an import under another name would not be public.
    AdvancedMockChatModel = MockChatModel
    ErrorCode = Code
    LLMProvider = ChatModel
    LLMRequest = ChatRequest
    LLMResponse = ChatResponse
    ProviderError = ChatModelError

facade(
    __name__,
    {
        "chatmodels.call_attributes": "telemetry_context",
        "chatmodels.cassette": "RecordingModel ReplayModel",
        "chatmodels.config": "Breaker ChatModelConfig Concurrency Price RateLimit ResponseCache RetryBudget",
        "chatmodels.errors": (
            "ChatModelError code_of is_auth_error is_invalid_request_error is_quota_error is_rate_limit_error "
            "is_retryable is_timeout_error ProviderAuthError ProviderError=ChatModelError"
        ),
        "chatmodels.factory": "create_chat_model",
        "chatmodels.iface": "ChatModel LLMProvider=ChatModel",
        "chatmodels.pricing": "cost_of",
        "chatmodels.providers.mock": "AdvancedMockChatModel=MockChatModel MockChatModel",
        "chatmodels.protocols": "HealthChecker MessageGenerator ModelInfoProvider Runnable StreamMessageHandler",
        "chatmodels.registry": "get_chat_model_metadata list_chat_models register_chat_model unregister_chat_model",
        "chatmodels.spending": "Budget",
        "chatmodels.structured.asking": "Parsed Repair",
        "chatmodels.types": (
            "ChatChunk ChatRequest ChatResponse HealthStatus ImagePart LLMRequest=ChatRequest "
            "LLMResponse=ChatResponse Message ModelInfo ResponseFormat TextPart TokenUsage Tool ToolCall"
        ),
        "chatmodels.caches.memory": "MemoryCache",
        "chatmodels.caches.sqlite": "SqliteCache",
        "fmf_core.errors": "ConfigurationError ErrorCode=Code FrameworkError PluginNotFoundError",
        "fmf_core.retry": "RetryPolicy",
    },
)
