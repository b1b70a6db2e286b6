"""What the OpenTelemetry SDK gets of calls over real HTTP, against files of its output, in both profiles.

After a change that is meant, renew the files and look at what changed:

    RENEW_GOLDEN=1 .venv/bin/pytest -q tests/unit/chatmodels/test_golden_telemetry.py && git diff tests/golden
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chatmodels import ChatModelError, ChatRequest, Message, Tool, ToolCall, create_chat_model, telemetry_context
from chatmodels.conventions import CAPTURE_VARIABLE, PROFILE_VARIABLE
from observed import Observed
from peers.scripted_server import Reply, ScriptedServer

GOLDEN = Path(__file__).parents[2] / "golden" / "otel"
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
WEATHER = Tool(
    name="weather",
    description="The weather of a place",
    parameters={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
Scenario = Callable[[ScriptedServer], object]


def openai(server: ScriptedServer, **settings):
    return create_chat_model(
        "openai", base_url=server.base_url, api_key="key-of-nobody", model="gpt-4o-mini", **settings
    )


def plain_call(server: ScriptedServer):
    server.add(Reply(usage=USAGE, model="gpt-4o-mini-2024-07-18"))
    extra = {"top_p": 0.9, "top_k": 40, "frequency_penalty": 0.1, "presence_penalty": 0.2}
    more = {"service_tier": "flex", "reasoning_effort": "low"}
    request = ChatRequest(
        prompt="Hello", temperature=0.0, seed=3, stop=("END",), response_format={"type": "json_object"},
        extra_params={**extra, **more},
    )  # fmt: skip
    with telemetry_context(conversation_id="c-1", prompt_name="greet", prompt_version="v2"):
        openai(server).complete(request)


def streamed_call(server: ScriptedServer):
    server.add(Reply(text="One two three", usage=USAGE, model="gpt-4o-mini-2024-07-18"))
    assert len(list(openai(server).stream("Hello"))) > 2


def failed_call(server: ScriptedServer):
    server.add(*[Reply(status=503, body={"error": {"message": "overloaded", "type": "server_error"}})] * 3)
    model = openai(server, retry={"max_attempts": 3, "first_wait_s": 0})
    with pytest.raises(ChatModelError):
        model.invoke("Hello")
    assert server.count == 3


def tool_call(server: ScriptedServer):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Bonn"}'}}
    server.add(Reply(text=None, tool_calls=(call,), finish_reason="tool_calls"))
    openai(server).invoke("How is the weather?", tools=(WEATHER,))


def no_counts(server: ScriptedServer):
    server.add(Reply(usage=None))
    openai(server).invoke("Hello")


def in_process(server: ScriptedServer):
    create_chat_model("mock", responses="Hello there").invoke("Hello")


def cached_answer(server: ScriptedServer):
    model = openai(server, cache="memory")
    for _ in range(2):
        model.invoke("Hello", temperature=0.0)
    assert server.count == 1


def content(server: ScriptedServer):
    os.environ[CAPTURE_VARIABLE] = "SPAN_AND_EVENT"  # set by monkeypatch before, which takes it back
    call = {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Ulm"}'}}
    server.add(Reply(text="Let me see.", tool_calls=(call,), finish_reason="tool_calls"))
    turns = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="How is the weather in Bonn and Ulm?"),
        Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="weather", arguments={"place": "Bonn"}),)),
        Message(role="tool", content="Rain, and a token: Bearer abcdefgh12345678", tool_call_id="call_1"),
    )
    openai(server).complete(ChatRequest(messages=turns, tools=(WEATHER,)))


def workflow(server: ScriptedServer):
    from generative_ai_workflow import LLMStep, Workflow, WorkflowEngine

    prompt = {"prompt_id": "greet", "prompt_version": "v2"}
    step = LLMStep("greet", "Say hello", openai(server), max_tokens=50, metadata=prompt)
    assert WorkflowEngine().run(Workflow([step], name="greeting"), correlation_id="run-1").succeeded


def failed_workflow(server: ScriptedServer):
    from generative_ai_workflow import TransformStep, Workflow, WorkflowEngine

    step = TransformStep("divide", lambda names: 1 / 0)
    assert not WorkflowEngine().run(Workflow([step], name="dividing"), correlation_id="run-1").succeeded


SCENARIOS: list[Scenario] = [
    plain_call, streamed_call, failed_call, tool_call, no_counts, in_process, cached_answer, content, workflow,
    failed_workflow,
]  # fmt: skip


@pytest.mark.behaviour(75)
@pytest.mark.parametrize("profile", ["released", "genai-main", "both"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_telemetry_is_as_on_file(scenario, profile, monkeypatch, scripted_server):
    monkeypatch.setenv(PROFILE_VARIABLE, profile)
    monkeypatch.setenv(CAPTURE_VARIABLE, "NO_CONTENT")
    observed = Observed(monkeypatch)
    scenario(scripted_server)
    facts = observed.facts(scripted_server.port)
    path = GOLDEN / profile / f"{scenario.__name__}.json"
    if os.environ.get("RENEW_GOLDEN"):
        assert not os.environ.get("CI"), "golden files are renewed by people, who look at them"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        numbers_in_a_row = re.sub(r"\[[\s\d.,]+\]", lambda found: " ".join(found[0].split()), text)
        path.write_text(numbers_in_a_row + "\n", encoding="utf-8")
    assert facts == json.loads(path.read_text(encoding="utf-8")), "see the top of this file"
