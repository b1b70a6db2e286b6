"""What is set aside of budgets for one request: how much that is, waiting for room, and settling it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from chatmodels.config import Price
from chatmodels.errors import is_free
from chatmodels.iface import ChatModel
from chatmodels.ledger import UNITS_PER_USD, BlockedRequest, Ledger, units_of
from chatmodels.pacing.waiter import LOOK_AGAIN_S, Waiter
from chatmodels.pricing import most_of, price_of
from chatmodels.spending import UNPRICED_HINT, Budget, CallBudget, budgets_in_force, ledger_of, refuse
from chatmodels.types import ChatRequest, TokenUsage
from chatmodels.worst_case import most_prompt_tokens
from fmf_core.errors import FrameworkError


async def reserve(request: ChatRequest, model: ChatModel, prices: Mapping[str, Price]) -> Reservation:
    """Set the most that `request` can cost aside, in all budgets in force; waits until there is room.

    Args:
        request: what is asked.
        model: who is asked.
        prices: model name to price, besides the shipped table.

    Raises:
        OverBudgetError: there is no room, and there will be none in time.
    """
    lasting, of_call = budgets_in_force()
    budgets = (*lasting, *(watched.budget for watched in of_call))
    named = request.named_model
    # Where nobody named a model, both what the model calls itself and the stand-in may be what is charged for.
    names = (named,) if named is not None else (model.get_model_info().name, request.model)
    asked = Asked(request, names, model)
    shares = [Share(budget, asked.most_units(budget, prices, of_call)) for budget in budgets]
    await _take(shares, request.model, of_call)
    for watched in of_call:
        watched.counted = True
    return Reservation(shares, prices)


class Share(NamedTuple):
    """What is set aside of one budget."""

    budget: Budget
    units: int

    @property
    def ledger(self) -> Ledger:
        """The budget's books."""
        return ledger_of(self.budget)


class Asked(NamedTuple):
    """A request, and who may be charged for it."""

    request: ChatRequest
    names: Sequence[str]
    model: ChatModel

    def most_units(self, budget: Budget, prices: Mapping[str, Price], of_call: Sequence[CallBudget]) -> int:
        """The most that the request can cost, in units of money; 0 where `budget` has no limit.

        Raises:
            OverBudgetError: nobody can say.
        """
        if ledger_of(budget).limit is None:
            return 0
        prompt = max(most_prompt_tokens(self.request, name) for name in self.names)
        ours = {**prices, **budget.prices}
        known = [price_of(name, self.model.provider_name, ours, prompt_tokens=prompt) for name in self.names]
        found = [price for price in known if price is not None]
        if not found and self.model.provider_name == "mock":
            return 1  # no more is known: its script may say that it took anything
        name = self.names[0]
        if not found:
            why = f"the price of {name!r} is unknown"
            if price_of(name, self.model.provider_name) is not None:
                why += f" for a prompt of {prompt} tokens, which it may have"
            raise _refused(budget, name, f"{why}, so the budget cannot be kept", UNPRICED_HINT, of_call)
        free = all(not (price.output_per_1m or price.reasoning_per_1m) for price in found)
        answer = 0 if free else self.request.max_tokens or self.model.get_model_info().max_tokens
        if not (answer or free):
            why = "its answer has no limit, so nobody can say what it may cost"
            raise _refused(budget, name, why, "give max_tokens", of_call)
        return math.ceil(max(most_of(price, prompt, answer) for price in found) * UNITS_PER_USD)


