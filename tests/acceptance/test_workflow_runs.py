"""How runs end, what hooks and plugins may do, and what is logged: programs of their own with a real client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance.outside import TIMEOUT_S, Project, clean_environment
from peers.scripted_server import Reply, ScriptedServer

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
import asyncio, json, os, sys, threading, time
from chatmodels import create_chat_model
from generative_ai_workflow import (
    AbortError, FrameworkConfig, LLMStep, LLMRequest, Middleware, PluginRegistry, StepContext, TransformStep, Workflow,
    WorkflowConfig, WorkflowEngine, WorkflowStep,
)
from generative_ai_workflow.observability.logging import configure_logging

model = create_chat_model("openai", model="m-1", base_url=sys.argv[1], api_key="sk-outside-0123456789abcdef")
"""


def run(project: Project, script: str, *arguments: str, **environment: str) -> tuple[Any, list[dict[str, Any]], str]:
    """What the script printed (JSON), the JSON lines on its stderr, and all of its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script, *arguments],
        cwd=project.root,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return json.loads(done.stdout.splitlines()[-1]), logged, done.stderr


TIMEOUTS = """
class Ended(Middleware):
    def __init__(self): self.results = []
    async def on_workflow_end(self, result, context): self.results.append(result)

class BlocksTheLoop(WorkflowStep):
    name = "slow"
    async def execute_async(self, context):
        time.sleep(2)
        return {}

class Stubborn(WorkflowStep):
    name = "slow"
    async def execute_async(self, context):
        for _ in range(40):
            try: await asyncio.sleep(0.05)
            except asyncio.CancelledError: pass
        return {}

async def awaited(names): await asyncio.sleep(10)

SLOW = {
    "blocks its thread": lambda: TransformStep("slow", lambda names: time.sleep(2)),
    "blocks the loop": BlocksTheLoop,
    "will not end": Stubborn,
    "waits": lambda: TransformStep("slow", awaited),
    "asks a model": lambda: LLMStep("slow", "hang", provider=model),
}
LIMIT = 0.5
told = {}
for kind, slow in SLOW.items():
    lateness = []
    for attempt in range(5):                     # the machine may be busy
        ended = Ended()
        engine = WorkflowEngine().use(ended)
        workflow = Workflow([LLMStep("first", "one", provider=model), slow(), TransformStep("never", lambda names: 1)])
        began = time.monotonic()
        result = engine.run(workflow, {}, timeout=LIMIT)
        lateness.append((time.monotonic() - began) / LIMIT)
        lives_on = engine.run(Workflow([TransformStep("again", lambda names: 1)]), {}).succeeded
        if lateness[-1] <= 1.2:
            break
    told[kind] = {
        "lateness": min(lateness), "status": str(result.status), "error": result.error, "output": result.output,
        "tokens": result.metrics.token_usage_total.total_tokens,
        "steps": {name: str(step.status) for name, step in result.steps.items()},
        "durations": sorted(result.metrics.step_durations[name] > 0 for name in ("first", "slow")),
        "ended": [str(one.status) for one in ended.results], "lives_on": lives_on,
    }
print(json.dumps(told))
"""


@pytest.mark.behaviour(64)
def test_a_timeout_comes_on_time_with_everything_done_so_far(project):
    """Behaviour 64: within 20 % of the limit, also when a step blocks; outputs, metrics, tokens, and the hook."""
    with ScriptedServer(lambda request: Reply(hang=request.prompt == "hang", text="kept")) as server:
        told, _, _ = run(project, TIMEOUTS, server.base_url)
    assert set(told) == {"blocks its thread", "blocks the loop", "will not end", "waits", "asks a model"}
    for kind, one in told.items():
        assert 1.0 <= one["lateness"] <= 1.2, (kind, one)
        assert one["status"] == "timeout"
        assert "timed out after 0.5 s in step 'slow'" in one["error"]
        assert one["output"] == {"first": "kept", "first_output": "kept", "llm_response": "kept"}
        assert one["tokens"] == 18
        assert one["steps"] == {"first": "completed", "slow": "failed", "never": "skipped"}
        assert one["durations"] == [True, True]
        assert one["ended"] == ["timeout", "completed"]
        assert one["lives_on"]


CANCELS = """
configure_logging("INFO")
workflow = Workflow([LLMStep("ask", "slow", provider=model), LLMStep("never", "x", provider=model)])
stuck = Workflow([LLMStep("ask", "hang", provider=model)], config=WorkflowConfig(cancel_grace_s=0.2))

