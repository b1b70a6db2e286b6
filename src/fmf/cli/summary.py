"""What a run did, for people: read, asked, written, spent, failed, and where it all lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmf.artefacts.files import ROWS
from fmf_core.redact import shortened

if TYPE_CHECKING:
    from fmf.chains.ending import RunReport
    from fmf.chains.spec import LoadedChain
    from fmf.chains.tally import Tally

_SHOWN_PROBLEMS = 8
_SHOWN_CHARS = 300


def summary_lines(report: RunReport) -> Iterator[str]:
    """The summary of a run, line by line."""
    tally = report.tally
    seconds = report.record["metrics"]["duration_ms"] / 1000
    yield f"{report.status} in {duration(seconds)}"
    rows = any(file["path"] == ROWS for file in report.record["artefacts"])
    yield f"  read     {read_text(tally, piece='row' if rows else 'chunk')}"
    if tally.steps:
        yield f"  asked    {asked_text(tally)}"
        yield f"  spent    {spent_text(tally)}"
        yield from _unsure_lines(report.record["ledger"])
    if tally.cut:
        yield f"  cut      {count(tally.cut, 'answer')} by max_tokens (finish_reason length in outputs.jsonl)"
    if tally.failures:
        yield f"  failed   {tally.failures:,}"
        yield from _problem_lines(tally)
    for path in report.saved:
        yield f"  saved    {path}"
    yield f"  in       {report.run_dir}"
    if tally.steps and report.status != "completed":
        left = f"{count(tally.deferred, 'item')} left, " if tally.deferred else ""
        yield f"  go on    {left}fmf run --resume {report.run_id}"


def notice_lines(report: RunReport) -> Iterator[str]:
    """What the source was found to hold and the run did not read, one line for each reason."""
    for notice in report.record["inputs"].get("notices", ()):
        yield f"{notice['count']:,} left out: {notice['reason']}"


def chain_text(chain: LoadedChain) -> str:
    """Where a chain was read, its name, and how many steps it has."""
    return f"{chain.source}: {chain.spec.name}, {count(len(chain.spec.steps), 'step')}"


def read_text(tally: Tally, *, piece: str = "chunk") -> str:
    """How many documents were read, what became of them, and how many of which `piece` they had."""
    documents = tally.documents
    parts = [f"{count(documents.total, 'document')} ({size(tally.bytes)})"]
    if tally.chunks:
        parts.append(count(tally.chunks, piece))
    parts += [f"{number:,} {state}" for state in ("skipped", "failed") if (number := getattr(documents, state))]
    return ", ".join(parts)


def asked_text(tally: Tally) -> str:
    """How many calls were made, and what became of the items."""
    calls = sum(step.calls for step in tally.steps.values())
    items = tally.items
    states = [f"{number:,} {state}" for state in ("ok", "failed", "skipped") if (number := getattr(items, state))]
    parts = [f"{count(calls, 'call')} for {count(items.total, 'item')} ({', '.join(states) or 'none'})"]
    if tally.retries:
        parts.append(count(tally.retries, "retry", "retries"))
    if tally.missing:
        parts.append(f"steps over all items do without {tally.missing:,}")
    return ", ".join(parts)


def spent_text(tally: Tally) -> str:
    """Tokens and money."""
    cost = tally.cost_estimate_usd
    money = "price unknown" if cost is None else f"about ${cost:.4f}" if cost else "$0"
    return f"{tally.tokens_prompt:,} prompt + {tally.tokens_completion:,} answer tokens, {money}"


def _unsure_lines(ledger: dict[str, Any]) -> Iterator[str]:
    """What may have been billed without an answer."""
    if ledger["unknown"]:
        money = f"up to ${ledger['at_risk_usd']:.4f}" if ledger["at_risk_usd"] else "price unknown"
        yield f"  at risk  {count(ledger['unknown'], 'request')} of unknown outcome, {money}"


def _problem_lines(tally: Tally) -> Iterator[str]:
    problems = sorted(tally.problems.values(), key=lambda problem: -problem.count)
    for problem in problems[:_SHOWN_PROBLEMS]:
        yield f"    {problem.count:,} x {problem.code}{f' ({problem.op})' if problem.op else ''}"
        known = problem.message.startswith(problem.where)
        yield f"      first: {cut(problem.message) if known else f'{problem.where}: {cut(problem.message)}'}"
        if problem.hint:
            yield f"      hint: {cut(problem.hint)}"
    if len(problems) > _SHOWN_PROBLEMS:
        yield f"    and {len(problems) - _SHOWN_PROBLEMS} more kinds: see errors.jsonl"


def machine_result(report: RunReport) -> dict[str, Any]:
    """The result of a run as `--json` writes it; its numbers are those of `run.yaml`."""
    record = report.record
    result = {
        "run_id": report.run_id,
        "run_dir": str(report.run_dir),
        "status": report.status,
        "exit_status": report.exit_status,
        **{key: record[key] for key in ("inputs", "counts", "metrics", "errors")},
        "saved": [str(path) for path in report.saved],
    }
    if report.error is not None:
        error = report.error
        result["error"] = {
            "op": error.op,
            "code": str(error.code),
            "message": error.message,
            "hint": error.hint,
            "exit_status": report.exit_status,
        }
    return result


def count(number: int, one: str, many: str = "") -> str:
    """`1 document`, `2,000 documents`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def cut(text: str) -> str:
    """`text` on one line, and not too long for it."""
    return shortened(" ".join(text.split()), _SHOWN_CHARS)
