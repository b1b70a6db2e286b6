from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ForEachStep,
    LLMStep,
    MockLLMProvider,
    ParallelStep,
    StepContext,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowStatus,
)
from unit.generative_ai_workflow.loops import run_alone


def double() -> TransformStep:
    return TransformStep("double", lambda names: names["item"] * 2)


def test_every_item_goes_through_the_steps_in_the_order_of_the_list() -> None:
    async def work(names: dict[str, Any]) -> str:
        await asyncio.sleep(0.02 / (1 + names["index"]))
        return f"{names['index']}:{names['item']}:{names['tag']}"

    result = Workflow([ForEachStep("each", "letters", TransformStep("tagged", work))]).execute(
        {"letters": ["a", "b", "c"], "tag": "x"}
    )
    assert result.output["each"] == ["0:a:x", "1:b:x", "2:c:x"]
    assert {name for name in result.steps if name != "each"} == {"tagged[0]", "tagged[1]", "tagged[2]"}
    assert "tagged" not in result.output


@pytest.mark.parametrize(
    "items",
    [
        "${steps.made}",
        "made",
        "steps.made",
        "${input.given}",
        lambda names: (number for number in names["given"]),
        lambda names: names["steps"]["made"],
        [1, 2],
        ["${steps.one}", 2],
    ],
)
def test_items_come_from_anywhere(items: Any) -> None:
    workflow = Workflow(
        [
            TransformStep("made", lambda names: [1, 2]),
            TransformStep("one", lambda names: 1),
            ForEachStep("each", items, double()),
        ]
    )
    assert workflow.execute({"given": (1, 2)}).output["each"] == [2, 4]


def test_a_coroutine_function_may_give_the_items() -> None:
    async def items(names: Any) -> list[int]:
        return [3]

    assert Workflow([ForEachStep("each", items, double())]).execute().output["each"] == [6]


def test_no_items_are_no_work() -> None:
    result = Workflow([ForEachStep("each", "empty", double())]).execute({"empty": []})
    assert result.output == {"each": [], "each_output": []}


@pytest.mark.parametrize("items", ["text", {"a": 1}, {1, 2}, None, 3, b"ab"])
def test_what_is_no_list_fails_the_step(items: object) -> None:
    result = Workflow([ForEachStep("each", "items", double())]).execute({"items": items})
    assert result.status is WorkflowStatus.FAILED
    assert "should be a list" in result.error
    assert result.steps["each"].error_info.code == "invalid"


def test_too_many_items_are_an_error_and_never_a_cut() -> None:
    workflow = Workflow([ForEachStep("each", "items", double(), max_items=3)])
    assert workflow.execute({"items": [1, 2, 3]}).output["each"] == [2, 4, 6]
    result = workflow.execute({"items": [1, 2, 3, 4]})
    assert result.status is WorkflowStatus.FAILED
    assert "4 items, and max_items is 3" in result.error
    assert result.steps["each"].error_info.code == "invalid"
    assert set(result.steps) == {"each"}
    endless = Workflow([ForEachStep("each", lambda names: itertools.count(), double(), max_items=5)]).execute()
    assert "more than 5" in endless.error


def test_a_failure_ends_the_others_and_says_which_item_it_was() -> None:
    async def work(names: dict[str, Any]) -> int:
        if names["item"] == "bad":
            raise ValueError("broken")
        await asyncio.sleep(30)
        return 1

    result = Workflow([ForEachStep("each", "items", TransformStep("work", work))]).execute(
        {"items": ["good", "bad", "good"]}
    )
    assert result.status is WorkflowStatus.FAILED
    assert "item 1: step 'work" in result.error
    assert "broken" in result.error
    assert {name: step.status for name, step in result.steps.items()} == {
        "each": StepStatus.FAILED,
        "work[0]": StepStatus.FAILED,
        "work[1]": StepStatus.FAILED,
        "work[2]": StepStatus.FAILED,
    }
    assert result.metrics.total_duration_ms < 20_000


def test_failures_leave_the_other_items_alone_where_that_is_wanted() -> None:
    def work(names: dict[str, Any]) -> float:
        return 6 / names["item"]

    step = ForEachStep("each", "items", TransformStep("work", work), continue_on_error=True)
    result = Workflow([step, TransformStep("after", lambda names: len(names["each"]))]).execute({"items": [1, 0, 3]})
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["each"] == [6.0, None, 2.0]
    assert list(result.output["each_errors"]) == ["1"]
    assert "division by zero" in result.output["each_errors"]["1"]
    assert result.steps["work[1]"].status is StepStatus.FAILED
    assert result.output["after"] == 3


def test_concurrency_bounds_how_many_items_are_worked_on() -> None:
    running = most = 0

    async def work(names: dict[str, Any]) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return names["index"]

    step = ForEachStep("each", list(range(40)), TransformStep("work", work), concurrency=3)
    assert Workflow([step]).execute().output["each"] == list(range(40))
    assert most == 3


def test_tokens_and_durations_of_all_items_add_up() -> None:
    model = MockLLMProvider("one two")
    step = ForEachStep("each", ["x", "y", "z"], LLMStep("ask", "say {item} now", provider=model))
    metrics = Workflow([step]).execute().metrics
    assert metrics.token_usage_total.total_tokens == 15
    assert sum(usage.total_tokens for usage in dict(metrics.step_token_usage).values()) == 15
    assert metrics.steps_completed == 4


