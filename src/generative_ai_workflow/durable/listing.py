"""The runs of a file as they are listed: page by page, in an order that stays while runs begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from generative_ai_workflow.durable.store import DECISION, StoredRun, as_statuses
from generative_ai_workflow.durable.values import value_from
from generative_ai_workflow.state import WorkflowStatus

if TYPE_CHECKING:
    import sqlite3

PAGE: Final = 200
"""How many runs are read at once."""

Row = tuple[Any, ...]
_FACTS: Final = (
    "SELECT number, run_id, workflow, fingerprint, input, pid, begun, ended, status, reason, "
    "(SELECT count(*) FROM steps WHERE run = runs.number AND instr(name, ?) = 0), "
    "(SELECT max(kept) FROM steps WHERE run = runs.number) FROM runs "
)
# Along the index, and behind the last one: a page costs the same wherever it is.
_OF_ONE: Final = f"{_FACTS} WHERE status = ? AND workflow = ? AND number > ? ORDER BY number LIMIT ?"
_OF_ALL: Final = f"{_FACTS} WHERE status = ? AND (workflow, number) > (?, ?) ORDER BY workflow, number LIMIT ?"


class Listing:
    """Where a listing is.

    Args:
        workflow: its runs only; `None` is those of all.
        status: one, several, or `None` for all.

    Raises:
        ConfigurationError: there is no such status.
    """

    def __init__(self, workflow: str | None, status: str | Iterable[str] | None) -> None:
        self._workflow = workflow
        self._statuses = list(as_statuses(status, op="store.runs"))
        self._renew()

    def _renew(self) -> None:
        self._last = (self._workflow or "", 0)

    @property
    def is_over(self) -> bool:
        """Whether there is no further page."""
        return not self._statuses

    def page(self, connection: sqlite3.Connection, is_taken: Callable[[int], bool]) -> list[Row]:
        """The rows of the page, for `stored_runs`; there may be none.

        Args:
            connection: of the file.
            is_taken: whether somebody has the lock of a number.
        """
        status = self._statuses[0]
        query = _OF_ALL if self._workflow is None else _OF_ONE
        rows = connection.execute(query, (DECISION, status.value, *self._last, PAGE)).fetchall()
        return [(*row, status is WorkflowStatus.RUNNING and is_taken(row[0])) for row in rows]

    def turn(self, rows: Sequence[Row]) -> None:
        """Go on to the page behind `rows`, which were the last one."""
        if len(rows) == PAGE:
            self._last = rows[-1][2], rows[-1][0]
        else:
            del self._statuses[0]
            self._renew()


def stored_runs(rows: Sequence[Row]) -> list[StoredRun]:
    """The runs in the rows of a page."""
    return [
        StoredRun.trusted(
            run_id=run_id,
            workflow=workflow,
            fingerprint=fingerprint,
            input_data=value_from(text),
            status=WorkflowStatus(status),
            reason=reason,
            steps_kept=steps_kept,
            begun_at=_moment(begun),
            changed_at=_moment(max(begun, kept or begun, ended or begun)),
            ended_at=None if ended is None else _moment(ended),
            pid=pid if taken else None,
        )
        for _, run_id, workflow, fingerprint, text, pid, begun, ended, status, reason, steps_kept, kept, taken in rows
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
