"""Documents of many formats through `fmf process`, a script written by hand and the pipelines of others."""

from __future__ import annotations

from collections.abc import Sequence


def main(options: Sequence[str] = ()) -> None:
    """Print the tables; see `benchmarks.documents.tables.main`."""
    from benchmarks.documents import tables

    tables.main(options)
