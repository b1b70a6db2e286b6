"""What it costs to import each storey and to ask for help."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import measure

LINES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import pydantic, asyncio": [sys.executable, "-c", "import asyncio; from pydantic import BaseModel"],
    "import chatmodels": [sys.executable, "-c", "import chatmodels"],
    "import generative_ai_workflow": [sys.executable, "-c", "import generative_ai_workflow"],
    "import fmf": [sys.executable, "-c", "import fmf"],
    "import fmf.chains.run": [sys.executable, "-c", "import fmf.chains.run"],
    "fmf --help": [str(Path(sys.executable).with_name("fmf")), "--help"],
}


def main(rounds: int = 9) -> None:
    """Print the table; the lines take turns, so that a busy moment hits all of them."""
    taken: dict[str, list[measure.Taken]] = {name: [] for name in LINES}
    for _ in range(rounds):
        for name, command in LINES.items():
            taken[name].append(measure.run(command))
    floor = measure.median(taken["python -c pass"]).cpu_s
    rows = []
    for name, runs in taken.items():
        middle = measure.median(runs)
        rows.append(
            [name, measure.spread([run.cpu_s for run in runs]), f"{middle.cpu_s / floor:.1f}", f"{middle.peak_mb:.0f}"]
        )
    measure.table("Imports", ["line", "CPU s (lowest-highest)", "x bare Python", "peak MB"], rows)
