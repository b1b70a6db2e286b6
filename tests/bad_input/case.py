"""What a case is: a file that is broken or hostile, and the state in which its document must end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Content = bytes | Iterator[bytes]
Status = Literal["ok", "skipped", "failed"]


@dataclass(frozen=True)
class Expected:
    """How the document must end."""

    status: Status
    says: tuple[str, ...] = ()
    """What the reason or the hint must hold, whatever the case of its letters."""
    has: tuple[str, ...] = ()
    """What the text must hold."""
    lacks: tuple[str, ...] = ()
    """What neither text nor reason may hold."""
    most_chars: int = 2_000_000
    """How long the text may be: nothing may have grown without end."""


@dataclass(frozen=True)
class Case:
    """One file."""

    name: str
    """What is wrong with it, for people."""
    file: str
    """Its name."""
    make: Callable[[], Content]
    """Makes its bytes."""
    expected: Expected
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the section `processing`, beside those that all cases have."""
    isolated: bool = False
    """Whether it may be read in another process only, because it could take this one down."""


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    status: str
    reason: str = ""
    hint: str = ""
    text: str = ""
    """All of it, where it is short; otherwise its first chunks."""
    chars: int = 0
    chunks: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    """Which of the promises that hold for every document were broken."""


def ok(*has: str, lacks: tuple[str, ...] = (), most_chars: int = 2_000_000) -> Expected:
    """The file is read, and its text holds this."""
    return Expected("ok", has=has, lacks=lacks, most_chars=most_chars)


def fails(*says: str, lacks: tuple[str, ...] = ()) -> Expected:
    """The file cannot be read, and the reason says this."""
    return Expected("failed", says=says, lacks=lacks)


def skips(*says: str) -> Expected:
    """The file is left out by a rule, and the reason says which."""
    return Expected("skipped", says=says)


def case(name: str, file: str, made: Content | Callable[[], Content], expected: Expected, **more: Any) -> Case:
    """A case; small files may be given as their bytes."""
    make = made if callable(made) else lambda: made
    return Case(name, file, make, expected, **more)
