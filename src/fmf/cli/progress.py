"""A line on the terminal that shows how a run comes along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fmf.cli.summary import count, spent_text

if TYPE_CHECKING:
    from fmf.chains.tally import Tally

_PER_SECOND = 8


@contextmanager
def watching(tally: Tally, *, shown: bool, total: int | None = None) -> Iterator[None]:
    """Show the numbers of `tally` on stderr within the block.

    Args:
        tally: is read several times a second.
        shown: whether somebody watches; without, nothing happens.
        total: how many items there will be at most, where that is known.
    """
    if not shown:
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    columns += [BarColumn(bar_width=20)] if total else []
    bar = Progress(*columns, TimeElapsedColumn())
    task = bar.add_task(progress_text(tally), total=total)

    def render() -> Progress:
        bar.update(task, description=progress_text(tally), completed=tally.items.total)
        return bar

    with Live(get_renderable=render, console=Console(file=sys.stderr), refresh_per_second=_PER_SECOND, transient=True):
        yield


def progress_text(tally: Tally) -> str:
    """The numbers so far, on one line."""
    parts = [count(tally.documents.total, "document")]
    if tally.steps:
        parts.append(f"{tally.items.total:,} of {count(tally.items_read, 'item')} so far")
        parts.append(spent_text(tally))
    else:
        parts.append(count(tally.chunks, "chunk"))
    if tally.failures:
        parts.append(f"{tally.failures:,} failed")
    return ", ".join(parts)
