from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chatmodels.types import ChatResponse
from generative_ai_workflow import (
    ConfigurationError,
    CostTracker,
    FrameworkError,
    LLMStep,
    MockLLMProvider,
    ProviderError,
    TokenUsage,
    TokenUsageTracker,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
)


def usage(tokens: int = 1_000_000, model: str = "gpt-4o-mini", provider: str = "openai") -> TokenUsage:
    return TokenUsage(prompt_tokens=tokens, completion_tokens=tokens, model=model, provider=provider)


class TestTokens:
    def test_sums_by_model_and_provider(self) -> None:
        tracker = TokenUsageTracker()
        assert tracker.total is None
        tracker.record(usage(1))
        tracker.record(usage(2, "other"))
        tracker.record(usage(3, "other", "house"))
        tracker.record(None)
        assert (tracker.prompt_tokens, tracker.completion_tokens, tracker.total_tokens, tracker.calls) == (6, 6, 12, 3)
        assert tracker.total.total_tokens == 12
        assert tracker.by_model["other"].total_tokens == 10
        assert tracker.by_provider["house"].total_tokens == 6
        tracker.reset()
        assert (tracker.total_tokens, tracker.calls, tracker.by_model) == (0, 0, {})

    def test_as_middleware_and_from_results(self) -> None:
        tracker, by_hand = TokenUsageTracker(), TokenUsageTracker()
        engine = WorkflowEngine().use(tracker)
        model = MockLLMProvider("a b")
        workflow = Workflow([LLMStep("x", "one", model), LLMStep("y", "one two", model)])
        for _ in range(3):
            by_hand.record(engine.run(workflow))
        assert tracker.total_tokens == by_hand.total_tokens == 21
        assert tracker.calls == 6

    def test_what_failed_calls_were_charged_for_counts(self) -> None:
        tracker, by_hand = TokenUsageTracker(), TokenUsageTracker()
        failed = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": usage(2)})
        result = WorkflowEngine().use(tracker).run(Workflow([LLMStep("s", "x", MockLLMProvider([failed]))]))
        by_hand.record(result)
        assert tracker.total_tokens == by_hand.total_tokens == 4
        by_hand.record(ProviderError("nobody there", op="x.complete", code="unavailable"))
        assert by_hand.calls == 1

    def test_from_many_threads(self) -> None:
        tracker = TokenUsageTracker()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: tracker.record(usage(1)), range(2000)))
        assert tracker.total_tokens == 4000


class TestCost:
    def test_budget(self) -> None:
        costs = CostTracker(limit_usd=1.0)
        costs.record(usage())
        assert costs.estimated_cost_usd == pytest.approx(0.75)
        costs.assert_within_budget()
        costs.record(usage())
        with pytest.raises(AssertionError, match=r"1\.500000") as caught:
            costs.assert_within_budget()
        assert isinstance(caught.value, FrameworkError)
        assert caught.value.code == "budget"
        costs.reset()
        costs.assert_within_budget()

    def test_prices_of_ones_own_and_unknown_ones(self) -> None:
        costs = CostTracker(prices={"house": {"input_per_1m": 1, "output_per_1m": 2}})
        costs.record(usage(model="house"))
        costs.record(usage(model="mystery"))
        costs.record(None)
        assert costs.estimated_cost_usd == pytest.approx(3.0)
        assert costs.unpriced_models == ("mystery",)
        costs.assert_within_budget()

    def test_what_came_from_a_cache_is_free(self) -> None:
        costs = CostTracker()
        costs.record(ChatResponse(content="x", model="gpt-4o-mini", usage=usage(), cached=True))
        assert costs.estimated_cost_usd == 0
        costs.record(ChatResponse(content="x", model="gpt-4o-mini", usage=usage()))
        assert costs.estimated_cost_usd == pytest.approx(0.75)

    def test_as_middleware_it_stops_runs_when_the_budget_is_spent(self) -> None:
        paid = ChatResponse(content="x", model="gpt-4o-mini", usage=usage())
        model = MockLLMProvider([paid])
        costs = CostTracker(limit_usd=1.0)
        workflow = Workflow([LLMStep(f"s{i}", "x", model) for i in range(4)])
        result = WorkflowEngine().use(costs).run(workflow)
        assert result.status is WorkflowStatus.FAILED
        assert "budget" in result.error
        assert model.call_count == 2
        assert result.steps["s2"].error_info.code == "budget"

    def test_failed_calls_spend_the_budget_as_well(self) -> None:
        failed = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": usage(2_000_000)})
        model = MockLLMProvider([failed])
        costs = CostTracker(limit_usd=1.0)
        workflow = Workflow([LLMStep(f"s{i}", "x", model, is_critical=False) for i in range(3)])
        result = WorkflowEngine().use(costs).run(workflow)
        assert costs.estimated_cost_usd == pytest.approx(1.5)
        assert (result.status, model.call_count) == (WorkflowStatus.FAILED, 1)
        assert result.steps["s1"].error_info.code == "budget"

    def test_a_negative_budget_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            CostTracker(limit_usd=-1)

    def test_what_an_answer_says_of_its_own_cost_counts(self) -> None:
        answer = ChatResponse(content="x", model="gpt-4o-mini", usage=usage(), cost_usd=2.0)
        costs = CostTracker()
        costs.record(answer)
        assert costs.estimated_cost_usd == 2.0
        costs.record(WorkflowEngine().run(Workflow([LLMStep("s", "x", MockLLMProvider([answer]))])))
        assert costs.estimated_cost_usd == 4.0
        own = CostTracker(prices={"gpt-4o-mini": {"input_per_1m": 1, "output_per_1m": 0}})
        own.record(answer)
        assert own.estimated_cost_usd == pytest.approx(1.0)
        own.record(answer.model_copy(update={"cost_usd": 0.0, "cached": True}))
        assert own.estimated_cost_usd == pytest.approx(1.0)
