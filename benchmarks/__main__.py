"""`python -m benchmarks [TABLE] [--option]...`: the tables, one after the other.

They are imports, calls, engine, observability, run, process, adaptive, chunking, s3, runs, documents, faults, ocr and
personal. Without a name all but the last five: runs and documents take long, the others measure no time. Options, such
as `--write`, are for one named table; run nothing else meanwhile.
"""

from __future__ import annotations

import importlib
import sys

TABLES = ["imports", "calls", "engine", "observability", "run", "process", "adaptive", "chunking", "s3"]
WITH_OPTIONS = ["calls", "chunking", "documents", "engine", "faults", "ocr", "personal", "runs", "s3"]


def main(words: list[str]) -> None:
    """Print the wanted tables, or all of them."""
    wanted = [word for word in words if not word.startswith("--")]
    options = [word for word in words if word.startswith("--")]
    if options and (len(wanted) != 1 or wanted[0] not in WITH_OPTIONS):
        raise SystemExit(f"{' '.join(options)}: name one table that takes options: {', '.join(WITH_OPTIONS)}")
    for name in wanted or TABLES:
        table = importlib.import_module(f"benchmarks.{name}")
        table.main(options) if options else table.main()


if __name__ == "__main__":
    main(sys.argv[1:])
