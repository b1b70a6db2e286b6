"""What `fmf prompt test --sample` and `fmf prompt compare` tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fmf.cli.output import table
from fmf_core.redact import blank_known

if TYPE_CHECKING:
    from fmf.chains.trial import Pair, Reply, Spent, Verdict

Line = tuple[str, ...]


def verdict_lines(verdict: Verdict, threshold: float) -> list[Line]:
    """The confusion of labels, the rows that are wrong or failed, and the sums; the first field says which."""
    lines: list[Line] = [
        ("confusion", expected, answered, str(count))
        for (expected, answered), count in sorted(verdict.confusion.items())
    ]
    lines += [("wrong", str(number), expected, answered) for number, expected, answered in verdict.wrong_rows]
    lines += [("failed", str(number), code, message) for number, code, message in verdict.failures]
    spent = verdict.spent
    sums = (
        f"accuracy={verdict.accuracy:.4f} threshold={threshold:g} rows={verdict.rows} right={verdict.right} "
        f"wrong={verdict.wrong} failed={spent.failed} unlabelled={verdict.unlabelled} "
        f"tokens={spent.prompt_tokens}+{spent.completion_tokens} cost={_cost(spent.cost_usd)}"
    )
    return [*lines, (sums,)]


def verdict_facts(verdict: Verdict, threshold: float, model: str) -> dict[str, Any]:
    """The same for --json."""
    return {
        "model": model,
        "rows": verdict.rows,
        "right": verdict.right,
        "wrong": verdict.wrong,
        "failed": verdict.spent.failed,
        "unlabelled": verdict.unlabelled,
        "accuracy": verdict.accuracy,
        "threshold": threshold,
        "passed": verdict.accuracy >= threshold,
        "confusion": [
            {"expected": expected, "answered": answered, "rows": count}
            for (expected, answered), count in sorted(verdict.confusion.items())
        ],
        "wrong_rows": [
            {"row": number, "expected": expected, "answered": answered}
            for number, expected, answered in verdict.wrong_rows
        ],
        "failures": [{"row": number, "code": code, "message": message} for number, code, message in verdict.failures],
        **_spent(verdict.spent),
    }


def write_pairs(refs: tuple[str, str], pairs: Sequence[Pair], spent: tuple[Spent, Spent]) -> None:
    """The answers side by side, then what each prompt took."""
    rows = [
        (
            pair.number,
            "same" if pair.same else "differs",
            _shown(pair.old),
            _shown(pair.new),
            f"{_tokens(pair.old)} {_tokens(pair.new)}",
            f"{_cost(pair.old.cost_usd)} {_cost(pair.new.cost_usd)}",
        )
        for pair in pairs
    ]
    table(("row", "", *refs, "tokens", "cost"), rows)
    table(
        ("prompt", "answered", "failed", "tokens", "cost"),
        [
            (ref, sums.answered, sums.failed, f"{sums.prompt_tokens}+{sums.completion_tokens}", _cost(sums.cost_usd))
            for ref, sums in zip(refs, spent, strict=True)
        ],
    )


def pair_facts(refs: tuple[str, str], pairs: Sequence[Pair], spent: tuple[Spent, Spent], model: str) -> dict[str, Any]:
    """The same for --json."""
    return {
        "model": model,
        "old": {"prompt": refs[0], "answered": spent[0].answered, "failed": spent[0].failed, **_spent(spent[0])},
        "new": {"prompt": refs[1], "answered": spent[1].answered, "failed": spent[1].failed, **_spent(spent[1])},
        "same": sum(pair.same for pair in pairs),
        "rows": [
            {"row": pair.number, "same": pair.same, "old": _reply(pair.old), "new": _reply(pair.new)} for pair in pairs
        ],
    }


def _reply(reply: Reply) -> dict[str, Any]:
    error = reply.error
    return {
        "output": None if error else blank_known(reply.text),
        "error": {"code": str(error.code), "message": blank_known(error.message)} if error else None,
        "tokens_prompt": reply.prompt_tokens,
        "tokens_completion": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
    }


def _spent(spent: Spent) -> dict[str, Any]:
    return {
        "tokens_prompt": spent.prompt_tokens,
        "tokens_completion": spent.completion_tokens,
        "cost_usd": spent.cost_usd,
    }


def _shown(reply: Reply) -> str:
    return blank_known(f"({reply.error.code}: {reply.error.message})" if reply.error else reply.text)


def _tokens(reply: Reply) -> str:
    return f"{reply.prompt_tokens}+{reply.completion_tokens}"


def _cost(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:.6f}"
