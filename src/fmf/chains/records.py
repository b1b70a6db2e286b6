"""What `outputs.jsonl` and `errors.jsonl` hold: the record of each item and step, and of each failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fmf.artefacts.run_id import timestamp
from fmf.chains.items import record_id
from fmf.chains.plan import StepPlan
from fmf.errors import ConnectorError
from fmf.types import Document, Row
from fmf_core.errors import FrameworkError
from fmf_core.redact import redact

if TYPE_CHECKING:
    from generative_ai_workflow.state import ErrorInfo, StepResult

INPUT_LIMIT_CHARS = 2_000
"""A longer text under `input` is cut there, with a visible mark; all of it stands in `chunks.jsonl` or `docs.jsonl`."""

LIST_LIMIT = 100
"""Of a longer list under `input` the first hundred are kept, with a visible mark."""

State = Literal["ok", "failed", "skipped"]
Stage = Literal["connect", "read", "infer", "save"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every record of a run has in common."""

    run_id: str
    chain: str
    provider: str
    model: str
    """The model where neither the step nor the answer names one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What one execution of the steps of a level is about."""

    item_id: str
    """The chunk, the document, or `all`."""
    content: str
    """What it is about, or a digest of it; with the id it identifies the work."""
    names: Mapping[str, Any]
    """What `${...}` can say."""
    source_uri: str | None = None
    doc_id: str | None = None
    chunk_id: str | None = None
    place: Mapping[str, Any] | None = None
    """Where in its document it stands, if it is a part of one."""
    row: Row | None = None
    """The columns that go into the records as they are, where it is a row."""
    group: Row | None = None
    """Which pictures it is about, where it is a group of them."""
    each: Row | None = None
    """Which element of how many it is about, where a step runs for the elements of a list."""

    @property
    def origin(self) -> Row:
        """Where it came from, as the lines of both files begin to say."""
        return {"source_uri": self.source_uri, "doc_id": self.doc_id, "chunk_id": self.chunk_id}

    @property
    def members(self) -> Row:
        """What the lines of both files say on top of their usual keys: `group`, `place`, `each`, where it has them."""
        told: Row = {} if self.group is None else {"group": self.group}
        if self.place is not None:
            told["place"] = dict(self.place)
        return told if self.each is None else {**told, "each": self.each}


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended for one subject."""

    state: State
    result: StepResult | None = None
    """What it left; `None` when it was never begun."""
    output: Any = None
    """The answer, a text or a JSON value; `None` unless it is ok."""
    cost_usd: float | None = None


def output_row(facts: RunFacts, step: StepPlan, subject: Subject, end: StepEnd) -> Row:
    """One line of `outputs.jsonl`."""
    result = end.result
    response = result.response if result else None
    usage = (result.token_usage if result else None) or (response.usage if response else None)
    return {
        "run_id": facts.run_id,
        "chain_id": facts.chain,
        "step_id": step.id,
        "record_id": record_id(facts.chain, step.id, subject.item_id, subject.content),
        **subject.origin,
        "row": subject.row,
        "prompt_id": step.prompt.id if step.prompt else None,
        "prompt_version": step.prompt.version if step.prompt else None,
        "prompt_hash": step.prompt.content_hash if step.prompt else None,
        "provider": usage.provider if usage else facts.provider,
        "model": response.model if response else step.model or facts.model,
        "input": inputs_of(step, subject.names),
        "output": end.output,
        "status": end.state,
        "finish_reason": response.finish_reason if response else None,
        "tokens_prompt": usage.prompt_tokens if usage else None,
        "tokens_completion": usage.completion_tokens if usage else None,
        "cost_usd": end.cost_usd,
        "cached": response.cached if response else False,
        "attempts": result.attempts if result else 0,
        "latency_ms": round(response.latency_ms, 3) if response else None,
        "created_at": timestamp(),
        **({"fell_back_from": list(response.fell_back_from)} if response and response.fell_back_from else {}),
        **subject.members,
    }


def inputs_of(step: StepPlan, names: Mapping[str, Any]) -> dict[str, Any]:
    """The values that filled the step's template; long texts and lists are cut with a mark."""
    from generative_ai_workflow.reference import evaluate

    values: dict[str, Any] = {}
    for name, value in step.inputs.items():
        try:
            values[name] = shortened(evaluate(value, names))
        except FrameworkError:
            # The step itself failed on this, or was skipped before it had a value.
            values[name] = None
    return values


def shortened(value: Any) -> Any:
    """`value` with every long text cut and marked, at any depth."""
    if isinstance(value, str):
        left_out = len(value) - INPUT_LIMIT_CHARS
        return value if left_out <= 0 else f"{value[:INPUT_LIMIT_CHARS]}… [{left_out} more characters]"
    if isinstance(value, Mapping):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        left_out = len(value) - LIST_LIMIT
        cut = [shortened(item) for item in value[:LIST_LIMIT]]
        return cut if left_out <= 0 else [*cut, f"… [{left_out} more]"]
    return value


def step_error_row(facts: RunFacts, step_id: str, subject: Subject, error: ErrorInfo, attempts: int) -> Row:
    """The line of `errors.jsonl` for a step that failed."""
    return {
        "run_id": facts.run_id,
        "stage": "infer",
        "step_id": step_id,
        **subject.origin,
        "code": error.code,
        "op": error.op,
        "message": error.message,
        "hint": error.hint,
        "attempts": error.attempts or attempts or 1,
        "kind": error.kind,
        **subject.members,
    }


def document_error_row(run_id: str, document: Document) -> Row:
    """The line of `errors.jsonl` for a document that could not be read."""
    error = document.error or FrameworkError(document.reason or "it could not be read", op="processing.read")
    stage: Stage = "connect" if isinstance(error, ConnectorError) else "read"
    row = run_error_row(run_id, stage, error)
    return {**row, "source_uri": document.source_uri, "doc_id": document.doc_id}


def run_error_row(run_id: str, stage: Stage, error: Exception) -> Row:
    """The line of `errors.jsonl` for what went wrong with no item of its own."""
    known = error if isinstance(error, FrameworkError) else None
    attempts = known.fields.get("attempts") if known else None
    return {
        "run_id": run_id,
        "stage": stage,
        "step_id": None,
        "source_uri": None,
        "doc_id": None,
        "chunk_id": None,
        "code": str(known.code) if known else "internal",
        "op": known.op if known else "",
        "message": redact(known.message if known else f"{type(error).__name__}: {error}"),
        "hint": redact(known.hint) if known else "",
        "attempts": attempts if isinstance(attempts, int) else 1,
        "kind": type(error).__name__,
    }
