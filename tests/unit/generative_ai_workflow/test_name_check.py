from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ForEachStep,
    LLMStep,
    MockLLMProvider,
    ParallelStep,
    StepContext,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowStep,
)
from generative_ai_workflow.condition import Condition
from generative_ai_workflow.name_check import faults_of_names


def ask(name: str, prompt: str = "x", **more: Any) -> LLMStep:
    return LLMStep(name, prompt, **more)


def skipped_unless(step: WorkflowStep, condition: str) -> WorkflowStep:
    step.when = Condition(condition)
    return step


def work(name: str) -> TransformStep:
    return TransformStep(name, lambda names: 1)


class Own(WorkflowStep):
    def execute(self, context: StepContext) -> dict[str, Any]:
        return {"anything": 1}


class Picking(WorkflowStep):
    """Runs one of its steps."""

    def __init__(self, name: str, parts: Sequence[WorkflowStep]) -> None:
        super().__init__(name)
        self._parts = tuple(parts)

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        return self._parts

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        await context.run_steps([self._parts[context.input_data["number"]]])
        return {}


REFUSED = {
    "a template and a later step": ([ask("a", "{b}"), ask("b")], "only later"),
    "a circle": ([ask("a", "{b}"), ask("b", "{a}")], "only later"),
    "a system prompt": ([ask("a", system_prompt="{b}"), ask("b")], "only later"),
    "a later output": ([ask("a", "{k}"), ask("b", output="k")], "only later"),
    "a later {name}_output": ([ask("a", "{b_output}"), ask("b")], "only later"),
    "a condition of a branch": ([ConditionalStep("c", "b == 1", work("x")), work("b")], "only later"),
    "a condition that skips": ([skipped_unless(ask("a"), "steps.b == 1"), work("b")], "only later"),
    "a reference": ([ask("a", "{x}", inputs={"x": "${steps.b}"}), work("b")], "only later"),
    "a bare reference": ([ask("a", "{x}", inputs={"x": "${b}"}), work("b")], "only later"),
    "items": ([ForEachStep("f", "b", work("x")), work("b")], "only later"),
    "a nested step": ([ConditionalStep("c", "true", ask("a", "{b}")), work("b")], "only later"),
    "itself": ([ask("a", "{x}", inputs={"x": "${steps.a}"})], "only later"),
    "the container from inside": ([ConditionalStep("c", "true", ask("a", "{c}"))], "only later"),
    "the other branch": ([ConditionalStep("c", "true", work("x"), ask("a", "{x}"))], "other branch of 'c'"),
    "a branch beside it": ([ParallelStep("p", [work("x"), ask("a", "{x}")])], "same time, in 'p'"),
    "a branch that may not be taken": ([ConditionalStep("c", "true", work("x")), ask("a", "{x}")], "only if 'c'"),
    "inside a loop": ([ForEachStep("f", [1], work("x")), ask("a", "{x}")], "stays inside 'f'"),
    "inside a loop in a branch": (
        [ConditionalStep("c", "true", ForEachStep("f", [1], work("x"))), ask("a", "{x}")],
        "stays inside 'f'",
    ),
    "an item outside of its loop": ([ForEachStep("f", [1], work("x")), ask("a", "{item}")], "item of 'f'"),
    "an output twice": ([ask("a", output="k"), ask("b", output="k")], "both leave 'k'"),
    "an output called like a step whose answer has another name": (
        [ask("a", output="b"), ask("b", output="k")],
        "both leave 'b'",
    ),
    "an output called like a step": ([ask("a", output="b"), ask("b")], "both leave 'b'"),
    "an output called like another one's": ([ask("a"), ask("a_output")], "both leave 'a_output'"),
    "an output twice in a branch": (
        [ConditionalStep("c", "true", [ask("a", output="k"), ask("b", output="k")])],
        "both leave 'k'",
    ),
    "an output twice side by side": ([ParallelStep("p", [ask("a", output="k"), ask("b", output="k")])], "leave 'k'"),
    "an output of both branches and a later one": (
        [ConditionalStep("c", "true", ask("a", output="k"), ask("b", output="k")), ask("d", output="k")],
        "both leave 'k'",
    ),
    "a later step of which nothing is known but its name": (
        [work("a"), ask("b", "{x}", inputs={"x": "${steps.c}"}), ask("c")],
        "only later",
    ),
    "inside a loop of a step of another kind": (
        [Picking("p", [ForEachStep("f", [1], work("x")), ask("a", "{y}", inputs={"y": "${steps.x}"})])],
        "stays inside 'f'",
    ),
    "an item that an output of its loop hides": ([ForEachStep("f", [1], [ask("a", output="index")])], "hide the item"),
    "a name like a record": ([ForEachStep("f", [1], work("a")), work("a[0]")], "call 'a' so"),
    "an output like an item": ([ForEachStep("f", [1], ask("a", output="item"))], "hide the item of 'f'"),
}


