"""What a chain will take: tokens, money and time by step, as a bound and as an estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chatmodels.pricing import most_of, price_of
from fmf.chains.references import Level

if TYPE_CHECKING:
    from chatmodels.config import Price
    from fmf.chains.earlier_answers import EarlierAnswers
    from fmf.chains.prepared import Prepared
    from fmf.chains.rehearsal import StepNeeds
    from fmf.types import Row

SHARE: Final = 0.25
"""How much of `max_tokens` an answer is taken to need where nothing is known of such answers."""
TOKENS: Final = 256
"""How long it is taken to be where there is no such limit either."""
FIRST_TOKEN_S: Final = 0.5
TOKENS_A_SECOND: Final = 50
"""How quick a model is taken to be where nothing is known of it."""


@dataclass(frozen=True, slots=True)
class StepForecast:
    """What one step will take; `most` is a bound, `about` an estimate, `None` what nobody knows."""

    step_id: str
    runs: str
    """How often it runs: per item, per document, or once."""
    model: str
    items: int
    answered: int
    """How many of them an earlier answer will do for."""
    to_ask: int
    conditional: int
    """How many of `to_ask` depend on answers that are not there yet, and may be left out."""
    skipped: int
    """How many are left out for certain."""
    failing: int
    """How many fail before anybody is asked."""
    prompt_tokens: int
    """What is known of all prompts."""
    prompt_tokens_exact: bool
    """Whether that is counted as the provider counts, or estimated."""
    prompt_tokens_about: int
    """With answers of earlier steps that are not there yet, as long as they are thought to be."""
    prompt_tokens_most: int | None
    """With such answers as long as they may be; of estimated prompts, what a budget takes them for."""
    completion_tokens_about: int
    completion_tokens_most: int | None
    completion_rule: str
    """Where the estimate comes from."""
    cost_usd_about: float | None
    cost_usd_most: float | None
    seconds_about: float
    """At the chain's concurrency."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What there is to spend, and whether it will do."""

    max_cost_usd: float
    spent_usd: float
    """What the run that is gone on with has spent, what it may have spent unseen included."""
    verdict: str
    """`yes`, `probably`, `no`, `unknown`, or `refused`: a model without a price would not be asked at all."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do."""

    chain: str
    documents: Mapping[str, int]
    """How many there are: `total`, `ok`, `skipped`, `failed`."""
    items: int
    steps: tuple[StepForecast, ...]
    concurrency: int
    seconds_about: float
    limited_by: str
    """What the time is for: `concurrency`, `requests_per_minute`, or `tokens_per_minute`."""
    budget: Budget | None = None
    resume: str | None = None
    """The run to go on with."""
    warnings: tuple[str, ...] = ()

    def total(self, name: str) -> Any:
        """The sum over all steps of a number of theirs; `None` where one of them is not known."""
        numbers = [getattr(step, name) for step in self.steps]
        return None if None in numbers else sum(numbers)

    def document(self) -> Row:
        """All of it as JSON values."""
        totals = {name: self.total(name) for name in _SUMMED}
        return {
            "chain": self.chain,
            "resume": self.resume,
            "documents": dict(self.documents),
            "items": self.items,
            "steps": [asdict(step) for step in self.steps],
            "total": {**totals, "seconds_about": self.seconds_about},
            "concurrency": self.concurrency,
            "limited_by": self.limited_by,
            "budget": None if self.budget is None else asdict(self.budget),
            "warnings": list(self.warnings),
        }


_SUMMED: Final = (
    *("answered", "to_ask", "conditional", "skipped", "failing"),
    *("prompt_tokens", "prompt_tokens_about", "prompt_tokens_most"),
    *("completion_tokens_about", "completion_tokens_most", "cost_usd_about", "cost_usd_most"),
)
_RUNS: Final = ("per item", "per document", "once")


