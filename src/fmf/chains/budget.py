"""The budget of a run: checked before anything is asked, and kept by the ledger across processes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from chatmodels.ledger import UNITS_PER_USD
from chatmodels.pricing import price_of
from chatmodels.spending import Budget, RequestBook, ledger_of
from fmf.errors import BudgetError
from fmf.types import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmf.chains.prepared import Prepared
    from fmf.ledger.run_ledger import RunLedger
    from fmf.ledger.tables import Sums

MOST_NAMED = 100
"""So many requests of unknown outcome are named in `run.yaml`."""
_FREE = {"input_per_1m": 0.0, "output_per_1m": 0.0}


def check_budget(prepared: Prepared) -> None:
    """Refuse a limit that nobody could keep.

    Raises:
        BudgetError: a model of the chain has no known price.
    """
    options = prepared.options
    unpriced = _unpriced(prepared)
    if options.max_cost_usd is not None and unpriced and not options.allow_unpriced:
        raise BudgetError(
            f"--max-cost cannot be kept: the price of {', '.join(map(repr, unpriced))} is unknown",
            op="run.budget",
            hint="write it under inference.prices in fmf.yaml (input_per_1m and output_per_1m, in US dollars), "
            "or count it as free with --allow-unpriced",
        )


def budget_of(prepared: Prepared, book: RequestBook, sums: Sums) -> Budget:
    """The budget of a run, from which what earlier processes of it have spent is taken.

    Args:
        prepared: the chain, with the limit.
        book: where every request is written down.
        sums: what the run's ledger has.
    """
    options = prepared.options
    free: Mapping[str, Any] = dict.fromkeys(_unpriced(prepared), _FREE) if options.allow_unpriced else {}
    prices = {**free, **prepared.loaded.value.inference.prices}
    budget = Budget(options.max_cost_usd, prices=prices, book=book)
    ledger_of(budget).give_back(0, spent=sums.spent, assumed=sums.assumed)
    return budget


def told_of(ledger: RunLedger, limit_usd: float | None) -> Row:
    """What a ledger comes to, as `run.yaml` tells it: all processes of the run together; blocks."""
    sums = ledger.sums
    unsure = islice(ledger.view.unknown_requests(), MOST_NAMED) if sums.unknown else ()
    return {
        "requests": sums.requests,
        "answers": sums.answers,
        "unknown": sums.unknown,
        "spent_usd": sums.spent / UNITS_PER_USD,
        "at_risk_usd": sums.assumed / UNITS_PER_USD,
        "max_cost_usd": limit_usd,
        "unknown_requests": [
            {"question": question, "at_risk_usd": None if most is None else most / UNITS_PER_USD}
            for question, most in unsure
        ],
    }


def _unpriced(prepared: Prepared) -> list[str]:
    """The models of the chain whose price is unknown, each once."""
    if prepared.provider == "mock":
        return []
    names = dict.fromkeys(step.model or prepared.model_name for step in prepared.plan.steps if step.prompt is not None)
    prices = prepared.loaded.value.inference.prices
    return [name for name in names if price_of(name, prepared.provider, prices) is None]
