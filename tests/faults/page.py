"""The fault table as a page: every fault is run, and what came of it stands in one or two rows."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.fault import Fault
from faults.table import FAULTS, GROUPS
from faults.trial import Result, run
from peers.certificates import Certificates

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
INTRODUCTION = f"""\
# What goes wrong, and what you get

{len(FAULTS)} things that go wrong between a chat model and its server, each one done by a real server on loopback to a
model that `create_chat_model("openai")` made with three attempts. This page is what `python -m benchmarks faults
--write` found. The same table runs in the tests, which also hold that no key shows in an error or in the log, that
nothing takes longer than its time limits, that the next call to the recovered server is answered, and that no
connection is left open.

* *asked*: for the whole answer, for a stream, or either way with the same outcome.
* *the caller got*: the answer, or the error's `code`. An error with `rate_limit`, `timeout` or `unavailable` is
  `retryable`: its attempts have been used up. A stream is not asked for again once some of its text was handed out.
* *requests*, *connections*: as the server counted them. *attempts*: as the error or the answer tells them.

"""
HEAD = ("fault", "asked", "the caller got", "attempts", "requests", "connections", "seconds", "the error's hint")
NUMBERS = range(3, 7)


def main(options: Sequence[str] = ()) -> None:
    """Print the page; with `--write` put it into docs/faults.md as well."""
    text = made()
    print(text)
    if "--write" in options:
        PAGE.write_text(text, encoding="utf-8")


def made() -> str:
    """The page as it is today."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        parts = [INTRODUCTION]
        for title, faults in GROUPS.items():
            lines = [f"## {title}\n", _line(HEAD), _line(["---:" if n in NUMBERS else "---" for n in range(len(HEAD))])]
            for fault in faults:
                print(f"{fault.name} ...", file=sys.stderr)
                lines += [_line(cells) for cells in rows(fault, certificates)]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def rows(fault: Fault, certificates: Certificates | None) -> Iterator[list[str]]:
    """What came of one fault: one row when it makes no difference how the answer was asked for."""
    found = [(asked, _cells(run(fault, asked, certificates))) for asked, _ in fault.cases]
    if len(found) == 2 and _same(found[0][1], found[1][1]):
        yield [fault.name, "either", *found[0][1]]
    else:
        yield from ([fault.name, asked, *cells] for asked, cells in found)


def _same(whole: list[str], stream: list[str]) -> bool:
    """Whether nothing differs but the time, and attempts that a stream does not tell."""
    return all(
        one == other or (number == 1 and "-" in (one, other))
        for number, (one, other) in enumerate(zip(whole, stream, strict=True))
        if number != 4
    )


def _cells(result: Result) -> list[str]:
    error = result.error
    got = "an answer" if error is None else f"`{error.code}`"
    if error is not None and result.text:
        got += ", after some text"
    attempts = "-" if result.attempts is None else str(result.attempts)
    counts = [attempts, str(result.requests), str(result.connections), f"{result.took_s:.2f}"]
    return [got, *counts, "" if error is None else error.hint.replace("|", "\\|")]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
