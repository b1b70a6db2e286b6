"""One check of a run: what was looked at, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

MOST_TOLD: Final = 20
"""So many faults of one check are told one by one."""
_UNUSABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass
class Check:
    """What one check has found.

    Args:
        name: what is looked at.
        told: what there was, in a few words.
    """

    name: str
    told: str = ""
    wrong: list[str] = field(default_factory=list)
    """The first faults, each with where it is."""
    count: int = 0
    """All of them."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.count == 0

    def fault(self, what: str, where: str) -> None:
        """Something is wrong; `where` is a file and its line, or a place in `run.yaml`."""
        self.count += 1
        if len(self.wrong) < MOST_TOLD:
            self.wrong.append(f"{what} ({where})")

    def equal(self, what: str, said: Any, found: Any, where: str) -> None:
        """A fault unless what is said is what was found."""
        if said != found:
            self.fault(f"{what}: {said} is said, {found} found", where)

    @contextmanager
    def record(self, where: str) -> Iterator[None]:
        """A fault when the record that is looked at within the block is not made as it should be."""
        try:
            yield
        except _UNUSABLE as error:
            self.fault(f"no record of this file: {type(error).__name__}: {error}", where)

    def as_row(self) -> dict[str, Any]:
        """The check as JSON tells it."""
        return {"name": self.name, "ok": self.ok, "told": self.told, "faults": self.count, "wrong": list(self.wrong)}

    def lines(self) -> Iterator[str]:
        """The check as lines for people."""
        if self.ok:
            yield f"ok {self.name} {self.told}".rstrip()
            return
        for fault in self.wrong:
            yield f"wrong {self.name}: {fault}"
        if self.count > len(self.wrong):
            yield f"wrong {self.name}: {self.count - len(self.wrong)} more"
