"""What a run would do, for people: a line for each step, and what all of them come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fmf.cli.output import emit_json, emit_text, note, warn
from fmf.cli.summary import count, duration

if TYPE_CHECKING:
    from fmf.chains.forecast import Budget, RunPlan, StepForecast
    from fmf.cli.session import Session

_HEADER = ("step", "runs", "answered", "to ask", "prompt tokens", "answer tokens", "cost in USD", "time")
_VERDICTS = {
    "yes": "will do, whatever is answered",
    "probably": "will do if the answers are as long as is thought",
    "no": "will not do: the run would stop in its middle, and can go on with more (--resume)",
    "unknown": "cannot be compared: a price is unknown",
    "refused": "would be refused: a price is unknown (inference.prices, or --allow-unpriced)",
}


def tell_plan(session: Session, plan: RunPlan) -> int:
    """Write what a run would do; 0."""
    for line in plan.warnings:
        warn(line)
    if session.json:
        emit_json(plan.document())
    else:
        emit_text("\n".join(plan_lines(plan)))
        note("nobody was asked, and nothing was written")
    return 0


def plan_lines(plan: RunPlan) -> Iterator[str]:
    """The plan, line by line."""
    documents = [f"{plan.documents[state]:,} {state}" for state in ("skipped", "failed") if plan.documents[state]]
    found = ", ".join((count(plan.documents["total"], "document"), *documents, count(plan.items, "item")))
    yield f"{plan.chain}: {found}" + (f", on with run {plan.resume}" if plan.resume else "")
    rows = [_HEADER, *(_row(step) for step in plan.steps)]
    if len(plan.steps) > 1:
        rows.append(_total(plan))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    at_limit = "" if plan.limited_by == "concurrency" else f" ({plan.limited_by})"
    yield f"about {duration(plan.seconds_about)} with {count(plan.concurrency, 'call')} at once{at_limit}"
    yield from _notes(plan.steps)
    if plan.budget is not None:
        yield _budget(plan.budget)


def _row(step: StepForecast) -> Sequence[str]:
    asks = f"{step.to_ask:,}" + (f" ({step.conditional:,} perhaps)" if step.conditional else "")
    is_exact = step.prompt_tokens_exact and step.prompt_tokens == step.prompt_tokens_most
    return (
        step.step_id,
        step.runs,
        f"{step.answered:,}",
        asks,
        f"{step.prompt_tokens:,}" if is_exact else _range(step.prompt_tokens_about, step.prompt_tokens_most),
        _range(step.completion_tokens_about, step.completion_tokens_most),
        _money(step.cost_usd_about, step.cost_usd_most),
        duration(step.seconds_about),
    )


def _total(plan: RunPlan) -> Sequence[str]:
    return (
        "total",
        "",
        f"{plan.total('answered'):,}",
        f"{plan.total('to_ask'):,}",
        _range(plan.total("prompt_tokens_about"), plan.total("prompt_tokens_most")),
        _range(plan.total("completion_tokens_about"), plan.total("completion_tokens_most")),
        _money(plan.total("cost_usd_about"), plan.total("cost_usd_most")),
        duration(plan.seconds_about),
    )


def _notes(steps: Sequence[StepForecast]) -> Iterator[str]:
    asking = [step for step in steps if step.to_ask]
    estimated = [step.step_id for step in asking if not step.prompt_tokens_exact]
    if estimated:
        yield f"{', '.join(estimated)}: prompts are estimated (a vocabulary, schemas or pictures are counted in secret)"
    waiting = [step.step_id for step in asking if step.prompt_tokens_about != step.prompt_tokens]
    if waiting:
        yield f"{', '.join(waiting)}: prompts will hold answers that are not there yet, of max_tokens at most"
    for rule in dict.fromkeys(step.completion_rule for step in asking):
        named = ", ".join(step.step_id for step in asking if step.completion_rule == rule)
        yield f"{named}: an answer is thought to have {rule}"


def _budget(budget: Budget) -> str:
    spent = f", of which {budget.spent_usd:.4f} are spent," if budget.spent_usd else ""
    return f"--max-cost {budget.max_cost_usd:g}{spent} {_VERDICTS[budget.verdict]}"


def _range(about: int, most: int | None) -> str:
    return f"about {about:,}, no limit" if most is None else f"about {about:,}, at most {most:,}" if most else "0"


def _money(about: float | None, most: float | None) -> str:
    if about is None:
        return "unknown"
    told = "no limit" if most is None else f"at most {most:.4f}"
    return f"about {about:.4f}, {told}" if about or most else "0"
