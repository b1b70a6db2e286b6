from __future__ import annotations

import pytest

from chatmodels.types import ChatResponse, TokenUsage
from generative_ai_workflow import ConditionalStep, LLMStep, MockLLMProvider, ProviderError, StepContext
from generative_ai_workflow.charges import Charges, FailedCall
from unit.generative_ai_workflow.loops import run_alone


def usage(tokens: int) -> TokenUsage:
    return TokenUsage(prompt_tokens=tokens, completion_tokens=0, model="m", provider="p")


def answer(tokens: int, cost: float | None, failed: tuple = (), attempts: int = 1) -> ChatResponse:
    return ChatResponse(
        content="a", model="m", usage=usage(tokens), cost_usd=cost, failed_usage=failed, attempts=attempts
    )


@pytest.mark.parametrize(
    ("answers", "failed", "expected"),
    [
        ([], [], (None, None, 0)),
        ([answer(1, 0.5), answer(2, 0.25, attempts=3)], [], (3, 0.75, 4)),
        ([answer(1, 0.5, (usage(4), usage(5)))], [], (10, 0.5, 1)),
        ([answer(1, None), answer(2, 0.25)], [], (3, None, 2)),
        ([answer(1, 0.5)], [FailedCall(2)], (1, 0.5, 3)),
        ([answer(1, 0.5)], [FailedCall(2, usage(7), 0.25)], (8, 0.75, 3)),
        ([answer(1, 0.5)], [FailedCall(2, usage(7), None)], (8, None, 3)),
        ([], [FailedCall(3)], (None, None, 3)),
        ([], [FailedCall(1, usage(7), 0.0)], (7, 0.0, 1)),
    ],
)
def test_the_sums(answers: list, failed: list, expected: tuple) -> None:
    charges = Charges.of(answers, failed)
    tokens = charges.token_usage and charges.token_usage.total_tokens
    assert (tokens, charges.cost_usd, charges.attempts) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (1, None, None)),
        ({"attempts": 3, "cost_usd": None}, (3, None, None)),
        ({"usage": usage(2), "cost_usd": 1}, (1, usage(2), 1.0)),
        ({"failed_usage": (usage(2), usage(3)), "cost_usd": 0.5}, (1, usage(5), 0.5)),
        ({"usage": usage(1), "failed_usage": (usage(2),), "attempts": 2}, (2, usage(3), None)),
        ({"usage": "many", "attempts": "some", "cost_usd": "much"}, (1, None, None)),
    ],
)
def test_what_an_error_tells(fields: dict, expected: tuple) -> None:
    assert FailedCall.of(ProviderError("no", op="x.complete", fields=fields)) == expected


def test_a_step_that_is_tried_out_alone_is_charged_as_well() -> None:
    failed = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": usage(3)})
    context = StepContext(input_data={"a": 1})
    steps = [LLMStep("one", "x", MockLLMProvider()), LLMStep("two", "x", MockLLMProvider([failed]))]
    with pytest.raises(ProviderError):
        run_alone(ConditionalStep("which", "a", steps).execute_async(context))
    assert len(context.calls) == 1
    assert context.failed_calls == [FailedCall(1, usage(3), None)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Charges(usage(1), 0.5, 1), Charges(usage(2), 0.25, 2), (3, 0.75, 3)),
        (Charges(usage(1), 0.5, 1), Charges(None, None, 2), (1, 0.5, 3)),
        (Charges(usage(1), 0.5, 1), Charges(usage(2), None, 1), (3, None, 2)),
        (Charges(None, 0.5, 0), Charges(usage(2), 0.25, 1), (2, 0.75, 1)),
        (Charges(None, None, 0), Charges(None, None, 0), (None, None, 0)),
    ],
)
def test_charges_add_up_and_an_unknown_price_makes_the_sum_unknown(
    one: Charges, other: Charges, expected: tuple
) -> None:
    for together in (one.plus(other), other.plus(one)):
        tokens = together.token_usage and together.token_usage.total_tokens
        assert (tokens, together.cost_usd, together.attempts) == expected
