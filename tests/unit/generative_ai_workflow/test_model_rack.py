from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from generative_ai_workflow import FrameworkConfig, LLMStep, MockLLMProvider, Workflow, WorkflowConfig, WorkflowEngine
from generative_ai_workflow.model_rack import ModelRack
from generative_ai_workflow.providers.base import LLMRequest
from generative_ai_workflow.providers.openai import OpenAIProvider
from peers.scripted_server import Reply, ScriptedServer
from unit.generative_ai_workflow.loops import run_alone


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> object:
    with ScriptedServer(lambda request: Reply(text=request.prompt.upper(), latency_s=0.005)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def test_configured_defaults_stand_in_the_body(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow([LLMStep("s", "hello")])
    assert workflow.execute().output["s"] == "HELLO"
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_TEMPERATURE", "0.0")
    assert workflow.execute().output["s"] == "HELLO"
    Workflow([LLMStep("s", "hello", temperature=1.0)], config=WorkflowConfig(max_tokens=None)).execute()
    bodies = [request.body for request in server.requests]
    assert [body["temperature"] for body in bodies] == [0.7, 0.0, 1.0]
    assert [body.get("max_tokens") for body in bodies] == [1024, 1024, None]
    assert {body["model"] for body in bodies} == {"gpt-4o-mini"}
    assert server.requests[0].headers["authorization"] == "Bearer sk-test-0123456789abcdef"


def test_a_second_blocking_run_and_64_threads_with_a_real_client(server: ScriptedServer) -> None:
    workflow = Workflow([LLMStep("s", "n{i}")])
    assert workflow.execute({"i": 1}).output["s"] == workflow.execute({"i": 1}).output["s"] == "N1"
    barrier = threading.Barrier(64)

    def one(number: int) -> str:
        barrier.wait()
        return workflow.execute({"i": number}).output["s"]

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(one, range(64))) == [f"N{i}" for i in range(64)]


def test_a_real_client_in_several_loops_and_a_notebook(server: ScriptedServer) -> None:
    workflow = Workflow([LLMStep("s", "hi")])

    async def go() -> list:
        results = await asyncio.gather(*(workflow.execute_async() for _ in range(5)))
        return [result.output["s"] for result in [*results, workflow.execute()]]

    for _ in range(2):
        assert run_alone(go()) == ["HI"] * 6


def test_an_attempt_budget_is_counted_at_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    with ScriptedServer(default=Reply(status=503, headers={"Retry-After": "0"})) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        result = WorkflowEngine(FrameworkConfig(max_retry_attempts=2)).run(Workflow([LLMStep("s", "x")]))
        assert len(server.requests) == 2
        assert result.steps["s"].attempts == 2
        assert "2 attempts" in result.error


def test_one_client_serves_all_models_of_the_default_provider(server: ScriptedServer) -> None:
    rack = ModelRack(FrameworkConfig())
    picked = [rack.pick(None, None, LLMRequest(prompt="x", model=model)) for model in ("a", "b", "a")]
    assert picked[0] is picked[1] is picked[2]


def test_a_ready_model_keeps_its_model_name(server: ScriptedServer) -> None:
    provider = OpenAIProvider(model="own-model", api_key="sk-own-0123456789", base_url=server.base_url)
    Workflow([LLMStep("s", "x", provider)]).execute()
    assert server.requests[-1].body["model"] == "own-model"


def test_the_rack_forgets_the_oldest() -> None:
    rack = ModelRack(FrameworkConfig())
    request = LLMRequest(prompt="x")
    models = [MockLLMProvider() for _ in range(300)]
    for model in models:
        rack.pick(model, None, request)
    assert rack.pick(models[-1], None, request) is rack.pick(models[-1], None, request)
    assert run_alone(rack.pick(models[0], None, request).complete_async(request)).content
