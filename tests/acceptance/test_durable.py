from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest

from acceptance.outside import clean_environment

KILLS = 50

# A process that has imported everything already forks one child for each line that it reads: the id of a run and the
# file that its steps write to. Each execution of a step is one line there; the child prints what came of the run.
NURSERY = """
import hashlib, json, os, sys
from chatmodels import ChatModel, ChatResponse, TokenUsage
from generative_ai_workflow import (
    ConditionalStep, ForEachStep, LLMStep, ParallelStep, SQLiteRunStore, TransformStep, Workflow, WorkflowEngine,
)

log = None

def done(name):
    os.write(log, f"{name}\\n".encode())

class Fake(ChatModel):
    async def complete_async(self, request):
        name, _, rest = request.prompt.partition(": ")
        done(name)
        answer = hashlib.sha256(rest.encode()).hexdigest()[:12]
        usage = TokenUsage(prompt_tokens=len(rest), completion_tokens=12, model="fake", provider="fake")
        return ChatResponse(content=answer, model="fake", usage=usage)

def transform(number):
    def work(names):
        done(f"t{number}")
        before = names.get(f"t{number - 1}") or names.get(f"t{number - 2}") or names["seed"]
        return {"t": number, "digest": hashlib.sha256(repr(before).encode()).hexdigest(), "big": 3 ** (60 + number)}
    return TransformStep(f"t{number}", lambda names: {f"t{number}": work(names)})

def inner(prefix):
    def work(names):
        done(f"{prefix}[{names['index']}]")
        return {prefix: [names["item"], names["index"] / 7]}
    return TransformStep(prefix, work)

model = Fake()

def ask(name, text, label=""):
    return LLMStep(name, f"{name}{label}: {text}", provider=model)

steps = [
    transform(1), transform(2), ask("a1", "{t2}"), transform(3), ask("a2", "{a1} {t3}"),
    ForEachStep("loop", "${input.items}", [inner("each"), ask("note", "{item} {each}", "[{index}]")]),
    transform(4), ask("a3", "{loop}"), transform(5),
    ParallelStep("both", [ask("left", "{t5}"), ask("right", "{a3}")]),
    transform(6), ask("a4", "{left} {right}"), transform(7),
    ConditionalStep("fork", "${input.seed} == 7", [transform(8)], [transform(9)]),
    ask("a5", "{fork}"), transform(10), transform(11), ask("a6", "{t11} {a5}"), transform(12), ask("a7", "{t12} {a6}"),
]
workflow = Workflow(steps, name="twenty")
assert len(workflow.steps) == 20

def child(run_id, path):
    global log
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    engine = WorkflowEngine(store=SQLiteRunStore("runs.db"))
    result = engine.run(workflow, {"seed": 7, "items": ["x", "y", "z"]}, correlation_id=run_id)
    tokens = result.metrics.token_usage_total
    told = {"status": result.status, "error": result.error, "output": result.output, "tokens": tokens.total_tokens,
            "steps": {name: [step.status, step.output] for name, step in result.steps.items()}}
    return json.dumps(told)

# Once here, so that no child has to load anything.
child("warm", "warm.log")
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        try:
            print(child(*line.split()), flush=True)
        finally:
            os._exit(0)
    print(process, flush=True)
    os.waitpid(process, 0)
    print("gone", flush=True)
"""


@dataclass
class Nursery:
    """Runs the workflow in processes of its own, in `folder`."""

    folder: Path
    process: subprocess.Popen[str]

    def say(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, run_id: str) -> int:
        """Begin or resume a run; the process that does."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{run_id} {self.log_of(run_id)}\n")
        self.process.stdin.flush()
        return int(self.say())

    def ended(self) -> dict[str, object] | None:
        """What came of the run; `None` where its process was killed before it said anything."""
        line = self.say()
        if line == "gone":
            return None
        assert self.say() == "gone"
        told: dict[str, object] = json.loads(line)
        return told

    def log_of(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.log"

    def executions(self, run_id: str) -> list[str]:
        """The steps that were executed, in order, each as often as it was."""
        path = self.log_of(run_id)
        return path.read_text().split() if path.exists() else []

    def state_of_the_file(self) -> tuple[int, int]:
        """Changes with every transaction."""
        try:
            found = (self.folder / "runs.db-wal").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def kept(self, run_id: str) -> set[str]:
        """The steps whose records are in the store."""
        if not (self.folder / "runs.db").exists():
            return set()
        with closing(sqlite3.connect(self.folder / "runs.db")) as look:
            found = look.execute("SELECT name FROM sqlite_master WHERE name = 'steps'").fetchall()
            every = "SELECT name FROM steps WHERE run = (SELECT number FROM runs WHERE run_id = ?)"
            return {name for (name,) in look.execute(every, (run_id,))} if found else set()


@pytest.fixture
def nursery(tmp_path):
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", NURSERY]
    with subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        found = Nursery(tmp_path, process)
        assert found.say() == "ready"
        yield found
        process.stdin.close()


def goes_on(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_a_moment(nursery, run_id, process, chance):
    """Wait until a few more steps were executed, or until the store's file has just changed."""
    look = (lambda: len(nursery.executions(run_id))) if chance.random() < 0.5 else nursery.state_of_the_file
    for _ in range(chance.randint(1, 15)):
        before = look()
        while look() == before:
            if not goes_on(process):
                return
            sleep(0.0002)
    sleep(chance.choice([0, chance.uniform(0, 0.003)]))


def test_a_run_that_is_killed_at_any_point_ends_as_if_nothing_had_happened_and_repeats_no_finished_step(nursery):
    chance = random.Random(4)
    nursery.start("whole")
    expected = nursery.ended()
    assert (expected["status"], expected["error"]) == ("completed", None)
    every = nursery.executions("whole")
    assert len(every) == len(set(every)) == 26  # 17 steps, two for each of three items, two branches and one
    assert set(every) <= nursery.kept("whole")

    kills, number, repeated = 0, 0, 0
    while kills < KILLS:
        number += 1
        run_id, told = f"run-{number}", None
        while told is None:
            before, kept = len(nursery.executions(run_id)), nursery.kept(run_id)
            process = nursery.start(run_id)
            if kills < KILLS:
                wait_for_a_moment(nursery, run_id, process, chance)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            told = nursery.ended()
            kills += told is None
            assert not kept & set(nursery.executions(run_id)[before:])
        assert told == expected
        executed = nursery.executions(run_id)
        assert set(executed) == set(every)
        repeated += len(executed) - len(every)
    # Only the step that was under way is begun again; the branches of a step may have been under way together.
    assert repeated <= 3 * KILLS
    executed = nursery.executions("run-1")
    nursery.start("run-1")
    assert nursery.ended() == expected
    assert nursery.executions("run-1") == executed, "a run that has completed executes nothing again"
