"""What tokens cost: a dated table of list prices, and the estimate for one usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from chatmodels.config import Price
from chatmodels.types import TokenUsage

PRICES_AS_OF = "2025-08"
"""The month whose public list prices the table holds; discounts, taxes and later changes are unknown to it."""

# US dollars per million tokens: prompt, answer, prompt read from the provider's cache (None: the price of the prompt).
TABLE: Mapping[str, tuple[float, float, float | None]] = {
    "gpt-5": (1.25, 10.0, 0.125),
    "gpt-5-mini": (0.25, 2.0, 0.025),
    "gpt-5-nano": (0.05, 0.40, 0.005),
    "gpt-4.1": (2.0, 8.0, 0.50),
    "gpt-4.1-mini": (0.40, 1.60, 0.10),
    "gpt-4.1-nano": (0.10, 0.40, 0.025),
    "gpt-4o": (2.50, 10.0, 1.25),
    "gpt-4o-2024-05-13": (5.0, 15.0, None),
    "gpt-4o-mini": (0.15, 0.60, 0.075),
    "gpt-4-turbo": (10.0, 30.0, None),
    "gpt-4": (30.0, 60.0, None),
    "gpt-4-0613": (30.0, 60.0, None),
    "gpt-3.5-turbo": (0.50, 1.50, None),
    "gpt-3.5-turbo-0125": (0.50, 1.50, None),
    "o1": (15.0, 60.0, 7.50),
    "o3": (2.0, 8.0, 0.50),
    "o3-mini": (1.10, 4.40, 0.55),
    "o4-mini": (1.10, 4.40, 0.275),
    "claude-opus-4": (15.0, 75.0, 1.50),
    "claude-sonnet-4": (3.0, 15.0, 0.30),
    "claude-3-7-sonnet": (3.0, 15.0, 0.30),
    "claude-3-5-sonnet": (3.0, 15.0, 0.30),
    "claude-3-5-haiku": (0.80, 4.0, 0.08),
    "claude-3-opus": (15.0, 75.0, 1.50),
    "claude-3-haiku": (0.25, 1.25, 0.03),
}
FREE_PROVIDERS = frozenset({"local"})

_SNAPSHOT = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|latest)$")


def cost_of(usage: TokenUsage, prices: Mapping[str, Price | Mapping[str, Any]] | None = None) -> float | None:
    """The estimated price of `usage` in US dollars, or `None` where the price is unknown.

    A dated snapshot (`gpt-4o-mini-2024-07-18`) costs what its model costs, unless it has a price of its own. The
    provider `local`, which runs in this process, costs nothing. The mock has no price of its own: its usage is priced
    by the model that was asked for, so that budgets can be tried out.

    Args:
        usage: the tokens, and the model that took them; a sum over several models has no known price.
        prices: model name to `Price` (or a mapping with its keys); looked at before the shipped table (`TABLE`).
    """
    found = _given_price(usage.model, prices) if prices else None
    if found is None:
        found = (0.0, 0.0, 0.0) if usage.provider in FREE_PROVIDERS else _listed_price(usage.model)
    if found is None:
        return None
    prompt, answer, cached = found
    from_cache = min(usage.cached_tokens, usage.prompt_tokens)
    at_full_price = usage.prompt_tokens - from_cache
    cached_price = prompt if cached is None else cached
    return (at_full_price * prompt + from_cache * cached_price + usage.completion_tokens * answer) / 1_000_000


@lru_cache(maxsize=256)
def _listed_price(model: str) -> tuple[float, float, float | None] | None:
    return TABLE.get(model) or TABLE.get(_SNAPSHOT.sub("", model))


def _given_price(
    model: str, prices: Mapping[str, Price | Mapping[str, Any]]
) -> tuple[float, float, float | None] | None:
    price = prices.get(model) or prices.get(_SNAPSHOT.sub("", model))
    if price is None:
        return None
    price = price if isinstance(price, Price) else Price.model_validate(price)
    return price.input_per_1m, price.output_per_1m, price.cached_input_per_1m
