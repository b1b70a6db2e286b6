from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable

import pytest

from chatmodels import ChatModel, ChatResponse, TokenUsage
from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ForEachStep,
    KeptRun,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ParallelStep,
    RunIdentity,
    RunStore,
    SQLiteRunStore,
    StepContext,
    StepResult,
    StoredRun,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowError,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from unit.generative_ai_workflow.durable.children import listed, unfinished, wait_for


class Steps:
    """Steps that note each execution, and fail once where they are told to."""

    def __init__(self):
        self.done = []
        self.fails_at = None

    def __call__(self, name, needs=(), **settings):
        def work(names):
            label = f"[{names['index']}]" if "index" in names else ""
            self.note(f"{name}{label}")
            return {name: [names[need] for need in needs] or name}

        return TransformStep(name, work, **settings)

    def note(self, name):
        self.done.append(name)
        if name == self.fails_at:
            self.fails_at = None
            raise RuntimeError("once")


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def engine(tmp_path):
    engine = WorkflowEngine(store=tmp_path / "runs.db")
    yield engine
    wait_for(engine.store.close())


def left(result):
    """What a run left, but for times and ids."""
    records = {name: (step.status, step.output, step.error, step.attempts) for name, step in result.steps.items()}
    tokens = result.metrics.token_usage_total
    return result.status, result.error, result.output, records, tokens, result.metrics.steps_completed


def nested(step):
    model = MockLLMProvider({"default": "yes"})
    return Workflow(
        [
            step("a"),
            LLMStep("ask", "About {a}", provider=model),
            ForEachStep("loop", "${input.items}", [step("each", ["item"]), step("then", ["each"])], concurrency=1),
            ParallelStep("both", [[step("l1"), step("l2", ["l1"])], ConditionalStep("in", "true", [step("r")])]),
            step("b", ["l2", "r", "loop"]),
            ConditionalStep("fork", "a == 'a'", [step("t", ["b"])], [step("f")]),
            step("c", ["fork", "ask"]),
        ],
        name="nested",
    )


USAGE = TokenUsage(prompt_tokens=3, completion_tokens=4, model="slow", provider="own")
INPUT = {"items": [10, 20]}
EVERY = ["a", "each[0]", "then[0]", "each[1]", "then[1]", "l1", "l2", "r", "b", "t", "c"]


@pytest.mark.parametrize("place", EVERY)
def test_a_run_that_failed_anywhere_goes_on_there_and_ends_as_if_it_had_not(engine, steps, place):
    workflow = nested(steps)
    whole = engine.run(workflow, INPUT)
    assert whole.succeeded
    assert sorted(steps.done) == sorted(EVERY)
    steps.done.clear()
    steps.fails_at = place
    assert engine.run(workflow, INPUT, correlation_id="r").status is WorkflowStatus.FAILED
    resumed = engine.run(workflow, INPUT, correlation_id="r")
    assert left(resumed) == left(whole)
    again = {name for name in steps.done if steps.done.count(name) > 1}
    # Branches beside the one that failed may have been under way.
    assert again - {"l1", "l2", "r"} <= {place}
    assert steps.done.count(place) == 2


def test_a_run_that_is_over_is_given_as_it_ended_and_nothing_is_done(engine, steps):
    workflow = nested(steps)
    first = engine.run(workflow, INPUT, correlation_id="r")
    steps.done.clear()
    assert left(engine.run(workflow, INPUT, correlation_id="r")) == left(first)
    assert steps.done == []


def test_steps_that_were_skipped_or_failed_without_being_critical_stay_so(engine, steps):
    steps.fails_at = "b"
    maybe = steps("b", is_critical=False)
    workflow = Workflow([steps("a"), maybe, steps("c")], name="w")
    first = engine.run(workflow, {}, correlation_id="r")
    assert first.steps["b"].status == "failed"
    assert left(engine.run(workflow, {}, correlation_id="r")) == left(first)
    assert steps.done == ["a", "b", "c"]


