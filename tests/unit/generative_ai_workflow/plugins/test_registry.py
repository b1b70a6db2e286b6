from __future__ import annotations

import threading

import pytest

from chatmodels import list_chat_models
from chatmodels.types import ChatRequest, ChatResponse
from generative_ai_workflow import (
    ConfigurationError,
    LLMProvider,
    LLMStep,
    MockLLMProvider,
    PluginNotFoundError,
    PluginRegistrationError,
    PluginRegistry,
    StepContext,
    Workflow,
    WorkflowStep,
)


class House(LLMProvider):
    def complete(self, request: ChatRequest) -> ChatResponse:
        return MockLLMProvider("house").complete(request)


class Count(WorkflowStep):
    def execute(self, context: StepContext) -> dict:
        return {"n": 1}


@pytest.mark.parametrize("registry", [PluginRegistry, PluginRegistry()])
def test_providers_by_class_and_by_instance(registry: type[PluginRegistry]) -> None:
    instance = House()
    registry.register_provider("a", House)
    registry.register_provider("b", instance)
    assert registry.get_provider("a") is House
    assert registry.get_provider("b") is instance
    assert {"a", "b", "mock", "openai"} <= set(registry.list_providers()) == set(list_chat_models())
    workflow = Workflow([LLMStep("x", "x", "a"), LLMStep("y", "y", "b")])
    assert workflow.execute().output["y"] == "house"
    registry.unregister_provider("a")
    with pytest.raises(PluginNotFoundError, match="'a'"):
        registry.get_provider("a")
    registry.clear()
    assert "b" not in registry.list_providers()


def test_steps() -> None:
    PluginRegistry.register_step("count", Count)
    assert PluginRegistry.get_step("count") is Count
    assert PluginRegistry.list_steps() == ["conditional", "count", "for_each", "llm", "parallel", "transform"]
    assert PluginRegistry.get_step("llm") is LLMStep
    PluginRegistry.unregister_step("count")
    with pytest.raises(PluginNotFoundError) as caught:
        PluginRegistry.get_step("count")
    assert "llm" in caught.value.hint


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced() -> None:
    for name in ("openai", "house"):
        if name == "house":
            PluginRegistry.register_provider(name, House)
        with pytest.raises(PluginRegistrationError, match=name):
            PluginRegistry.register_provider(name, House)
    PluginRegistry.register_provider("house", MockLLMProvider, replace=True)
    PluginRegistry.register_provider("mock", House)
    PluginRegistry.register_step("count", Count)
    with pytest.raises(PluginRegistrationError):
        PluginRegistry.register_step("count", Count)
    with pytest.raises(PluginRegistrationError):
        PluginRegistry.register_step("llm", Count)


@pytest.mark.parametrize("wrong", [3, "text", object, None])
def test_what_is_of_another_kind_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError):
        PluginRegistry.register_provider("x", wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        PluginRegistry.register_step("x", wrong)  # type: ignore[arg-type]


def test_one_of_many_threads_wins() -> None:
    outcomes = []
    barrier = threading.Barrier(8)

    def register() -> None:
        barrier.wait()
        try:
            PluginRegistry.register_step("race", Count)
            outcomes.append("won")
        except PluginRegistrationError:
            outcomes.append("lost")

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]
