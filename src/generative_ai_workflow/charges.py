"""What the model calls of a step took together, those that failed included: tokens, cost and requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatmodels.errors import charges_in
from chatmodels.types import ChatResponse, TokenUsage
from fmf_core.errors import FrameworkError


class FailedCall(NamedTuple):
    """A call that gave no answer, and what it took all the same."""

    attempts: int = 1
    """How many requests were made, retries included."""
    usage: TokenUsage | None = None
    """The tokens that the provider charges for; `None` where it charges nothing, or did not say."""
    cost_usd: float | None = None

    @classmethod
    def of(cls, error: FrameworkError) -> FailedCall:
        """The call that ended with `error`, as its `fields` tell."""
        attempts, cost = error.fields.get("attempts", 1), error.fields.get("cost_usd")
        return cls(
            attempts if isinstance(attempts, int) else 1,
            sum_of(charges_in(error)),
            float(cost) if isinstance(cost, int | float) else None,
        )


class Charges(NamedTuple):
    """What calls took together."""

    token_usage: TokenUsage | None
    cost_usd: float | None
    """US dollars; `None` where nothing was charged, and where the price of one call is unknown."""
    attempts: int

    @classmethod
    def of(cls, answers: Sequence[ChatResponse], failed: Sequence[FailedCall] = ()) -> Charges:
        """The sums over calls that were answered and calls that were not."""
        if len(answers) == 1 and not failed and not answers[0].failed_usage:
            [answer] = answers  # what most steps do; every one of them comes through here
            return cls(answer.usage, answer.cost_usd, answer.attempts)
        usages = [usage for answer in answers for usage in (*answer.failed_usage, answer.usage)]
        costs = [answer.cost_usd for answer in answers]
        attempts = sum(answer.attempts for answer in answers)
        for call in failed:
            attempts += call.attempts
            if call.usage is not None:
                usages.append(call.usage)
                costs.append(call.cost_usd)
        return cls(sum_of(usages), cost_of_all(costs), attempts)

    def plus(self, other: Charges) -> Charges:
        """Both together."""
        charged = [one for one in (self, other) if one.token_usage is not None or one.cost_usd is not None]
        usages = [one.token_usage for one in charged if one.token_usage is not None]
        costs = [one.cost_usd for one in charged]
        return Charges(sum_of(usages), cost_of_all(costs), self.attempts + other.attempts)


def cost_of_all(costs: Sequence[float | None]) -> float | None:
    """What `costs` come to; `None` without any, and where one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known and len(known) == len(costs) else None


def sum_of(usages: Sequence[TokenUsage]) -> TokenUsage | None:
    """What `usages` come to; `None` without any."""
    total: TokenUsage | None = None
    for usage in usages:
        total = usage if total is None else total + usage
    return total
