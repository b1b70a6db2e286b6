"""A thousand workflows at once, as a program: `python crowd.py MODE URL FILES` prints what came out and what was left.

Every run has a token that goes from its input through a prompt, a model, and its output; what must come of it (status,
tokens, which steps fail) is planned from a seed. The server at URL does what the prompt says: see `answer_for`.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import io
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import fmf_core.background as portal
from chatmodels import ChatModel, ChatModelError, ChatRequest, ChatResponse, ErrorCode, TokenUsage, create_chat_model
from generative_ai_workflow import (
    ConditionalStep,
    LLMStep,
    StepContext,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowHandle,
    WorkflowResult,
    WorkflowStep,
)
from generative_ai_workflow.observability.logging import configure_logging, get_logger

RUNS = 1000
THREADS = 8
ROUNDS = 2
SEED = 20_261_128
HTTP_PLANS = ("ok", "ok", "late", "429,ok", "500,ok", "drop,ok", "slow", "cut,ok", "400")
OWN_PLANS = ("ok", "ok", "late", "down,ok", "400", "odd")
FATAL = frozenset({"400", "odd"})
KINDS = ("http", "blocking", "http", "awaited", "http", "both")
LONGEST_S = 0.03


class Plan(NamedTuple):
    """What one run is to do, and what has to come of it."""

    number: int
    token: str
    kind: str
    plan: str
    stumbles: bool
    cancelled: bool

    @property
    def data(self) -> dict[str, Any]:
        return {"token": self.token, "plan": self.plan, "stumbles": self.stumbles, "number": self.number}

    @property
    def tokens(self) -> int:
        return 0 if self.plan in FATAL else len(self.token) + 3


def plans(mode: str, turn: int) -> list[Plan]:
    """The same for every run of the program."""
    dice = random.Random(SEED + turn)
    made = []
    for number in range(RUNS):
        kind = KINDS[number % len(KINDS)]
        plan = dice.choice(HTTP_PLANS if kind == "http" else OWN_PLANS)
        token = f"{mode}-{turn}-{number}-{dice.getrandbits(64):x}"
        made.append(Plan(number, token, kind, plan, dice.random() < 0.2, dice.random() < 0.05))
    return made


# ------------------------------------------------------------------------------------------------------------- models

_attempts: collections.Counter[str] = collections.Counter()
_counting = threading.Lock()


def next_act(prompt: str) -> tuple[str, str]:
    """The token of a prompt, and what is to happen this time."""
    token, _, plan = prompt.partition("|")
    with _counting:
        attempt = _attempts[token]
        _attempts[token] += 1
    acts = plan.split(",")
    return token, acts[min(attempt, len(acts) - 1)]


def answered(request: ChatRequest) -> tuple[float, ChatResponse]:
    """How long it takes, and the answer; raises what the plan says."""
    token, act = next_act(request.prompt)
    if act == "down":
        raise ChatModelError("out of order", op="crowd.complete", code=ErrorCode.UNAVAILABLE)
    if act == "400":
        raise ChatModelError("not so", op="crowd.complete", code=ErrorCode.INVALID)
    if act == "odd":
        raise KeyError(token)
    usage = TokenUsage(prompt_tokens=len(token), completion_tokens=3, model="crowd", provider="crowd")
    return LONGEST_S * (act == "late"), ChatResponse(content=f"re {token}", model="crowd", usage=usage)


class Blocking(ChatModel):
    def complete(self, request: ChatRequest) -> ChatResponse:
        pause, answer = answered(request)
        time.sleep(pause)
        return answer


class Awaited(ChatModel):
    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        pause, answer = answered(request)
        await asyncio.sleep(pause)
        return answer


class Both(ChatModel):
    def complete(self, request: ChatRequest) -> ChatResponse:
        raise AssertionError("the engine awaits where it can")

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        pause, answer = answered(request)
        await asyncio.sleep(pause)
        return answer


def model_of(kind: str, url: str) -> ChatModel:
    if kind == "http":
        settings = {
            "retry": {"max_attempts": 6, "first_wait_s": 0.01},
            "concurrency": {"adaptive": False},
            "retry_budget": None,
        }
        return create_chat_model("openai", model="m", base_url=url, api_key="k", **settings)
    return {"blocking": Blocking, "awaited": Awaited, "both": Both}[kind]()


# -------------------------------------------------------------------------------------------------------------- steps


class Own(WorkflowStep):
    """Counts that every run that got here got ready and cleaned up."""

    ready = itertools.count()
    clean = itertools.count()

    async def initialize(self) -> None:
        next(self.ready)

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        get_logger("crowd").info("crowd.own", of_run=context.input_data["token"])
        await asyncio.sleep(0)
        return {"own": context.input_data["token"]}

    def cleanup(self) -> None:
        next(self.clean)


def opened(names: dict[str, Any]) -> dict[str, Any]:
    get_logger("crowd").info("crowd.opened", of_run=names["token"])
    time.sleep(0.001)
    return {"opened": names["token"]}


async def waited(names: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0.001 * (names["number"] % 7))
    return {"waited": names["opened"]}


def stumble(names: dict[str, Any]) -> dict[str, Any]:
    if names["stumbles"]:
        raise ValueError(f"stumbled over {names['token']}")
    return {"stood": names["token"]}


def workflow_of(kind: str, url: str) -> Workflow:
    def tell(word: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda names: {"parity": f"{word} {names['token']}"}

    steps = [
        TransformStep("opened", opened),
        TransformStep("waited", waited),
        Own("own"),
        TransformStep("stumble", stumble, is_critical=False),
        ConditionalStep(
            "which",
            "number > 499",
            [TransformStep("high", tell("high"))],
            [TransformStep("low", tell("low"))],
        ),
        LLMStep("ask", "{token}|{plan}", provider=model_of(kind, url)),
        TransformStep("closed", lambda names: {"all": [names["own"], names["waited"], names["parity"], names["ask"]]}),
    ]
    return Workflow(steps, kind, WorkflowConfig(cancel_grace_s=5))


# ------------------------------------------------------------------------------------------------------------- judging


def faults_of(plan: Plan, result: WorkflowResult) -> list[str]:
    """What is wrong with a result."""
    status = str(result.status)
    if plan.cancelled and status == "cancelled":
        foreign = [text for text in texts_in(result.output) if "-" in text and plan.token not in text]
        return [f"{plan.number}: {foreign} of somebody else"] if foreign else []
    wrong = []
    wanted = "failed" if plan.plan in FATAL else "completed"
    if status != wanted:
        wrong.append(f"{plan.number} {plan.kind} {plan.plan}: {status} instead of {wanted}: {result.error}")
    output = result.output or {}
    parity = ("high" if plan.number > 499 else "low") + f" {plan.token}"
    whole = [plan.token, plan.token, parity, f"re {plan.token}"]
    if wanted == "completed" and output.get("all") != whole:
        wrong.append(f"{plan.number}: {output.get('all')} instead of {whole}")
    stumble = str(result.steps["stumble"].status)
    if (stumble != "completed") is not plan.stumbles:
        wrong.append(f"{plan.number}: the step that may fail is {stumble}")
    if plan.stumbles and plan.token not in (result.steps["stumble"].error or ""):
        wrong.append(f"{plan.number}: {result.steps['stumble'].error}")
    used = result.metrics.token_usage_total
    if (used.total_tokens if used else 0) != plan.tokens:
        wrong.append(f"{plan.number}: {used} instead of {plan.tokens} tokens")
    return wrong


def texts_in(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def log_faults(lines: list[dict[str, Any]], found: list[tuple[Plan, WorkflowResult]]) -> list[str]:
    """What is wrong with the log: each line belongs to a run, and each run has its lines."""
    token_of = {result.correlation_id: plan.token for plan, result in found}
    status_of = {result.correlation_id: str(result.status) for _, result in found}
    wrong = [] if len(token_of) == len(found) else [f"{len(found) - len(token_of)} ids were given twice"]
    ends: collections.Counter[tuple[str, str]] = collections.Counter()
    for line in lines:
        known = token_of.get(line.get("correlation_id", ""))
        if known is None or line.get("of_run", known) != known:
            wrong.append(f"not its line: {line}")
        if line["event"].startswith("workflow."):
            ends[line["correlation_id"], line["event"]] += 1
    for each, status in status_of.items():
        got = sorted(event for (known, event), count in ends.items() if known == each for _ in range(count))
        if got != sorted(["workflow.pending", "workflow.started", f"workflow.{status}"]):
            wrong.append(f"{each}: {got} for {status}")
    return wrong


# ------------------------------------------------------------------------------------------------------------- running


class House:
    """The workflows, the engine and the log of one round after the other."""

    def __init__(self, url: str) -> None:
        self.workflows = {kind: workflow_of(kind, url) for kind in set(KINDS)}
        self.engine = WorkflowEngine()

    def run_in_threads(self, made: list[Plan]) -> list[tuple[Plan, WorkflowResult]]:
        """All runs from a few threads, each in one of the three blocking ways."""
        found: list[tuple[Plan, WorkflowResult]] = []

        def work(mine: list[Plan]) -> None:
            # Most are started, so that there are as many at once as there can be.
            handles = [(plan, self.started(plan)) for plan in mine if plan.cancelled or plan.number // THREADS % 6]
            for plan, handle in handles:
                if plan.cancelled:
                    handle.cancel()
            known = {plan.number for plan, _ in handles}
            found.extend((plan, self.blocked(plan)) for plan in mine if plan.number not in known)
            found.extend((plan, handle.result()) for plan, handle in handles)

        in_threads(work, made)
        return found

    def started(self, plan: Plan) -> WorkflowHandle:
        """The run, started through the engine or through its workflow."""
        workflow = self.workflows[plan.kind]
        return self.engine.start(workflow, plan.data) if plan.number % 2 else workflow.start(plan.data)

    def blocked(self, plan: Plan) -> WorkflowResult:
        """The same, run to its end."""
        workflow = self.workflows[plan.kind]
        return workflow.execute(plan.data) if plan.number % 2 else self.engine.run(workflow, plan.data)

    def run_on_loops(self, made: list[Plan]) -> list[tuple[Plan, WorkflowResult]]:
        """All runs from a few threads, each with an event loop of its own."""
        found: list[tuple[Plan, WorkflowResult]] = []

        def work(mine: list[Plan]) -> None:
            with asyncio.Runner() as runner:
                found.extend(runner.run(self.run_on_a_loop(mine)))

        in_threads(work, made)
        return found

    async def run_on_a_loop(self, made: list[Plan]) -> list[tuple[Plan, WorkflowResult]]:
        """All runs on this event loop: awaited, as handles, and by `run_many`."""

        async def one(plan: Plan) -> tuple[Plan, WorkflowResult]:
            workflow = self.workflows[plan.kind]
            if plan.cancelled:
                handle = self.started(plan)
                await asyncio.sleep(0.001 * (plan.number % 20))
                handle.cancel()
                return plan, await handle
            if plan.number % 2:
                return plan, await self.engine.run_async(workflow, plan.data)
            return plan, await workflow.execute_async(plan.data)

        async def many(kind: str, mine: list[Plan]) -> list[tuple[Plan, WorkflowResult]]:
            results = await self.engine.run_many(self.workflows[kind], (plan.data for plan in mine), concurrency=40)
            return list(zip(mine, results, strict=True))

        by_many = [plan for plan in made if plan.number % 5 < 2 and not plan.cancelled]
        batches = [many(kind, [plan for plan in by_many if plan.kind == kind]) for kind in set(KINDS)]
        chosen = {plan.number for plan in by_many}
        singles = [one(plan) for plan in made if plan.number not in chosen]
        first, *others = await asyncio.gather(asyncio.gather(*singles), *batches)
        return [*first, *itertools.chain.from_iterable(others)]


def in_threads(work: Callable[[list[Plan]], None], made: list[Plan]) -> None:
    threads = [threading.Thread(target=work, args=(made[first::THREADS],)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def descriptors_in_use() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def left_tasks() -> list[str]:
    """Tasks on the loop of all blocking calls."""
    loop = portal.background.loop
    return [] if loop is None else [repr(task) for task in asyncio.all_tasks(loop)]


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def limit_files(number: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


async def awaited_rounds(house: House, mode: str, told: dict[str, Any], judge: Callable[..., None]) -> None:
    for turn in range(ROUNDS):
        made = plans(mode, turn)
        judge(made, await house.run_on_a_loop(made), told)
        await asyncio.sleep(0.1)
        others = asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[operator]
        told["tasks"].append([repr(task) for task in others] + left_tasks())


def main(mode: str, url: str, files: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: [] for name in ("wrong", "runs", "statuses", "tasks", "threads", "sockets", "objects")
    }
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    house = House(url)
    if int(files):
        limit_files(int(files))
    before = descriptors_in_use()

    def judge(made: list[Plan], found: list[tuple[Plan, WorkflowResult]], told: dict[str, Any]) -> None:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        lines = [line for line in lines if line["event"].startswith(("workflow.", "step.", "crowd."))]
        told["runs"].append(len({plan.token for plan, _ in found}))
        told["wrong"] += [fault for plan, result in found for fault in faults_of(plan, result)][:20]
        told["wrong"] += log_faults(lines, found)[:20]
        told["statuses"].append(collections.Counter(str(result.status) for _, result in found))
        told["sockets"].append(descriptors_in_use() - before)
        found.clear()
        lines.clear()
        _attempts.clear()
        gc.collect()
        told["objects"].append(len(gc.get_objects()))
        told["threads"].append(sorted(thread.name.rstrip("0123456789") for thread in threading.enumerate()))

    if mode != "loop":
        run = house.run_in_threads if mode == "threads" else house.run_on_loops
        for turn in range(ROUNDS):
            made = plans(mode, turn)
            judge(made, run(made), told)
            wait_until(lambda: not left_tasks(), 5)
            told["tasks"].append(left_tasks())
    else:
        with asyncio.Runner() as runner:
            runner.run(awaited_rounds(house, mode, told, judge))
    told["ready"], told["cleaned"] = next(Own.ready), next(Own.clean)
    spare = 0 if portal.background.loop is None else 3
    wait_until(lambda: descriptors_in_use() <= before + spare, 15)
    told["left_open"] = descriptors_in_use() - before - spare
    return told


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
