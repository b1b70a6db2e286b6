"""Puts tables between their markers in a page of docs, and says on which machine they were made."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path


def write(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers of the table `name` in `page`."""
    before, start, rest = page.read_text(encoding="utf-8").partition(
        f"<!-- {name}: python -m benchmarks {name} --write -->\n"
    )
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (start and end):
        raise SystemExit(f"{page.name} has lost its markers")
    page.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def machine() -> str:
    """Today's date, the processor and the Python."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            model = next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{date}, {os.cpu_count()} cores of {model}, Python {platform.python_version()}"
