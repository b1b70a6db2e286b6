"""Whoever holds a lock in the parent holds up nobody in a forked child."""

from __future__ import annotations

import os
import signal

import pytest

from chatmodels import (
    ChatModel,
    ChatRequest,
    MemoryCache,
    MockChatModel,
    RecordingModel,
    ReplayModel,
    TokenUsage,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels import guard as guard_module
from chatmodels import pricing as pricing_module
from chatmodels import spending as spending_module
from chatmodels.cassette.tape import TapeWriter
from chatmodels.registry import models
from chatmodels.spending import Budget, ledger_of
from chatmodels.testing import Recordings, RecordMode, forbid_model_requests
from fmf_core import redact
from fmf_core.redact import add_secret
from generative_ai_workflow import TokenUsageTracker, WorkflowEngine

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
USAGE = TokenUsage(prompt_tokens=1, completion_tokens=1, model="gpt-4o-mini", provider="openai")


def mock(_):
    model = MockChatModel("x")
    return model._lock, lambda: model.invoke("q")


def memory_cache(_):
    cache = MemoryCache()
    model = create_chat_model("mock", cache=cache)
    return cache._lock, lambda: model.invoke("q")


def tape(folder):
    writer = TapeWriter(folder / "tape.jsonl", append=False)
    answer = MockChatModel("x").invoke("q")
    return writer._lock, lambda: writer.write({"messages": []}, response=answer)


def replay(folder):
    RecordingModel(MockChatModel("x"), folder / "replayed.jsonl").invoke("q")
    model = ReplayModel(folder / "replayed.jsonl")
    return model._lock, lambda: model.invoke("q")


def recordings(folder):
    made = Recordings(folder / "made.jsonl", RecordMode.ALL)
    return made._lock, lambda: made.model(MockChatModel("x")).invoke("q")


def budget(_):
    made = Budget()
    return ledger_of(made)._lock, lambda: made.count(USAGE, None)


def budgets_in_force(_):
    def enter():
        with Budget():
            pass

    return spending_module._lock, enter


def forbidding(_):
    def enter():
        with forbid_model_requests():
            pass

    return guard_module._lock, enter


def old_prices(_):
    return pricing_module._Old.lock, lambda: pricing_module._Old.first()


def secrets(_):
    return redact._known._lock, lambda: add_secret("something-that-nobody-may-see")


def registry(_):
    class Plug(ChatModel):
        def complete(self, request): ...

    def use():
        register_chat_model("forked", Plug)
        unregister_chat_model("forked")

    return models._lock, use


def engine(_):
    made = WorkflowEngine(model=MockChatModel("x"))
    return made._lock, lambda: made.use(TokenUsageTracker())


def rack(_):
    made = WorkflowEngine(model=MockChatModel("x"))
    return made.models._lock, lambda: made.models.pick(None, None, ChatRequest(prompt="q"))


def tracker(_):
    made = TokenUsageTracker()
    return made._lock, lambda: made.record(USAGE)


KINDS = [
    mock, memory_cache, tape, replay, recordings, budget, budgets_in_force, forbidding, old_prices, secrets, registry,
    engine, rack, tracker,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_child_finds_every_lock_free(kind, tmp_path):
    lock, use = kind(tmp_path)
    with lock():
        child = os.fork()
        if child == 0:
            # A child that hangs is killed by the alarm, and one that fails has a status of its own.
            signal.alarm(20)
            try:
                use()
                os._exit(0)
            except BaseException:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
