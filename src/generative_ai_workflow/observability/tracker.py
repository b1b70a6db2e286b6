"""Tokens and cost, added up over any number of calls and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmodels.config import Price
from chatmodels.errors import charges_in
from chatmodels.pricing import has_price
from chatmodels.spending import Budget, CallBudget
from chatmodels.types import ChatRequest, ChatResponse, TokenUsage
from fmf_core.errors import FrameworkError
from fmf_core.forks import Lock
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.exceptions import AbortError, BudgetExceededError
from generative_ai_workflow.middleware.base import Middleware
from generative_ai_workflow.state import WorkflowResult

Countable = TokenUsage | ChatResponse | FrameworkError | WorkflowResult
"""What has used tokens: one call, its answer or its error, or a run (without the steps that it found finished)."""


class TokenUsageTracker(Middleware):
    """Adds up tokens, from any thread. Give it what was used, or put it to work as middleware.

    tracker = TokenUsageTracker()
    engine = WorkflowEngine().use(tracker)
    ...
    print(tracker.total_tokens, tracker.by_model)

    Of a durable run that was taken up again only what was asked from then on counts, so that each step counts once.
    """

    accounting = True

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: dict[tuple[str, str], TokenUsage] = {}
        self._calls = 0

    def record(self, used: Countable | None) -> None:
        """Count what was used: a `TokenUsage`, a response, an error, or the result of a run; `None` counts nothing."""
        calls = charges_of(used)
        with self._lock():
            for usage in (usage for usages, _ in calls for usage in usages):
                key = (usage.provider, usage.model)
                known = self._sums.get(key)
                self._sums[key] = usage if known is None else known + usage
            self._calls += len(calls)

    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count one call."""
        self.record(response)

    async def on_llm_error(self, error: FrameworkError, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count what a call was charged for that failed."""
        self.record(error)

    @property
    def calls(self) -> int:
        """How many records were counted."""
        return self._calls

    @property
    def total(self) -> TokenUsage | None:
        """Everything together; `None` before the first record."""
        together: TokenUsage | None = None
        for usage in self._copy().values():
            together = usage if together is None else together + usage
        return together

    @property
    def prompt_tokens(self) -> int:
        """Tokens in prompts."""
        return sum(usage.prompt_tokens for usage in self._copy().values())

    @property
    def completion_tokens(self) -> int:
        """Tokens in answers."""
        return sum(usage.completion_tokens for usage in self._copy().values())

    @property
    def total_tokens(self) -> int:
        """Tokens in all."""
        return sum(usage.total_tokens for usage in self._copy().values())

    @property
    def by_model(self) -> dict[str, TokenUsage]:
        """The sums by model."""
        return self._grouped(1)

    @property
    def by_provider(self) -> dict[str, TokenUsage]:
        """The sums by provider."""
        return self._grouped(0)

    def reset(self) -> None:
        """Begin at zero."""
        with self._lock():
            self._sums.clear()
            self._calls = 0

    def _copy(self) -> dict[tuple[str, str], TokenUsage]:
        with self._lock():
            return dict(self._sums)

    def _grouped(self, place: int) -> dict[str, TokenUsage]:
        sums: dict[str, TokenUsage] = {}
        for key, usage in self._copy().items():
            sums[key[place]] = sums[key[place]] + usage if key[place] in sums else usage
        return sums


class CostTracker(Middleware):
    """Adds up what calls cost, and watches a budget; for tests that call real models, and for runs that must not.

        costs = CostTracker(limit_usd=0.10)
        costs.record(result.metrics.token_usage_total)
        costs.assert_within_budget()

    As middleware it keeps the runs of all engines that use it to the limit, as a `chatmodels.Budget` does: before each
    request the most that it can cost is set aside, and one that does not fit is refused; the run then ends as FAILED.

    Args:
        limit_usd: the budget in US dollars; `None` is no limit.
        prices: model name to `Price` or its keys; looked at before the shipped table.
    """

    accounting = True

    def __init__(
        self, limit_usd: float | None = None, prices: Mapping[str, Price | Mapping[str, Any]] | None = None
    ) -> None:
        self._prices = dict(prices or {})
        self._budget = Budget(limit_usd, prices=self._prices)

    @property
    def limit_usd(self) -> float | None:
        """The budget in US dollars; `None` is no limit."""
        return self._budget.limit_usd

    def record(self, used: Countable | None) -> None:
        """Count what was used: a `TokenUsage`, a response, an error, or the result of a run; `None` counts nothing.

        An answer from a cache or a recording costs nothing. What a response or a step says of its own cost counts, but
        for models that have a price in `prices`. Models without a known price are kept in `unpriced_models`. Steps
        that a durable run found finished when it was taken up again cost nothing: they were paid for before.
        """
        for usages, told in charges_of(used):
            priced = told and any(has_price(usage.model, self._prices) for usage in usages)
            last = usages[-1] if usages else None
            self._budget.count(last, None if priced else told, usages[:-1])

    async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the budget in force for one call."""
        CallBudget(self._budget).begin()

    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count one call, unless its requests were counted one by one."""
        call = CallBudget.end(self._budget)
        if call is None or not call.counted:
            self.record(response)

    async def on_llm_error(self, error: FrameworkError, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count what a call was charged for that failed, and stop the run where the budget refused it."""
        call = CallBudget.end(self._budget)
        if call is None or not call.counted:
            self.record(error)
        if call is not None and call.refusal is not None:
            refusal = call.refusal
            raise AbortError(refusal.message, op="cost_tracker", code=refusal.code, hint=refusal.hint) from refusal

    @property
    def estimated_cost_usd(self) -> float:
        """What the recorded calls cost, in US dollars, as far as their prices and their tokens are known."""
        return self._budget.spent_usd

    @property
    def assumed_usd(self) -> float:
        """The most that requests can have cost whose cost nobody knows; it counts towards the budget."""
        return self._budget.assumed_usd

    @property
    def left_usd(self) -> float | None:
        """What further calls may cost, in US dollars; `None` without a limit."""
        return self._budget.left_usd

    @property
    def unpriced_models(self) -> tuple[str, ...]:
        """Models that were used and have no known price."""
        return self._budget.unpriced_models

    def assert_within_budget(self) -> None:
        """Raise when more was spent than the budget.

        Raises:
            BudgetExceededError: an `AssertionError` as well; says what was spent and what was allowed.
        """
        if self._budget.exceeded:
            raise BudgetExceededError(self._budget.complaint, op="cost_tracker", hint="raise limit_usd or ask for less")

    def reset(self) -> None:
        """Begin at zero."""
        self._budget = Budget(self.limit_usd, prices=self._prices)


def charges_of(used: Countable | None) -> list[tuple[tuple[TokenUsage, ...], float | None]]:
    """What was used, call by call or step by step: the tokens of all its requests, and the cost that is told along.

    Of a run the steps count that this process ran, and not those that were kept of it from before.
    """
    if used is None:
        return []
    if isinstance(used, TokenUsage):
        return [((used,), None)]
    if isinstance(used, ChatResponse):
        return [((*used.failed_usage, used.usage), 0.0 if used.cached else used.cost_usd)]
    if isinstance(used, FrameworkError):
        charged = charges_in(used)
        return [(charged, FailedCall.of(used).cost_usd)] if charged else []
    return [
        (() if step.token_usage is None else (step.token_usage,), step.cost_usd)
        for step in used.steps.values()
        if not step.kept and (step.token_usage is not None or step.cost_usd is not None)
    ]
