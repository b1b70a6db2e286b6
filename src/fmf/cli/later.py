"""What the command line of a later version has: commands and options that are told apart from misspelt ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

COMMANDS: Final = frozenset(
    (
        *("fmf export", "fmf csv", "fmf text", "fmf images", "fmf init"),
        *("fmf runs report", "fmf runs merge"),
    )
)
"""Commands by their whole name."""
OPTIONS: Final = {
    "fmf run": frozenset(("--sinks", "--engine", "--shard")),
}
"""Command to its options."""


def later_command(path: str) -> str | None:
    """What to say about a command of that name; `None` when no version is known to have it."""
    return f"{path} is not in this version yet; see 'fmf --help' for what is" if path in COMMANDS else None


def later_option(path: str, args: Sequence[str]) -> str | None:
    """What to say about the first of the arguments of command `path` that is such an option; `None` when none is."""
    known = OPTIONS.get(path, frozenset())
    found = next((name for name in (arg.partition("=")[0] for arg in args) if name in known), None)
    return f"{path} {found} is not in this version yet; see '{path} --help' for what is" if found else None
