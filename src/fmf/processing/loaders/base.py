"""What a loader is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fmf.config.models import ProcessingConfig
from fmf.processing.source import Source
from fmf_core.errors import PluginRegistrationError
from fmf_core.registry import Entry, Registry


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file on its way to text."""

    pieces: Iterator[str]
    """The text, in order, in pieces of any size; only a part of the file is in memory at a time.

    The iterator may raise `ProcessingError`: what it gave before is then part of a failed document.
    """
    title: str | None = None
    markdown: bool = False
    """Whether the text is Markdown, so that fences and headings mean something."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values; the loader may add to them until `pieces` has ended."""


Loader = Callable[[Source, ProcessingConfig], Loaded]
"""Opens one kind of file; raises `ProcessingError` for what it cannot read."""


def _check(name: str, item: Any) -> None:
    if not callable(item):
        raise PluginRegistrationError(
            f"loader {name!r} is {item!r}, which cannot be called",
            op="loaders.add",
            hint="register a function load(source, settings) -> Loaded",
        )


loaders: Registry[Loader] = Registry(
    "loader",
    {
        "text": Entry("fmf.processing.loaders.text:load"),
        "markdown": Entry("fmf.processing.loaders.markdown:load"),
        "csv": Entry("fmf.processing.loaders.csv:load"),
    },
    group="fmf.loaders",
    check=_check,
)
"""Loaders by the name of the kind of file that they read."""
