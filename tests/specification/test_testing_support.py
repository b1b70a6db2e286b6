"""FR-031 to FR-033: tests without costs, and costs in tests."""

from __future__ import annotations

import threading

import pytest

from chatmodels import RecordingModel, ReplayModel, create_chat_model
from chatmodels.testing import forbid_model_requests
from generative_ai_workflow import (
    CostTracker,
    FrameworkError,
    LLMRequest,
    LLMStep,
    MockLLMProvider,
    ProviderError,
    TokenUsage,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)


@pytest.mark.requirement("FR-031", "SC-006")
@every_way
def test_a_mock_answers_by_exact_prompt_then_by_default(way):
    model = MockLLMProvider({"Say hello": "HELLO", "default": "?"})
    result = run(way, Workflow([LLMStep("a", "Say hello", model), LLMStep("b", "Say bye", model)]))
    assert (result.output["a"], result.output["b"]) == ("HELLO", "?")
    assert model.call_count == 2
    assert [request.prompt for request in model.call_log] == ["Say hello", "Say bye"]
    model.reset()
    assert (model.call_count, model.call_log) == (0, [])


@pytest.mark.requirement("FR-031")
def test_a_mock_answers_directly_in_both_modes():
    model = MockLLMProvider({"x": "y"})
    assert model.complete(LLMRequest(prompt="x")).content == "y"
    assert run_alone(model.complete_async(LLMRequest(prompt="x"))).content == "y"
    assert MockLLMProvider().complete(LLMRequest(prompt="anything")).content


@pytest.mark.requirement("FR-031")
@every_way
def test_a_mock_fails_as_it_is_told(way):
    for fault in (ValueError("boom"), ProviderError("no", op="x.complete", code="auth")):
        result = run(way, Workflow([LLMStep("a", "x", MockLLMProvider(fail_with=fault))]))
        assert result.status is WorkflowStatus.FAILED
        assert "'a'" in result.error


@pytest.mark.requirement("FR-031", "SC-006")
@every_way
def test_a_mock_needs_neither_key_nor_network_and_has_no_price_of_its_own(way):
    costs = CostTracker(limit_usd=0.0)
    with forbid_model_requests():
        result = run(way, Workflow([LLMStep("a", "x", MockLLMProvider(), model="mock")]))
    assert result.succeeded
    costs.record(result)
    assert costs.estimated_cost_usd == 0.0
    costs.assert_within_budget()


@pytest.mark.requirement("FR-032", "SC-006")
@pytest.mark.parametrize("recorded", ["sync", "async"])
@pytest.mark.parametrize("replayed", WAYS)
@pytest.mark.parametrize("suffix", ["jsonl", "yaml"])
def test_what_was_recorded_in_one_mode_is_played_back_in_any(recorded, replayed, suffix, openai):
    def workflow(model: object) -> Workflow:
        steps = [LLMStep("a", "Name a {what}"), LLMStep("b", "And one beside {a}")]
        return Workflow(steps, config=WorkflowConfig(provider=model))

    openai.add(Reply(text="red", usage={"prompt_tokens": 1000, "completion_tokens": 50}), "blue")
    live = create_chat_model("openai", model="gpt-4o-mini")
    before = run(recorded, workflow(RecordingModel(live, f"tape.{suffix}")), {"what": "colour"})
    spent, free = CostTracker(), CostTracker()
    spent.record(before)
    with forbid_model_requests():
        after = run(replayed, workflow(ReplayModel(f"tape.{suffix}")), {"what": "colour"})
    free.record(after)
    assert (after.output["a"], after.output["b"]) == (before.output["a"], before.output["b"]) == ("red", "blue")
    assert after.metrics.token_usage_total == before.metrics.token_usage_total
    assert openai.count == 2
    assert spent.estimated_cost_usd > 0
    assert after.steps["a"].cost_usd == 0.0
    assert free.estimated_cost_usd <= 0.01 * spent.estimated_cost_usd


@pytest.mark.requirement("FR-032")
@every_way
def test_what_was_not_recorded_is_an_error_that_says_what_differs(way):
    RecordingModel(MockLLMProvider("red"), "tape.jsonl").complete(LLMRequest(prompt="Name a colour"))
    result = run(way, Workflow([LLMStep("a", "Name a shape", ReplayModel("tape.jsonl"))]))
    assert result.status is WorkflowStatus.FAILED
    assert "Name a shape" in result.error
    with pytest.raises(FrameworkError) as caught:
        ReplayModel("tape.jsonl").complete(LLMRequest(prompt="Name a shape"))
    assert "Name a shape" in str(caught.value)
    assert "Name a colour" in str(caught.value.fields["diff"])


def usage(tokens: int) -> TokenUsage:
    return TokenUsage(prompt_tokens=tokens, completion_tokens=0, model="gpt-4o-mini", provider="openai")


@pytest.mark.requirement("FR-033")
def test_a_budget_is_watched():
    costs = CostTracker(limit_usd=0.20)
    costs.record(usage(1_000_000))
    assert costs.estimated_cost_usd == pytest.approx(0.15)
    costs.assert_within_budget()
    costs.record(usage(1_000_000))
    with pytest.raises(AssertionError, match=r"0\.30?.*0\.20?"):
        costs.assert_within_budget()
    costs.reset()
    costs.assert_within_budget()


@pytest.mark.requirement("FR-033", "FR-016")
@every_way
def test_costs_of_runs_are_summed_by_hand_and_by_middleware(way, openai):
    openai.add(*[Reply(text="x", usage={"prompt_tokens": 1_000_000, "completion_tokens": 0})] * 2)
    by_hand, by_hook = CostTracker(), CostTracker()
    engine = WorkflowEngine().use(by_hook)
    for _ in range(2):
        by_hand.record(run(way, Workflow([LLMStep("a", "x")]), engine=engine).metrics.token_usage_total)
    assert by_hand.estimated_cost_usd == by_hook.estimated_cost_usd == pytest.approx(0.30)


@pytest.mark.requirement("FR-033")
def test_threads_may_share_a_tracker():
    costs = CostTracker()
    work = [threading.Thread(target=lambda: [costs.record(usage(1_000)) for _ in range(200)]) for _ in range(8)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert costs.estimated_cost_usd == pytest.approx(1600 * 0.15 / 1000)


@pytest.mark.requirement("FR-033")
def test_a_model_without_a_price_is_told_and_not_guessed():
    costs = CostTracker()
    costs.record(TokenUsage(prompt_tokens=5, completion_tokens=5, model="mystery", provider="x"))
    assert costs.estimated_cost_usd == 0.0
    assert costs.unpriced_models == ("mystery",)
