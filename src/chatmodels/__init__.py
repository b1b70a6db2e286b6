"""Chat models: one request, one response, one interface, any provider."""

from chatmodels.cassette import RecordingModel, ReplayModel
from chatmodels.config import ChatModelConfig, Price, RateLimit
from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.factory import create_chat_model
from chatmodels.iface import (
    ChatModel,
    HealthChecker,
    MessageGenerator,
    ModelInfoProvider,
    Runnable,
    StreamMessageHandler,
)
from chatmodels.pricing import cost_of
from chatmodels.providers.mock import MockChatModel
from chatmodels.providers.mock import MockChatModel as AdvancedMockChatModel
from chatmodels.registry import (
    get_chat_model_metadata,
    list_chat_models,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    HealthStatus,
    ImagePart,
    Message,
    ModelInfo,
    ResponseFormat,
    TextPart,
    TokenUsage,
    Tool,
    ToolCall,
)
from fmf_core.errors import Code as ErrorCode
from fmf_core.retry import RetryPolicy

__all__ = [
    "AdvancedMockChatModel",
    "ChatChunk",
    "ChatModel",
    "ChatModelConfig",
    "ChatModelError",
    "ChatRequest",
    "ChatResponse",
    "ErrorCode",
    "HealthChecker",
    "HealthStatus",
    "ImagePart",
    "Message",
    "MessageGenerator",
    "MockChatModel",
    "ModelInfo",
    "ModelInfoProvider",
    "Price",
    "ProviderAuthError",
    "RateLimit",
    "RecordingModel",
    "ReplayModel",
    "ResponseFormat",
    "RetryPolicy",
    "Runnable",
    "StreamMessageHandler",
    "TextPart",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "cost_of",
    "create_chat_model",
    "get_chat_model_metadata",
    "list_chat_models",
    "register_chat_model",
    "unregister_chat_model",
]