def facts(result, seconds):
    return {"status": str(result.status), "seconds": seconds, "id": result.correlation_id,
            "tokens": result.metrics.token_usage_total and result.metrics.token_usage_total.total_tokens,
            "duration": result.metrics.total_duration_ms, "steps": [str(s.status) for s in result.steps.values()]}

def blocking(workflow):
    handle = workflow.start({})
    time.sleep(0.2)
    began = time.monotonic()
    assert handle.cancel()
    return facts(handle.result(timeout=20), time.monotonic() - began)

async def awaited(workflow):
    handle = workflow.start({})
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert handle.cancel()
    return facts(await handle, time.monotonic() - began)

model.invoke("warm")
with asyncio.Runner() as runner:
    print(json.dumps({
        "blocking": blocking(workflow), "awaited": runner.run(awaited(workflow)),
        "stuck": blocking(stuck), "stuck awaited": runner.run(awaited(stuck)),
    }))
"""


@pytest.mark.behaviour(65)
def test_a_cancelled_handle_lets_the_call_in_flight_finish_and_counts_it(project):
    """Behaviour 65: the call in flight finishes within the grace, its tokens are counted, and it is all logged."""

    def answer(request: Any) -> Reply:
        return Reply(hang=request.prompt == "hang", latency_s=0.8 if request.prompt == "slow" else 0.0)

    with ScriptedServer(answer) as server:
        told, lines, _ = run(project, CANCELS, server.base_url)
        prompts = [chat.prompt for chat in server.chats]
        cut = [chat.prompt for chat in server.chats if chat.closed_early]
    assert prompts == ["warm", "slow", "slow", "hang", "hang"]
    assert cut == ["hang", "hang"]
    for one in (told["blocking"], told["awaited"]):
        assert (one["status"], one["tokens"], one["steps"]) == ("cancelled", 18, ["completed", "skipped"])
        assert one["duration"] > 500
    for one in (told["stuck"], told["stuck awaited"]):
        assert (one["status"], one["tokens"]) == ("cancelled", None)
        assert 0.15 < one["seconds"] < 5
    for one in told.values():
        events = [line["event"] for line in lines if line.get("correlation_id") == one["id"]]
        assert events[0] == "workflow.pending"
        assert events[-1] == "workflow.cancelled"


HOOKS = """
configure_logging("INFO")
class Sync(Middleware):
    def before_llm_call(self, request, context):
        if "forbidden" in request.prompt: raise AbortError("not to be asked")
        return request.model_copy(update={"temperature": 0.125})
    def after_llm_call(self, response, context):
        return response.model_copy(update={"content": response.content.upper()})

class Async(Middleware):
    async def before_llm_call(self, request, context):
        if "forbidden" in request.prompt: raise AbortError("not to be asked")
        return request.model_copy(update={"temperature": 0.125})
    async def after_llm_call(self, response, context):
        return response.model_copy(update={"content": response.content.upper()})

class Whole(Middleware):
    async def before_llm_call(self, request, context):
        return LLMRequest(prompt=request.prompt[::-1], model="m-2")

class Broken(Middleware):
    def before_llm_call(self, request, context): raise ValueError("broken before")
    async def after_llm_call(self, response, context): raise ValueError("broken after")
    def on_workflow_start(self, workflow_id, context): raise ValueError("broken start")
    async def on_workflow_end(self, result, context): raise ValueError("broken end")

def outcome(middleware, text, blocking):
    engine = WorkflowEngine().use(middleware)
    workflow = Workflow([LLMStep("ask", "{text}", provider=model)])
    if blocking:
        result = engine.run(workflow, {"text": text})
    else:
        with asyncio.Runner() as runner:
            result = runner.run(engine.run_async(workflow, {"text": text}))
    return [str(result.status), result.output and result.output["ask"], result.error]

