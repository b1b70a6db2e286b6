"""What is set aside of budgets for one request: how much that is, waiting for room, and settling it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from chatmodels.config import Price
from chatmodels.errors import is_free
from chatmodels.iface import ChatModel
from chatmodels.ledger import UNITS_PER_USD, BlockedRequest, Ledger, units_of
from chatmodels.pacing.waiter import LOOK_AGAIN_S, Waiter
from chatmodels.pricing import most_of, price_of
from chatmodels.spending import UNPRICED_HINT, Budget, CallBudget, budgets_in_force, ledger_of, refuse
from chatmodels.types import DEFAULT_MODEL, ChatRequest, TokenUsage
from chatmodels.worst_case import most_prompt_tokens
from chatmodels.wrappers.base import WrappedModel
from fmf_core.errors import FrameworkError

NAME_IT = (
    "name the model: LLMStep(model=...), model= of a request, or"
    " chat_model_metadata = {'default_model': ...} in the provider's class"
)
UNNAMED_HINT = f"{NAME_IT}; and {UNPRICED_HINT}"
GUESSED_HINT = f"nobody named its model, so the highest price counts that it may have: {NAME_IT}; or raise limit_usd"
MOST_NAMES = 64
"""How many models are remembered that one provider answered as."""


async def reserve(
    request: ChatRequest, model: ChatModel, prices: Mapping[str, Price], answered: Answered
) -> Reservation:
    """Set the most that `request` can cost aside, in all budgets in force; waits until there is room.

    Args:
        request: what is asked.
        model: who is asked.
        prices: model name to price, besides the shipped table.
        answered: as what the model answered requests that named none; learns of this one.

    Raises:
        OverBudgetError: there is no room, and there will be none in time.
    """
    lasting, of_call = budgets_in_force()
    budgets = (*lasting, *(watched.budget for watched in of_call))
    named = request.named_model or _declared(model)
    asked = Asked(request, named or model.get_model_info().name, named is None, model, answered.names)
    shares = [asked.share(budget, prices, of_call) for budget in budgets]
    await _take(shares, asked.told_as, of_call)
    entries = await _written_down(shares, asked.told_as)
    for watched in of_call:
        watched.counted = True
    return Reservation(shares, prices, answered if named is None else None, entries)


def _declared(model: ChatModel) -> str | None:
    """The model that the class of `model` fills in where a request names none."""
    vendor = model.unwrapped if isinstance(model, WrappedModel) else model
    name: str | None = vendor.chat_model_metadata.get("default_model")
    return name or None


class Answered:
    """The models that one provider answered as, where nobody had named any."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()

    def add(self, name: str) -> None:
        """Remember `name`, unless there are very many."""
        if name not in self.names and len(self.names) < MOST_NAMES:
            self.names |= {name}  # replaced as a whole: readers in other threads need no lock


class Share(NamedTuple):
    """What is set aside of one budget."""

    budget: Budget
    units: int
    hint: str = ""
    """What to do where there is no room for it; empty where that is nothing special."""
    most: int | None = None
    """The most that the request can cost; `None` where nobody knows or wants to know."""

    @property
    def ledger(self) -> Ledger:
        """The budget's books."""
        return ledger_of(self.budget)


