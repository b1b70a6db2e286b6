"""What a run has answered so far, read back from `outputs.jsonl` line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fmf.types import Row


def answers_of(path: Path, step_id: str) -> Iterator[Row]:
    """The records of one step that are ok, in the order of the file."""
    import orjson

    # Most lines of a long file belong to other steps: those are told by their bytes, without reading them as JSON.
    mark = b'"step_id":' + orjson.dumps(step_id) + b","
    with path.open("rb") as file:
        for line in file:
            if mark in line and line.endswith(b"\n"):
                row = orjson.loads(line)
                if row["step_id"] == step_id and row["status"] == "ok":
                    yield row


def collect(path: Path, wanted: Sequence[tuple[str, str]]) -> dict[str, list[Any]]:
    """The answers that steps collect.

    Args:
        path: `outputs.jsonl`.
        wanted: pairs of an output and the step that makes it.

    Returns:
        Output to its answers, in input order; failed and skipped items leave no gap.
    """
    return {output: [row["output"] for row in answers_of(path, step_id)] for output, step_id in wanted}