print(json.dumps({f"{kind.__name__} {text} {blocking}": outcome(kind(), text, blocking)
    for kind in (Sync, Async, Whole, Broken) for text in ("plain", "forbidden") for blocking in (True, False)}))
"""


@pytest.mark.behaviour(66)
def test_hooks_replace_what_passes_stop_calls_and_never_cost_a_result(project):
    """Behaviour 66: what a hook returns is what the server gets and the caller sees, for sync and async hooks alike."""
    with ScriptedServer(lambda request: Reply(text=f"re {request.prompt}")) as server:
        told, lines, _ = run(project, HOOKS, server.base_url)
        bodies = server.bodies
    for blocking in (True, False):
        for kind in ("Sync", "Async"):
            assert told[f"{kind} plain {blocking}"] == ["completed", "RE PLAIN", None]
            status, _, error = told[f"{kind} forbidden {blocking}"]
            assert status == "failed"
            assert "not to be asked" in error
        assert told[f"Whole plain {blocking}"] == ["completed", "re nialp", None]
        assert told[f"Broken plain {blocking}"] == ["completed", "re plain", None]
    asked = [(body["messages"][-1]["content"], body["model"], body.get("temperature")) for body in bodies]
    assert asked[:2] == [("plain", "m-1", 0.125)] * 2
    assert asked.count(("plain", "m-1", 0.125)) == 4
    assert [one[:2] for one in asked if one[0] == "nialp"] == [("nialp", "m-2")] * 2
    broken = [line for line in lines if line["event"] == "middleware.failed"]
    assert {line["hook"] for line in broken} == {
        "before_llm_call", "after_llm_call", "on_workflow_start", "on_workflow_end",
    }  # fmt: skip
    assert {line["middleware"] for line in broken} == {"Broken"}


PLUGIN = """
from generative_ai_workflow import LLMProvider, LLMRequest, LLMResponse, MockLLMProvider, StepResult, WorkflowStep

class Good(WorkflowStep):
    def execute(self, context):
        return {"good": context.names["text"].upper()}

class Bad(WorkflowStep):
    is_critical = False
    def __init__(self, name, how="raise"):
        super().__init__(name)
        self.how = how
    def execute(self, context):
        if self.how == "raise": raise RuntimeError("plugin broke")
        if self.how == "exit": raise SystemExit(7)
        return {"none": None, "text": "text", "number": 3}[self.how]

class House(LLMProvider):
    def complete(self, request):
        return MockLLMProvider(f"house: {request.prompt}").complete(request)
"""
PLUGINS = """
configure_logging("INFO")
bad = "  - {id: HOW, type: bad, options: {how: HOW}, is_critical: false}\\n"
lines = "".join(bad.replace("HOW", how) for how in ("raise", "exit", "none", "text", "number"))
open("flow.yaml", "w").write(f"name: f\\nsteps:\\n{lines}  - {{id: good, type: good}}\\n")
result = Workflow.from_yaml("flow.yaml").execute({"text": "lives on"})
house = Workflow([LLMStep("ask", "x", provider="house")]).execute({})
broken = {}
for kind in ("missing", "unloadable"):
    try: PluginRegistry.get_step(kind)
    except Exception as error: broken[kind] = f"{type(error).__name__}: {error}"
