"""Whatever becomes of a run, those who count agree on what it used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from chatmodels import create_chat_model
from chatmodels.spending import budgets_in_force
from chatmodels.types import ChatRequest, ChatResponse
from fmf_core.retry import RetryPolicy
from generative_ai_workflow import (
    AbortError,
    ConditionalStep,
    CostTracker,
    ForEachStep,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ProviderError,
    RunMetrics,
    StepContext,
    StepResult,
    TokenUsage,
    TokenUsageTracker,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)

CALL = TokenUsage(prompt_tokens=1_000_000, completion_tokens=1_000_000, model="gpt-4o-mini", provider="openai")
PRICE = 0.75
"""What `CALL` costs in US dollars."""


def paid(**settings: Any) -> MockLLMProvider:
    return MockLLMProvider(ChatResponse(content="x", model="gpt-4o-mini", usage=CALL), model="gpt-4o-mini", **settings)


class Books:
    """Everybody who counts, put to use and fed by hand."""

    def __init__(self, more: Iterable[Middleware] = (), store: str | None = None) -> None:
        self.tokens, self.costs, self.runs = TokenUsageTracker(), CostTracker(), RunMetrics()
        self.tokens_by_hand, self.costs_by_hand = TokenUsageTracker(), CostTracker()
        self.engine = WorkflowEngine(store=store)
        for one in (self.tokens, self.costs, self.runs, *more):
            self.engine.use(one)

    def run(self, workflow: Workflow, data: dict[str, Any] | None = None, **settings: Any) -> WorkflowResult:
        return self.record(self.engine.run(workflow, data, **settings))

    def record(self, result: WorkflowResult) -> WorkflowResult:
        self.tokens_by_hand.record(result)
        self.costs_by_hand.record(result)
        return result

    def assert_calls(self, calls: int) -> None:
        """All say that there were so many calls."""
        run, models = self.runs.workflows["w"], self.runs.models
        counted = {
            "tracker": self.tokens.total_tokens,
            "tracker by hand": self.tokens_by_hand.total_tokens,
            "runs": run.used.total_tokens,
            "steps": sum(sums.used.total_tokens for sums in self.runs.steps.values()),
            "models": sum(used.total_tokens for used in models.values()),
        }
        assert counted == dict.fromkeys(counted, calls * CALL.total_tokens)
        cost = {
            "tracker": self.costs.estimated_cost_usd,
            "tracker by hand": self.costs_by_hand.estimated_cost_usd,
            "runs": run.used.cost_usd,
            "models": sum(used.cost_usd for used in models.values()),
        }
        assert cost == pytest.approx(dict.fromkeys(cost, calls * PRICE))
        assert run.requests == calls


def test_every_item_of_a_loop_counts() -> None:
    books = Books()
    workflow = Workflow([ForEachStep("each", [1, 2, 3, 4], LLMStep("note", "Say {item}", paid()))], name="w")
    result = books.run(workflow)
    books.assert_calls(4)
    assert result.metrics.cost_usd == pytest.approx(4 * PRICE)
    assert result.metrics.step_token_usage["note[2]"] == CALL
    assert result.metrics.step_token_usage[result.steps["note[2]"].step_id].total_tokens == 4 * CALL.total_tokens


def fails(times: int) -> TransformStep:
    left = [times]

    def work(_: dict[str, Any]) -> dict[str, Any]:
        left[0] -= 1
        if left[0] >= 0:
            raise ValueError("not yet")
        return {"ok": True}

    return TransformStep("f", work)


AT_ONCE = RetryPolicy(max_attempts=3, first_wait_s=0)


def retried() -> Workflow:
    inside = [LLMStep("note", "Say", paid()), fails(2)]
    return Workflow([ConditionalStep("c", "true", inside, retry=AT_ONCE)], name="w")


def test_every_attempt_of_the_steps_inside_a_retried_one_counts() -> None:
    books = Books()
    result = books.run(retried())
    assert result.succeeded
    books.assert_calls(3)
    note = result.steps["note"]
    assert (note.attempts, note.cost_usd, note.token_usage.total_tokens) == (3, 3 * PRICE, 3 * CALL.total_tokens)
    assert books.runs.steps["w", "note"].by_status == {"completed": 1}
    assert result.metrics.token_usage_total.total_tokens == 3 * CALL.total_tokens
    assert result.metrics.step_token_usage["note"].total_tokens == 3 * CALL.total_tokens


def test_every_attempt_of_a_retried_step_is_told_by_a_run_that_is_kept(tmp_path: Path) -> None:
    books, workflow = Books(store=str(tmp_path / "runs.sqlite")), retried()
    first, again = (books.run(workflow, correlation_id="1") for _ in range(2))
    books.assert_calls(3)
    assert again.steps["note"].kept
    for result in (first, again):
        assert result.metrics.token_usage_total.total_tokens == 3 * CALL.total_tokens
        assert result.metrics.cost_usd == pytest.approx(3 * PRICE)


def test_steps_that_a_run_found_finished_do_not_count_again(tmp_path: Path) -> None:
    books = Books(store=str(tmp_path / "runs.sqlite"))
    model = paid()
    workflow = Workflow([LLMStep("note", "Say", model), fails(3), LLMStep("last", "Say", model)], name="w")
    results = [books.run(workflow, correlation_id="1") for _ in range(5)]
    assert [result.succeeded for result in results] == [False, False, False, True, True]
    assert [result.steps["note"].kept for result in results] == [False, True, True, True, True]
    assert [result.steps["last"].kept for result in results] == [False, False, False, False, True]
    assert model.call_count == 2
    books.assert_calls(2)
    assert results[-1].metrics.token_usage_total.total_tokens == 2 * CALL.total_tokens, "the result tells of all"
    assert books.runs.workflows["w"].by_status == {"failed": 3, "completed": 1}
    assert books.runs.steps["w", "note"].by_status == {"completed": 1}


class Slow(MockLLMProvider):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(ChatResponse(content="x", model="gpt-4o-mini", usage=CALL), model="gpt-4o-mini")
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        self.asked.set()
        await self.may_answer.wait()
        return await super().complete_async(request)


def test_what_ends_within_the_grace_of_a_cancelled_run_counts() -> None:
    async def main() -> None:
        books, model = Books(), Slow()
        handle = books.engine.start(Workflow([LLMStep("note", "Say", model), LLMStep("never", "Say", model)], name="w"))
        await model.asked.wait()
        handle.cancel()
        model.may_answer.set()
        result = books.record(await handle)
        assert result.status is WorkflowStatus.CANCELLED
        books.assert_calls(1)

    with asyncio.Runner() as runner:
        runner.run(main())


class Guard(Middleware):
    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:
        raise AbortError("answer refused")


class Swap(Middleware):
    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse:
        return ChatResponse(content="clean", model="other", usage=CALL.model_copy(update={"prompt_tokens": 7}))


@pytest.mark.parametrize("other", [Guard(), Swap()])
@pytest.mark.parametrize("first", [True, False])
def test_answers_count_that_other_middleware_refuses_or_replaces(other: Middleware, first: bool) -> None:
    books = Books() if first else Books([other])
    if first:
        books.engine = WorkflowEngine().use(other).use(books.tokens).use(books.costs).use(books.runs)
    result = books.run(Workflow([LLMStep("note", "Say", paid())], name="w"))
    assert result.succeeded is isinstance(other, Swap)
    books.assert_calls(1)


def test_nobody_sees_an_answer_that_was_refused_but_those_who_count() -> None:
    seen: list[str] = []

    class Reader(Middleware):
        async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:
            seen.append(response.content)

    Books([Reader(), Guard()]).run(Workflow([LLMStep("note", "Say", paid())], name="w"))
    assert seen == []


def test_an_error_is_heard_by_all_who_count_where_one_of_them_ends_the_run() -> None:
    class Strict(Middleware):
        accounting = True

        async def on_llm_error(self, error: Exception, context: dict[str, Any]) -> None:
            raise AbortError("no second chance")

    books = Books([Strict()])
    lost = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": CALL})
    result = books.run(Workflow([LLMStep("note", "Say", MockLLMProvider([lost]), is_critical=False)], name="w"))
    assert "no second chance" in result.error
    books.assert_calls(1)


class RefusesRequests(Middleware):
    async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> None:
        raise AbortError("question refused")


@pytest.mark.parametrize("other", [RefusesRequests(), Guard(), None])
def test_what_the_caller_asks_after_a_run_that_was_stopped_is_not_charged_to_it(other: Middleware | None) -> None:
    async def main() -> None:
        costs, model = CostTracker(limit_usd=10.0), Slow()
        engine = WorkflowEngine().use(costs)
        if other is not None:
            engine.use(other)
            model.may_answer.set()

        async def caller() -> None:
            try:
                await engine.run_async(Workflow([LLMStep("note", "Say", model, max_tokens=10)]))
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
            assert budgets_in_force() == ((), ())
            before = costs.estimated_cost_usd
            own = create_chat_model("mock", model="gpt-4o-mini", responses="words " * 100)
            await own.complete_async(ChatRequest(prompt="mine", max_tokens=200))
            assert costs.estimated_cost_usd == before

        run = asyncio.create_task(caller())
        if other is None:
            await model.asked.wait()
            run.cancel()
        await run

    with asyncio.Runner() as runner:
        runner.run(main())


def test_what_a_step_says_of_its_own_cost_counts_without_tokens() -> None:
    class Bought(WorkflowStep):
        def execute(self, context: StepContext) -> Any:
            return StepResult(output={"x": 1}, cost_usd=2.0)

    costs, metrics = CostTracker(), RunMetrics()
    result = WorkflowEngine().use(metrics).run(Workflow([Bought("b")], name="w"))
    costs.record(result)
    assert costs.estimated_cost_usd == metrics.workflows["w"].used.cost_usd == result.metrics.cost_usd == 2.0
