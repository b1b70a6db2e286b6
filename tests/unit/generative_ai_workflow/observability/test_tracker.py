from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatmodels.types import ChatRequest, ChatResponse
from generative_ai_workflow import (
    ConfigurationError,
    CostTracker,
    FrameworkError,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ProviderError,
    TokenUsage,
    TokenUsageTracker,
    Workflow,
    WorkflowConfig,
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


class TestPromise:
    """What a run costs is set aside before it is asked."""

    async def _many(self, costs: CostTracker, model: MockLLMProvider, runs: int) -> list[str]:
        workflow = Workflow([LLMStep(f"s{i}", "x", model, max_tokens=1000) for i in range(3)], name="w")
        engine = WorkflowEngine().use(costs)
        results = await asyncio.gather(*(engine.run_async(workflow) for _ in range(runs)))
        return [str(result.status) for result in results]

    def _paid(self) -> MockLLMProvider:
        took = TokenUsage(prompt_tokens=10, completion_tokens=900, model="gpt-4o-mini", provider="openai")
        return MockLLMProvider(ChatResponse(content="x", model="gpt-4o-mini", usage=took), latency_s=0.001)

    @pytest.mark.parametrize("limit_usd", [0.0, 0.0007, 0.003, 0.01, 1.0])
    def test_runs_together_never_spend_more_than_the_limit(self, limit_usd: float) -> None:
        costs, model = CostTracker(limit_usd=limit_usd), self._paid()
        with asyncio.Runner() as runner:
            ended = runner.run(self._many(costs, model, 10))
        assert costs.estimated_cost_usd == pytest.approx(model.call_count * (10 * 0.15 + 900 * 0.6) / 1e6)
        assert costs.estimated_cost_usd <= limit_usd
        assert set(ended) <= {"completed", "failed"}
        assert ended.count("completed") == 10 or costs.left_usd < 0.0007, "no more is refused than has to be"
        if limit_usd == 1.0:
            costs.assert_within_budget()
        else:
            with pytest.raises(AssertionError):
                costs.assert_within_budget()

    def test_runs_in_many_threads_share_a_limit(self) -> None:
        costs, model = CostTracker(limit_usd=0.004), self._paid()
        engine = WorkflowEngine().use(costs)
        workflow = Workflow([LLMStep(f"s{i}", "x", model, max_tokens=1000) for i in range(2)])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: engine.run(workflow), range(16)))
        assert costs.estimated_cost_usd <= 0.004
        assert model.call_count >= 6

    def test_a_request_that_another_middleware_replaced_is_counted_all_the_same(self) -> None:
        class Longer(Middleware):
            async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest:
                return request.model_copy(update={"max_tokens": 2000})

        costs = CostTracker(limit_usd=0.001)
        engine = WorkflowEngine().use(costs).use(Longer())
        result = engine.run(Workflow([LLMStep("s", "x", self._paid(), max_tokens=10)]))
        assert result.status is WorkflowStatus.FAILED
        assert "it may cost $0.0012" in result.error

    def test_an_answer_that_another_middleware_replaced_costs_what_the_real_one_did(self) -> None:
        class Shorter(Middleware):
            async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse:
                return response.model_copy(update={"usage": usage(1)})

        for order in (0, 1):
            costs = CostTracker(limit_usd=1.0)
            engine = WorkflowEngine()
            for one in (costs, Shorter()) if order else (Shorter(), costs):
                engine.use(one)
            engine.run(Workflow([LLMStep("s", "x", self._paid(), max_tokens=1000)]))
            assert costs.estimated_cost_usd == pytest.approx((10 * 0.15 + 900 * 0.6) / 1e6)

    def test_a_run_that_is_cancelled_stays_counted_with_the_most_it_can_have_cost(self) -> None:
        async def main() -> None:
            costs = CostTracker(limit_usd=1.0)
            slow = MockLLMProvider("x", latency_s=60.0, model="gpt-4o-mini")
            workflow = Workflow([LLMStep("s", "x", slow, max_tokens=1000)], config=WorkflowConfig(cancel_grace_s=0))
            run = asyncio.create_task(WorkflowEngine().use(costs).run_async(workflow))
            while not slow.call_count:
                await asyncio.sleep(0.001)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            assert costs.estimated_cost_usd == 0
            assert 0.0006 <= costs.assumed_usd < 0.0007
            assert costs.left_usd == pytest.approx(1.0 - costs.assumed_usd)

        with asyncio.Runner() as runner:
            runner.run(main())

    def test_two_trackers_count_the_same_call_each(self) -> None:
        costs, other = CostTracker(limit_usd=1.0), CostTracker()
        engine = WorkflowEngine().use(costs).use(other)
        engine.run(Workflow([LLMStep("s", "x", self._paid(), max_tokens=1000)]))
        assert costs.estimated_cost_usd == other.estimated_cost_usd == pytest.approx((10 * 0.15 + 900 * 0.6) / 1e6)