print(json.dumps({
    "status": str(result.status), "good": result.output["good"], "house": house.output["ask"],
    "steps": {name: [str(step.status), step.error] for name, step in result.steps.items()},
    "listed": [PluginRegistry.list_steps(), PluginRegistry.list_providers()], "broken": broken,
}))
"""


@pytest.mark.behaviour(67)
@pytest.mark.requirement("FR-023", "FR-025", "story 3.3")
def test_plugins_of_another_distribution_are_found_and_their_failures_isolated(project, scripted_server):
    """Behaviour 67: a step that raises, exits or returns nonsense fails alone, by name; the rest goes on."""
    project.write(
        {
            "house_plugin.py": PLUGIN,
            "unloadable_plugin.py": "raise ImportError('a library is missing')\n",
            "house_plugin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: house-plugin\nVersion: 1.0\n",
            "house_plugin-1.0.dist-info/entry_points.txt": (
                "[generative_ai_workflow.steps]\ngood = house_plugin:Good\nbad = house_plugin:Bad\n"
                "unloadable = unloadable_plugin:Step\n[chatmodels.providers]\nhouse = house_plugin:House\n"
            ),
        }
    )
    told, lines, _ = run(project, PLUGINS, scripted_server.base_url)
    assert (told["status"], told["good"], told["house"]) == ("completed", "LIVES ON", "house: x")
    assert {"good", "bad"} <= set(told["listed"][0])
    assert "house" in told["listed"][1]
    for how, says in {
        "raise": "plugin broke", "exit": "SystemExit", "none": "None", "text": "str", "number": "int",
    }.items():  # fmt: skip
        status, error = told["steps"][how]
        assert status == "failed"
        assert says in error
    failed = [line for line in lines if line["event"] == "step.failed"]
    assert len(failed) == 5
    assert {line["plugin"] for line in failed} == {"house_plugin.Bad"}
    assert {line["level"] for line in failed} == {"error"}
    assert "missing" in told["broken"]["missing"]
    assert "a library is missing" in told["broken"]["unloadable"]


LOGS = """
import logging
root = logging.getLogger()
before = [root.level, list(root.handlers), logging.getLogger("generative_ai_workflow").level]
quiet = Workflow([LLMStep("ask", "x", provider=model), TransformStep("bad", lambda names: 1 / 0)], name="quiet")
quiet.execute({})
sys.stderr.write("--- nothing above\\n")
configure_logging("DEBUG")
async def nap(names): await asyncio.sleep(10)
def broken(names): raise ValueError("no such invoice")
ends = {}
ends["completed"] = Workflow([LLMStep("ask", "x", provider=model)]).execute({})
ends["failed"] = Workflow([LLMStep("ask", "x", provider=model), TransformStep("bad", broken)]).execute({})
ends["timeout"] = Workflow([TransformStep("nap", nap)]).execute({}, timeout=0.1)
handle = Workflow([TransformStep("nap", nap)]).start({})
time.sleep(0.1)
handle.cancel()
ends["cancelled"] = handle.result(timeout=10)
assert before == [root.level, list(root.handlers), logging.getLogger("generative_ai_workflow").level]
print(json.dumps({end: result.correlation_id for end, result in ends.items()}))
"""


@pytest.mark.behaviour(69)
@pytest.mark.requirement("FR-014", "FR-015", "FR-018")
def test_lines_are_json_with_the_run_s_id_and_the_host_s_logging_is_left_alone(project, scripted_server):
    """Behaviour 69: nothing is written unless asked; then every state is one JSON object with the correlation id."""
    told, _, stderr = run(project, LOGS, scripted_server.base_url)
    before, _, after = stderr.partition("--- nothing above\n")
    assert before == ""
    lines = [json.loads(line) for line in after.splitlines()]
    ours = [line for line in lines if line["event"].split(".")[0] in ("workflow", "step", "llm")]
    assert {line["correlation_id"] for line in ours} == set(told.values())
    for end, correlation_id in told.items():
        mine = [line for line in ours if line["correlation_id"] == correlation_id]
        events = [line["event"] for line in mine if line["event"].startswith("workflow.")]
        assert events == ["workflow.pending", "workflow.started", f"workflow.{end}"]
        if end in ("failed", "timeout"):
            assert mine[-1]["level"] == "error"
            assert mine[-1]["error"]
    failed = [line for line in ours if line["event"].endswith(".failed")]
    assert {line["event"] for line in failed} >= {"step.failed", "workflow.failed"}
    assert all("no such invoice" in line["error"] for line in failed if line["correlation_id"] == told["failed"])
    assert "llm.call" in {line["event"] for line in ours}


SECRETS = """
configure_logging("DEBUG")
SECRETS = json.loads(sys.argv[2])
KEY = "sk-outside-0123456789abcdef"
shown = []
def broken(names): raise RuntimeError(f"no way with {names['secret']}", {"nested": [names["secret"]]})
class Bad(WorkflowStep):
    def execute(self, context): return StepResult(status="failed", error=context.names["secret"])
