"""What goes wrong between a chat model and its server, and what its caller gets: the fault table of the tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def main(options: Sequence[str] = ()) -> None:
    """Run every fault and print the page; `--write` puts it into docs/faults.md."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from faults import page

    page.main(options)
