"""A thing of several names is one object, a facade shows what it promises, every string of a table leads somewhere."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

DOORS = {
    "chatmodels.types:Message": ["chatmodels:Message", "fmf.inference.client:Message"],
    "chatmodels.types:ChatRequest": [
        "chatmodels:ChatRequest",
        "chatmodels:LLMRequest",
        "generative_ai_workflow:LLMRequest",
        "generative_ai_workflow.providers.base:LLMRequest",
    ],
    "chatmodels.types:ChatResponse": [
        "chatmodels:ChatResponse",
        "chatmodels:LLMResponse",
        "generative_ai_workflow:LLMResponse",
        "generative_ai_workflow.providers.base:LLMResponse",
        "fmf.inference.client:Completion",
    ],
    "chatmodels.types:TokenUsage": [
        "chatmodels:TokenUsage",
        "generative_ai_workflow:TokenUsage",
        "generative_ai_workflow.providers.base:TokenUsage",
    ],
    "chatmodels.iface:ChatModel": [
        "chatmodels:ChatModel",
        "chatmodels:LLMProvider",
        "generative_ai_workflow:LLMProvider",
        "generative_ai_workflow.providers.base:LLMProvider",
        "fmf.inference.client:LLMClient",
    ],
    "chatmodels.errors:ChatModelError": [
        "chatmodels:ChatModelError",
        "chatmodels:ProviderError",
        "generative_ai_workflow:ProviderError",
        "generative_ai_workflow.exceptions:ProviderError",
        "fmf.inference.client:InferenceError",
        "fmf.errors:InferenceError",
    ],
    "chatmodels.errors:ProviderAuthError": [
        "generative_ai_workflow:ProviderAuthError",
        "generative_ai_workflow.exceptions:ProviderAuthError",
    ],
    "chatmodels.providers.mock:MockChatModel": [
        "chatmodels:MockChatModel",
        "chatmodels:AdvancedMockChatModel",
        "generative_ai_workflow:MockLLMProvider",
        "generative_ai_workflow.providers.mock:MockLLMProvider",
    ],
    "chatmodels.providers.openai:OpenAIChatModel": ["generative_ai_workflow.providers.openai:OpenAIProvider"],
    "fmf_core.errors:Code": ["chatmodels:ErrorCode"],
    "fmf_core.errors:FrameworkError": [
        "chatmodels:FrameworkError",
        "generative_ai_workflow:FrameworkError",
        "generative_ai_workflow.exceptions:FrameworkError",
    ],
    "fmf_core.errors:ConfigurationError": [
        "generative_ai_workflow:ConfigurationError",
        "generative_ai_workflow.exceptions:ConfigurationError",
        "fmf.errors:ConfigError",
    ],
    "fmf_core.errors:PluginError": ["generative_ai_workflow:PluginError"],
    "fmf_core.errors:PluginNotFoundError": ["generative_ai_workflow:PluginNotFoundError"],
    "fmf_core.errors:PluginRegistrationError": ["generative_ai_workflow:PluginRegistrationError"],
    "fmf_core.personal.finding:detect_pii": ["fmf_core.personal:detect_pii", "generative_ai_workflow:detect_pii"],
    "fmf_core.personal.finding:Finding": ["fmf_core.personal:Finding", "generative_ai_workflow:Finding"],
    "fmf_core.personal.finding:find_pii": ["fmf_core.personal:find_pii", "generative_ai_workflow:find_pii"],
    "fmf_core.personal.finding:redact_pii": ["fmf_core.personal:redact_pii", "generative_ai_workflow:redact_pii"],
    "fmf_core.pseudonyms:Pseudonyms": ["generative_ai_workflow:Pseudonyms"],
    "fmf_core.logs:configure_logging": ["generative_ai_workflow.observability.logging:configure_logging"],
    "fmf_core.logs:get_logger": ["generative_ai_workflow.observability.logging:get_logger"],
    "generative_ai_workflow.workflow:Workflow": ["generative_ai_workflow:Workflow"],
    "generative_ai_workflow.engine:WorkflowEngine": ["generative_ai_workflow:WorkflowEngine"],
    "generative_ai_workflow.config:FrameworkConfig": ["generative_ai_workflow:FrameworkConfig"],
    "generative_ai_workflow.control_flow:ConditionalStep": ["generative_ai_workflow:ConditionalStep"],
    "generative_ai_workflow.step:LLMStep": ["generative_ai_workflow:LLMStep"],
    "generative_ai_workflow.plugins.registry:PluginRegistry": ["generative_ai_workflow:PluginRegistry"],
    "generative_ai_workflow.middleware.base:Middleware": ["generative_ai_workflow:Middleware"],
    "generative_ai_workflow.observability.tracker:CostTracker": ["generative_ai_workflow:CostTracker"],
    "generative_ai_workflow.observability.tracker:TokenUsageTracker": ["generative_ai_workflow:TokenUsageTracker"],
}

FACADES = ["chatmodels", "generative_ai_workflow"]

TABLES = [
    "chatmodels.registry:models",
    "generative_ai_workflow.plugins.registry:steps",
    "fmf.connectors.base:connectors",
    "fmf.auth.base:secret_providers",
]


def thing(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("home", "door"), [(home, door) for home, doors in DOORS.items() for door in doors])
def test_a_door_leads_to_the_one_home(home: str, door: str) -> None:
    assert thing(door) is thing(home)


@pytest.mark.parametrize("package", FACADES)
def test_a_facade_shows_each_name_once_and_nothing_else(package: str) -> None:
    # Which names these are is in the tests of each package.
    module = importlib.import_module(package)
    shown = module.__all__
    assert sorted(shown) == sorted(set(shown))
    assert set(shown) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense


@pytest.mark.parametrize("package", [*FACADES, "chatmodels.testing", "generative_ai_workflow.definition"])
def test_type_checkers_are_told_what_a_facade_shows(package: str) -> None:
    module = importlib.import_module(package)
    told = typed(module)
    assert sorted(told) == sorted(module.__all__)
    for name, home in told.items():
        assert getattr(module, name) is thing(home), name


def typed(module: Any) -> dict[str, str]:
    """What type checkers are told: public name to its home."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = [
        (name, f"{node.module}:{name.name}")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    public = {name.name: home for name, home in names if name.asname == name.name}
    homes = {name.name: home for name, home in names}
    # An import under another name is not public, so a second name is an assignment.
    for node in block.body:
        if isinstance(node, ast.Assign):
            [target], source = node.targets, node.value
            assert isinstance(target, ast.Name)
            assert isinstance(source, ast.Name)
            public[target.id] = homes[source.id]
    return public


@pytest.mark.parametrize("table", TABLES)
def test_every_string_of_a_table_leads_to_a_thing(table: str) -> None:
    registry = thing(table)
    for name in registry.names():
        assert registry.get(name) is not None
        assert registry.metadata(name)["name"] == name
