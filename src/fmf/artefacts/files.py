"""What the files in the folder of a run are called."""

from __future__ import annotations

from typing import Final

DOCS: Final = "docs.jsonl"
CHUNKS: Final = "chunks.jsonl"
ROWS: Final = "rows.jsonl"
OUTPUTS: Final = "outputs.jsonl"
ERRORS: Final = "errors.jsonl"
VANISHED: Final = "vanished.jsonl"
"""Tells of documents that an earlier run knew and that are no longer there."""
CURSOR: Final = "source.cursor"
LEDGER: Final = "ledger.sqlite"
RECORD: Final = "run.yaml"
INDEX: Final = "index.json"
"""Lies beside the folders of the runs."""

ALL: Final = frozenset({DOCS, CHUNKS, ROWS, OUTPUTS, ERRORS, VANISHED, CURSOR, LEDGER, RECORD, INDEX})
