"""FR-001 to FR-008: the core of the workflow engine."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from generative_ai_workflow import (
    ConditionalStep,
    ForEachStep,
    FrameworkError,
    LLMStep,
    MockLLMProvider,
    ParallelStep,
    StepContext,
    StepResult,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowHandle,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)


class Note(WorkflowStep):
    """Writes its name down."""

    def __init__(self, name: str, book: list[str]) -> None:
        super().__init__(name)
        self.book = book

    async def execute_async(self, context: StepContext) -> dict:
        self.book.append(f"{self.name} begins")
        await asyncio.sleep(0.002)
        self.book.append(f"{self.name} ends")
        return {self.name: True}


async def nap(names: dict) -> None:
    await asyncio.sleep(names.get("seconds", 20))


@pytest.mark.requirement("FR-001")
def test_a_workflow_is_a_sequence_of_steps_of_any_kind():
    steps = [
        TransformStep("clean", lambda names: names),
        LLMStep("ask", "{text}", MockLLMProvider()),
        ConditionalStep("if", "true", [TransformStep("inner", lambda names: 1)]),
        Note("own", []),
    ]
    for given in (steps, tuple(steps), iter(steps)):
        workflow = Workflow(given, name="four")
        assert list(workflow.steps) == steps
        assert workflow.name == "four"


@pytest.mark.requirement("FR-001")
@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "at least one step"),
        ([TransformStep("a", lambda n: 1), TransformStep("a", lambda n: 2)], "Duplicate step name 'a'"),
        (["no step"], "'no step' is no step"),
        ([LLMStep], "LLMStep"),
    ],
    ids=["none", "twice", "text", "class"],
)
def test_what_is_no_sequence_of_steps_is_refused_when_it_is_defined(steps, says):
    with pytest.raises(FrameworkError, match=says):
        Workflow(steps)


@pytest.mark.requirement("FR-002")
@every_way
def test_steps_run_in_the_defined_order_one_after_the_other(way):
    book: list[str] = []
    names = [f"s{number}" for number in (3, 1, 2, 9, 5)]
    result = run(way, Workflow([Note(name, book) for name in names]))
    assert book == [f"{name} {what}" for name in names for what in ("begins", "ends")]
    assert list(result.steps) == names


@pytest.mark.requirement("FR-002")
@every_way
def test_steps_inside_a_conditional_run_in_their_order_and_at_its_place(way):
    book: list[str] = []
    inner = ConditionalStep("if", "true", [Note("b", book), Note("c", book)])
    run(way, Workflow([Note("a", book), inner, Note("d", book)]))
    assert [line[0] for line in book[::2]] == ["a", "b", "c", "d"]


@pytest.mark.requirement("FR-001", "FR-002", "FR-003")
@every_way
def test_steps_side_by_side_stand_in_the_sequence_like_one(way):
    here: set[str] = set()

    class Meets(WorkflowStep):
        async def execute_async(self, context: StepContext) -> dict:
            here.add(self.name)
            while len(here) < 2:
                await asyncio.sleep(0.001)
            return {self.name: f"{self.name} after {context.names['first']}"}

    steps = [
        TransformStep("first", lambda names: "one"),
        ParallelStep("both", [Meets("a"), Meets("b")]),
        TransformStep("last", lambda names: [names["a"], names["b"]]),
    ]
    result = run(way, Workflow(steps), timeout=30)
    assert result.output["last"] == ["a after one", "b after one"]
    assert list(result.output["both"]) == ["a", "b"]


@pytest.mark.requirement("FR-001", "FR-002", "FR-003")
@every_way
def test_a_step_for_every_item_keeps_the_order_of_the_items(way):
    async def back(names: dict) -> str:
        await asyncio.sleep(0.02 * (3 - names["index"]))
        return names["item"].upper()

    steps = [
        TransformStep("letters", lambda names: names["text"].split()),
        ForEachStep("loud", "${steps.letters}", TransformStep("one", back)),
        TransformStep("last", lambda names: " ".join(names["loud"])),
    ]
    result = run(way, Workflow(steps), {"text": "a b c"})
    assert result.output["loud"] == ["A", "B", "C"]
    assert result.output["last"] == "A B C"


@pytest.mark.requirement("FR-003")
@every_way
def test_the_output_of_a_step_is_input_of_the_next_one(way):
    seen: dict[str, object] = {}

    class Look(WorkflowStep):
        name = "look"

        async def execute_async(self, context: StepContext) -> dict:
            seen.update(context.previous_outputs)
            return {"seen": True}

    model = MockLLMProvider({"Shorten: HELLO": "HI"})
    steps = [
        TransformStep("loud", lambda names: {"text": names["text"].upper()}),
        LLMStep("short", "Shorten: {text}", model),
        Look(),
        TransformStep("length", lambda names: len(names["short"])),
    ]
    result = run(way, Workflow(steps), {"text": "hello"})
    assert seen["loud"]["text"] == "HELLO"
    assert seen["short"]["short"] == seen["short"]["llm_response"] == "HI"
    assert result.output["length"] == 2


@pytest.mark.requirement("FR-003")
def test_outputs_are_kept_by_step_so_that_nothing_is_lost():
    steps = [TransformStep("a", lambda n: {"x": 1}), TransformStep("b", lambda n: {"x": n["x"] + 1})]
    result = run("sync", Workflow(steps))
    assert result.output["x"] == 2
    assert (result.steps["a"].output["x"], result.steps["b"].output["x"]) == (1, 2)
    assert result.output["a_output"] == {"x": 1}


@pytest.mark.requirement("FR-004")
@every_way
def test_placeholders_are_filled_from_input_variables_and_outputs(way):
    model = MockLLMProvider()
    steps = [TransformStep("made", lambda n: "M"), LLMStep("ask", "{given} {{ known }} {made} {both}", model)]
    config = WorkflowConfig(variables={"known": "K", "both": "variable"})
    run(way, Workflow(steps, config=config), {"given": "G", "both": "input"})
    assert model.call_log[0].prompt == "G K M input"


@pytest.mark.requirement("FR-004")
@every_way
def test_a_missing_variable_names_itself_and_other_braces_stay(way):
    model = MockLLMProvider()
    result = run(way, Workflow([LLMStep("ask", 'As {"json": {"a": 1}}: {custmer}', model)]), {"customer": "C"})
    assert result.status is WorkflowStatus.FAILED
    assert "'custmer'" in result.error
    assert "customer" in result.error
    assert model.call_count == 0
    run(way, Workflow([LLMStep("ask", 'As {"json": {"a": 1}}: {customer}', model)]), {"customer": "{x}"})
    assert model.call_log[0].prompt == 'As {"json": {"a": 1}}: {x}'


@pytest.mark.requirement("FR-004")
@every_way
def test_values_that_are_no_text_are_filled_in_readably(way):
    model = MockLLMProvider()
    given = {"n": 3, "yes": True, "none": None, "mapping": {"a": [1, "x"]}, "texts": ["one", "two"]}
    run(way, Workflow([LLMStep("ask", "{n} {yes} {none} {mapping} {texts}", model)]), given)
    assert model.call_log[0].prompt == '3 true null {"a":[1,"x"]} one\n\ntwo'


@pytest.mark.requirement("FR-004", "FR-019a")
@every_way
def test_placeholders_of_a_workflow_file_are_filled_too(way, tmp_path):
    Path("flow.yaml").write_text("name: f\nsteps:\n  - {id: ask, prompt: 'inline: Say {{ word }}'}\n", encoding="utf-8")
    model = MockLLMProvider({"Say hello": "HELLO"})
    result = run(way, Workflow.from_yaml("flow.yaml", provider=model), {"word": "hello"})
    assert result.output["ask"] == "HELLO"


@pytest.mark.requirement("FR-005")
@every_way
def test_a_failure_names_its_step_and_its_reason_everywhere(way, log_lines):
    told = []

    class Listens:
        def on_step_error(self, error: Exception, step_name: str, context: dict) -> None:
            told.append((step_name, str(error)))

    def broken(names: dict) -> None:
        raise ValueError("no invoice number")

    steps = [TransformStep("read", lambda n: 1), TransformStep("parse", broken), TransformStep("write", lambda n: 1)]
    result = run(way, Workflow(steps), engine=WorkflowEngine().use(Listens()))
    assert result.status is WorkflowStatus.FAILED
    assert "'parse'" in result.error
    assert "no invoice number" in result.error
    assert [step.status for step in result.steps.values()] == [
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.SKIPPED,
    ]
    assert result.steps["parse"].error_info.kind == "ValueError"
    assert told == [("parse", "no invoice number")]
    assert [line["step"] for line in log_lines() if line["event"] == "step.failed"] == ["parse"]


@pytest.mark.requirement("FR-005")
@every_way
def test_a_step_that_is_not_critical_fails_alone(way):
    steps = [TransformStep("bad", lambda n: 1 / 0, is_critical=False), TransformStep("next", lambda n: 1)]
    result = run(way, Workflow(steps))
    assert result.status is WorkflowStatus.COMPLETED
    assert result.steps["bad"].status is StepStatus.FAILED
    assert "division" in result.steps["bad"].error
    assert result.output["next"] == 1


@pytest.mark.requirement("FR-006")
def test_async_returns_a_handle_at_once_and_sync_the_final_result():
    go = threading.Event()
    workflow = Workflow([TransformStep("wait", lambda n: go.wait(10))])
    handle = workflow.start()
    assert isinstance(handle, WorkflowHandle)
    assert not handle.done()
    assert not handle.status.terminal
    go.set()
    assert handle.result(timeout=10).succeeded
    assert isinstance(workflow.execute(), WorkflowResult)


@pytest.mark.requirement("FR-006")
def test_the_mode_is_chosen_at_every_invocation_of_one_workflow():
    workflow = Workflow([LLMStep("ask", "x", MockLLMProvider("y"))])

    async def all_of_them() -> list[WorkflowResult]:
        return [await workflow.execute_async(), await workflow.start(), workflow.execute()]

    assert [result.output["ask"] for result in [workflow.execute(), *run_alone(all_of_them())]] == ["y"] * 4


@pytest.mark.requirement("FR-006")
def test_a_mode_holds_for_the_whole_run():
    loops: list[object] = []

    class Where(WorkflowStep):
        async def execute_async(self, context: StepContext) -> dict:
            loops.append(asyncio.get_running_loop())
            return {}

    workflow = Workflow([Where("a"), TransformStep("blocks", lambda n: time.sleep(0.001)), Where("b")])

    async def awaited() -> object:
        await workflow.execute_async()
        return asyncio.get_running_loop()

    mine = run_alone(awaited())
    assert loops == [mine, mine]
    loops.clear()
    workflow.execute()
    assert loops[0] is loops[1]
    assert loops[0] is not mine


@pytest.mark.requirement("FR-006")
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_wrong_use_raises_an_error(way):
    with pytest.raises(FrameworkError, match="dict"):
        run(way, Workflow([TransformStep("a", lambda n: 1)]), ["no", "dict"])


@pytest.mark.requirement("FR-007")
def test_the_limit_belongs_to_one_run_and_not_to_all():
    workflow = Workflow([TransformStep("nap", nap)])
    results: dict[str, WorkflowResult] = {}
    threads = [
        threading.Thread(target=lambda: results.update(short=workflow.execute(timeout=0.1))),
        threading.Thread(target=lambda: results.update(long=workflow.execute({"seconds": 0.5}, timeout=60))),
        threading.Thread(target=lambda: results.update(none=workflow.execute({"seconds": 0.5}))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: str(result.status) for name, result in results.items()} == {
        "short": "timeout",
        "long": "completed",
        "none": "completed",
    }


@pytest.mark.requirement("FR-007")
def test_without_a_limit_the_framework_imposes_none():
    assert WorkflowEngine().config.default_timeout_seconds is None
    assert WorkflowConfig().timeout is None
    assert Workflow([TransformStep("nap", nap)]).execute({"seconds": 0.3}).succeeded


@pytest.mark.requirement("FR-007")
@every_way
def test_a_run_beyond_its_limit_is_terminated_with_its_state(way):
    ran = []
    steps = [
        LLMStep("first", "one two", MockLLMProvider("three")),
        TransformStep("slow", nap),
        TransformStep("never", ran.append),
    ]
    began = time.monotonic()
    result = run(way, Workflow(steps), timeout=0.3)
    assert time.monotonic() - began < 5
    assert result.status is WorkflowStatus.TIMEOUT
    assert "timed out" in result.error
    assert "'slow'" in result.error
    assert result.output["first"] == "three"
    assert result.metrics.token_usage_total.total_tokens == 3
    assert [str(step.status) for step in result.steps.values()] == ["completed", "failed", "skipped"]
    assert ran == []


@pytest.mark.requirement("FR-008")
def test_a_cancelled_run_lets_the_call_in_flight_finish_and_counts_it(openai):
    openai.add(Reply(text="paid for", latency_s=0.4))
    workflow = Workflow([LLMStep("ask", "x"), LLMStep("never", "y")])
    handle = workflow.start()
    openai.wait_for(lambda server: server.in_flight == 1)
    assert handle.cancel()
    result = handle.result(timeout=10)
    assert result.status is WorkflowStatus.CANCELLED
    assert result.metrics.token_usage_total.total_tokens == 18
    assert result.metrics.total_duration_ms > 0
    assert result.steps["never"].status is StepStatus.SKIPPED
    assert openai.count == 1
    assert not openai.chats[0].closed_early


@pytest.mark.requirement("FR-008")
def test_the_grace_of_a_cancelled_run_is_bounded_and_its_connection_closed(openai):
    openai.add(Reply(hang=True))
    handle = Workflow([LLMStep("ask", "x")], config=WorkflowConfig(cancel_grace_s=0.1)).start()
    openai.wait_for(lambda server: server.in_flight == 1)
    handle.cancel()
    assert handle.result(timeout=10).status is WorkflowStatus.CANCELLED
    openai.wait_for(lambda server: server.in_flight == 0)
    assert openai.chats[0].closed_early


@pytest.mark.requirement("FR-008")
def test_a_cancelled_run_releases_what_its_steps_hold():
    lock = threading.Lock()

    class Holds(WorkflowStep):
        name = "holds"

        def initialize(self) -> None:
            lock.acquire()

        async def execute_async(self, context: StepContext) -> StepResult:
            await asyncio.sleep(20)
            return StepResult()

        def cleanup(self) -> None:
            lock.release()

    async def go() -> WorkflowResult:
        handle = Workflow([Holds()]).start()
        while not lock.locked():
            await asyncio.sleep(0.005)
        handle.cancel()
        return await handle

    result = run_alone(go())
    assert result.status is WorkflowStatus.CANCELLED
    assert not lock.locked()
    assert (result.metrics.steps_completed, result.metrics.steps_failed) == (0, 1)
