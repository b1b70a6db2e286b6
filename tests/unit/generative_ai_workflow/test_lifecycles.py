from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fmf_core.logs import configure_logging, reset_logging
from generative_ai_workflow import ForEachStep, StepContext, Workflow, WorkflowStatus, WorkflowStep


class Told(WorkflowStep):
    """Says what is called of it."""

    def __init__(self, name: str, told: list[str], *, fails: str = "", **settings: Any) -> None:
        super().__init__(name, **settings)
        self.told = told
        self.fails = fails

    def _say(self, what: str) -> None:
        self.told.append(f"{self.name}.{what}")
        if self.fails == what:
            raise ValueError(f"{what} failed")

    def initialize(self) -> None:
        self._say("initialize")

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        self._say("work")
        return {self.name: context.names.get("item", 1)}

    async def cleanup(self) -> None:
        await asyncio.sleep(0)
        self._say("cleanup")


def test_steps_get_ready_before_their_work_and_clean_up_in_reverse_at_the_end() -> None:
    told: list[str] = []
    assert Workflow([Told("a", told), Told("b", told)]).execute().succeeded
    assert told == ["a.initialize", "a.work", "b.initialize", "b.work", "b.cleanup", "a.cleanup"]


def test_a_step_of_a_loop_gets_ready_once_for_all_its_items() -> None:
    told: list[str] = []
    result = Workflow([ForEachStep("each", "items", Told("inner", told))]).execute({"items": [1, 2, 3]})
    assert [made["inner"] for made in result.output["each"]] == [1, 2, 3]
    assert told == ["inner.initialize", "inner.work", "inner.work", "inner.work", "inner.cleanup"]


def test_every_run_gets_ready_anew() -> None:
    told: list[str] = []
    workflow = Workflow([Told("a", told)])
    workflow.execute()
    workflow.execute()
    assert told == ["a.initialize", "a.work", "a.cleanup"] * 2


@pytest.mark.parametrize("fails", ["initialize", "work"])
def test_who_fails_cleans_up_and_who_never_began_does_not(fails: str) -> None:
    told: list[str] = []
    result = Workflow([Told("a", told, fails=fails), Told("b", told)]).execute()
    assert result.status is WorkflowStatus.FAILED
    assert told[-1] == "a.cleanup"
    assert not any(line.startswith("b.") for line in told)


def test_getting_ready_is_tried_again_by_the_next_item() -> None:
    told: list[str] = []

    class Once(Told):
        def initialize(self) -> None:
            self._say("initialize")
            if told.count("inner.initialize") == 1:
                raise OSError("not yet")

    each = ForEachStep("each", "items", Once("inner", told), continue_on_error=True, concurrency=1)
    result = Workflow([each]).execute({"items": [1, 2, 3]})
    assert result.output["each"] == [None, {"inner": 2}, {"inner": 3}]
    assert told.count("inner.initialize") == 2
    assert told.count("inner.cleanup") == 1


def test_a_clean_up_that_fails_is_logged_with_its_plugin_and_costs_nothing() -> None:
    lines: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            lines.append(text)

    told: list[str] = []
    configure_logging("INFO", stream=Stream())
    try:
        result = Workflow([Told("a", told), Told("b", told, fails="cleanup")]).execute()
    finally:
        reset_logging()
    assert result.succeeded
    assert told[-2:] == ["b.cleanup", "a.cleanup"]
    [complaint] = [line for line in map(json.loads, lines) if line["event"] == "step.cleanup_failed"]
    assert complaint["step"] == "b"
    assert complaint["plugin"].endswith("Told")
    assert complaint["correlation_id"] == result.correlation_id


def test_steps_clean_up_after_a_time_limit_and_a_cancel() -> None:
    told: list[str] = []

    class Slow(Told):
        async def execute_async(self, context: StepContext) -> dict[str, Any]:
            await asyncio.sleep(30)
            return {}

    assert Workflow([Slow("slow", told)]).execute(timeout=0.1).status is WorkflowStatus.TIMEOUT
    assert told == ["slow.initialize", "slow.cleanup"]
