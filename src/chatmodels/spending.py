"""Budgets of the whole process: every measured call counts towards those in force, and a spent one refuses the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import TracebackType
from typing import Any, Self

from chatmodels.config import Price
from chatmodels.errors import ChatModelError
from chatmodels.pricing import cost_of, tell_old_price
from chatmodels.types import TokenUsage
from fmf_core.errors import Code, ConfigurationError
from fmf_core.forks import Lock

# For the whole process and not a context variable: a call may be made by any thread or event loop.
_lock = Lock()
_in_force: tuple[Budget, ...] = ()


class Budget:
    """What the calls to models cost while it is in force, and how much they may.

        with Budget(limit_usd=0.05) as budget:
            ...
        print(budget.spent_usd, budget.calls)

    Calls in flight together may spend more than the limit; the first call that begins afterwards is refused.

    Args:
        limit_usd: US dollars; `None` only counts.
        prices: model name to `Price` or its keys, for models whose price is unknown otherwise.
        today: gives the day, by which shipped prices are too old for a limit or not; tests pass their own.
    """

    def __init__(
        self,
        limit_usd: float | None = None,
        *,
        prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
        today: Callable[[], date] | None = None,
    ) -> None:
        if limit_usd is not None and not limit_usd >= 0:
            raise ConfigurationError(f"limit_usd must be 0 or more, got {limit_usd!r}", op="budget.create")
        self.limit_usd = limit_usd
        self._prices = dict(prices or {})
        self._today = today
        self._lock = Lock()
        self._spent = 0.0
        self._calls = 0
        self._refused = 0
        self._unknown = 0
        self._unpriced: set[str] = set()

    @property
    def spent_usd(self) -> float:
        """What the calls cost, as far as their prices are known."""
        return self._spent

    @property
    def calls(self) -> int:
        """How many calls were answered, were given up under way, or failed and were charged for all the same."""
        return self._calls

    @property
    def unknown(self) -> int:
        """How many of the calls were given up, cancelled or left as a stream: nobody knows what they were charged."""
        return self._unknown

    @property
    def refused(self) -> int:
        """How many calls were refused."""
        return self._refused

    @property
    def unpriced_models(self) -> tuple[str, ...]:
        """Models that answered and have no known price."""
        with self._lock():
            return tuple(sorted(self._unpriced))

    @property
    def exceeded(self) -> bool:
        """Whether a call was refused, or more was spent than the limit."""
        return bool(self._refused) or (self.limit_usd is not None and self._spent > self.limit_usd)

    def check(self, model: str) -> None:
        """Refuse a call to `model` when the limit is spent.

        Raises:
            ChatModelError: the limit is reached, or nobody knows whether it is; the code is `Code.BUDGET`.
        """
        if self.limit_usd is None:
            return
        unpriced = self.unpriced_models
        if self._spent < self.limit_usd and not unpriced:
            return
        problem, hint = self.complaint, "raise limit_usd, or ask for less"
        with self._lock():
            self._refused += 1
        if unpriced:
            problem = f"the price of {', '.join(map(repr, unpriced))} is unknown, so the budget cannot be kept"
            hint = "give prices={model: {'input_per_1m': ..., 'output_per_1m': ...}}"
        raise ChatModelError(
            f"a call to {model!r} was refused before it was made: {problem}",
            op="budget.check",
            code=Code.BUDGET,
            hint=hint,
            fields={"model": model, "spent_usd": self._spent, "limit_usd": self.limit_usd},
        )

    def count(self, usage: TokenUsage | None, cost_usd: float | None, failed: Sequence[TokenUsage] = ()) -> None:
        """Count one call that was answered, or charged for.

        Args:
            usage: its tokens; `None` where nobody counted them.
            cost_usd: what it cost, attempts that failed included; worked out where it is `None`.
            failed: what earlier attempts, which failed, were charged for.
        """
        if cost_usd is not None:
            with self._lock():
                self._calls += 1
                self._spent += cost_usd
            if usage is not None and self.limit_usd is not None:
                tell_old_price(usage, cost_usd, today=self._today)
            return
        charged = [*failed, usage] if usage is not None else [*failed]
        costs = [(each.model, self._cost_of(each)) for each in charged]
        with self._lock():
            self._calls += 1
            self._unknown += usage is None
            self._spent += sum(cost for _, cost in costs if cost is not None)
            self._unpriced.update(model for model, cost in costs if cost is None)

    def _cost_of(self, usage: TokenUsage) -> float | None:
        cost = cost_of(usage, self._prices)
        if self.limit_usd is not None:
            tell_old_price(usage, cost, today=self._today)
        return 0.0 if cost is None and usage.provider == "mock" else cost

    def assert_within_budget(self) -> None:
        """Raise `AssertionError` when a call was refused or more was spent than the limit."""
        if self.exceeded:
            raise AssertionError(self.complaint)

    @property
    def complaint(self) -> str:
        """What was spent, of which limit, and what was refused."""
        refused = f"; {self._refused} calls were refused" if self._refused else ""
        return f"${self._spent:.6f} were spent of a budget of ${self.limit_usd or 0.0:.6f}{refused}"

    def __enter__(self) -> Self:
        global _in_force  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
        with _lock():
            _in_force = (*_in_force, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _in_force  # noqa: PLW0603 - as above
        with _lock():
            _in_force = tuple(budget for budget in _in_force if budget is not self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(limit_usd={self.limit_usd}, spent_usd={self._spent:.6f}, calls={self._calls})"


def check_budgets(model: str) -> None:
    """Raise when one of the budgets in force refuses a call to `model`."""
    for budget in _in_force:
        budget.check(model)


def count_spending(usage: TokenUsage | None, cost_usd: float | None, failed: Sequence[TokenUsage] = ()) -> None:
    """Let the budgets in force count one call, see `Budget.count`; `cost_usd` is 0 for what was not paid."""
    for budget in _in_force:
        budget.count(usage, cost_usd, failed)