class Asked(NamedTuple):
    """A request, and who may be charged for it."""

    request: ChatRequest
    name: str
    """The model that was named or, where nobody named one, what the provider calls itself."""
    left_open: bool
    """Whether nobody named a model."""
    model: ChatModel
    answered: Collection[str]
    """What the provider answered as before, where nobody had named a model."""

    def share(self, budget: Budget, prices: Mapping[str, Price], of_call: Sequence[CallBudget]) -> Share:
        """The most of `budget` that the request can cost; nothing where it has no limit.

        Raises:
            OverBudgetError: nobody can say.
        """
        if ledger_of(budget).limit is not None:
            return self._limited(budget, prices, of_call)
        if budget.book is None:
            return Share(budget, 0)
        ours = {**prices, **budget.prices}
        names = self._names(ours)
        prompt, known = self._priced(names, ours)
        doubtful = self._doubt(names, known, prompt)[0]
        return Share(budget, 0, most=None if doubtful else self._most(known.values(), prompt))

    def _limited(self, budget: Budget, prices: Mapping[str, Price], of_call: Sequence[CallBudget]) -> Share:
        ours = {**prices, **budget.prices}
        names = self._names(ours)
        prompt, known = self._priced(names, ours)
        why, hint = self._doubt(names, known, prompt)
        if why:
            raise _refused(budget, self.told_as, f"{why}, so the budget cannot be kept", hint, of_call)
        units = self._most(known.values(), prompt)
        if units is None:
            why = "its answer has no limit, so nobody can say what it may cost"
            raise _refused(budget, self.told_as, why, "give max_tokens", of_call)
        return Share(budget, units, "" if self.name in names else GUESSED_HINT, units)

    def _priced(self, names: Sequence[str], ours: Mapping[str, Any]) -> tuple[int, Mapping[str, Price | None]]:
        """The most tokens that the prompt can have, and the price of every model that may be charged for."""
        # The stand-in may be what is charged for as well: the provider may have sent its name on.
        possible = (*names, self.request.model) if self.left_open else names
        prompt = max(most_prompt_tokens(self.request, name) for name in possible)
        return prompt, {name: price_of(name, self.model.provider_name, ours, prompt_tokens=prompt) for name in possible}

    def _most(self, prices: Iterable[Price | None], prompt: int) -> int | None:
        """The most that the request can cost, in units; `None` where its answer has no limit."""
        found = [price for price in prices if price is not None]
        if not found:
            return 1  # a mock, of which no more is known: its script may say that it took anything
        free = all(not (price.output_per_1m or price.reasoning_per_1m) for price in found)
        answer = 0 if free else self.request.max_tokens or self.model.get_model_info().max_tokens
        if not (answer or free):
            return None
        return math.ceil(max(most_of(price, prompt, answer) for price in found) * UNITS_PER_USD)

    def _names(self, ours: Mapping[str, Any]) -> Sequence[str]:
        """The models of which one will be charged for; none where nobody can say."""
        if not self.left_open or self._is_mock:
            return (self.name,)
        if price_of(self.name, self.model.provider_name, ours) is not None:
            return (self.name, *self.answered)
        return (*ours, *self.answered)

    def _doubt(self, names: Sequence[str], known: Mapping[str, Price | None], prompt: int) -> tuple[str, str]:
        """Why nobody can say what the request may cost, and what to do about it; empty where it is known."""
        if self._is_mock:
            return "", ""
        if not names:
            return "nobody named its model, and what it calls itself has no known price", UNNAMED_HINT
        name = next((name for name in names if known[name] is None), None)
        if name is None:
            return "", ""
        why = f"the price of {name!r} is unknown"
        if price_of(name, self.model.provider_name) is not None:
            why += f" for a prompt of {prompt} tokens, which it may have"
        return why, UNPRICED_HINT

    @property
    def told_as(self) -> str:
        """What refusals call the model: never the stand-in, which nobody asked for."""
        return self.request.model if self.left_open and self.request.model != DEFAULT_MODEL else self.name

    @property
    def _is_mock(self) -> bool:
        return self.model.provider_name == "mock"


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
                left = blocked.budget.max_wait_s - (monotonic() - max(began, blocked.ledger.freed_at))
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
            taken.ledger.put_back(taken.units)
        if took is None:
            why = ""
            if not share.budget.unpriced_models:
                why = f"it may cost ${share.units / UNITS_PER_USD:.6f}, and {share.budget.complaint}"
            raise _refused(share.budget, model, why, "" if share.budget.unpriced_models else share.hint, of_call)
        return share
    return None


async def _written_down(shares: Sequence[Share], model: str) -> Sequence[Any]:
    """What the book of each budget calls the request, `None` where it has none; all is undone where one cannot."""
    if all(share.budget.book is None for share in shares):
        return ()
    entries: list[Any] = []
    try:
        for share in shares:
            book = share.budget.book
            entries.append(book and await book.open(model, share.most))
    except BaseException:
        for share, entry in zip(shares, entries, strict=False):
            if share.budget.book is not None:
                share.budget.book.close(entry, 0, 0)
        for share in shares:
            share.ledger.put_back(share.units)
        raise
    return entries


def _refused(budget: Budget, model: str, why: str, hint: str, of_call: Sequence[CallBudget]) -> Exception:
    error = refuse(budget, model, why, hint)
    for watched in of_call:
        if watched.budget is budget:
            watched.refusal = error
    return error


class Reservation:
    """What is set aside for one request; settled once, whatever else is said of it later."""

    __slots__ = ("_answered", "_entries", "_prices", "_settled", "_shares")

    def __init__(
        self,
        shares: Sequence[Share],
        prices: Mapping[str, Price],
        answered: Answered | None = None,
        entries: Sequence[Any] = (),
    ) -> None:
        self._shares = shares
        self._entries = entries
        self._prices = prices
        self._answered = answered
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
        if self._answered is not None and not cached:
            for usage in usages:
                self._answered.add(usage.model)
        for number, share in enumerate(self._shares):
            budget, units = share.budget, share.units
            if cached or not usages:
                share.ledger.give_back(units)
                self._close(number, 0, 0)
                continue
            whole = told if len(usages) == 1 else None
            costs = [budget.cost_of(usage, whole, self._prices) for usage in usages]
            unpriced = next((usage.model for usage, cost in zip(usages, costs, strict=True) if cost is None), None)
            spent = sum(units_of(cost) for cost in costs if cost is not None)
            # Tokens that nobody counted, and prices that nobody knows, may come to the most that was thought possible.
            more = unsure or unpriced is not None or any(usage.estimated for usage in usages)
            assumed = max(0, units - spent) if more else 0
            share.ledger.give_back(units, spent=spent, assumed=assumed, unpriced=unpriced)
            self._close(number, spent if unpriced is None else None, max(0, (share.most or 0) - spent) if more else 0)

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
            for number, share in enumerate(self._shares):
                share.ledger.give_back(share.units, assumed=share.units)
                self._close(number, None, share.most or 0, lost=True)

    def _close(self, number: int, spent: int | None, assumed: int, *, lost: bool = False) -> None:
        book = self._shares[number].budget.book
        if book is not None:
            book.close(self._entries[number], spent, assumed, lost=lost)