engine = WorkflowEngine(FrameworkConfig(log_prompts=True))
for secret in [*SECRETS, KEY]:
    for steps in ([LLMStep("ask", "say {secret}", provider=model), TransformStep("bad", broken)],
                  [LLMStep("ask", "refuse {secret}", provider=model)]):
        result = engine.run(Workflow(steps, name="w"), {"secret": secret})
        shown += [result.error, repr(result.steps["ask"].error_info), repr(result.metrics)]
        shown += [repr(step.error) for step in result.steps.values()]
shown += [repr(engine), repr(engine.config), repr(model), str(engine.config.model_dump())]
print(json.dumps([text for text in shown if text]))
"""
SECRET_TEXTS = [
    "sk-abcdefghijklmnopqrstuvwxyz012345",
    "sk-proj-abcdefghijklmnopqrstuvwxyz012345",
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "Bearer abcdefghijklmnopqrstuvwxyz.0123456789",
    "postgres://ann:hunter2secret@db.example.org/x",
]


@pytest.mark.behaviour(70)
@pytest.mark.requirement("FR-027")
def test_secrets_stand_neither_in_logs_nor_in_errors_nor_in_what_is_shown(project):
    """Behaviour 70: whatever a step, a prompt or a server says of a secret, it is blanked in logs and errors."""

    def answer(request: Any) -> Reply:
        if request.prompt.startswith("refuse"):
            return Reply(status=400, body={"error": {"message": f"cannot take {request.prompt[7:]}"}})
        return Reply(text="fine")

    with ScriptedServer(answer) as server:
        told, lines, stderr = run(project, SECRETS, server.base_url, json.dumps(SECRET_TEXTS))
    assert "llm.prompt" in {line["event"] for line in lines}
    everything = stderr + json.dumps(told)
    for secret in (*SECRET_TEXTS, "sk-outside-0123456789abcdef"):
        inside = "hunter2secret" if "hunter2" in secret else secret.removeprefix("Bearer ")
        assert inside not in everything, secret


SETTINGS = """
config = FrameworkConfig.from_yaml("settings.yaml")
plain = FrameworkConfig()
def facts(config):
    return {**config.model_dump(mode="json"), "openai_api_key": config.openai_api_key.get_secret_value()}
print(json.dumps({"plain": facts(plain), "yaml": facts(config),
                  "ran": str(Workflow([LLMStep("ask", "x")]).execute({}).status)}))
