"""The process of one chunker: how many MB it cuts in a second of CPU."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import inside
from benchmarks.peers.chunkers import CHUNKERS, Chunker, named


class Worker:
    """Measures one chunker.

    Args:
        chunker: it is made when it is first asked for.
    """

    def __init__(self, chunker: Chunker) -> None:
        self._chunker = chunker
        self._made: Any = None

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """MB a second of CPU: over each `step`th document until `seconds` are over, or over one of `megabytes`."""
        documents: list[str] = json.loads(Path(order["documents"]).read_text(encoding="utf-8"))
        if self._made is None:
            self._made = self._chunker.make()
            self._made(documents[0])  # what is loaded late is not chunking
        if "step" in order:
            documents = documents[order["first"] :: order["step"]]
        if "megabytes" in order:
            documents = ["\n\n".join(documents)[: int(order["megabytes"] * 1e6)]]
        cut, size, chunks = self._made, 0, 0
        began = time.process_time()
        for document in documents:
            chunks += cut(document)
            size += len(document.encode())
            taken = time.process_time() - began
            if taken > order.get("seconds", taken):
                break
        return {"mb_s": size / 1e6 / taken, "chunks_per_mb": chunks / size * 1e6}


if __name__ == "__main__":
    inside.serve(Worker(next(chunker for chunker in CHUNKERS if named(chunker) == sys.argv[1])).do)
