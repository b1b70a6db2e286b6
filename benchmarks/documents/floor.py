"""Opens every file and reads every byte: `python -m benchmarks.documents.floor LISTING ROOT OUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(listing: str, root: str, out: str) -> None:
    seen = 0
    for name in json.loads(Path(listing).read_text()):
        with open(Path(root, name), "rb", buffering=0) as file:
            while block := file.read(1 << 20):
                seen += len(block)
    Path(out).write_text(f"{seen}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
