from __future__ import annotations

import pytest

from acceptance.outside import Project, chain_yaml, fmf_yaml
from peers.scripted_server import Reply, ScriptedServer

# Each script prints one JSON document; its first argument is the address of the server.
BODIES = """
import json, sys
from chatmodels import ChatRequest, create_chat_model
from generative_ai_workflow import FrameworkConfig, LLMStep, Workflow, WorkflowConfig, WorkflowEngine

def model(**settings):
    return create_chat_model("openai", model="m-1", base_url=sys.argv[1], api_key="k", **settings)

model(temperature=0.0, max_tokens=9).complete(ChatRequest(prompt="defaults of the model"))
model(temperature=None, max_tokens=None).complete(ChatRequest(prompt="nothing"))
model(temperature=0.9).complete(ChatRequest(prompt="own", temperature=0.0, max_tokens=3))
step = LLMStep("s", "step of {who}", provider=model(temperature=0.9, max_tokens=9), temperature=0.0, max_tokens=4)
Workflow([step]).execute({"who": "workflow"})
step = LLMStep("s", "inherits {who}", provider=model(temperature=0.0, max_tokens=9), model="m-2")
result = Workflow([step]).execute({"who": "defaults"})
print(json.dumps({"status": str(result.status)}))
"""

TWICE = """
import asyncio, json, sys, threading
from chatmodels import create_chat_model
from generative_ai_workflow import LLMStep, TransformStep, Workflow

model = create_chat_model("openai", model="m-1", base_url=sys.argv[1], api_key="k", temperature=0.0)
workflow = Workflow([
    LLMStep("ask", "item {n}", provider=model),
    TransformStep("shout", lambda names: {"loud": names["ask"].upper()}),
])
told = {"twice": [workflow.execute({"n": f"blocking-{n}"}).output["loud"] for n in range(2)]}

answers = {}
def work(n):
    answers[n] = workflow.execute({"n": f"thread-{n}"}).output["loud"]
threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join(30)
told["threads"] = [answers.get(n) for n in range(64)]

async def notebook():
    blocking = workflow.execute({"n": "notebook"}).output["loud"]
    awaited = (await workflow.execute_async({"n": "awaited"})).output["loud"]
    return [blocking, awaited]
told["notebook"] = [asyncio.run(notebook()), asyncio.run(notebook())]
told["after"] = workflow.execute({"n": "after"}).output["loud"]
print(json.dumps(told))
"""

BRACES = r"""
import json
from generative_ai_workflow import FrameworkError, LLMStep, MockLLMProvider, Workflow

class Holder:
    secret = "SECRET"

def asked(prompt, names, **settings):
    model = MockLLMProvider()
    result = Workflow([LLMStep("s", prompt, provider=model, **settings)]).execute(names)
    sent = [[message.text for message in request.messages] for request in model.call_log]
    return {"status": str(result.status), "sent": sent, "error": str(result.error or "")}

def safely(prompt, names, **settings):
    try:
        return asked(prompt, names, **settings)
    except FrameworkError as error:
        return {"status": "refused", "sent": [], "error": f"{error} {error.hint}"}

literal = 'Answer like {"a": {"b": [1, {}]}, "c": "{}"} or { } or {0} or {a-b}: {text}'
print(json.dumps({
    "braces": safely(literal, {"text": "T"}),
    "double": safely("{{ text }} and {{text}} and {text}", {"text": "T"}),
    "data": safely("{text} {other}", {"text": "{other} {{ other }} ${other}", "other": "O"}),
    "missing": safely("{text} {custmer}", {"text": "T", "customer": "C"}),
    "class": safely("{text.__class__} {text.secret} {{ text.secret }} {text}", {"text": Holder()}),
    "index": safely("{text[secret]} {text!r} {text:>5}", {"text": "T"}),
    "class_text": safely("{x.__class__.__mro__}", {"x": "T"}),
}))
"""


