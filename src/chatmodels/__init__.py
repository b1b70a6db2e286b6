"""Chat models: one request, one response, one interface, any provider."""

from typing import TYPE_CHECKING

from fmf_core import __version__ as __version__
from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
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
    from chatmodels.errors import ChatModelError as ProviderError
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
    from chatmodels.iface import ChatModel as LLMProvider
    from chatmodels.iface import HealthChecker as HealthChecker
    from chatmodels.iface import MessageGenerator as MessageGenerator
    from chatmodels.iface import ModelInfoProvider as ModelInfoProvider
    from chatmodels.iface import Runnable as Runnable
    from chatmodels.iface import StreamMessageHandler as StreamMessageHandler
    from chatmodels.pricing import cost_of as cost_of
    from chatmodels.providers.mock import MockChatModel as AdvancedMockChatModel
    from chatmodels.providers.mock import MockChatModel as MockChatModel
    from chatmodels.registry import get_chat_model_metadata as get_chat_model_metadata
    from chatmodels.registry import list_chat_models as list_chat_models
    from chatmodels.registry import register_chat_model as register_chat_model
    from chatmodels.registry import unregister_chat_model as unregister_chat_model
    from chatmodels.structured.asking import Parsed as Parsed
    from chatmodels.structured.asking import Repair as Repair
    from chatmodels.types import ChatChunk as ChatChunk
    from chatmodels.types import ChatRequest as ChatRequest
    from chatmodels.types import ChatRequest as LLMRequest
    from chatmodels.types import ChatResponse as ChatResponse
    from chatmodels.types import ChatResponse as LLMResponse
    from chatmodels.types import HealthStatus as HealthStatus
    from chatmodels.types import ImagePart as ImagePart
    from chatmodels.types import Message as Message
    from chatmodels.types import ModelInfo as ModelInfo
    from chatmodels.types import ResponseFormat as ResponseFormat
    from chatmodels.types import TextPart as TextPart
    from chatmodels.types import TokenUsage as TokenUsage
    from chatmodels.types import Tool as Tool
    from chatmodels.types import ToolCall as ToolCall
    from chatmodels.wrappers.memory_cache import MemoryCache as MemoryCache
    from chatmodels.wrappers.sqlite_cache import SqliteCache as SqliteCache
    from fmf_core.errors import Code as ErrorCode
    from fmf_core.errors import ConfigurationError as ConfigurationError
    from fmf_core.errors import FrameworkError as FrameworkError
    from fmf_core.errors import PluginNotFoundError as PluginNotFoundError
    from fmf_core.retry import RetryPolicy as RetryPolicy

__all__ = [
    "AdvancedMockChatModel",
    "Breaker",
    "ChatChunk",
    "ChatModel",
    "ChatModelConfig",
    "ChatModelError",
    "ChatRequest",
    "ChatResponse",
    "Concurrency",
    "ConfigurationError",
    "ErrorCode",
    "FrameworkError",
    "HealthChecker",
    "HealthStatus",
    "ImagePart",
    "LLMProvider",
    "LLMRequest",
    "LLMResponse",
    "MemoryCache",
    "Message",
    "MessageGenerator",
    "MockChatModel",
    "ModelInfo",
    "ModelInfoProvider",
    "Parsed",
    "PluginNotFoundError",
    "Price",
    "ProviderAuthError",
    "ProviderError",
    "RateLimit",
    "RecordingModel",
    "Repair",
    "ReplayModel",
    "ResponseCache",
    "ResponseFormat",
    "RetryBudget",
    "RetryPolicy",
    "Runnable",
    "SqliteCache",
    "StreamMessageHandler",
    "TextPart",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "code_of",
    "cost_of",
    "create_chat_model",
    "get_chat_model_metadata",
    "is_auth_error",
    "is_invalid_request_error",
    "is_quota_error",
    "is_rate_limit_error",
    "is_retryable",
    "is_timeout_error",
    "list_chat_models",
    "register_chat_model",
    "telemetry_context",
    "unregister_chat_model",
]