def test_an_output_that_would_not_come_back_fails_its_step_by_name(engine):
    workflow = Workflow([TransformStep("t", lambda _: {"x": (1, 2)})], name="w")
    result = engine.run(workflow, {})
    assert result.status is WorkflowStatus.FAILED
    assert "'t'.x is a tuple" in result.error
    assert "list(value)" in result.error


def test_an_input_that_would_not_come_back_is_refused(engine, steps):
    with pytest.raises(WorkflowError, match=r"the input\.x is a set"):
        engine.run(Workflow([steps("a")], name="w"), {"x": {1}})
    assert steps.done == []


def test_another_input_or_other_steps_are_refused_before_anything_is_done(engine, steps):
    engine.run(Workflow([steps("a")], name="w"), {"x": 1}, correlation_id="r")
    steps.done.clear()
    for other, given in ((Workflow([steps("a")], name="w"), {"x": 2}), (Workflow([steps("b")], name="w"), {"x": 1})):
        with pytest.raises(WorkflowError, match="run 'r' was begun"):
            engine.run(other, given, correlation_id="r")
    assert steps.done == []


def test_interrupted_runs_are_resumed_by_the_name_of_their_workflow(engine, steps):
    workflow = Workflow([steps("a"), steps("b")], name="w")

    async def interrupt(number):
        started = asyncio.Event()
        slow = Workflow([steps("a"), TransformStep("b", lambda _: wait(started))], name="w")
        task = asyncio.create_task(engine.run_async(slow, {"n": number}, correlation_id=f"r{number}"))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def wait(started):
        started.set()
        await asyncio.sleep(60)

    async def work():
        for number in range(3):
            await interrupt(number)
        await engine.run_async(workflow, {"n": 9}, correlation_id="over")
        steps.done.clear()
        results = await engine.resume(workflow)
        assert {name: result.status for name, result in results.items()} == dict.fromkeys(
            ("r0", "r1", "r2"), "completed"
        )
        assert steps.done == ["b"] * 3
        assert await engine.resume(workflow) == {}

    wait_for(work())


@pytest.mark.parametrize("statuses", ["failed", ["running", "failed", "timeout"]])
def test_runs_that_failed_are_resumed_when_they_are_asked_for_and_each_once(engine, steps, statuses):
    workflow = Workflow([steps("a"), steps("b", ["n"])], name="w")

    async def work():
        for number in range(3):
            steps.fails_at = "b"
            await engine.run_async(workflow, {"n": number}, correlation_id=f"r{number}")
        assert await engine.resume(workflow) == {}
        assert [run.reason for run in await listed(engine.store, "w", "failed")] == [
            "step 'b' failed: RuntimeError: once"
        ] * 3
        steps.done.clear()
        steps.fails_at = "b"
        results = await engine.resume(workflow, 1, statuses=statuses)
        assert [(key, str(result.status)) for key, result in results.items()] == [
            ("r0", "failed"),
            ("r1", "completed"),
            ("r2", "completed"),
        ]
        assert steps.done == ["b"] * 3
        assert list(await engine.resume(workflow, statuses=statuses)) == ["r0"]
        assert await engine.resume(workflow, statuses=statuses) == {}

    wait_for(work())


def test_a_status_that_cannot_be_resumed_is_refused(engine, steps):
    workflow = Workflow([steps("a")], name="w")
    for odd in ("completed", ["failed", "pending"], "broken"):
        with pytest.raises(ConfigurationError, match="status must be one of running, failed, timeout, cancelled"):
            engine.resume(workflow, statuses=odd)


def test_a_condition_that_was_decided_stays_decided_when_its_branch_is_resumed(engine, steps):
    """Those in the items of a loop by themselves."""
    decided = {0: True, 1: False}
    asked = []

    def decide(names):
        asked.append(names["index"])
        return decided[names["index"]]

    fork = ConditionalStep("fork", decide, [steps("yes"), steps("then")], [steps("no")])
    workflow = Workflow([ForEachStep("loop", "${input.items}", fork, concurrency=1), steps("end")], name="w")
    steps.fails_at = "then[0]"
    assert not engine.run(workflow, INPUT, correlation_id="r").succeeded
    (kept,) = wait_for(listed(engine.store))
    assert kept.steps_kept == 1
    decided[0] = False
    resumed = engine.run(workflow, INPUT, correlation_id="r")
    assert resumed.output["loop"] == [True, False]
    assert asked == [0, 1]
    assert steps.done == ["yes[0]", "then[0]", "then[0]", "no[1]", "end"]
    assert not any("decision" in name for name in resumed.steps)


