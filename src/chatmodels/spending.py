"""Budgets: what requests cost, counted as they are answered, and what they may cost, set aside before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date
from types import TracebackType
from typing import Any, Protocol, Self

from chatmodels.config import Price
from chatmodels.errors import ChatModelError
from chatmodels.ledger import UNITS_PER_USD, Ledger, units_of
from chatmodels.pricing import cost_of, has_price, tell_old_price
from chatmodels.types import TokenUsage
from fmf_core.errors import Code, ConfigurationError
from fmf_core.forks import Lock

MOST_WAIT_S = 300.0
REFUSED = "budget.check"
"""The `op` of the error with which a budget refuses a request."""

# For the whole process and not a context variable: a call may be made by any thread or event loop.
_lock = Lock()
# As often as it was entered and not left: tasks and threads may share one.
_entered: tuple[Budget, ...] = ()
_in_force: tuple[Budget, ...] = ()
_of_call: ContextVar[tuple[CallBudget, ...]] = ContextVar("budgets_of_call", default=())


class OverBudgetError(ChatModelError):
    """A budget refused a request before it was made."""

    default_code = Code.BUDGET
    was_asked = False
    was_sent = False


class RequestBook(Protocol):
    """Writes down every request that counts towards a budget: before it is made, and when it has ended."""

    async def open(self, model: str, most: int | None) -> Any:
        """Write a request down; it is made when this has returned, and not when it raises.

        Args:
            model: who is asked.
            most: the most that it can cost, in units (`chatmodels.ledger.UNITS_PER_USD`); `None` where nobody can say.

        Returns:
            what `close` is told.
        """
        ...

    def close(self, entry: Any, spent: int | None, assumed: int, *, lost: bool = False) -> None:
        """The request has ended.

        Args:
            entry: what `open` returned.
            spent: what it cost, in units; `None` where nobody knows.
            assumed: what it may have cost besides, as far as that is known.
            lost: whether nobody knows what became of it.
        """
        ...


class Budget:
    """What the calls to models cost while it is in force, and how much they may.

        with Budget(limit_usd=0.05) as budget:
            ...
        print(budget.spent_usd, budget.calls)

    Tasks and threads may enter the same one: it is in force until the last of them has left it.

    The limit is never exceeded: before every request, retries included, the most that it can cost is set aside, and
    given back for what it did cost. A request for which there is no room waits until those under way are settled; one
    that would not fit even if these cost nothing is refused. So is one to a model without a known price. What nobody
    knows the cost of, such as a request that was cancelled, stays counted with the most it can have cost.

    Args:
        limit_usd: US dollars; `None` only counts.
        prices: model name to `Price` or its keys; looked at before those of the model and the shipped table.
        max_wait_s: how long a request waits for room, in seconds since one last ended, before it is refused.
        today: gives the day, by which shipped prices are too old for a limit or not; tests pass their own.
        book: where each request is written down, if anywhere.
    """

    def __init__(
        self,
        limit_usd: float | None = None,
        *,
        prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
        max_wait_s: float = MOST_WAIT_S,
        today: Callable[[], date] | None = None,
        book: RequestBook | None = None,
    ) -> None:
        for name, value in (("limit_usd", limit_usd), ("max_wait_s", max_wait_s)):
            if value is not None and not value >= 0:
                raise ConfigurationError(f"{name} must be 0 or more, got {value!r}", op="budget.create")
        self.limit_usd = limit_usd
        self.max_wait_s = max_wait_s
        self.prices = dict(prices or {})
        self.book = book
        self._today = today
        self._ledger = Ledger(None if limit_usd is None or math.isinf(limit_usd) else int(limit_usd * UNITS_PER_USD))

    @property
    def spent_usd(self) -> float:
        """What the calls cost, as far as their prices and their tokens are known."""
        return self._ledger.spent / UNITS_PER_USD

    @property
    def assumed_usd(self) -> float:
        """The most that requests can have cost whose cost nobody knows; it counts towards the limit. 0 without one."""
        return self._ledger.assumed / UNITS_PER_USD

    @property
    def reserved_usd(self) -> float:
        """What is set aside for requests under way."""
        return self._ledger.reserved / UNITS_PER_USD

    @property
    def left_usd(self) -> float | None:
        """What further requests may cost; `None` without a limit."""
        books = self._ledger
        if books.limit is None:
            return None
        return max(0, books.limit - books.spent - books.assumed - books.reserved) / UNITS_PER_USD

    @property
    def calls(self) -> int:
        """How many calls were answered, were given up under way, or failed and were charged for all the same."""
        return self._ledger.calls

    @property
    def unknown(self) -> int:
        """How many of the calls were given up, cancelled or left as a stream: nobody knows what they were charged."""
        return self._ledger.unknown

    @property
    def refused(self) -> int:
        """How many requests were refused."""
        return self._ledger.refused

    @property
    def unpriced_models(self) -> tuple[str, ...]:
        """Models that answered and have no known price."""
        return self._ledger.unpriced

    @property
    def exceeded(self) -> bool:
        """Whether a request was refused, or more was spent than the limit."""
        books = self._ledger
        return bool(books.refused) or (books.limit is not None and books.spent > books.limit)

    def count(self, usage: TokenUsage | None, cost_usd: float | None, failed: Sequence[TokenUsage] = ()) -> None:
        """Count one call that nothing was set aside for: one made elsewhere, or earlier.

        Args:
            usage: its tokens; `None` where nobody counted them.
            cost_usd: what it cost, attempts that failed included; worked out where it is `None`.
            failed: what earlier attempts, which failed, were charged for.
        """
        self._ledger.count_call(unknown=usage is None and cost_usd is None)
        if cost_usd is not None:
            if usage is not None:
                self._tell_age(usage, cost_usd)
            self._ledger.give_back(0, spent=units_of(cost_usd))
            return
        for each in (*failed, usage):
            if each is not None:
                cost = self.cost_of(each)
                self._ledger.give_back(0, spent=units_of(cost or 0.0), unpriced=each.model if cost is None else None)

    def cost_of(
        self,
        usage: TokenUsage,
        told: float | None = None,
        prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
    ) -> float | None:
        """What `usage` cost in US dollars; `None` where its price is unknown.

        Args:
            usage: the tokens.
            told: what the answer itself says that it cost.
            prices: those of the model that was asked, looked at after the budget's own.
        """
        if told is not None and not has_price(usage.model, self.prices):
            return told
        cost = cost_of(usage, {**(prices or {}), **self.prices})
        self._tell_age(usage, cost)
        return 0.0 if cost is None and usage.provider == "mock" else cost

    def _tell_age(self, usage: TokenUsage, cost: float | None) -> None:
        if self._ledger.limit is not None:
            tell_old_price(usage, cost, today=self._today)

    def assert_within_budget(self) -> None:
        """Raise `AssertionError` when a request was refused or more was spent than the limit."""
        if self.exceeded:
            raise AssertionError(self.complaint)

    @property
    def complaint(self) -> str:
        """What was spent, of which limit, what else counts towards it, and what was refused."""
        more = "".join(
            f", ${units / UNITS_PER_USD:.6f} {what}"
            for units, what in (
                (self._ledger.assumed, "may have been spent besides"),
                (self._ledger.reserved, "are set aside"),
            )
            if units
        )
        refused = f"; {self._ledger.refused} calls were refused" if self._ledger.refused else ""
        return f"${self.spent_usd:.6f} were spent of a budget of ${self.limit_usd or 0.0:.6f}{more}{refused}"

    def __enter__(self) -> Self:
        with _lock():
            _put_in_force((*_entered, self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _lock():
            at = next((at for at, budget in enumerate(_entered) if budget is self), len(_entered))
            _put_in_force((*_entered[:at], *_entered[at + 1 :]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(limit_usd={self.limit_usd}, spent_usd={self.spent_usd:.6f}, calls={self.calls})"


def _put_in_force(entered: tuple[Budget, ...]) -> None:
    """Have each of `entered` count what requests cost, once; the lock is held."""
    global _entered, _in_force  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    _entered = entered
    _in_force = tuple({id(budget): budget for budget in entered}.values())


UNPRICED_HINT = "give prices={model: {'input_per_1m': ..., 'output_per_1m': ...}}"


class CallBudget:
    """A budget that is in force for one call only, and what came of it there."""

    __slots__ = ("budget", "counted", "refusal")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.counted = False
        """Whether requests of the call were settled with the budget."""
        self.refusal: OverBudgetError | None = None
        """What the budget refused one of its requests with."""

    def begin(self) -> None:
        """Put the budget in force for what the running task asks from now on, and the tasks that it makes."""
        _of_call.set((*(other for other in _of_call.get() if other.budget is not self.budget), self))

    @staticmethod
    def end(budget: Budget) -> CallBudget | None:
        """Take `budget` out of force again in the running task; gives what came of it, where it was in force."""
        ours = _of_call.get()
        _of_call.set(tuple(other for other in ours if other.budget is not budget))
        return next((other for other in ours if other.budget is budget), None)


def ledger_of(budget: Budget) -> Ledger:
    """The books of `budget`, for whoever sets money aside and counts calls."""
    return budget._ledger  # noqa: SLF001 - users of a budget need none of it


def refuse(budget: Budget, model: str, why: str = "", hint: str = "") -> OverBudgetError:
    """Count a request to `model` as refused; the error for it.

    Args:
        budget: what has no room for it.
        model: the model's name.
        why: the reason; default is that too much is spent, or that a price is unknown.
        hint: what to do about it.
    """
    unpriced = budget.unpriced_models
    ledger_of(budget).count_refusal()
    if unpriced and not why:
        why = f"the price of {', '.join(map(repr, unpriced))} is unknown, so the budget cannot be kept"
        hint = UNPRICED_HINT
    return OverBudgetError(
        f"a call to {model!r} was refused before it was made: {why or budget.complaint}",
        op=REFUSED,
        hint=hint or "raise limit_usd, or ask for less: a lower max_tokens, a shorter prompt",
        fields={"model": model, "spent_usd": budget.spent_usd, "limit_usd": budget.limit_usd},
    )


def any_in_force() -> bool:
    """Whether any budget wants to know what requests cost; quick enough for every request."""
    return bool(_in_force or _of_call.get())


def budgets_in_force() -> tuple[tuple[Budget, ...], tuple[CallBudget, ...]]:
    """The budgets of the process, and those of the running call."""
    return _in_force, _of_call.get()


def count_call(*, unknown: bool = False) -> None:
    """Let the budgets in force count one call, see `Ledger.count_call`."""
    for budget in _in_force:
        ledger_of(budget).count_call(unknown=unknown)
