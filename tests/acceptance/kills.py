"""Runs that are killed at chosen points and resumed until they are done, and what must be true of them then."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from acceptance.outside import TIMEOUT_S, Project, Run, Said, chain_yaml, clean_environment, fmf_yaml
from fmf.ledger.view import LedgerView
from peers.scripted_server import Reply, Request, ScriptedServer

CONCURRENCY = 4
ASKS = ("run", "--chain", "chain.yaml")
OWN_TO_A_RUN = {"run_id", "created_at", "latency_ms"}
ITEMS_IN_A_DOCUMENT = 4

STEPS = (
    {"id": "first", "prompt": "inline: first ${chunk.text}", "output": "first"},
    {"id": "second", "prompt": "inline: second {{ f }}", "inputs": {"f": "${steps.first}"}, "output": "second"},
    {
        "id": "whole",
        "prompt": "inline: whole {{ all }}",
        "inputs": {"all": '${join(document.all.second, " ")}'},
        "output": "whole",
    },
    {"id": "once", "prompt": "inline: once {{ all }}", "inputs": {"all": '${join(all.first, " ")}'}, "output": "once"},
)
SAVES = ({"save": "artefacts/${run_id}/second.csv", "from": "second"},)

# A process that has imported the program forks a child for each line that it reads: what the program is to do, and
# what is done to it. It says the number of the child, and how that ended.
NURSERY = """
import datetime, json, os, resource, signal, sys, threading, time
import fmf.chains.run, fmf.chains.prepare, fmf.cli.run, fmf.cli.progress, fmf.cli.signals, fmf.cli.telling
import chatmodels.factory, chatmodels.providers.openai, generative_ai_workflow.engine
from fmf.chains import checkpoints
from fmf.cli import main
from fmf.ledger.hold import Hold
from fmf.ledger.writer import Writer

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(plan, event, function):
    count = 0
    def call(*args, **kwargs):
        nonlocal count
        count += 1
        due = (event, count) == (plan["event"], plan["number"])
        if due and not plan["after"]:
            kill()
        result = function(*args, **kwargs)
        if due:
            kill()
        return result
    return call

def set_clock(shift_s):
    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(seconds=shift_s)
    true = time.time
    time.time = lambda: true() + shift_s
    for name, module in tuple(sys.modules.items()):
        if name.startswith("fmf.") and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = Shifted

def follow(plan):
    if plan["clock_s"]:
        set_clock(plan["clock_s"])
    if plan["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan["file_bytes"], plan["file_bytes"]))
    checkpoints.EVERY_S = plan["every_s"]
    for event in ("begin", "take_over", "commit"):
        setattr(Writer, event, counted(plan, event, getattr(Writer, event)))
    Hold.confirm = counted(plan, "confirm", Hold.confirm)
    os.fsync = counted(plan, "fsync", os.fsync)
    os.replace = counted(plan, "replace", os.replace)
    if plan["event"] == "time":
        timer = threading.Timer(plan["seconds"], kill)
        timer.daemon = True
        timer.start()

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        for handle, name in enumerate((os.devnull, "stdout", "stderr")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), handle)
        sys.argv = ["fmf", *order["args"]]
        follow(order["plan"])
        sys.exit(main())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Plan:
    """What is done to one process."""

    event: str = ""
    """Of the ledger `begin`, `take_over`, `commit`, `confirm`; `fsync`, `replace`, `request` (it arrives), `time`."""
    number: int = 1
    """Which of these events."""
    after: bool = False
    """Kill when it is done, not before."""
    seconds: float = 0.0
    """Of `time`: since the process began."""
    clock_s: float = 0.0
    """How far its clock is off."""
    file_bytes: int = 0
    """How large its files may get, as if the disk were full then; 0 is without end."""
    every_s: float = 0.05
    """How often it keeps a checkpoint."""


@dataclass
class Kills:
    """What came of one run that was killed again and again."""

    run: Run
    kills: int = 0
    in_flight: int = 0
    """Requests that were under way when it was killed, all kills together."""
    prompts: Counter[str] = field(default_factory=Counter)
    """What the server was asked, and how often."""

    @property
    def billed(self) -> int:
        """Requests that reached the server."""
        return self.prompts.total()