def test_a_step_of_ones_own_that_chooses_keeps_its_choice_and_without_a_store_it_just_chooses(engine, steps):
    chosen = []

    class Chooser(WorkflowStep):
        parts = (steps("a"), steps("b"))

        async def execute_async(self, context):
            async def choose():
                chosen.append(len(chosen))
                return chosen[-1]

            place = await context.decide_once(choose)
            return {"place": place, "made": await context.run_steps([self.parts[place]])}

    workflow = Workflow([Chooser("own")], name="w")
    steps.fails_at = "a"
    assert not engine.run(workflow, {}, correlation_id="r").succeeded
    assert engine.run(workflow, {}, correlation_id="r").output["place"] == 0
    assert (chosen, steps.done) == ([0], ["a", "a"])
    assert workflow.execute({}).output["place"] == 1
    assert run_alone(Chooser("own").execute_async(StepContext()), chosen)["place"] == 0


def run_alone(work, chosen):
    chosen.clear()
    return wait_for(work)


def test_a_run_that_is_resumed_and_gets_another_of_the_statuses_is_not_resumed_again(engine, steps):
    async def slow(_):
        steps.note("slow")
        await asyncio.sleep(60)

    workflow = Workflow([TransformStep("slow", slow)], name="w")
    steps.fails_at = "slow"
    engine.run(workflow, {}, correlation_id="r")
    results = list(engine.resume(workflow, 1, timeout=0.2, statuses=["failed", "timeout", "cancelled"]))
    assert [(key, str(result.status)) for key, result in results] == [("r", "timeout")]
    assert steps.done == ["slow", "slow"]


def test_the_steps_that_were_not_run_this_time_are_told_as_kept(engine, steps):
    workflow = Workflow([steps("a"), steps("b")], name="w")
    steps.fails_at = "b"
    first = engine.run(workflow, {}, correlation_id="r")
    second = engine.run(workflow, {}, correlation_id="r")
    third = engine.run(workflow, {}, correlation_id="r")
    assert [[step.kept for step in result.steps.values()] for result in (first, second, third)] == [
        [False, False],
        [True, False],
        [True, True],
    ]