async def _take(shares: Sequence[Share], model: str, of_call: Sequence[CallBudget]) -> None:
    """Set aside all of `shares` or, where there is no room for one of them, none, and wait for it.

    Raises:
        OverBudgetError: there is no room, and there will be none in time.
    """
    blocked = _try(shares, model, of_call)
    if blocked is None:
        return
    began = monotonic()
    while blocked is not None:
        waiter = Waiter()
        waiting = BlockedRequest(blocked.units, waiter.wake)
        blocked.ledger.await_room(waiting)
        same: Share | None = blocked
        try:
            # Looked at again before the first wait: somebody may have made room meanwhile.
            while (same := _try(shares, model, of_call)) is blocked:
                left = blocked.budget.max_wait_s - (monotonic() - began)
                if left <= 0:
                    why = f"no request under way ended in {blocked.budget.max_wait_s:g} s; {blocked.budget.complaint}"
                    hint = "raise limit_usd or max_wait_s, or ask fewer things at once"
                    raise _refused(blocked.budget, model, why, hint, of_call)
                await waiter.wait(min(left, LOOK_AGAIN_S))
        finally:
            blocked.ledger.stop_waiting(waiting, served=same is None)
        blocked = same


def _try(shares: Sequence[Share], model: str, of_call: Sequence[CallBudget]) -> Share | None:
    """Set aside all of `shares`; the first that has no room now where there is one, and then nothing is set aside.

    Raises:
        OverBudgetError: one of them will never have room.
    """
    for number, share in enumerate(shares):
        took = share.ledger.take(share.units)
        if took:
            continue
        for taken in shares[:number]:
            taken.ledger.give_back(taken.units)
        if took is None:
            why = ""
            if not share.budget.unpriced_models:
                why = f"it may cost ${share.units / UNITS_PER_USD:.6f}, and {share.budget.complaint}"
            raise _refused(share.budget, model, why, "", of_call)
        return share
    return None


def _refused(budget: Budget, model: str, why: str, hint: str, of_call: Sequence[CallBudget]) -> Exception:
    error = refuse(budget, model, why, hint)
    for watched in of_call:
        if watched.budget is budget:
            watched.refusal = error
    return error


class Reservation:
    """What is set aside for one request; settled once, whatever else is said of it later."""

    __slots__ = ("_prices", "_settled", "_shares")

    def __init__(self, shares: Sequence[Share], prices: Mapping[str, Price]) -> None:
        self._shares = shares
        self._prices = prices
        self._settled = False

    def settle(
        self, usages: Sequence[TokenUsage], told: float | None, *, cached: bool = False, unsure: bool = False
    ) -> None:
        """The request was charged for.

        Args:
            usages: the tokens that it took.
            told: what the answer says of its cost, all of `usages` together.
            cached: whether it cost nothing, for nobody was asked.
            unsure: whether there may have been more.
        """
        if self._settled:
            return
        self._settled = True
        for budget, units in self._shares:
            if cached or not usages:
                ledger_of(budget).give_back(units)
                continue
            whole = told if len(usages) == 1 else None
            costs = [budget.cost_of(usage, whole, self._prices) for usage in usages]
            unpriced = next((usage.model for usage, cost in zip(usages, costs, strict=True) if cost is None), None)
            spent = sum(units_of(cost) for cost in costs if cost is not None)
            # Tokens that nobody counted, and prices that nobody knows, may come to the most that was thought possible.
            more = unsure or unpriced is not None or any(usage.estimated for usage in usages)
            assumed = max(0, units - spent) if more else 0
            ledger_of(budget).give_back(units, spent=spent, assumed=assumed, unpriced=unpriced)

    def fail(self, error: BaseException, *, begun: bool) -> None:
        """The request failed with `error`, or was given up; `begun` when a piece of an answer had come."""
        told = error.fields if isinstance(error, FrameworkError) else {}
        usage = told.get("usage")
        if isinstance(usage, TokenUsage):
            self.settle((usage,), None, unsure="failed_usage" in told)
        elif is_free(error) and not begun:
            self.settle((), None)
        else:
            self.lose()

    def lose(self) -> None:
        """Nobody knows what the request was charged."""
        if not self._settled:
            self._settled = True
            for budget, units in self._shares:
                ledger_of(budget).give_back(units, assumed=units)
