"""How long the answers of a chain's steps were in earlier runs, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fmf.artefacts.files import OUTPUTS
from fmf.artefacts.history import list_runs

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared
    from fmf.types import Row

_RUNS: Final = 10
"""So many earlier runs are looked at, the latest ones."""
_BYTES: Final = 32_000_000
"""So much of what each of them wrote."""


@dataclass
class EarlierAnswers:
    """What the answers of one step were like."""

    run_id: str
    answers: int = 0
    tokens: int = 0
    asked: int = 0
    """How many of them were not taken from elsewhere."""
    seconds: float = 0.0
    """How long these took together."""

    def add(self, row: Row) -> None:
        """Count one record."""
        self.answers += 1
        self.tokens += row["tokens_completion"]
        if not row["cached"] and row["latency_ms"] is not None:
            self.asked += 1
            self.seconds += row["latency_ms"] / 1000


def earlier_answers(root: Path, prepared: Prepared) -> Mapping[str, EarlierAnswers]:
    """For each step that earlier runs of the chain asked the same model, what the latest of these got; blocks.

    Args:
        root: the folder of all runs.
        prepared: the chain.
    """
    wanted = {step.id: step for step in prepared.plan.steps if step.prompt is not None}
    found: dict[str, EarlierAnswers] = {}
    runs = [entry for entry in list_runs(root) if entry.get("chain") == prepared.plan.chain]
    for entry in runs[:_RUNS]:
        run_id = str(entry["run_id"])
        here: dict[str, EarlierAnswers] = {}
        for row in _rows(root / run_id / OUTPUTS):
            step = wanted.get(row["step_id"])
            if step is None or row["status"] != "ok" or row["tokens_completion"] is None:
                continue
            # What answered may be called after its day: gpt-4o-mini-2024-07-18.
            same_model = row["provider"] == prepared.provider and str(row["model"]).startswith(step.model or "")
            if same_model and step.prompt is not None and row["prompt_id"] == step.prompt.id:
                here.setdefault(step.id, EarlierAnswers(run_id)).add(row)
        found = {**here, **found}
        if len(found) == len(wanted):
            break
    return found


def _rows(path: Path) -> Iterator[Row]:
    import orjson

    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)
                if file.tell() > _BYTES:
                    return
    except (OSError, ValueError):
        return  # an estimate does without what cannot be read
