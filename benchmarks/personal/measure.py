"""Recall and precision of `find_pii` on the labelled set, kind by kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.personal.texts import labelled
from fmf_core.personal import KINDS, find_pii

PAGE = Path(__file__).resolve().parents[2] / "docs" / "personal-data.md"
MARK = "<!-- figures: python -m benchmarks personal --write -->"
END = "<!-- end of figures -->"
SETS = {"tuned on": False, "held out": True}


class Figures(NamedTuple):
    """What was found of one kind in one set."""

    kind: str
    labels: int
    right: int
    found: int

    @property
    def recall(self) -> float:
        """The share of the labelled that was found, with its exact ends, in percent."""
        return 100 * self.right / self.labels

    @property
    def precision(self) -> float:
        """The share of the found that was labelled so, in percent."""
        return 100 * self.right / max(1, self.found)


def figures(held: bool) -> Iterator[Figures]:
    """The figures of one set, by kind, and of all kinds together."""
    labels: Counter[str] = Counter()
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for text, known in labelled(held):
        findings = {finding[:3] for finding in find_pii(text)}
        labels.update(kind for _, _, kind in known)
        found.update(kind for _, _, kind in findings)
        right.update(kind for _, _, kind in findings & set(known))
    for kind in KINDS:
        yield Figures(kind, labels[kind], right[kind], found[kind])
    yield Figures("all", labels.total(), right.total(), found.total())


def table() -> str:
    """Both sets as a table in Markdown; shares are rounded down."""
    rows = ["| kind | set | in the texts | recall | precision |", "| --- | --- | ---: | ---: | ---: |"]
    sets = {name: list(figures(held)) for name, held in SETS.items()}
    for number, kind in enumerate([*KINDS, "all"]):
        for name, found in sets.items():
            row = found[number]
            rows.append(f"| {kind} | {name} | {row.labels:,} | {_down(row.recall)} % | {_down(row.precision)} % |")
    return "\n".join(rows)


def mistakes(held: bool) -> Iterator[str]:
    """What was missed, and what was found without being there, with what stands around it."""
    for text, known in labelled(held):
        findings = {finding[:3] for finding in find_pii(text)}
        for sign, spans in (("missed", set(known) - findings), ("wrong", findings - set(known))):
            for start, end, kind in sorted(spans):
                around = text[max(0, start - 30) : start], text[start:end], text[end : end + 10]
                yield f"{sign} {kind}: {'|'.join(around)}".replace("\n", " ")


def main(options: Sequence[str] = ()) -> None:
    """Print the table; `--write` puts it into docs/personal-data.md, `--mistakes` lists those of the set tuned on."""
    made = table()
    print(made)
    if "--mistakes" in options:
        print(*mistakes(held=False), sep="\n")
    if "--write" in options:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.index(MARK) + len(MARK), page.index(END)
        PAGE.write_text(f"{page[:before]}\n{made}\n{page[after:]}", encoding="utf-8")


def _down(share: float) -> str:
    return f"{math.floor(10 * share) / 10:.1f}"