@pytest.mark.parametrize(("steps", "told"), REFUSED.values(), ids=REFUSED)
def test_names_that_can_never_be_there_are_refused_when_the_workflow_is_defined(
    steps: list[WorkflowStep], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Workflow(steps)
    assert told in str(caught.value)
    assert caught.value.hint


FINE = {
    "a step called like a part of the input": [ask("text", "Clean: {text}")],
    "names of the input": [ask("a", "{x} {y}", inputs={"y": "${z}"})],
    "an unknown step": [ask("a", "{x}", inputs={"x": "${steps.before}"})],
    "earlier steps": [work("a"), ask("b", "{a} {a_output}", output="k"), ask("c", "{k} {b_output} {llm_response}")],
    "inside a branch": [ConditionalStep("c", "true", [work("a"), ask("b", "{a}")])],
    "both branches": [ConditionalStep("c", "true", ask("a", output="k"), ask("b", output="k")), ask("d", "{k} {c}")],
    "a guarded step": [ConditionalStep("c", "true", work("a")), skipped_unless(ask("b", "{a}"), "c")],
    "a step in a guarded loop": [
        ConditionalStep("c", "true", work("a")),
        skipped_unless(ForEachStep("f", "xs", ask("b", "{a} {item}")), "c"),
    ],
    "steps in a guarded parallel step": [
        ConditionalStep("c", "true", work("a")),
        skipped_unless(ParallelStep("p", [ask("b", "{a}"), ask("d", "{a}")]), "c"),
    ],
    "a step whose failure does not matter": [
        ConditionalStep("c", "true", work("a")),
        ask("b", "{a}", is_critical=False),
        ForEachStep("f", "xs", ask("d", "{a}"), continue_on_error=True),
    ],
    "a key of a dict that is called like a later step": [work("a"), ask("b", "{c}"), ask("c", "{b}")],
    "a key of a dict that is called like an item": [work("a"), ForEachStep("f", "xs", work("x")), ask("b", "{item}")],
    "a step of unknown keys that is called like an output": [work("k"), ask("a", "{k}", output="k")],
    "one of several steps": [Picking("p", [ask("a", "{q}", output="k"), ask("b", "{q}", output="k")]), ask("c", "{k}")],
    "one of several parallel steps": [
        Picking("p", [ParallelStep(f"p{n}", [ask(f"a{n}", output="k"), work(f"b{n}")]) for n in range(2)])
    ],
    "steps in an order of their own": [Picking("p", [ask("a", "{x}", inputs={"x": "${steps.b}"}), ask("b")])],
    "rounds of steps": [
        Picking(
            "p", [ParallelStep("q", [ask("a", "{b}"), ask("b", "{a}")]), ConditionalStep("c", "b", ask("d", "{a}"))]
        )
    ],
    "conditionals that exclude each other": [
        ConditionalStep("c", "lang == 'de'", ask("a", output="k")),
        ConditionalStep("d", "lang != 'de'", ask("b", output="k")),
    ],
    "conditions that exclude each other": [
        skipped_unless(ask("a", output="k"), "lang == 'de'"),
        skipped_unless(ask("b", output="k"), "lang != 'de'"),
        ask("d", "{k}"),
    ],
    "an output that is only sometimes made anew": [
        ask("a", output="k"),
        ConditionalStep("c", "len(k) > 10", ask("b", "{k}", output="k")),
        ask("d", "{k}"),
    ],
    "a part of the input that is only sometimes made anew": [
        ConditionalStep("c", "len(text) > 10", ask("b", "{text}", output="text")),
        ask("d", "{text}"),
    ],
    "a part of the input that is made anew later": [ask("a", "{text}"), ask("b", "{text}", output="text")],
    "a fallback": [ask("a", output="k", is_critical=False), ask("b", output="k"), ask("d", "{k}")],
    "a part of the input that is called like an item": [ask("a", "{item}"), ForEachStep("f", "xs", work("x"))],
    "inside another branch": [
        ConditionalStep("c", "true", work("a")),
        ConditionalStep("d", "c == 'true' and a == 1", ask("b", "{a}")),
    ],
    "after a parallel step": [ParallelStep("p", [[work("a"), ask("b", "{a}")], work("c")]), ask("d", "{a} {c} {p}")],
    "a loop": [ForEachStep("f", "xs", [ask("a", "{item} {index}"), ask("b", "{a}")]), ask("c", "{f}")],
    "a loop in a loop": [ForEachStep("f", "xs", ForEachStep("g", "${x.ys}", ask("a", "{x} {y}"), item="y"), item="x")],
    "the same output in two loops": [
        ForEachStep("f", "xs", ask("a", output="k")),
        ForEachStep("g", "xs", ask("b", output="k")),
    ],
    "errors of a loop": [ForEachStep("f", "xs", work("a"), continue_on_error=True), ask("b", "{f_errors}")],
    "a name of the shape itself": [ConditionalStep("c", "'a' in steps or len(input) > 1", work("a"))],
}


@pytest.mark.parametrize("steps", FINE.values(), ids=FINE)
def test_names_that_may_be_there_are_left_alone(steps: list[WorkflowStep]) -> None:
    Workflow(steps)


CLOSED = {
    "a misspelt name": (ask("a", "{txt}"), "did you mean 'text'?"),
    "a misspelt part of the input": (ask("a", "{x}", inputs={"x": "${input.txt}"}), "did you mean 'text'?"),
    "a misspelt step": (ask("a", "{x}", inputs={"x": "${steps.frist}"}), "did you mean 'first'?"),
    "a name in a condition": (skipped_unless(ask("a"), "len(txt) > 1"), "did you mean 'text'?"),
    "a name of a system prompt": (ask("a", system_prompt="In {langage}."), "did you mean 'language'?"),
    "its own name": (ask("a", "{a}"), "only later"),
    "a step whose answer has another name": (ask("a", "{first}"), "which nothing provides"),
    "a key that is no name of a step": (
        ask("a", "{x}", inputs={"x": "${steps.said_output}"}),
        "which nothing provides",
    ),
}


@pytest.mark.parametrize(("step", "told"), CLOSED.values(), ids=CLOSED)
def test_a_declared_input_makes_misspelt_names_errors(step: WorkflowStep, told: str) -> None:
    config = WorkflowConfig(variables={"language": "en"})
    with pytest.raises(ConfigurationError) as caught:
        Workflow(
            [ask("first", "{text} {language}", output="said"), step], config=config, input_schema={"text": "string"}
        )
    assert told in str(caught.value)


def test_a_step_that_may_leave_any_key_leaves_the_question_open() -> None:
    for step in (work("a"), Own("own")):
        Workflow([step, ask("b", "{anything}")], input_schema={"text": "string"})
    with pytest.raises(ConfigurationError, match="nothing provides"):
        Workflow([work("a"), ask("b", "{x}", inputs={"x": "${steps.c}"})], input_schema={"text": "string"})


def test_two_outputs_of_one_name_are_one_fault() -> None:
    assert len(faults_of_names([ask("a", output="k"), ask("b", output="k")])) == 1


def test_steps_of_which_one_runs_may_share_an_output() -> None:
    model = MockLLMProvider({"first": "1", "second": "2", "got 2": "done"})
    inside = [LLMStep("a", "first", model, output="k"), LLMStep("b", "second", model, output="k")]
    result = Workflow([Picking("p", inside), LLMStep("c", "got {k}", model)]).execute({"number": 1})
    assert (result.output or {})["c"] == "done"


def test_what_a_conditional_may_have_left_is_there_in_a_guarded_loop() -> None:
    model = MockLLMProvider("answer")
    steps = [
        ConditionalStep("c", "flag", LLMStep("a", "x", model)),
        skipped_unless(ForEachStep("f", "xs", LLMStep("b", "{a} {item}", model)), "c"),
    ]
    for flag, made in ((True, ["answer"]), (False, None)):
        result = Workflow(steps).execute({"flag": flag, "xs": [1]})
        assert result.error is None
        assert (result.output or {}).get("f") == made


def test_what_is_declared_may_be_called_like_a_later_step() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Workflow([ask("a", "{b}"), ask("b")])
    assert "if the input has 'b', declare it" in caught.value.hint
    Workflow([ask("a", "{b}"), ask("b")], input_schema={"b": "string"})
    Workflow([ask("a", "{b}"), ask("b")], config={"variables": {"b": 1}})
    Workflow([ForEachStep("f", [1], work("x"), item="y"), ask("a", "{item}")], input_schema={"item": "string"})


def test_an_item_does_not_hide_the_declared_input() -> None:
    with pytest.raises(ConfigurationError, match="would hide"):
        Workflow([ForEachStep("f", [1], ask("a", "{item}"))], input_schema={"item": "string"})


def test_the_systems_prompt_of_the_workflow_counts() -> None:
    with pytest.raises(ConfigurationError, match="'langage'"):
        Workflow([ask("a", "{text}")], config={"system_prompt": "{{ langage }}"}, input_schema={"text": "string"})


NAMES = st.sampled_from(["x", "s0", "s1", "s2", "s3", "s4", "s1_output", "k", "item", "index", "llm_response"])
ASKS = st.tuples(st.just("ask"), st.lists(NAMES, max_size=2), st.sampled_from([None, None, "k"]), st.booleans())
TREES = st.recursive(
    ASKS,
    lambda inner: st.one_of(
        st.tuples(st.just("if"), st.lists(inner, min_size=1, max_size=2), st.lists(inner, max_size=2)),
        st.tuples(st.just("both"), st.lists(st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=2)),
        st.tuples(st.just("each"), st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=6,
)


def without_names(tree: Any, number: Iterator[int]) -> WorkflowStep:
    kind, name = tree[0], f"s{next(number)}"
    if kind == "ask":
        return work(name)
    groups = tree[1] if kind == "both" else tree[1:]
    inside = [[without_names(inner, number) for inner in group] for group in groups]
    if kind == "if":
        return ConditionalStep(name, "flag", *inside)
    return ParallelStep(name, inside) if kind == "both" else ForEachStep(name, "xs", inside[0], item=f"{name}_item")


@given(st.lists(TREES, min_size=1, max_size=5))
def test_steps_with_names_of_their_own_that_mention_nothing_are_accepted(trees: list[Any]) -> None:
    number = itertools.count()
    Workflow([without_names(tree, number) for tree in trees])


def built(tree: Any, number: Iterator[int], model: MockLLMProvider, *, guarded: bool = False) -> WorkflowStep:
    kind, name = tree[0], f"s{next(number)}"

    def all_of(trees: list[Any]) -> list[WorkflowStep]:
        return [built(inner, number, model, guarded=guarded or kind == "if") for inner in trees]

    if kind == "ask":
        _, names, output, referred = tree
        # Whether a condition lets a step have what another one leaves cannot be known beforehand.
        names = [mentioned for mentioned in names if not guarded or mentioned == "x"]
        if referred and names:
            return LLMStep(name, "{a}", model, inputs={"a": f"${{{names[0]}}}"}, output=output)
        return LLMStep(name, "ask " + " ".join(f"{{{mentioned}}}" for mentioned in names), model, output=output)
    if kind == "if":
        return ConditionalStep(name, "flag", all_of(tree[1]), all_of(tree[2]))
    if kind == "both":
        return ParallelStep(name, [all_of(branch) for branch in tree[1]])
    return ForEachStep(name, "xs", all_of(tree[1]))


@given(st.lists(TREES, min_size=1, max_size=4), st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_workflow_that_is_accepted_never_lacks_a_name(trees: list[Any], flag: bool) -> None:
    number = itertools.count()
    model = MockLLMProvider("answer")
    steps = [built(tree, number, model) for tree in trees]
    declared = {"x": "string", "xs": "array", "flag": "boolean"}
    try:
        workflow = Workflow(steps, input_schema=declared)
    except ConfigurationError:
        return
    result = workflow.execute({"x": "text", "xs": [1, 2], "flag": flag})
    assert result.error is None