class Bench:
    """A project whose model counts what it is asked, and whose processes are done to as planned."""

    def __init__(self, project: Project, documents: int, *, latency_s: float = 0.01) -> None:
        self.project = project
        self.latency_s = latency_s
        self.server = ScriptedServer(self._answer)
        self._plan = Plan()
        self._pid = 0
        self._asked = 0
        self.before: set[Path] = set()
        self.script: Callable[[Request], Reply | None] = lambda request: None
        """What it answers instead, if anything."""
        self._latency = random.Random(7)
        project.write({f"data/{n:03}.md": document(n) for n in range(documents)})
        project.write({"chain.yaml": chain_yaml(*STEPS, outputs=SAVES, concurrency=CONCURRENCY)})

    def __enter__(self) -> Self:
        self.server.start()
        self.project.write({"fmf.yaml": settings(self.server)})
        self._nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            cwd=self.project.root,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._nursery.communicate(timeout=TIMEOUT_S)
        self.server.stop()

    def fmf(self, *args: str, plan: Plan | None = None) -> Said:
        """Run the program to its end, or to the one that is planned for it."""
        self._plan = plan or Plan()
        self._asked = 0
        orders, told = self._nursery.stdin, self._nursery.stdout
        assert orders is not None
        assert told is not None
        orders.write(json.dumps({"args": args, "plan": asdict(self._plan)}) + "\n")
        orders.flush()
        self._pid = int(told.readline())
        exit_code = int(told.readline())
        self._pid = 0
        stdout, stderr = ((self.project.root / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return Said(exit_code, stdout, stderr)

    def undisturbed(self) -> Kills:
        """A run that nothing happens to."""
        self.reset()
        return Kills(self.fmf(*ASKS).well().run, prompts=self.prompts())

    def killed(self, plans: Iterator[Plan]) -> Kills:
        """A run that is resumed until it is complete; its processes take the next of `plans` each, while there are."""
        self.reset()
        done: Kills | None = None
        kills = 0
        while done is None or not _is_complete(done.run):
            said = self.fmf(
                *(ASKS if done is None else ("run", "--resume", done.run.path.name)), plan=next(plans, None)
            )
            if said.exit_code != -signal.SIGKILL:
                assert done is None or said.run.path == done.run.path
                return Kills(said.well().run, kills, done.in_flight if done else 0, self.prompts())
            kills += 1
            begun = self.runs() - self.before
            if done is None and not any((folder / "ledger.sqlite").exists() for folder in begun):
                assert not self.server.count, "asked before there was a ledger"
                self.before |= begun
                continue
            [folder] = begun
            done = done or Kills(Run(folder))
            done.in_flight += under_way(folder)
        done.kills, done.prompts = kills, self.prompts()
        return done

    def reset(self) -> None:
        """Begin anew: nothing was asked, and no run begun."""
        self.server.reset()
        self.script = lambda request: None
        self.before = self.runs()

    @property
    def begun(self) -> Path:
        """The folder of the one run that was begun since the last reset."""
        [folder] = self.runs() - self.before
        return folder

    def runs(self) -> set[Path]:
        """The folders of all runs."""
        return {path for path in self.project.root.glob("artefacts/*") if path.is_dir()}

    def prompts(self) -> Counter[str]:
        """What the server was asked since the last run was begun, and how often."""
        return Counter(request.prompt for request in self.server.chats)

    def _answer(self, request: Request) -> Reply:
        self._asked += 1
        if self._plan.event == "request" and self._asked == self._plan.number:
            os.kill(self._pid, signal.SIGKILL)
        if (reply := self.script(request)) is not None:
            return reply
        return Reply(text=answer(request.prompt), latency_s=self._latency.uniform(0.2, 1.8) * self.latency_s)


def settings(server: ScriptedServer, **inference: Any) -> str:
    """An `fmf.yaml` whose model is `server`, has a price, and whose items are the parts under headings."""
    price = {"input_per_1m": 3.0, "output_per_1m": 15.0}
    return fmf_yaml(
        server.base_url,
        inference={"prices": {"scripted-1": price}, **inference},
        processing={"text": {"chunking": {"strategy": "by_heading", "max_tokens": 60}}},
    )


def document(number: int, items: int = ITEMS_IN_A_DOCUMENT) -> str:
    """A document with some items, each of its own words."""
    return "\n\n".join(f"# Heading {number} {item}\n\nText {number} {item} of all." for item in range(items))


def answer(prompt: str) -> str:
    """What the model says to `prompt`."""
    return sha256(prompt.encode()).hexdigest()[:16]


def under_way(folder: Path) -> int:
    """The requests that a dead process has left without an outcome; its ledger is looked at in a copy."""
    if not (folder / "ledger.sqlite").stat().st_size:
        return 0
    copy = folder.parent.parent / "copy" / folder.name
    copy.mkdir(parents=True)
    try:
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy / name)
        view = LedgerView(copy)
        try:
            return view.sums().under_way
        finally:
            view.close()
    finally:
        shutil.rmtree(copy)


def _is_complete(run: Run) -> bool:
    return (run.path / "run.yaml").exists() and run.record["status"] == "completed"


def comparable(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Records without what differs between equal runs."""
    return [{key: value for key, value in row.items() if key not in OWN_TO_A_RUN} for row in rows]


def assert_like(run: Run, whole: Run) -> None:
    """All that `run` has left is what the undisturbed run has."""
    rows = run.outputs
    twice = [key for key, count in Counter((row["step_id"], row["record_id"]) for row in rows).items() if count > 1]
    assert not twice
    assert comparable(rows) == comparable(whole.outputs)
    for name in ("docs.jsonl", "chunks.jsonl", "errors.jsonl", "second.csv"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    record, expected = run.record, whole.record
    assert record["counts"] == expected["counts"]
    for key in ("tokens_prompt", "tokens_completion", "cost_estimate_usd", "retries"):
        assert record["metrics"][key] == expected["metrics"][key], key
    assert record["errors"] == expected["errors"]
    for name in ("status", "config_hash", "chain", "inputs", "provider", "prompts_used"):
        assert record[name] == expected[name], name
    for artefact in record["artefacts"]:
        content = (run.path / artefact["path"]).read_bytes()
        assert artefact["sha256"].removeprefix("sha256:") == sha256(content).hexdigest(), artefact["path"]


def assert_paid_once(killed: Kills, whole: Kills) -> None:
    """Nothing was asked that was not asked undisturbed, and again only what was under way at a kill."""
    assert set(killed.prompts) == set(whole.prompts)
    assert killed.billed <= whole.billed + killed.in_flight
    assert killed.in_flight <= killed.kills * 2 * CONCURRENCY


def environment_number(name: str) -> int:
    """A number that whoever runs the tests may set, else 0."""
    return int(os.environ.get(name) or 0)