"""
VARIABLES = {
    "OPENAI_API_KEY": ("openai_api_key", "sk-environment-0123456789", "sk-environment-0123456789"),
    "GENAI_WORKFLOW_DEFAULT_MODEL": ("default_model", "m-env", "m-env"),
    "GENAI_WORKFLOW_DEFAULT_TEMPERATURE": ("default_temperature", "0.25", 0.25),
    "GENAI_WORKFLOW_DEFAULT_MAX_TOKENS": ("default_max_tokens", "33", 33),
    "GENAI_WORKFLOW_DEFAULT_TIMEOUT": ("default_timeout_seconds", "44.5", 44.5),
    "GENAI_WORKFLOW_DEFAULT_MODE": ("default_execution_mode", "sync", "sync"),
    "GENAI_WORKFLOW_MAX_RETRIES": ("max_retry_attempts", "5", 5),
    "GENAI_WORKFLOW_RETRY_BACKOFF": ("retry_backoff_factor", "1.5", 1.5),
    "GENAI_WORKFLOW_LOG_LEVEL": ("log_level", "WARNING", "WARNING"),
    "GENAI_WORKFLOW_LOG_PROMPTS": ("log_prompts", "true", True),
}
YAML = """
default_model: m-yaml
default_temperature: 1.5
default_max_tokens: 7
default_timeout_seconds: 8
default_execution_mode: async
max_retry_attempts: 9
retry_backoff_factor: 4
log_level: ERROR
log_prompts: false
"""


@pytest.mark.behaviour(71)
@pytest.mark.requirement("FR-019", "FR-019a")
@pytest.mark.parametrize("home", ["environment", ".env"])
def test_all_ten_names_work_beat_yaml_and_stand_in_the_request(home, project, scripted_server):
    """Behaviour 71: from the environment or from `.env`, in which a foreign key is ignored; both win over YAML."""
    values = {name: text for name, (_, text, _) in VARIABLES.items()}
    project.write({"settings.yaml": YAML})
    if home == ".env":
        lines = "".join(f"{name}={text}\n" for name, text in values.items())
        project.write({".env": f"SOMEBODY_ELSES=thing\nGENAI_WORKFLOW_UNKNOWN=1\n{lines}"})
        values = {}
    told, _, _ = run(project, SETTINGS, scripted_server.base_url, OPENAI_BASE_URL=scripted_server.base_url, **values)
    assert told["plain"] == told["yaml"] == {field: value for field, _, value in VARIABLES.values()}
    assert told["ran"] == "completed"
    [body] = scripted_server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m-env", 0.25, 33)
    assert scripted_server.chats[0].headers["authorization"] == "Bearer sk-environment-0123456789"


@pytest.mark.behaviour(71)
def test_the_example_file_copied_to_dotenv_runs(project, scripted_server):
    """Behaviour 71: `.env.example` copied to `.env` runs as it is; what YAML says counts where both are silent."""
    project.write({".env": (ROOT / ".env.example").read_text(encoding="utf-8"), "settings.yaml": YAML})
    told, _, _ = run(project, SETTINGS, scripted_server.base_url, OPENAI_BASE_URL=scripted_server.base_url)
    assert told["ran"] == "completed"
    assert (told["plain"]["default_model"], told["plain"]["openai_api_key"]) == ("gpt-4o-mini", "")
    assert told["yaml"]["default_timeout_seconds"] == 8.0


THREADS = """
import warnings
warnings.simplefilter("error")
workflow = Workflow([
    TransformStep("ask_for", lambda names: {"q": f"item {names['n']}"}),
    LLMStep("first", "{q}", provider=model),
    LLMStep("second", "again {first}", provider=model),
])
results = {}
barrier = threading.Barrier(64)
def work(n):
    barrier.wait(20)
    for turn in range(3):
        results[n, turn] = workflow.execute({"n": f"{n}-{turn}"})
threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join(50)

async def cell(n):                               # a notebook runs every cell in a loop that turns already
    in_a_thread = asyncio.to_thread(workflow.execute, {"n": n})
    mixed = await asyncio.gather(workflow.execute_async({"n": f"cell {n}"}), in_a_thread)
    return [workflow.execute({"n": f"blocking {n}"}).output["second"], *(result.output["second"] for result in mixed)]

loop = asyncio.new_event_loop()
cells = [loop.run_until_complete(cell(n)) for n in range(3)]
loop.close()
expected = {key: f"re again re item {key[0]}-{key[1]}" for key in results}
print(json.dumps({
    "wrong": [key for key, result in results.items() if result.output["second"] != expected[key]],
    "ids": len({result.correlation_id for result in results.values()}), "count": len(results), "cells": cells,
    "tokens": sorted({result.metrics.token_usage_total.total_tokens for result in results.values()}),
    "after": workflow.execute({"n": "after"}).output["second"],
}))
"""


@pytest.mark.behaviour(63)
@pytest.mark.requirement("edge: thread safety")
def test_64_threads_and_the_cells_of_a_notebook_share_a_workflow_of_several_calls(project):
    """Behaviour 63: no mixed-up answer, id or count, from 64 threads at once and from inside running loops."""
    with ScriptedServer(lambda request: Reply(text=f"re {request.prompt}", latency_s=0.005)) as server:
        told, _, _ = run(project, THREADS, server.base_url)
        assert server.count == 2 * (64 * 3 + 3 * 3 + 1)
    assert told["wrong"] == []
    assert told["count"] == told["ids"] == 192
    assert told["tokens"] == [36]
    assert told["cells"] == [
        [f"re again re item blocking {n}", f"re again re item cell {n}", f"re again re item {n}"] for n in range(3)
    ]
    assert told["after"] == "re again re item after"
