"""`python -m benchmarks [imports|calls|run|process]...`: the tables, one after the other, nothing else running."""

from __future__ import annotations

import importlib
import sys

TABLES = ["imports", "calls", "run", "process"]


def main(wanted: list[str]) -> None:
    """Print the wanted tables, or all of them."""
    for name in wanted or TABLES:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
