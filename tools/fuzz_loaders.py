"""Read many spoilt files of every format as a run does, and tell what became of them.

    python -m tools.fuzz_loaders --count 10000           # the endings in turn, 10,000 files in all
    python -m tools.fuzz_loaders --count 500 --ending pdf --first 2000
    python -m tools.fuzz_loaders --show pdf 17 > a.pdf   # the file itself

The files come from good ones that are made in code (tests/bad_input/seeds.py). Exit status 1 when a file did not end as
a document, or when its reason is no single line, or when the memory of this process grew by more than 60 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bad_input.fuzz import Report, numbered, run
from bad_input.mutate import damaged

MOST_GROWTH_MB = 60


def main() -> int:
    """Spoil, read, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000, help="how many files")
    parser.add_argument("--first", type=int, default=0, help="the number of the first file of each ending")
    parser.add_argument("--ending", action="append", default=[], help="only these formats")
    parser.add_argument("--show", nargs=2, metavar=("ENDING", "NUMBER"), help="write one spoilt file to stdout")
    options = parser.parse_args()
    if options.show:
        sys.stdout.buffer.write(damaged(options.show[0], int(options.show[1])))
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spoilt-") as folder:
        report = run(numbered(options.count, options.first, options.ending), Path(folder))
    tell(report, time.monotonic() - began)
    return int(bool(report.faults) or report.growth_mb > MOST_GROWTH_MB)


def tell(report: Report, took_s: float) -> None:
    """Print the table."""
    print("| format | ok | failed | skipped | crashes and time-outs | most frequent reason |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for ending, tally in report.tallies.items():
        often = next((f"{reason} ({times})" for reason, times in tally.reasons.most_common() if reason), "")
        states = " | ".join(str(tally.states[state]) for state in ("ok", "failed", "skipped"))
        print(f"| {ending} | {states} | {len(tally.crashes)} | {often.replace('|', '/')} |")
    total = sum(sum(tally.states.values()) for tally in report.tallies.values())
    print(f"\n{total:,} files in {took_s:,.0f} s; the peak of this process's memory grew by {report.growth_mb:.1f} MB")
    for crash in (each for tally in report.tallies.values() for each in tally.crashes):
        print(f"crash: {crash}")
    for fault in report.faults:
        print(f"FAULT: {fault}")


if __name__ == "__main__":
    sys.exit(main())