def test_a_batch_that_was_killed_goes_on_where_it_was_when_it_is_run_again(tmp_path):
    def batch(*, dies):
        told = subprocess.run(
            [sys.executable, "-c", BATCH, *(["die"] if dies else [])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (told.returncode, told.stderr) == (9 if dies else 0, "")
        return told.stdout.split()

    before = batch(dies=True)
    assert before[:4] == ["first:a", "second:a", "first:b", "second:b"]
    whole = ["a:completed:AA", "b:completed:BB", "c:completed:CC", "d:completed:DD"]
    after = batch(dies=False)
    assert [line for line in after if line not in whole] == ["second:c", "first:d", "second:d"]
    assert [line for line in after if line in whole] == whole
    assert batch(dies=False) == whole


BATCH = """
import os, sys

def tell(line):
    sys.stdout.write(line + "\\n")  # at once: other threads tell things, too
    sys.stdout.flush()

from generative_ai_workflow import TransformStep, Workflow, WorkflowEngine

def first(names):
    tell(f"first:{names['letter']}")
    return {"twice": names["letter"] * 2}

def second(names):
    if names["letter"] == "c" and "die" in sys.argv:
        os._exit(9)
    tell(f"second:{names['letter']}")
    return {"done": names["twice"].upper()}

workflow = Workflow([TransformStep("first", first), TransformStep("second", second)], name="letters")
engine = WorkflowEngine(store="runs.db")
for key, result in engine.run_many(workflow, {letter: {"letter": letter} for letter in "abcd"}, 1):
    if "die" not in sys.argv:
        tell(f"{key}:{result.status}:{result.output['done']}")
"""


@pytest.mark.parametrize("way", ["cancel", "signal"])
def test_a_step_whose_call_was_in_flight_at_a_graceful_stop_is_kept_and_not_asked_again(engine, way):
    asked = []
    begun, go_on = threading.Event(), threading.Event()

    class Slow(ChatModel):
        async def complete_async(self, request):
            asked.append(request.prompt)
            begun.set()
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            return ChatResponse(content="answer", model="slow", usage=USAGE)

    model = Slow()
    workflow = Workflow(
        [LLMStep("one", "first", provider=model), LLMStep("two", "second", provider=model)],
        name="w",
        config=WorkflowConfig(cancel_grace_s=60),
    )
    with engine.cancelled_by_signals() as shutdown:
        handle = engine.start(workflow, {}, correlation_id="r")
        assert begun.wait(60)
        if way == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
            assert shutdown.requested
        else:
            handle.cancel()
        go_on.set()
        stopped = handle.result(60)
    assert stopped.status is WorkflowStatus.CANCELLED
    assert asked == ["first"]
    resumed = engine.resume(workflow)["r"] if way == "signal" else engine.run(workflow, {}, correlation_id="r")
    assert resumed.succeeded
    assert resumed.steps["one"].kept
    assert asked == ["first", "second"]


def test_a_run_that_goes_on_is_not_begun_a_second_time(engine):
    began, go = threading.Event(), threading.Event()

    def work(_):
        began.set()
        assert go.wait(30)
        return {"x": 1}

    workflow = Workflow([TransformStep("t", work)], name="w")
    handle = engine.start(workflow, {}, correlation_id="r")
    assert began.wait(30)
    with pytest.raises(WorkflowError, match="is being run by process"):
        engine.run(workflow, {}, correlation_id="r")
    go.set()
    assert handle.result(30).succeeded


def test_hooks_are_told_of_steps_that_are_run_and_not_of_those_that_were_finished_before(tmp_path, steps):
    told = []

    class Listening(Middleware):
        def on_step_end(self, result, context):
            told.append(result.name)

    engine = WorkflowEngine(store=SQLiteRunStore(tmp_path / "runs.db")).use(Listening())
    workflow = Workflow([steps("a"), steps("b")], name="w")
    steps.fails_at = "b"
    engine.run(workflow, {}, correlation_id="r")
    told.clear()
    engine.run(workflow, {}, correlation_id="r")
    assert told == ["b"]


def test_many_runs_at_once_are_kept_and_none_is_mixed_up(engine, steps):
    workflow = Workflow([steps("a", ["n"]), steps("b", ["a"])], name="w")

    async def work():
        results = await engine.run_many(workflow, ({"n": n} for n in range(300)), concurrency=100)
        assert [result.output["b"] for result in results] == [[[n]] for n in range(300)]
        assert await unfinished(engine.store) == []

    wait_for(work())


def test_without_a_store_nothing_of_it_is_loaded():
    script = (
        "import sys\n"
        "from generative_ai_workflow import TransformStep, Workflow\n"
        "assert Workflow([TransformStep('t', lambda names: {'x': 1})]).execute({}).succeeded\n"
        "loaded = [name for name in sys.modules if 'sqlite' in name]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


class InMemory:
    """A store of one's own: any object with the methods of `RunStore`."""

    def __init__(self):
        self.steps, self.results, self.running = {}, {}, set()

    async def begin(self, run: RunIdentity) -> KeptRun:
        self.running.add(run.run_id)
        return KeptRun(steps=self.steps.setdefault(run.run_id, {}), result=self.results.get(run.run_id))

    async def keep(self, run_id: str, name: str, result: StepResult) -> None:
        self.steps[run_id][name] = result

    async def end(self, run_id: str, result: WorkflowResult) -> None:
        self.results[run_id] = result

    async def leave(self, run_id: str) -> None:
        self.running.discard(run_id)

    async def runs(
        self, workflow: str | None = None, status: str | Iterable[str] | None = None
    ) -> AsyncIterator[StoredRun]:
        for _ in ():
            yield

    async def forget(self, run_id: str) -> bool:
        return self.steps.pop(run_id, None) is not None

    async def forget_ended(self, older_than_s: float = 0.0) -> int:
        return 0


def test_a_store_may_be_of_ones_own(steps):
    own: RunStore = InMemory()
    engine = WorkflowEngine(store=own)
    workflow = Workflow([steps("a"), steps("b")], name="w")
    steps.fails_at = "b"
    assert not engine.run(workflow, {}, correlation_id="r").succeeded
    assert engine.run(workflow, {}, correlation_id="r").succeeded
    assert steps.done == ["a", "b", "b"]
    assert own.running == set()


def test_a_store_that_fails_fails_the_step_and_says_why(tmp_path, steps):
    class Full(InMemory):
        async def keep(self, run_id, name, result):
            raise WorkflowError("the disk is full", op="store.keep")

    result = WorkflowEngine(store=Full()).run(Workflow([steps("a"), steps("b")], name="w"), {})
    assert result.status is WorkflowStatus.FAILED
    assert "step 'a' failed" in result.error
    assert "the disk is full" in result.error
    assert steps.done == ["a"]


def test_an_item_that_failed_in_a_loop_that_goes_on_is_not_tried_again(engine, steps):
    steps.fails_at = "each[1]"
    loop = ForEachStep("loop", "${input.items}", steps("each", ["item"]), concurrency=1, continue_on_error=True)
    workflow = Workflow([loop, steps("b")], name="w")
    first = engine.run(workflow, INPUT, correlation_id="r")
    assert first.output["loop"] == [{"each": [10]}, None]
    steps.done.clear()
    assert left(engine.run(workflow, INPUT, correlation_id="r")) == left(first)
    assert steps.done == []


def test_a_loop_that_went_on_after_a_failed_item_keeps_its_values_when_a_later_step_is_resumed(engine, steps):
    def fails_for_10(names):
        if names["item"] == 10:
            raise ValueError("ten")
        return {"each": names["item"]}

    loop = ForEachStep("loop", "${input.items}", TransformStep("each", fails_for_10), continue_on_error=True)
    workflow = Workflow([loop, steps("b")], name="w")
    steps.fails_at = "b"
    engine.run(workflow, INPUT, correlation_id="r")
    resumed = engine.run(workflow, INPUT, correlation_id="r")
    assert resumed.succeeded
    assert resumed.output["loop"] == [None, {"each": 20}]
    assert "ten" in resumed.output["loop_errors"]["0"]


def test_another_attempt_of_a_step_forgets_what_was_kept_inside_it(tmp_path):
    attempts: list[int] = []
    broken = [True]

    async def first(names):
        attempts.append(1)
        return {"first": len(attempts)}

    async def second(names):
        if broken[0] and names["first"] == 2:
            raise OSError("away")
        return {"second": f"of {names['first']}"}

    async def third(names):
        if broken[0]:
            raise OSError("away")
        return {"third": f"{names['first']}, {names['second']}"}

    inside = [TransformStep("a", first), TransformStep("b", second), TransformStep("c", third)]
    workflow = Workflow([ConditionalStep("all", "true", inside, retry={"max_attempts": 2, "first_wait_s": 0})], "again")
    engine = WorkflowEngine(store=tmp_path / "runs.sqlite")
    assert not engine.run(workflow, correlation_id="one").succeeded
    broken[0] = False
    result = engine.run(workflow, correlation_id="one")
    assert result.succeeded, result.error
    assert result.output["third"] == "2, of 2"


def test_several_decisions_of_one_step_are_told_apart(tmp_path):
    made: list[str] = []
    broken = [True]

    class Chooses(WorkflowStep):
        name = "chooses"

        async def execute_async(self, context):
            async def choose():
                made.append("x")
                return len(made)

            chosen = [await context.decide_once(choose), await context.decide_once(choose)]
            if broken[0]:
                raise OSError("away")
            return {"chosen": chosen}

    workflow = Workflow([Chooses()], "chooses")
    engine = WorkflowEngine(store=tmp_path / "runs.sqlite")
    assert not engine.run(workflow, correlation_id="one").succeeded
    broken[0] = False
    assert engine.run(workflow, correlation_id="one").output["chosen"] == [1, 2]
    assert len(made) == 2