class Forecaster:
    """Makes a plan of what the steps need.

    Args:
        prepared: the chain.
        needs: what each step needs, by its id, in their order.
        earlier: what is known of answers of earlier runs, by step.
    """

    def __init__(
        self, prepared: Prepared, needs: Mapping[str, StepNeeds], earlier: Mapping[str, EarlierAnswers]
    ) -> None:
        self._prepared = prepared
        self._needs = needs
        self._earlier = earlier
        self._config = prepared.loaded.value.inference
        self._expected = [
            self._expect(step.id, need) for step, need in zip(prepared.plan.steps, needs.values(), strict=True)
        ]
        # Nobody knows how many answers a list brings that is not there yet.
        self._longest = [None if need.open_ended else need.max_tokens for need in needs.values()]
        self._prices = [self._price(need) for need in needs.values()]

    def steps(self) -> tuple[StepForecast, ...]:
        """What each step will take."""
        return tuple(self._step(number) for number in range(len(self._needs)))

    def time(self, steps: Sequence[StepForecast]) -> tuple[float, str]:
        """How long all of them take together, in seconds, and what that is for."""
        limit = self._config.rate_limit
        requests = sum(step.to_ask for step in steps)
        tokens = sum(step.prompt_tokens_about + step.completion_tokens_about for step in steps)
        times = {"concurrency": sum(step.seconds_about for step in steps)}
        if limit.requests_per_minute:
            times["requests_per_minute"] = requests * 60 / limit.requests_per_minute
        if limit.tokens_per_minute:
            times["tokens_per_minute"] = tokens * 60 / limit.tokens_per_minute
        slowest = max(times, key=lambda name: times[name])
        return times[slowest], slowest

    def budget(self, steps: Sequence[StepForecast], spent_usd: float) -> Budget | None:
        """Whether the limit will do, if there is one."""
        options = self._prepared.options
        limit = options.max_cost_usd
        if limit is None:
            return None
        found = Budget(limit, spent_usd, "unknown")
        unpriced = [step for step in steps if step.to_ask and step.cost_usd_about is None]
        if unpriced and not options.allow_unpriced:
            return found if self._prepared.provider == "mock" else replace(found, verdict="refused")
        most = [0.0 if step in unpriced else step.cost_usd_most for step in steps]
        about = sum(step.cost_usd_about or 0.0 for step in steps)
        left = limit - spent_usd
        # The last request is let through only if the most that it can cost is left.
        if None not in most and sum(cost or 0.0 for cost in most) + self._beyond() <= left:
            return replace(found, verdict="yes")
        return replace(found, verdict="probably" if about <= left else "no")

    def warnings(self) -> tuple[str, ...]:
        """What should be known before the run begins."""
        told: list[str] = []
        window = self._prepared.model.get_model_info().context_tokens
        for step, need in zip(self._prepared.plan.steps, self._needs.values(), strict=True):
            if need.failing:
                told.append(f"step {step.id!r} fails {need.failing:,} times before anybody is asked: {need.failure}")
            if need.open_ended:
                told.append(
                    f"step {step.id!r} runs for every element of {need.open_ended:,} lists that are not there yet: one "
                    "element is counted for each of them"
                )
            known = window_of(need.model) or window
            longest = need.longest_known if step.level is Level.ITEM else need.longest
            if known and longest + need.limit > known:
                groups = math.ceil(longest / max(1, known - need.limit))
                cure = f"it is reduced in a tree, by about {groups + 1:,} calls or more, of which one is counted"
                if step.reduce is None:
                    cure = "take less of the text (max_chars of join), or collect in two steps"
                told.append(
                    f"step {step.id!r} may ask with up to {longest:,} tokens, and {need.model!r} takes {known:,} with "
                    f"the answer ({need.limit:,}): {cure}"
                )
        return tuple(told)

    def _beyond(self) -> float:
        costs = [
            most_of(price, need.beyond, 0)
            for price, need in zip(self._prices, self._needs.values(), strict=True)
            if price is not None
        ]
        return max(costs, default=0.0)

    def _step(self, number: int) -> StepForecast:
        step = self._prepared.plan.steps[number]
        need = self._needs[step.id]
        tokens, rule, seconds = self._expected[number]
        longest, price = self._longest[number], self._prices[number]
        about = need.prompt_tokens + _sum(need, lambda step: self._expected[step][0])
        most_answers = [self._longest[step] for step in need.pending]
        unknown = None in most_answers or need.open_ended
        most = None if unknown else need.prompt_most + _sum(need, lambda step: self._longest[step] or 0)
        answers_about = math.ceil(need.to_ask * tokens)
        answers_most = 0 if not need.to_ask else None if longest is None else need.to_ask * longest
        return StepForecast(
            step_id=step.id,
            runs=_RUNS[step.level],
            model=need.model or step.model or self._prepared.model_name,
            items=need.items,
            answered=need.answered,
            to_ask=need.to_ask,
            conditional=need.conditional,
            skipped=need.skipped,
            failing=need.failing,
            prompt_tokens=need.prompt_tokens,
            prompt_tokens_exact=need.is_exact,
            prompt_tokens_about=math.ceil(about),
            prompt_tokens_most=None if most is None else math.ceil(most),
            completion_tokens_about=answers_about,
            completion_tokens_most=answers_most,
            completion_rule=rule,
            cost_usd_about=_cost(need, price, lambda price: _about_of(price, about, answers_about)),
            cost_usd_most=None
            if most is None or answers_most is None
            else _cost(need, price, lambda price: most_of(price, math.ceil(most), answers_most)),
            seconds_about=math.ceil(need.to_ask / self._prepared.concurrency) * seconds,
        )

    def _expect(self, step_id: str, need: StepNeeds) -> tuple[float, str, float]:
        """How long an answer will be, in tokens, why that is thought, and the seconds that it will take."""
        earlier = self._earlier.get(step_id)
        if need.known_answers:
            tokens = need.known_tokens / need.known_answers
            rule = f"the mean of {need.known_answers:,} answers that are there"
        elif earlier is not None:
            tokens = earlier.tokens / earlier.answers
            rule = f"the mean of {earlier.answers:,} answers of run {earlier.run_id}"
        elif need.max_tokens is not None:
            tokens, rule = need.max_tokens * SHARE, "a quarter of max_tokens: no earlier run has such answers"
        else:
            tokens, rule = float(TOKENS), f"{TOKENS} tokens: there is no max_tokens, and no earlier run"
        if earlier is not None and earlier.asked:
            return tokens, rule, earlier.seconds / earlier.asked
        return tokens, rule, FIRST_TOKEN_S + tokens / TOKENS_A_SECOND

    def _price(self, need: StepNeeds) -> Price | None:
        if not need.model:
            return None
        return price_of(need.model, self._prepared.provider, self._config.prices, prompt_tokens=need.longest)


