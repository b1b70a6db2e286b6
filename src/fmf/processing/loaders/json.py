"""JSON: the text as it is, and a note whether it is valid; JSON lines: one value a line, each line a row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import orjson

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.characters.normalize import line_ends
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.text import read_text
from fmf.processing.source import Source

LARGEST_CHECKED: Final = 32_000_000
"""Bytes up to which a whole file of JSON is checked, since all of it must be in memory for that."""
_BLOCK: Final = 1 << 16
_TOLD: Final = 5


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of a JSON file.

    The metadata says `valid_json` for files up to `LARGEST_CHECKED` bytes, and where it is invalid, `json_error` with
    the line and the column. Invalid JSON stays text: what is wrong with it is for the reader to judge.
    """
    pieces, noted = read_text(source, settings, markdown=False)
    metadata: dict[str, Any] = dict(noted)
    if source.size <= LARGEST_CHECKED:
        encoding = encoding_of(source)
        metadata |= _verdict("".join(decoded(source, encoding)))
    return Loaded(pieces, title=source.ref.name, metadata=metadata)


def load_lines(source: Source, settings: ProcessingConfig) -> Loaded:  # noqa: ARG001 - as every loader
    """The lines of a file of JSON lines; blank ones are left out, and marks give the others their line numbers.

    The metadata counts the lines with a value and, where there are any, the lines that are no JSON, with the numbers
    of the first few.
    """
    encoding = encoding_of(source)
    metadata: dict[str, Any] = dict(encoding.notes())
    metadata["rows"] = 0
    pieces = _numbered(_lines(line_ends(decoded(source, encoding))), metadata)
    return Loaded(pieces, title=source.ref.name, metadata=metadata)


def _verdict(text: str) -> dict[str, Any]:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return {"valid_json": False, "json_error": f"{error.msg}: line {error.lineno}, column {error.colno}"}
    return {"valid_json": True}


def _lines(pieces: Iterator[str]) -> Iterator[list[str]]:
    """The lines without their ends, some at a time."""
    held: list[str] = []
    for piece in pieces:
        first, *further = piece.split("\n")
        held.append(first)
        if further:
            yield ["".join(held), *further[:-1]]
            held = [further[-1]]
    yield ["".join(held)]


def _numbered(batches: Iterator[list[str]], metadata: dict[str, Any]) -> Iterator[str | Mark]:
    block: list[str] = []
    due = number = chars = 0
    for line in chain.from_iterable(batches):
        number += 1
        if not line or line.isspace():
            continue
        if number != due or chars >= _BLOCK:
            if block:
                yield "".join(block)
                block, chars = [], 0
            if number != due:
                yield Mark("rows", number)
        due = number + 1
        block += (line, "\n")
        chars += len(line)
        metadata["rows"] += 1
        _check(line, number, metadata)
    if block:
        yield "".join(block)


def _check(line: str, number: int, metadata: dict[str, Any]) -> None:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        metadata["invalid_lines"] = metadata.get("invalid_lines", 0) + 1
        told = metadata.setdefault("first_invalid_lines", [])
        if len(told) < _TOLD:
            told.append(number)
