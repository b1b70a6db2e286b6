"""Print what the quickstart's chain found out, as a table: `python table.py RUN_DIR`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"bad": "red", "good": "green"}


def main(run_dir: Path) -> None:
    """Read the records of the run and print one row for each document."""
    documents: dict[str, dict[str, object]] = {}
    month = ""
    with (run_dir / "outputs.jsonl").open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["step_id"] == "month":
                month = (record["output"] or "") + (" …" if record["finish_reason"] == "length" else "")
            else:
                documents.setdefault(record["source_uri"], {})[record["step_id"]] = record["output"]
    table = Table(title="What the shop's documents say")
    for heading in ("document", "news", "topic", "the complaint in a sentence"):
        table.add_column(heading)
    for uri, found in documents.items():
        news = answer(found.get("news"), "news")
        name = "/".join(uri.rsplit("/", 2)[-2:])
        # Text objects, so that nothing a model wrote is taken for markup.
        cells = (name, Text(news, COLOURS.get(news, "")), answer(found.get("topic"), "topic"))
        table.add_row(*cells, Text(str(found.get("complaint") or "")))
    console = Console()
    console.print(table)
    console.print(Text(f"The complaints together: {month}"))
    console.print(Text("Sorted by a model of 135 million parameters: quick, free, and not always right.", "dim"))
    console.print(Text(f"Everything lies in {run_dir}", "bold"), soft_wrap=True)


def answer(found: object, key: str) -> str:
    """The value of a JSON answer, or a dash where the step failed."""
    return str(found[key]) if isinstance(found, dict) else "-"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
