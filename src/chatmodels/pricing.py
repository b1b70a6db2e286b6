"""What tokens cost: a dated table of list prices (`prices.toml`), and the estimate for one usage."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from chatmodels.config import Price
from chatmodels.types import TokenUsage
from fmf_core.forks import Lock
from fmf_core.logs import get_logger

log = get_logger("chatmodels")

FREE_PROVIDERS = frozenset({"local"})
FREE = Price(input_per_1m=0.0, output_per_1m=0.0)
BEDROCK = "aws_bedrock"
OLD_DAYS = 180
"""How many days a list price may be old before whoever keeps to a budget by it is told."""

# Compiled when they are first used, as an import should be quick.
# A date, or what stands for the newest snapshot.
_SNAPSHOT = r"-(?:20\d\d-\d\d-\d\d|20\d{6}|latest)$"
# `us.` of an inference profile, and everything before it in an ARN.
_BEFORE_BEDROCK_IDS = r"^(?:arn:[^/]+/)?(?:(?P<region>global|us-gov|us|eu|apac|jp|au|ca|sa)\.)?(?=[a-z0-9-]+\.)"
# A date and a version: `-20250514-v1:0`, `-v1`, `-v0:2`, `:0`.
_BEDROCK_VERSION = r"(?:-20\d{6})?(?:-v\d+(?::\d+)*)?(?::\d+k?)*$"


class ListPrice(NamedTuple):
    """A row of the table: US dollars per million tokens, where they are from, and when that was looked at."""

    price: Price
    up_to_tokens: int | None
    """The longest prompt that the price holds for; `None` is any."""
    as_of: str
    """The day on which it was the public list price; later changes are unknown."""
    source: str
    """Where the seller publishes it."""


class Seller(NamedTuple):
    """The prices of one seller."""

    as_of: str
    source: str
    models: Mapping[str, Mapping[str, float]]


def cost_of(usage: TokenUsage, prices: Mapping[str, Price | Mapping[str, Any]] | None = None) -> float | None:
    """The estimated price of `usage` in US dollars, or `None` where the price is unknown or cannot be read now.

    A dated snapshot (`gpt-4o-mini-2024-07-18`) costs what its model costs, unless it has a price of its own. On
    Bedrock, region, date and version of an id do not count, but for profiles that cost more than the `global.` one. The
    provider `local`, which runs in this process, costs nothing. The mock has no price of its own: its usage is priced
    by the model that was asked for, so that budgets can be tried out.

    Args:
        usage: the tokens, and the model that took them; a sum over several models has no known price.
        prices: model name to `Price` (or a mapping with its keys); looked at before the shipped table.
    """
    price = price_of(usage.model, usage.provider, prices, prompt_tokens=usage.prompt_tokens)
    return None if price is None else _sum(usage, price)


def price_of(
    model: str,
    provider: str,
    prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
    *,
    prompt_tokens: int = 0,
) -> Price | None:
    """The price of `model`, found as for `cost_of`; `None` where it is unknown for a prompt of that many tokens."""
    price = _given_price(model, prices) if prices else None
    if price is not None:
        return price
    if provider in FREE_PROVIDERS:
        return FREE
    listed = list_price(model, provider)
    if listed is None or (listed.up_to_tokens is not None and prompt_tokens > listed.up_to_tokens):
        return None
    return listed.price


def most_of(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """The most that so many tokens can cost in US dollars, whatever a cache or thinking makes of them."""
    asked = max(price.input_per_1m, price.cached_input_per_1m or 0.0, price.cache_write_per_1m or 0.0)
    answered = max(price.output_per_1m, price.reasoning_per_1m or 0.0)
    return (prompt_tokens * asked + completion_tokens * answered) / 1_000_000


def cost_of_answer(
    usage: TokenUsage | None,
    prices: Mapping[str, Price | Mapping[str, Any]] | None = None,
    *,
    failed: Sequence[TokenUsage] = (),
    told: float | None = None,
    cached: bool = False,
) -> float | None:
    """What one answer cost in US dollars, or `None` where that is unknown.

    Args:
        usage: its tokens; `None` where nobody counted them.
        prices: as for `cost_of`.
        failed: what failed attempts before it were charged for; it is added in any case.
        told: the cost that is known already; it counts more than an estimate.
        cached: whether the answer came from a cache or a recording, and so cost nothing.
    """
    cost = 0.0 if cached else told
    if cost is None and usage is not None:
        cost = cost_of(usage, prices)
    for earlier in failed:
        more = cost_of(earlier, prices)
        cost = None if cost is None or more is None else cost + more
    return cost


def tell_old_price(usage: TokenUsage, cost_usd: float | None, *, today: Callable[[], date] | None = None) -> None:
    """Log one line, the first time in a process, when a cost that a promise rests on comes from an old list price.

    Args:
        usage: what was paid for.
        cost_usd: what it counts for; where the table would give another cost, that is not where it comes from.
        today: gives the day; tests pass their own.
    """
    if _Old.told or cost_usd is None:
        return
    listed = list_price(usage.model, usage.provider)
    if listed is None or cost_usd != _sum(usage, listed.price):
        return
    age = ((today or _today)() - date.fromisoformat(listed.as_of)).days
    if age > OLD_DAYS and _Old.first():
        hint = "look whether it still holds; prices={model: {...}}, or inference.prices of fmf.yaml, says another"
        log.warning("prices.old", model=usage.model, as_of=listed.as_of, days=age, source=listed.source, hint=hint)


class _Old:
    told = False
    """Whether this process has heard of it."""
    lock = Lock()

    @classmethod
    def first(cls) -> bool:
        """Whether nobody has been told before, whichever thread asks."""
        with cls.lock():
            told, cls.told = cls.told, True
        return not told


def _today() -> date:
    return datetime.now(UTC).date()


def list_price(model: str, provider: str = "") -> ListPrice | None:
    """The list price of `model`; `None` where it is unknown, or the table cannot be read now.

    Args:
        model: as the provider names it.
        provider: our name of the vendor; Bedrock has prices of its own, all others are looked up by the model's name.
    """
    try:
        return _list_price(model, provider)
    except OSError:
        # No open files left: the answer whose price is asked for is worth more, and the next one may find it.
        return None


@lru_cache(maxsize=256)
def _list_price(model: str, provider: str) -> ListPrice | None:
    if provider == BEDROCK:
        name, everywhere = _bedrock_name(model)
        seller = table()[BEDROCK]
        row = seller.models.get(name)
        return None if row is None else _listed(row, seller, 1.0 if everywhere else row.get("regional", 1.0))
    for name, seller in table().items():
        row = seller.models.get(model) or seller.models.get(re.sub(_SNAPSHOT, "", model))
        if row is not None and name != BEDROCK:
            return _listed(row, seller, 1.0)
    return None


def prices_as_of(provider: str) -> str | None:
    """The day of the table's prices for `provider`; `None` where it has none of its own."""
    seller = table().get("openai" if provider == "azure_openai" else provider)
    return seller.as_of if seller else None


