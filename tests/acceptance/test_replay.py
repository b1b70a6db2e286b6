from __future__ import annotations

import json

import pytest

SHARED = """
import asyncio, json, sys
from chatmodels import ChatModelError, Message, RecordingModel, ReplayModel, create_chat_model, register_chat_model
from generative_ai_workflow import LLMStep, Workflow

PLAIN = (
    Message(role="system", content="You answer in one short sentence."),
    Message(role="user", content="What is a bicycle?"),
)
STREAMED = "Name three colours."
SETTINGS = {"model": "smollm2-135m-instruct", "temperature": 0.0, "max_tokens": 24, "seed": 1}

def told(response):
    return {"text": response.content, "usage": response.usage.model_dump(), "reason": response.finish_reason,
            "cost": response.cost_usd, "cached": response.cached}

def pieces(chunks):
    return {"pieces": [chunk.text for chunk in chunks], "usage": chunks[-1].usage.model_dump(),
            "reason": chunks[-1].finish_reason, "cached": chunks[-1].cached}

def workflow(model, name):
    register_chat_model(name, model)
    return Workflow([LLMStep("colour", "A colour beside {x}?", provider=name, model=SETTINGS["model"], max_tokens=8,
                             temperature=0.0)])

def outcome(result):
    return {"status": str(result.status), "text": result.output["colour"]}

def blocking(model, name):
    return [told(model.invoke(PLAIN, **SETTINGS)), pieces(list(model.stream(STREAMED, **SETTINGS))),
            outcome(workflow(model, name).execute({"x": "blue"}))]

def awaited(model, name):
    async def go():
        return [told(await model.ainvoke(PLAIN, **SETTINGS)),
                pieces([chunk async for chunk in model.astream(STREAMED, **SETTINGS)]),
                outcome(await workflow(model, name).execute_async({"x": "blue"}))]
    with asyncio.Runner() as runner:
        return runner.run(go())
"""

RECORD = """
vendor = create_chat_model("openai", base_url={base_url!r}, api_key={api_key!r}, timeout_s=60,
                           retry={{"first_wait_s": 0.2}})
tape = lambda way: RecordingModel(vendor, f"{{way.__name__}}.{suffix}")
print(json.dumps([way(tape(way), way.__name__) for way in (blocking, awaited)]))
"""

REPLAY = """
import socket
connected = []
NETWORK = {{"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}}
def watch(event, arguments):
    inet = event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6)
    if inet or event in NETWORK:
        connected.append(event)
        raise RuntimeError(f"{{event}} was called")
sys.addaudithook(watch)
try:
    socket.create_connection(("127.0.0.1", 9))
except RuntimeError:
    connected.clear()                            # the watch is awake

replayed = [way(ReplayModel(f"{{tape}}.{suffix}"), f"{{way.__name__}} of {{tape}}")
            for tape in ("blocking", "awaited") for way in (blocking, awaited)]
def fault(*arguments, **settings):
    try:
        ReplayModel("blocking.{suffix}").invoke(*arguments, **settings)
    except ChatModelError as error:
        return str(error)
print(json.dumps({{"replayed": replayed, "connected": connected,
    "unmatched": fault(PLAIN, **{{**SETTINGS, "temperature": 0.9}}),
    "other": fault("Name three colours and a shape.", **SETTINGS)}}))
"""


@pytest.mark.peer
@pytest.mark.model
@pytest.mark.behaviour(72)
@pytest.mark.parametrize("suffix", ["jsonl", "yaml"])
def test_what_was_recorded_replays_without_sockets_and_for_nothing(project, embedded_server, suffix):
    """Behaviour 72: recorded against a real server; replayed elsewhere: same outputs, zero sockets, zero cost."""
    server = {"base_url": embedded_server.base_url, "api_key": embedded_server.api_key}
    blocking, awaited = project.python(SHARED + RECORD.format(suffix=suffix, **server))
    for plain, streamed, run in (blocking, awaited):
        assert plain["text"]
        assert not plain["cached"]
        assert len(streamed["pieces"]) > 3
        assert "COMPLETED" in run["status"].upper()
    for name in ("blocking", "awaited"):
        text = (project.root / f"{name}.{suffix}").read_text(encoding="utf-8")
        assert embedded_server.api_key not in text
        assert text.count("smollm2-135m-instruct") >= 3

    told = project.python(SHARED + REPLAY.format(suffix=suffix))
    assert told["connected"] == []
    for (plain, streamed, run), (was_plain, was_streamed, was_run) in zip(
        told["replayed"], (blocking, blocking, awaited, awaited), strict=True
    ):
        assert (plain["cost"], plain["cached"]) == (0.0, True)
        for name in ("text", "usage", "reason"):
            assert plain[name] == was_plain[name]
        assert streamed == {**was_streamed, "cached": True}
        assert run == was_run

    assert "-temperature: 0.0\n+temperature: 0.9" in told["unmatched"]
    assert "Name three colours and a shape." in told["other"]
    assert "-      content: Name three colours.\n" not in told["unmatched"]
    assert json.dumps(told["other"]).count("content: Name three colours") == 2
