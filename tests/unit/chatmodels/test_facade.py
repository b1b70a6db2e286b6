from __future__ import annotations

import subprocess
import sys

import chatmodels

CONTRACT = """
ChatModel, MessageGenerator, StreamMessageHandler, ModelInfoProvider, HealthChecker, Runnable, Message, TextPart,
ImagePart, ToolCall, ChatRequest, ChatResponse, ChatChunk, TokenUsage, ModelInfo, HealthStatus, ChatModelConfig,
ChatModelError, ErrorCode, create_chat_model, register_chat_model, list_chat_models, get_chat_model_metadata,
unregister_chat_model, telemetry_context, MockChatModel, AdvancedMockChatModel, RecordingModel, ReplayModel, cost_of,
ProviderAuthError, Price, RateLimit, RetryPolicy, RetryBudget, Concurrency, Breaker, ResponseCache, MemoryCache,
SqliteCache, Tool, ResponseFormat, LLMProvider, LLMRequest, LLMResponse, Parsed, Repair, ProviderError,
FrameworkError, ConfigurationError, PluginNotFoundError, code_of, is_auth_error, is_invalid_request_error,
is_quota_error, is_rate_limit_error, is_retryable, is_timeout_error, Budget"""


def test_the_facade_hands_out_exactly_the_promised_names():
    assert sorted(chatmodels.__all__) == sorted(name.strip() for name in CONTRACT.split(","))
    assert all(hasattr(chatmodels, name) for name in chatmodels.__all__)


def test_importing_it_brings_no_heavy_package():
    code = (
        "import sys\nfrom chatmodels import *\n"
        "heavy = {'openai', 'xllamacpp', 'jsonschema', 'rich', 'yaml', 'opentelemetry', 'orjson', 'httpx', 'click'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_brings_along_only_what_it_uses():
    code = (
        # What measures coverage has imports of its own.
        "import sys\nbefore = set(sys.modules)\nfrom chatmodels import create_chat_model\ncreate_chat_model('mock')\n"
        "optional = 'cached fallback hedging breaker limiting adaptive timed'.split()\n"
        "unused = {f'chatmodels.wrappers.{name}' for name in optional}\n"
        "unused |= {'chatmodels.standing_by', 'chatmodels.structured', 'chatmodels.json_schema', 'tomllib'}\n"
        "unused |= {'chatmodels.caches', 'chatmodels.pacing', 'chatmodels.cassette.tape'}\n"
        "unused |= {'chatmodels.transport', 'fmf_core.yaml_text', 'fmf_core.faults'}\n"
        "found = unused & set(sys.modules) - before\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
