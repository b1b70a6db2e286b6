from __future__ import annotations

import pytest

from generative_ai_workflow import LLMStep, WorkflowError
from generative_ai_workflow.durable.fingerprint import fingerprint_of
from generative_ai_workflow.durable.identity import check_identity, parts_that_differ
from unit.generative_ai_workflow.durable.children import identity


def steps(*names):
    return fingerprint_of([LLMStep(name, "x") for name in names])


def test_a_run_with_other_steps_is_refused_and_the_steps_are_named():
    with pytest.raises(
        WorkflowError, match=r"when workflow 'w' had other steps: 'a' \(LLMStep\) is gone, 'b'"
    ) as caught:
        check_identity(identity("r", fingerprint=steps("a")), identity("r", fingerprint=steps("b")))
    assert caught.value.code == "conflict"


def test_the_same_run_may_go_on():
    check_identity(identity("r", fingerprint=steps("a")), identity("r", fingerprint=steps("a")))


def test_numbers_that_are_merely_equal_differ():
    assert parts_that_differ({"a": 1, "b": [1.0], "c": {"d": True}}, {"a": 1, "b": [1], "c": {"d": 1}}) == ["b", "c"]