__getattr__, __dir__ = facade(
    __name__,
    {
        "FrameworkError": "fmf_core.errors:FrameworkError",
        "ProviderError": "chatmodels.errors:ChatModelError",
        "LLMResponse": "chatmodels.types:ChatResponse",
        "LLMRequest": "chatmodels.types:ChatRequest",
        "LLMProvider": "chatmodels.iface:ChatModel",
        "AdvancedMockChatModel": "chatmodels.providers.mock:MockChatModel",
        "Breaker": "chatmodels.config:Breaker",
        "ChatChunk": "chatmodels.types:ChatChunk",
        "ChatModel": "chatmodels.iface:ChatModel",
        "ChatModelConfig": "chatmodels.config:ChatModelConfig",
        "ChatModelError": "chatmodels.errors:ChatModelError",
        "ChatRequest": "chatmodels.types:ChatRequest",
        "ChatResponse": "chatmodels.types:ChatResponse",
        "Concurrency": "chatmodels.config:Concurrency",
        "ConfigurationError": "fmf_core.errors:ConfigurationError",
        "ErrorCode": "fmf_core.errors:Code",
        "HealthChecker": "chatmodels.iface:HealthChecker",
        "HealthStatus": "chatmodels.types:HealthStatus",
        "ImagePart": "chatmodels.types:ImagePart",
        "MemoryCache": "chatmodels.wrappers.memory_cache:MemoryCache",
        "Message": "chatmodels.types:Message",
        "MessageGenerator": "chatmodels.iface:MessageGenerator",
        "MockChatModel": "chatmodels.providers.mock:MockChatModel",
        "ModelInfo": "chatmodels.types:ModelInfo",
        "ModelInfoProvider": "chatmodels.iface:ModelInfoProvider",
        "Parsed": "chatmodels.structured.asking:Parsed",
        "PluginNotFoundError": "fmf_core.errors:PluginNotFoundError",
        "Price": "chatmodels.config:Price",
        "ProviderAuthError": "chatmodels.errors:ProviderAuthError",
        "RateLimit": "chatmodels.config:RateLimit",
        "RecordingModel": "chatmodels.cassette:RecordingModel",
        "Repair": "chatmodels.structured.asking:Repair",
        "ReplayModel": "chatmodels.cassette:ReplayModel",
        "ResponseCache": "chatmodels.config:ResponseCache",
        "ResponseFormat": "chatmodels.types:ResponseFormat",
        "RetryBudget": "chatmodels.config:RetryBudget",
        "RetryPolicy": "fmf_core.retry:RetryPolicy",
        "Runnable": "chatmodels.iface:Runnable",
        "SqliteCache": "chatmodels.wrappers.sqlite_cache:SqliteCache",
        "StreamMessageHandler": "chatmodels.iface:StreamMessageHandler",
        "TextPart": "chatmodels.types:TextPart",
        "TokenUsage": "chatmodels.types:TokenUsage",
        "Tool": "chatmodels.types:Tool",
        "ToolCall": "chatmodels.types:ToolCall",
        "code_of": "chatmodels.errors:code_of",
        "cost_of": "chatmodels.pricing:cost_of",
        "create_chat_model": "chatmodels.factory:create_chat_model",
        "get_chat_model_metadata": "chatmodels.registry:get_chat_model_metadata",
        "is_auth_error": "chatmodels.errors:is_auth_error",
        "is_invalid_request_error": "chatmodels.errors:is_invalid_request_error",
        "is_quota_error": "chatmodels.errors:is_quota_error",
        "is_rate_limit_error": "chatmodels.errors:is_rate_limit_error",
        "is_retryable": "chatmodels.errors:is_retryable",
        "is_timeout_error": "chatmodels.errors:is_timeout_error",
        "list_chat_models": "chatmodels.registry:list_chat_models",
        "register_chat_model": "chatmodels.registry:register_chat_model",
        "telemetry_context": "chatmodels.call_attributes:telemetry_context",
        "unregister_chat_model": "chatmodels.registry:unregister_chat_model",
    },
)