@cache
def table() -> Mapping[str, Seller]:
    """The shipped table, by seller; read when a price is first asked for."""
    import tomllib
    from importlib.resources import files

    data = tomllib.loads(files("chatmodels").joinpath("prices.toml").read_text(encoding="utf-8"))
    return {
        name: Seller(seller["as_of"].isoformat(), seller["source"], seller["models"]) for name, seller in data.items()
    }


def _bedrock_name(model: str) -> tuple[str, bool]:
    """The id without region, date and version, and whether it is answered wherever in the world there is room."""
    head = re.match(_BEFORE_BEDROCK_IDS, model)
    region = head["region"] if head else None
    bare = model[head.end() :] if head else model
    return re.sub(_BEDROCK_VERSION, "", bare), region == "global"


def _listed(row: Mapping[str, float], seller: Seller, factor: float) -> ListPrice:
    def told(name: str) -> float | None:
        return round(row[name] * factor, 6) if name in row else None

    price = Price(
        input_per_1m=round(row["input"] * factor, 6),
        output_per_1m=round(row["output"] * factor, 6),
        cached_input_per_1m=told("cached_input"),
        cache_write_per_1m=told("cache_write"),
        reasoning_per_1m=told("reasoning"),
    )
    up_to = row.get("up_to")
    return ListPrice(price, None if up_to is None else int(up_to), seller.as_of, seller.source)


def _sum(usage: TokenUsage, price: Price) -> float | None:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
    thought = min(usage.reasoning_tokens, usage.completion_tokens)
    shares = (
        (usage.prompt_tokens - cached - written, price.input_per_1m),
        (cached, _or(price.cached_input_per_1m, price.input_per_1m)),
        (written, _or(price.cache_write_per_1m, price.input_per_1m)),
        (usage.completion_tokens - thought, price.output_per_1m),
        (thought, _or(price.reasoning_per_1m, price.output_per_1m)),
    )
    try:
        cost = sum(count * each for count, each in shares) / 1_000_000
    except OverflowError:  # a count of hundreds of digits
        return None
    return cost if math.isfinite(cost) else None


def _or(price: float | None, other: float) -> float:
    return other if price is None else price


def has_price(model: str, prices: Mapping[str, Price | Mapping[str, Any]]) -> bool:
    """Whether `prices` say what `model` costs."""
    return _given_price(model, prices) is not None


def _given_price(model: str, prices: Mapping[str, Price | Mapping[str, Any]]) -> Price | None:
    price = prices.get(model) or prices.get(re.sub(_SNAPSHOT, "", model))
    if price is None:
        return None
    return price if isinstance(price, Price) else Price.model_validate(price)