# Second-hand, and not looked up at the providers: what is not here is not warned of.
_WINDOWS: Final = (
    *(("gpt-4.1", 1_047_576), ("gpt-4o", 128_000), ("chatgpt-4o", 128_000), ("gpt-4-turbo", 128_000)),
    *(("gpt-4-32k", 32_768), ("gpt-4", 8_192), ("gpt-3.5-turbo", 16_385), ("gpt-5", 400_000)),
    *(("o1", 200_000), ("o3", 200_000), ("o4-mini", 200_000)),
)


def window_of(model: str) -> int | None:
    """How many tokens prompt and answer of a known model may have together."""
    return next((tokens for name, tokens in _WINDOWS if model.startswith(name)), None)


def _sum(need: StepNeeds, tokens: Callable[[int], float]) -> float:
    """The tokens of the answers that stand in the prompts of a step and are not there yet."""
    return sum(number * tokens(step) for step, number in need.pending.items())


def _cost(need: StepNeeds, price: Price | None, cost: Callable[[Price], float]) -> float | None:
    if not need.to_ask:
        return 0.0
    return None if price is None else cost(price)


def _about_of(price: Price, prompt: float, completion: float) -> float:
    return (prompt * price.input_per_1m + completion * price.output_per_1m) / 1_000_000
