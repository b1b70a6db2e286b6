"""Run the test suite and close with the figures a reader wants: tests, contracts, shape, and coverage if asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "+".join(f"src/{name}" for name in ("fmf_core", "chatmodels", "generative_ai_workflow", "fmf"))


def main() -> int:
    """The exit status of pytest; the figures go to standard output."""
    covered = None
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        # Tracing every line takes half as long again, so it is no part of the everyday run.
        wanted = ["--cov", "--cov-report=term", f"--cov-report=json:{report}"] if "--coverage" in sys.argv else []
        status = run("-m", "pytest", "-n", workers(), *wanted)
        if report.exists():
            covered = json.loads(report.read_text())["totals"]["percent_covered"]
    contracts = output(str(Path(sys.executable).with_name("lint-imports")))
    shape = output(sys.executable, "tools/shape.py", "--check", PACKAGES)
    print()
    print(f"coverage   {covered:.1f} %" if covered is not None else "coverage   make coverage")
    print(f"contracts  {(re.findall(r'Contracts: .*', contracts) or ['not checked'])[-1].removeprefix('Contracts: ')}")
    print(f"shape      {shape.strip().splitlines()[-1]}")
    return status


def workers() -> str:
    """How many test processes: one more than the cores that this process may use, for tests often wait for others."""
    return str(1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def run(*arguments: str) -> int:
    """Run Python with `arguments` in the project, its output passed on as it comes."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode


def output(*command: str) -> str:
    """What `command` printed."""
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
