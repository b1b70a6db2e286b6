"""What a run has done so far, in numbers: for the progress bar, the summary and `run.yaml` alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from fmf.chains.asking import Outcome, StepOutcome
from fmf.types import UNCHANGED_SINCE, UNREAD_PAGES, Document, Row


@dataclass
class StepCount:
    """What became of one step over all its items."""

    calls: int = 0
    """Executions that asked the model, however many requests each took."""
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    retried: int = 0
    """Executions that took more than one request."""
    cached: int = 0
    """Executions that a cache or a recording answered."""

    def as_row(self) -> dict[str, int]:
        """The counts as `run.yaml` writes them."""
        return dict(vars(self))


@dataclass
class StateCount:
    """How many things ended in which state."""

    ok: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.ok + self.failed + self.skipped

    def as_row(self) -> dict[str, int]:
        """The counts as `run.yaml` writes them."""
        return {"total": self.total, **vars(self)}


@dataclass
class Problem:
    """Failures of one kind: how many, and the first of them."""

    code: str
    op: str
    message: str
    hint: str
    where: str
    """What the first one happened to."""
    count: int = 0


@dataclass
class Tally:
    """The numbers of one run; written by the run alone, read by anyone at any time."""

    documents: StateCount = field(default_factory=StateCount)
    unchanged: int = 0
    """How many of the skipped documents are what they were in an earlier run."""
    unread_pages: int = 0
    """Pages of documents that are ok whose pictures nobody read, because OCR is off."""
    bytes: int = 0
    chunks: int = 0
    items: StateCount = field(default_factory=StateCount)
    deferred: int = 0
    """Items that a run which stopped left to the one that goes on."""
    steps: dict[str, StepCount] = field(default_factory=dict)
    tokens_prompt: int = 0
    tokens_completion: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    """Answers whose price is unknown; with one of them the run's cost is unknown too."""
    priced: int = 0
    """Answers whose price is known."""
    unanswered: int = 0
    """Executions that asked and got no answer: what they cost, if anything, nobody tells."""
    under_way: int = 0
    """Items whose steps are running just now."""
    retries: int = 0
    """Requests to models that were made again."""
    source_retries: int = 0
    """Requests to the source that were made again; known at the end."""
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)
    exit_kinds: Counter[int] = field(default_factory=Counter)
    """Exit status to how many failures are of that kind."""
    asking_kinds: Counter[int] = field(default_factory=Counter)
    """The same for failures of steps alone."""
    cut: int = 0
    """Answers that max_tokens cut and that count as ok all the same, being plain text."""
    missing: int = 0
    """Items without an answer that the steps over all items had to do without."""
    resumed: int = 0
    """How often the run was resumed."""
    items_read: int = 0
    """Items that were handed to the steps so far, those that are still under way included."""
    content: str = ""
    """The identity of all items that were counted, in their order."""

    def as_state(self) -> Row:
        """Everything that was counted, as plain JSON values."""
        state = asdict(self)
        return {
            **state,
            "problems": list(state["problems"].values()),
            "exit_kinds": list(self.exit_kinds.items()),
            "asking_kinds": list(self.asking_kinds.items()),
            "items_read": self.items.total + self.deferred,
            "under_way": 0,
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Begin with what `as_state` told of an earlier part of the run."""
        problems = [Problem(**problem) for problem in state["problems"]]
        vars(self).update(
            state,
            documents=StateCount(**state["documents"]),
            items=StateCount(**state["items"]),
            steps={step_id: StepCount(**count) for step_id, count in state["steps"].items()},
            problems={(problem.code, problem.op): problem for problem in problems},
            exit_kinds=Counter(dict(state["exit_kinds"])),
            asking_kinds=Counter(dict(state["asking_kinds"])),
        )

    def count_document(self, document: Document) -> None:
        """Count a document that has reached its final state."""
        setattr(self.documents, document.status, getattr(self.documents, document.status) + 1)
        self.unchanged += UNCHANGED_SINCE in document.metadata and document.status == "skipped"
        self.bytes += document.bytes or 0
        if document.status == "ok":
            self.chunks += document.chunks
            self.unread_pages += len(document.metadata.get(UNREAD_PAGES, ()))

    def count_outcome(self, outcome: Outcome, *, item_id: str | None = None) -> None:
        """Count what came of the steps of one level for one subject.

        Args:
            outcome: what came of it.
            item_id: the item, where the subject was one, and not a document or the whole run.
        """
        if item_id is not None:
            counts = self if outcome.state == "deferred" else self.items
            setattr(counts, outcome.state, getattr(counts, outcome.state) + 1)
            self.content = sha256(f"{self.content}\n{item_id}".encode()).hexdigest()
        for step in outcome.steps:
            self._count_step(step)
        for failure in outcome.failures:
            self.count_problem(failure.row, failure.status)
            self.asking_kinds[failure.status] += failure.row["stage"] == "infer"

    def _count_step(self, step: StepOutcome) -> None:
        count = self.steps.setdefault(step.step_id, StepCount())
        setattr(count, step.state, getattr(count, step.state) + 1)
        count.calls += step.asked
        count.retried += step.attempts > 1
        count.cached += step.cached
        self.retries += max(0, step.attempts - 1)
        self.cut += step.cut
        self.tokens_prompt += step.tokens_prompt
        self.tokens_completion += step.tokens_completion
        if step.cost_usd is not None:
            self.cost_usd += step.cost_usd
            self.priced += 1
        elif step.answered:
            self.unpriced += 1
        else:
            self.unanswered += step.asked

    def break_off(self, steps: Sequence[str]) -> int:
        """Count what will never be settled: items under way as failed, items that were only read as deferred.

        Args:
            steps: the steps that run once per item, in order.

        Returns:
            how many items were under way.
        """
        cut, self.under_way = self.under_way, 0
        left = self.items_read - self.items.total - self.deferred - cut
        self.items.failed += cut
        self.deferred += left
        for number, step_id in enumerate(steps):
            count = self.steps.setdefault(step_id, StepCount())
            count.skipped += left + (cut if number else 0)
            if not number:
                count.failed += cut
                count.calls += cut
        self.unanswered += cut
        return cut

    def count_problem(self, row: dict[str, Any], status: int) -> None:
        """Count one line of `errors.jsonl`, which would end `fmf` with `status` if it were the only thing."""
        key = (row["code"], row["op"])
        where = row["source_uri"] or row["step_id"] or "the run"
        problem = self.problems.setdefault(key, Problem(row["code"], row["op"], row["message"], row["hint"], where))
        problem.count += 1
        self.exit_kinds[status] += 1

    @property
    def cost_estimate_usd(self) -> float | None:
        """US dollars so far; `None` when one answer has no known price, or calls were made and none was answered."""
        unknown = self.unpriced or (self.unanswered and not self.priced)
        return None if unknown else round(self.cost_usd, 10)

    @property
    def failures(self) -> int:
        """Lines of `errors.jsonl`."""
        return sum(problem.count for problem in self.problems.values())

    def counts(self) -> dict[str, Any]:
        """The section `counts` of `run.yaml`."""
        return {
            "documents": self.documents.total,
            "documents_by_status": vars(self.documents).copy(),
            "chunks": self.chunks,
            "items": self.items.as_row(),
            "deferred": self.deferred,
            "steps": {step_id: count.as_row() for step_id, count in self.steps.items()},
        }

    def metrics(self, duration_ms: float) -> dict[str, Any]:
        """The section `metrics` of `run.yaml`."""
        return {
            "tokens_prompt": self.tokens_prompt,
            "tokens_completion": self.tokens_completion,
            "cost_estimate_usd": self.cost_estimate_usd,
            "retries": self.retries + self.source_retries,
            "source_retries": self.source_retries,
            "answers_cut": self.cut,
            "duration_ms": round(duration_ms, 3),
        }

    def errors(self) -> dict[str, Any]:
        """The section `errors` of `run.yaml`."""
        by_code: Counter[str] = Counter()
        for problem in self.problems.values():
            by_code[problem.code] += problem.count
        return {"count": self.failures, "by_code": dict(by_code.most_common())}
