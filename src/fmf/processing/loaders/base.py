"""What a loader is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fmf.config.processing import ProcessingConfig
from fmf.processing.kinds.detect import Kind, detect
from fmf.processing.kinds.ole import Window
from fmf.processing.source import Source
from fmf_core.errors import PluginRegistrationError
from fmf_core.registry import Entry, Registry


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a part of the file begins in its text.

    What is given next belongs to it, up to the next mark of its kind or of a kind that it stands in: a new slide ends
    the notes of the one before. A slide, a sheet and a part also end the headings that are open. Headings and tables of
    Markdown need no marks: they are found in the text.
    """

    kind: Literal["page", "slide", "sheet", "rows", "part", "heading"]
    """`rows`: from here on, every line is one row; `part`: an attachment, a note, a comment."""
    number: int | None = None
    """The page, the slide or the sheet, from 1; the level of a heading; of `rows`, the number that a reader of the
    source gives to the row of the first line."""
    name: str | None = None
    """The name of the sheet or part; the text of a heading."""
    within: bool = False
    """Of a part: it belongs to what stands before it, as the notes of a slide do, so that headings hold on in it."""

    @property
    def apart(self) -> bool:
        """Whether headings and sections end here: a slide, a sheet or a part that stands for itself begins."""
        return self.kind in {"slide", "sheet"} or (self.kind == "part" and not self.within)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file on its way to text."""

    pieces: Iterator[str | Mark]
    """The text, in order, in pieces of any size, and marks; only a part of the file is in memory at a time.

    The iterator may raise `ProcessingError`: what it gave before is then part of a failed document.
    """
    title: str | None = None
    markdown: bool = False
    """Whether the text is Markdown, so that fences and headings mean something."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values; the loader may add to them until `pieces` has ended."""


Loader = Callable[[Source, ProcessingConfig], Loaded]
"""Opens one kind of file; raises `ProcessingError` for what it cannot read, `Skipped` for what settings leave out."""


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
        "json": Entry("fmf.processing.loaders.json:load"),
        "jsonl": Entry("fmf.processing.loaders.json:load_lines"),
        "xlsx": Entry("fmf.processing.loaders.office.xlsx:load", "documents"),
        "parquet": Entry("fmf.processing.loaders.parquet:load", "parquet"),
        "docx": Entry("fmf.processing.loaders.office.docx:load"),
        "pptx": Entry("fmf.processing.loaders.office.pptx:load"),
        "odt": Entry("fmf.processing.loaders.office.odt:load"),
        "rtf": Entry("fmf.processing.loaders.office.rtf:load"),
        "ole": Entry("fmf.processing.loaders.office.unread:load"),
        "encrypted": Entry("fmf.processing.loaders.office.unread:load"),
        "pdf": Entry("fmf.processing.loaders.pdf:load", "documents"),
        "image": Entry("fmf.processing.loaders.image:load", "ocr"),
        "html": Entry("fmf.processing.loaders.web.html:load", "documents"),
        "eml": Entry("fmf.processing.loaders.mail.eml:load", "documents"),
        "mbox": Entry("fmf.processing.loaders.mail.eml:load_mbox", "documents"),
        "msg": Entry("fmf.processing.loaders.mail.msg:load", "documents"),
        "mhtml": Entry("fmf.processing.loaders.mail.mhtml:load", "documents"),
        "epub": Entry("fmf.processing.loaders.web.epub:load", "documents"),
        "notebook": Entry("fmf.processing.loaders.notebook:load"),
        "subtitles": Entry("fmf.processing.loaders.subtitles:load"),
        "gzip": Entry("fmf.processing.loaders.gzip:load"),
    },
    group="fmf.loaders",
    check=_check,
)
"""Loaders by the name of the kind of file that they read."""


def kind_of(name: str, head: bytes, window: Window | None = None) -> Kind | None:
    """See `detect`; a plugin's loader under the name of an ending that nothing here reads counts as its kind."""
    return detect(name, head, window, brings=_brought_by_plugin)


def _brought_by_plugin(name: str) -> bool:
    return name in loaders and loaders.metadata(name)["source"] != "built-in"