@pytest.fixture(scope="session")
def braces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What each template of the script came to."""
    told: dict[str, dict[str, object]] = Project(tmp_path_factory.mktemp("braces")).python(BRACES)
    return told


@pytest.mark.behaviour(62)
def test_zero_is_sent_and_none_is_left_out(project, scripted_server):
    """Behaviour 62: temperature 0.0 and every default stand in the body, None is left out, a request's own wins."""
    scripted_server.add(*(Reply(text="ok") for _ in range(5)))
    assert project.python(BODIES, scripted_server.base_url) == {"status": "completed"}
    defaults, nothing, own, step, inherits = scripted_server.bodies
    assert (defaults["temperature"], defaults["max_tokens"], defaults["model"]) == (0.0, 9, "m-1")
    assert not {"temperature", "max_tokens", "seed", "stop"} & set(nothing)
    assert (own["temperature"], own["max_tokens"]) == (0.0, 3)
    assert (step["temperature"], step["max_tokens"], step["model"]) == (0.0, 4, "m-1")
    assert (inherits["temperature"], inherits["max_tokens"], inherits["model"]) == (0.0, 9, "m-2")
    assert inherits["messages"][-1]["content"] == "inherits defaults"


@pytest.mark.behaviour(63)
def test_blocking_calls_work_again_in_threads_and_in_a_notebook(project):
    """Behaviour 63: a second execute(), 64 threads on one workflow, and a blocking call inside a running loop."""
    with ScriptedServer(lambda request: Reply(text=f"re {request.prompt}", latency_s=0.02)) as server:
        told = project.python(TWICE, server.base_url)
    assert told["twice"] == ["RE ITEM BLOCKING-0", "RE ITEM BLOCKING-1"]
    assert told["threads"] == [f"RE ITEM THREAD-{n}" for n in range(64)]
    assert told["notebook"] == [["RE ITEM NOTEBOOK", "RE ITEM AWAITED"]] * 2
    assert told["after"] == "RE ITEM AFTER"
    assert server.count == 2 + 64 + 4 + 1
    assert server.most_in_flight > 8, "threads do not wait for each other"


@pytest.mark.behaviour(68)
def test_literal_braces_survive(braces):
    """Behaviour 68: JSON and other braces in a prompt are sent as they stand; text of the input is not scanned."""
    literal = 'Answer like {"a": {"b": [1, {}]}, "c": "{}"} or { } or {0} or {a-b}: T'
    assert braces["braces"]["sent"] == [[literal]]
    assert braces["double"]["sent"] == [["T and T and T"]]
    assert braces["data"]["sent"] == [["{other} {{ other }} ${other} O"]]


@pytest.mark.behaviour(68)
def test_a_missing_variable_names_itself_and_the_known_ones(braces):
    """Behaviour 68: the error names the missing variable and the known ones; nothing is sent."""
    missing = braces["missing"]
    assert missing["status"] in ("failed", "refused")
    assert missing["sent"] == []
    for name in ("custmer", "customer", "text"):
        assert name in str(missing["error"])


@pytest.mark.behaviour(68)
def test_templates_reach_no_attributes(braces):
    """Behaviour 68: `{x.__class__}`, `{x[key]}`, `{x!r}` are literal text; no attribute is ever looked up."""
    for case in ("class", "index", "class_text"):
        [sent] = braces[case]["sent"] or [[""]]
        assert "SECRET" not in sent[0]
        assert "<class" not in sent[0]
    assert braces["index"]["sent"] == [["{text[secret]} {text!r} {text:>5}"]]
    assert braces["class_text"]["sent"] == [["{x.__class__.__mro__}"]]


@pytest.mark.behaviour(68)
def test_prompts_of_chains_keep_their_braces_too(project, scripted_server):
    """Behaviour 68: in a chain JSON braces and `{name}` stay as they are; `{{ x.__class__ }}` reaches nothing."""
    prompt = 'inline: Like {"a": {"n": 1}} or {{"b": 2}} or {text} or {{ text.__class__ }}: {{ text }}'
    step = {"id": "one", "prompt": prompt, "inputs": {"text": "${chunk.text}"}}
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url), "data/a.md": "T", "chain.yaml": chain_yaml(step)})
    project.fmf("run", "--chain", "chain.yaml").well()
    assert scripted_server.chats[0].prompt == 'Like {"a": {"n": 1}} or {{"b": 2}} or {text} or {{ text.__class__ }}: T'
    project.write({"chain.yaml": chain_yaml({**step, "prompt": "inline: {{ text.title }}: {{ text }}"})})
    refused = project.fmf("run", "--chain", "chain.yaml").refused(2)
    assert "{{ text.title }} would reach the model as it stands" in refused
    assert len(scripted_server.chats) == 1
