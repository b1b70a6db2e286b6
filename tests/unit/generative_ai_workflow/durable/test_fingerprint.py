from __future__ import annotations

import pytest

from generative_ai_workflow import ConditionalStep, ForEachStep, LLMStep, TransformStep
from generative_ai_workflow.durable.fingerprint import fingerprint_of, steps_that_differ


def steps(*names, prompt="x"):
    return [LLMStep(name, prompt) for name in names]


def test_the_same_steps_made_anew_have_the_same_fingerprint():
    assert fingerprint_of(steps("a", "b")) == fingerprint_of(steps("a", "b"))


def test_a_prompt_may_be_mended():
    assert fingerprint_of(steps("a")) == fingerprint_of(steps("a", prompt="y"))


def test_other_names_kinds_orders_and_parts_have_others():
    branch = [ConditionalStep("c", "1 == 1", steps("a"), steps("b"))]
    other = [ConditionalStep("c", "1 == 1", steps("b"), steps("a"))]
    found = [steps("a", "b"), steps("b", "a"), steps("a"), [TransformStep("a", dict)], branch, other, []]
    assert len({fingerprint_of(one) for one in found}) == len(found)


def test_the_module_of_a_step_is_not_in_it():
    """It is `__main__` where the script is run, and another one where it is imported."""

    class Own(LLMStep):
        pass

    before = fingerprint_of([Own("a", "x")])
    Own.__module__ = "__main__"
    assert fingerprint_of([Own("a", "x")]) == before


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (steps("a"), steps("a", "b"), ["'b' (LLMStep) is new"]),
        (steps("a", "b"), steps("b"), ["'a' (LLMStep) is gone"]),
        (steps("a"), [TransformStep("a", dict)], ["'a' was LLMStep and is TransformStep"]),
        (steps("a", "b", "c"), steps("a", "c", "b"), ["'c' comes where 'b' was"]),
        (
            [ForEachStep("f", "l", steps("a", "b"))],
            [ForEachStep("f", "l", steps("b")), *steps("a")],
            ["'a' was in 'f' and is in no other step"],
        ),
        (steps(*"abcdefg"), steps("a"), [*(f"{name!r} (LLMStep) is gone" for name in "bcdef"), "and 1 more"]),
    ],
)
def test_what_differs_is_told_step_by_step(before, now, told):
    assert steps_that_differ(fingerprint_of(before), fingerprint_of(now)) == told


@pytest.mark.parametrize("odd", ["f", "5", "[1]", '[["a"]]', "", "1" * 5000])
def test_a_text_that_is_no_fingerprint_tells_nothing(odd):
    assert steps_that_differ(odd, odd) == []
