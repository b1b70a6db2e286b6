"""A line on the terminal that shows how a run comes along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fmf.cli.summary import count

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

    console = Console(file=sys.stderr)
    # stdout stays as it is: results must not end up on the terminal's other stream.
    options: dict[str, Any] = {"refresh_per_second": _PER_SECOND, "transient": True, "redirect_stdout": False}
    with Live(get_renderable=render, console=console, **options):
        yield


def progress_text(tally: Tally) -> str:
    """The numbers so far, on one line."""
    parts = [count(tally.documents.total, "document")]
    if tally.steps:
        parts.append(f"{tally.items.total:,} of {count(tally.items_read, 'item')}")
        parts.append(f"{tally.tokens_prompt + tally.tokens_completion:,} tokens")
        if tally.cost_estimate_usd:
            parts.append(f"${tally.cost_estimate_usd:.4f}")
    else:
        parts.append(count(tally.chunks, "chunk"))
    if tally.failures:
        parts.append(f"{tally.failures:,} failed")
    return ", ".join(parts)