def test_loops_nest_and_nothing_overwrites() -> None:
    inner = ForEachStep(
        "cells", "${row.cells}", TransformStep("sum", lambda n: n["cell"] + n["row"]["add"]), item="cell"
    )
    result = Workflow([ForEachStep("rows", "rows", inner, item="row")]).execute(
        {"rows": [{"add": 10, "cells": [1, 2]}, {"add": 20, "cells": [3]}]}
    )
    assert result.output["rows"] == [[11, 12], [23]]
    assert set(result.steps) == {"rows", "cells[0]", "cells[1]", "sum[0][0]", "sum[0][1]", "sum[1][0]"}


def test_conditions_and_parallel_steps_inside_a_loop() -> None:
    steps = [
        ConditionalStep("kind", "item > 1", TransformStep("big", lambda n: n["item"])),
        ParallelStep("both", [TransformStep("a", lambda n: n["item"]), TransformStep("b", lambda n: n["kind"])]),
    ]
    result = Workflow([ForEachStep("each", [1, 2], steps)]).execute()
    assert result.output["each"] == [{"a": 1, "b": False}, {"a": 2, "b": True}]
    assert {"a[0]", "a[1]", "big[1]", "kind[0]"} <= set(result.steps)
    assert "big[0]" not in result.steps


def test_a_step_that_was_skipped_leaves_none() -> None:
    step = TransformStep("odd", lambda names: names["item"])
    step.when = lambda names: names["item"] % 2 == 1
    assert Workflow([ForEachStep("each", [1, 2, 3], step)]).execute().output["each"] == [1, None, 3]


def test_a_time_limit_ends_every_item() -> None:
    async def work(names: dict[str, Any]) -> None:
        await asyncio.sleep(30)

    result = Workflow([ForEachStep("each", [1, 2, 3], TransformStep("work", work), concurrency=2)]).execute(timeout=0.1)
    assert result.status is WorkflowStatus.TIMEOUT
    assert {"work[0]", "work[1]"} <= set(result.steps)
    assert "work[2]" not in result.steps


def test_a_loop_can_be_tried_out_alone() -> None:
    step = ForEachStep("each", "${input.xs}", [double(), TransformStep("plus", lambda n: n["double"] + 1)])
    result = run_alone(step.execute_async(StepContext(input_data={"xs": [1, 2]})))
    assert result.output["each"] == [3, 5]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ForEachStep("f", "x", []),
        lambda: ForEachStep("f", "x", ["text"]),  # type: ignore[list-item]
        lambda: ForEachStep("f", "a ${x} b", double()),
        lambda: ForEachStep("f", "${x", double()),
        lambda: ForEachStep("f", 3, double()),  # type: ignore[arg-type]
        lambda: ForEachStep("f", "x", double(), item="two words"),
        lambda: ForEachStep("f", "x", double(), item="index"),
        lambda: ForEachStep("f", "x", double(), concurrency=0),
        lambda: ForEachStep("f", "x", double(), max_items=0),
        lambda: Workflow([ForEachStep("f", "${steps.double}", double())]),
        lambda: Workflow([LLMStep("item", "x"), ForEachStep("f", "x", double())]),
        lambda: Workflow([ForEachStep("f", "x", ForEachStep("g", "y", double()))]),
        lambda: Workflow([ForEachStep("f", "x", LLMStep("item", "x"))]),
    ],
)
def test_what_is_refused_when_it_is_defined(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_attempts_of_the_whole_loop_are_all_counted() -> None:
    model = MockLLMProvider("one two")
    tries: list[int] = []

    def flaky(names: dict[str, Any]) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return 1

    steps = [LLMStep("ask", "say {item} now", provider=model), TransformStep("flaky", flaky)]
    result = Workflow([ForEachStep("each", ["x", "y"], steps, concurrency=1, retry=5)]).execute()
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["each"] == [1, 1]
    assert result.metrics.token_usage_total.total_tokens == 5 * model.call_count == 20
    assert set(result.steps) == {"each", "ask[0]", "ask[1]", "flaky[0]", "flaky[1]"}


def test_a_time_limit_of_the_loop_ends_its_items_and_nothing_else() -> None:
    async def work(names: dict[str, Any]) -> None:
        await asyncio.sleep(30)

    loop = ForEachStep("each", [1, 2], TransformStep("work", work), timeout=0.1, is_critical=False)
    result = Workflow([loop, TransformStep("after", lambda names: 1)]).execute()
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["after"] == 1
    assert "timed out" in result.steps["each"].error
    assert result.steps["work[0]"].status is StepStatus.FAILED


@pytest.mark.parametrize(
    ("items", "hint"),
    [
        ("{{ letters }}", "write ${letters}"),
        ("{letters}", "write ${letters}"),
        ("{{ input.letters }}", "write ${input.letters}"),
        ("a, b", "write ${steps.letters}"),
        ("", "write ${steps.letters}"),
    ],
)
def test_items_that_cannot_be_read_are_quoted_as_they_were_written(items: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ForEachStep("each", items, double())
    assert (
        caught.value.message == f"step 'each': items must be one reference, a name, a function or a list, got {items!r}"
    )
    assert caught.value.hint == hint


def test_a_malformed_reference_of_items_says_where() -> None:
    with pytest.raises(ConfigurationError, match=r"items: the reference '\$\{x' cannot be read at character 4"):
        ForEachStep("each", "${x", double())
