from __future__ import annotations

import copy
import pickle

import pytest

from generative_ai_workflow import ExecutionMetrics, StepResult, TokenUsage
from generative_ai_workflow.by_step import ByStep


def loop() -> ByStep:
    facts = ByStep()
    for name, fact in (("note[0]", 1), ("note[1]", 2), ("note[0]", 4)):
        facts.add("id", name, fact)
    facts.add("other", "last", 8)
    return facts


@pytest.mark.parametrize("made", [loop(), copy.deepcopy(loop()), pickle.loads(pickle.dumps(loop()))])
def test_an_id_has_the_sum_and_a_name_what_is_its_own(made: ByStep) -> None:
    assert (made["id"], made["note[0]"], made["note[1]"], made["last"]) == (7, 5, 2, 8)
    assert dict(made) == {"id": 7, "other": 8}
    assert made.get("note[1]") == 2
    assert "note[1]" in made


def test_what_is_not_there_is_a_key_error_or_the_default() -> None:
    facts = loop()
    assert facts.get("note") is None
    assert facts.get("note[2]", 0) == 0
    assert "note[2]" not in facts
    with pytest.raises(KeyError, match="note"):
        facts["note"]


def test_the_metrics_of_a_run_tell_items_of_a_loop_apart() -> None:
    def item(number: int) -> StepResult:
        usage = TokenUsage(prompt_tokens=number, completion_tokens=0, model="m", provider="p")
        return StepResult(step_id="s", name=f"note[{number}]", duration_ms=10.0 * number, token_usage=usage)

    metrics = ExecutionMetrics.of(map(item, (1, 2, 3)))
    assert metrics.step_token_usage["note[2]"].total_tokens == 2
    assert metrics.step_token_usage["s"].total_tokens == 6
    assert (metrics.step_durations["note[3]"], metrics.step_durations["s"]) == (30.0, 60.0)
    assert list(metrics.step_token_usage) == ["s"]
