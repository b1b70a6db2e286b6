from __future__ import annotations

from generative_ai_workflow import ConditionalStep, LLMStep, TransformStep
from generative_ai_workflow.durable.fingerprint import fingerprint_of


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
