from __future__ import annotations

import subprocess
import sys

import pytest

import generative_ai_workflow

NAMES = """
    FrameworkConfig WorkflowEngine Workflow WorkflowConfig WorkflowStep LLMStep TransformStep ConditionalStep
    StepContext StepResult StepStatus WorkflowResult WorkflowStatus ExecutionMetrics LLMProvider LLMRequest
    LLMResponse TokenUsage MockLLMProvider PluginRegistry Middleware detect_pii redact_pii TokenUsageTracker
    Finding find_pii Pseudonyms PseudonymMiddleware
    CostTracker FrameworkError ConfigurationError WorkflowError StepError AbortError ProviderError ProviderAuthError
    PluginError PluginNotFoundError PluginRegistrationError ExpressionError WorkflowHandle DefinitionError TemplateError
    BudgetExceededError ForEachStep ParallelStep RunMetrics PrometheusExporter RunCollector
    Condition InputLimits clean_text RunStore SQLiteRunStore KeptRun RunIdentity StoredRun
""".split()  # noqa: SIM905

PATHS = """
    workflow:Workflow workflow:WorkflowConfig workflow:WorkflowStatus workflow:WorkflowResult workflow:ExecutionMetrics
    step:WorkflowStep step:LLMStep step:TransformStep step:StepContext
    step:StepResult step:StepStatus engine:WorkflowEngine config:FrameworkConfig config:WorkflowConfig
    exceptions:FrameworkError exceptions:ConfigurationError exceptions:WorkflowError exceptions:StepError
    exceptions:AbortError exceptions:ProviderError exceptions:ProviderAuthError exceptions:PluginError
    exceptions:PluginNotFoundError exceptions:PluginRegistrationError exceptions:ExpressionError
    providers.base:LLMProvider providers.base:LLMRequest providers.base:LLMResponse providers.base:TokenUsage
    providers.mock:MockLLMProvider providers.openai:OpenAIProvider plugins.registry:PluginRegistry
    middleware.base:Middleware observability.logging:configure_logging observability.logging:get_logger
    observability.metrics:StepTimer observability.metrics:ExecutionMetrics observability.tracker:TokenUsageTracker
    observability.tracker:CostTracker control_flow:ConditionalStep control_flow:ExpressionError
    _internal.retry:RetryPolicy _internal.async_utils:run_sync
""".split()  # noqa: SIM905


def test_the_facade_is_the_contract() -> None:
    assert sorted(generative_ai_workflow.__all__) == sorted(NAMES)
    assert all(hasattr(generative_ai_workflow, name) for name in NAMES)


@pytest.mark.parametrize("path", PATHS)
def test_names_by_module(path: str) -> None:
    module, _, name = path.partition(":")
    found = getattr(__import__(f"generative_ai_workflow.{module}", fromlist=[name]), name)
    assert found is getattr(generative_ai_workflow, name, found)


def test_importing_it_imports_no_vendor_and_nothing_heavy() -> None:
    heavy = [
        "openai",
        "xllamacpp",
        "opentelemetry",
        "rich",
        "jsonschema",
        "yaml",
        "orjson",
        "dotenv",
        "importlib.metadata",
    ]
    code = f"import sys, generative_ai_workflow; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cleanup_of_every_provider_used_has_run_by_the_end_of_the_process() -> None:
    code = """
from generative_ai_workflow import LLMProvider, LLMStep, MockLLMProvider, PluginRegistry, Workflow
class House(LLMProvider):
    def __init__(self, name="class"): self.name = name
    def complete(self, request): return MockLLMProvider("ok").complete(request)
    async def cleanup(self): print("cleaned", self.name, flush=True)
PluginRegistry.register_provider("house", House)
print(Workflow([LLMStep("a", "x", "house"), LLMStep("b", "x", House("instance"))]).execute().status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert sorted(done.stdout.split("\n")) == ["", "cleaned class", "cleaned instance", "completed"]
    assert done.stderr == ""


def test_personal_data() -> None:
    text = "Write to ann@example.org"
    assert generative_ai_workflow.detect_pii(text) == {"email": ["ann@example.org"]}
    assert generative_ai_workflow.detect_pii("nothing here") == {}
    assert "ann@" not in generative_ai_workflow.redact_pii(text)
