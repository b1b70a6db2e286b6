"""Notebooks (ipynb): text and code in their order, code in fences, with the text of what it gave, kept short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.characters.normalize import line_ends, normalized
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.text import load as load_text
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.unreadable import unreadable

LARGEST: Final = 150_000_000
"""Bytes of a notebook, which is read as a whole."""
LONGEST_OUTPUT: Final = 2_000
"""Characters of what one cell gave that are kept."""
_TICKS: Final = re.compile(r"`{3,}")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HEADING: Final = re.compile(r"^#{1,6}[ \t]+(?P<title>\S.*?)[ \t#]*$", re.MULTILINE)


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The cells as Markdown; the title is that of the notebook, else its first heading, else the file's name.

    Pictures and other results that are no text are left out, as are attachments of cells. JSON that is no notebook is
    read as plain text.

    Raises:
        ProcessingError: it is no JSON, or too large.
    """
    if source.size > LARGEST:
        limit = f"it has more than {LARGEST / MEGABYTE:g} MB, and larger notebooks are not read"
        raise unreadable(source, "ipynb", limit, hint="clear its outputs and save it, or exclude the file")
    encoding = encoding_of(source)
    try:
        notebook = json.loads("".join(decoded(source, encoding)))
    except (ValueError, RecursionError) as error:
        raise unreadable(source, "ipynb", f"it is no JSON: {error}") from error
    cells = _cells(notebook)
    if cells is None:
        return load_text(source, settings)
    about = notebook.get("metadata")
    about = about if isinstance(about, dict) else {}
    language = _language(about)
    metadata: dict[str, Any] = {"cells": len(cells), **encoding.notes()}
    if language:
        metadata["code_language"] = language
    title = about.get("title") if isinstance(about.get("title"), str) else None
    markdown = settings.text.preserve_markdown
    pieces = _pieces(cells, language)
    tidied = normalized(pieces, markdown=markdown) if settings.text.normalize_whitespace else line_ends(pieces)
    found = (title or _first_heading(cells) or source.ref.name).strip()[:300]
    return Loaded(tidied, title=found or source.ref.name, markdown=markdown, metadata=metadata)


def _cells(notebook: Any) -> list[dict[str, Any]] | None:
    """The cells, in notebooks of the third format those of its sheets."""
    if not isinstance(notebook, dict):
        return None
    sheets = notebook.get("worksheets")
    holders = [notebook, *(sheets if isinstance(sheets, list) else [])]
    lists = [
        holder["cells"] for holder in holders if isinstance(holder, dict) and isinstance(holder.get("cells"), list)
    ]
    return [cell for cells in lists for cell in cells if isinstance(cell, dict)] if lists else None


def _language(about: dict[str, Any]) -> str:
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        found = about.get(key)
        value = found.get(name) if isinstance(found, dict) else None
        if isinstance(value, str) and re.fullmatch(r"[\w+#.-]{1,30}", value):
            return value.lower()
    return ""


def _pieces(cells: list[dict[str, Any]], language: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        text = _joined(cell.get("source", cell.get("input"))).strip("\n")
        kind = cell.get("cell_type")
        if kind == "code":
            parts = [_fenced(text, language)] if text.strip() else []
            parts += [_fenced(output, "text") for output in _outputs(cell)]
            text = "\n\n".join(parts)
        elif kind == "heading":
            level = cell.get("level")
            text = f"{'#' * (level if isinstance(level, int) and 0 < level < 7 else 1)} {text}"
        if text.strip():
            yield f"\n{text}\n" if number else f"{text}\n"


def _outputs(cell: dict[str, Any]) -> Iterator[str]:
    outputs = cell.get("outputs")
    left = LONGEST_OUTPUT
    for output in outputs if isinstance(outputs, list) else []:
        text = _COLOURS.sub("", _output(output)).strip("\n") if isinstance(output, dict) else ""
        if not text.strip() or not left:
            continue
        if len(text) > left:
            text = f"{text[:left]}\n... ({len(text) - left:,} more characters)"
        left = max(0, left - len(text))
        yield text


def _output(output: dict[str, Any]) -> str:
    if output.get("output_type") in {"error", "pyerr"}:
        return f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
    data = output.get("data")
    texts = [output.get("text"), data.get("text/markdown") if isinstance(data, dict) else None]
    texts.append(data.get("text/plain") if isinstance(data, dict) else None)
    return next((text for each in texts if (text := _joined(each))), "")


def _joined(text: Any) -> str:
    """A text, or the lines of one."""
    if isinstance(text, list):
        text = "".join(line for line in text if isinstance(line, str))
    # Half a surrogate pair may be written in JSON; no text can hold it.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore") if isinstance(text, str) else ""


def _fenced(code: str, language: str) -> str:
    longest = max((len(ticks) for ticks in _TICKS.findall(code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _first_heading(cells: list[dict[str, Any]]) -> str:
    for cell in cells[:50]:
        if cell.get("cell_type") == "heading":
            return _joined(cell.get("source"))
        if cell.get("cell_type") == "markdown" and (heading := _HEADING.search(_joined(cell.get("source")))):
            return heading["title"]
    return ""
