"""Budgets: what requests cost, counted as they are answered, and what they may cost, set aside before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date
from types import TracebackType
from typing import Any, NamedTuple, Self

from chatmodels.config import Price
from chatmodels.errors import ChatModelError
from chatmodels.pricing import cost_of, has_price, tell_old_price
from chatmodels.types import TokenUsage
from fmf_core.errors import Code, ConfigurationError
from fmf_core.forks import Lock, in_forked_child

UNITS_PER_USD = 10**12
"""Money is counted in whole units: sums of fractions would drift, and a limit is to hold to the last one."""
MOST_WAIT_S = 300.0

# For the whole process and not a context variable: a call may be made by any thread or event loop.
_lock = Lock()
_in_force: tuple[Budget, ...] = ()
_of_call: ContextVar[tuple[CallBudget, ...]] = ContextVar("budgets_of_call", default=())


class OverBudgetError(ChatModelError):
    """A budget refused a request before it was made."""

    default_code = Code.BUDGET
    was_asked = False
    was_sent = False


class Waiting(NamedTuple):
    """A request that has to wait until others have been settled."""

    units: int
    wake: Callable[[], None]


class Budget:
    """What the calls to models cost while it is in force, and how much they may.

        with Budget(limit_usd=0.05) as budget:
            ...
        print(budget.spent_usd, budget.calls)

    The limit is never exceeded: before every request, retries included, the most that it can cost is set aside, and
    given back for what it did cost. A request for which there is no room waits until those under way are settled; one
    that would not fit even if these cost nothing is refused. So is one to a model without a known price. What nobody
    knows the cost of, such as a request that was cancelled, stays counted with the most it can have cost.

    Args:
        limit_usd: US dollars; `None` only counts.
        prices: model name to `Price` or its keys; looked at before those of the model and the shipped table.
        max_wait_s: how long a request waits for room, in seconds, before it is refused.
        today: gives the day, by which shipped prices are too old for a limit or not; tests pass their own.
    """

    def __init__(
        self,
        limit_usd: float | None = None,
        *,
        prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
        max_wait_s: float = MOST_WAIT_S,
        today: Callable[[], date] | None = None,
    ) -> None:
        for name, value in (("limit_usd", limit_usd), ("max_wait_s", max_wait_s)):
            if value is not None and not value >= 0:
                raise ConfigurationError(f"{name} must be 0 or more, got {value!r}", op="budget.create")
        self.limit_usd = limit_usd
        self.max_wait_s = max_wait_s
        self.prices = dict(prices or {})
        self._limit = None if limit_usd is None or math.isinf(limit_usd) else int(limit_usd * UNITS_PER_USD)
        self._today = today
        self._lock = Lock()
        self._spent = self._assumed = self._reserved = 0
        self._calls = self._refused = self._unknown = 0
        self._unpriced: set[str] = set()
        self._waiting: dict[int, Waiting] = {}
        self._least, self._most = math.inf, 0
        in_forked_child(self._let_go)

    def _let_go(self) -> None:
        """In a forked child: what is under way is under way in the parent, and is settled there."""
        self._reserved = 0
        self._waiting = {}

    @property
    def spent_usd(self) -> float:
        """What the calls cost, as far as their prices and their tokens are known."""
        return self._spent / UNITS_PER_USD

    @property
    def assumed_usd(self) -> float:
        """The most that requests can have cost whose cost nobody knows; it counts towards the limit. 0 without one."""
        return self._assumed / UNITS_PER_USD

    @property
    def reserved_usd(self) -> float:
        """What is set aside for requests under way."""
        return self._reserved / UNITS_PER_USD

    @property
    def left_usd(self) -> float | None:
        """What further requests may cost; `None` without a limit."""
        if self._limit is None:
            return None
        return max(0, self._limit - self._spent - self._assumed - self._reserved) / UNITS_PER_USD

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
        """How many requests were refused."""
        return self._refused

    @property
    def unpriced_models(self) -> tuple[str, ...]:
        """Models that answered and have no known price."""
        with self._lock():
            return tuple(sorted(self._unpriced))

    @property
    def exceeded(self) -> bool:
        """Whether a request was refused, or more was spent than the limit."""
        return bool(self._refused) or (self._limit is not None and self._spent > self._limit)

    @property
    def is_limited(self) -> bool:
        """Whether it ever refuses anything."""
        return self._limit is not None

    def take(self, units: int) -> bool | None:
        """Set `units` of money aside for a request, where there is room for them.

        Returns:
            False when there is no room now, and `None` when there would be none if all others cost nothing.
        """
        with self._lock():
            if self._limit is None:
                return True
            free = self._limit - self._spent - self._assumed
            if self._unpriced or (units and units > free):
                return None
            if units and units > free - self._reserved:
                return False
            self._reserved += units
            return True

    def give_back(self, units: int, *, spent: int = 0, assumed: int = 0, unpriced: str | None = None) -> None:
        """Settle a request for which `units` were set aside.

        Args:
            units: what `take` got.
            spent: what it cost.
            assumed: what it may have cost besides.
            unpriced: the model that answered, where its price is unknown.
        """
        with self._lock():
            self._spent += spent
            if self._limit is not None:
                self._reserved -= units
                self._assumed += assumed
            if unpriced is not None:
                self._unpriced.add(unpriced)
            wakes = self._to_wake() if self._waiting else ()
        for wake in wakes:
            wake()

    def await_room(self, waiting: Waiting) -> None:
        """Call `waiting.wake` as soon as `take` may have another answer, until it is told to `stop_waiting`."""
        with self._lock():
            if not self._waiting:
                self._least, self._most = math.inf, 0
            self._waiting[id(waiting)] = waiting
            self._least, self._most = min(self._least, waiting.units), max(self._most, waiting.units)

    def stop_waiting(self, waiting: Waiting, *, served: bool) -> None:
        """No longer call it; unless it was served, whoever comes after it may have room now."""
        with self._lock():
            self._waiting.pop(id(waiting), None)
            wakes = () if served else self._to_wake()
        for wake in wakes:
            wake()

    def _to_wake(self) -> Sequence[Callable[[], None]]:
        """Those for whom there is room, first come first served, and those for whom there never will be."""
        ever = (self._limit or 0) - self._spent - self._assumed
        now = ever - self._reserved
        all_may_fit = self._most <= ever and not self._unpriced
        woken: list[Callable[[], None]] = []
        for units, wake in self._waiting.values():
            if all_may_fit and now < self._least:
                break  # with many who wait, looking at each after every request would take longer than the requests
            if units <= now:
                now -= units
                woken.append(wake)
            elif units > ever or self._unpriced:
                woken.append(wake)
        return woken

    def refusal(self, model: str, why: str = "", hint: str = "") -> OverBudgetError:
        """The error for a request to `model` that is refused, which counts as such.

        Args:
            model: the model's name.
            why: the reason; default is that too much is spent, or that a price is unknown.
            hint: what to do about it.
        """
        unpriced = self.unpriced_models
        with self._lock():
            self._refused += 1
        if unpriced and not why:
            why = f"the price of {', '.join(map(repr, unpriced))} is unknown, so the budget cannot be kept"
            hint = UNPRICED_HINT
        return OverBudgetError(
            f"a call to {model!r} was refused before it was made: {why or self.complaint}",
            op="budget.check",
            hint=hint or "raise limit_usd, or ask for less: a lower max_tokens, a shorter prompt",
            fields={"model": model, "spent_usd": self.spent_usd, "limit_usd": self.limit_usd},
        )

    def count(self, usage: TokenUsage | None, cost_usd: float | None, failed: Sequence[TokenUsage] = ()) -> None:
        """Count one call that nothing was set aside for: one made elsewhere, or earlier.

        Args:
            usage: its tokens; `None` where nobody counted them.
            cost_usd: what it cost, attempts that failed included; worked out where it is `None`.
            failed: what earlier attempts, which failed, were charged for.
        """
        self.count_call(unknown=usage is None and cost_usd is None)
        if cost_usd is not None:
            if usage is not None:
                self._tell_age(usage, cost_usd)
            self.give_back(0, spent=units_of(cost_usd))
            return
        for each in (*failed, usage):
            if each is not None:
                cost = self.cost_of(each)
                self.give_back(0, spent=units_of(cost or 0.0), unpriced=each.model if cost is None else None)

    def count_call(self, *, unknown: bool = False) -> None:
        """Count one call, whatever it cost; `unknown` where nobody will ever know."""
        with self._lock():
            self._calls += 1
            self._unknown += unknown

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
        if self._limit is not None:
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
            for units, what in ((self._assumed, "may have been spent besides"), (self._reserved, "are set aside"))
            if units
        )
        refused = f"; {self._refused} calls were refused" if self._refused else ""
        return f"${self.spent_usd:.6f} were spent of a budget of ${self.limit_usd or 0.0:.6f}{more}{refused}"

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
        return f"{type(self).__name__}(limit_usd={self.limit_usd}, spent_usd={self.spent_usd:.6f}, calls={self._calls})"


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


def any_in_force() -> bool:
    """Whether any budget wants to know what requests cost; quick enough for every request."""
    return bool(_in_force or _of_call.get())


def budgets_in_force() -> tuple[tuple[Budget, ...], tuple[CallBudget, ...]]:
    """The budgets of the process, and those of the running call."""
    return _in_force, _of_call.get()


def count_call(*, unknown: bool = False) -> None:
    """Let the budgets in force count one call, see `Budget.count_call`."""
    for budget in _in_force:
        budget.count_call(unknown=unknown)


def units_of(usd: float) -> int:
    """US dollars in the units in which money is counted."""
    return round(usd * UNITS_PER_USD)
