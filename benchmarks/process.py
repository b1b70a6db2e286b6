"""`fmf process` over one large CSV: memory must not grow with the file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import measure

CONFIG = "connectors: [{name: docs, type: local, root: .}]\n"
ROW = '{0},2026-11-{1:02},"{2}; a comment, with a comma, about order {0}",{3}\n'


def main(sizes: tuple[int, ...] = (10, 100, 200)) -> None:
    """Print the table."""
    fmf = str(Path(sys.executable).with_name("fmf"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fmf.yaml").write_text(CONFIG)
        for size in sizes:
            path = Path(folder) / "table.csv"
            write_csv(path, size * 1_000_000)
            taken = measure.run([fmf, "--json", "process", "--connector", "docs", "--select", "*.csv"], folder=folder)
            mb = path.stat().st_size / 1e6
            rows.append([f"{mb:.0f} MB", f"{taken.wall_s:.1f}", f"{mb / taken.cpu_s:.1f}", f"{taken.peak_mb:.0f}"])
    measure.table("One CSV through `fmf process`", ["file", "wall s", "MB/s of CPU", "peak MB"], rows)


def write_csv(path: Path, size: int) -> None:
    """Write a table of about `size` bytes."""
    words = ("bicycle", "brake", "saddle", "delivery", "refund", "spoke")
    with path.open("w") as out:
        out.write("id,date,comment,score\n")
        number = written = 0
        while written < size:
            block = "".join(
                ROW.format(n, n % 28 + 1, words[n % 6] * (n % 5 + 1), n % 11) for n in range(number, number + 5000)
            )
            written += out.write(block)
            number += 5000
