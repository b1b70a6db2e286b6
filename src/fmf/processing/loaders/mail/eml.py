"""Mail as files: one message (EML), or a folder of them in one file (mbox)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.mail.letters import DEPTH, LARGEST, Letter, Writer
from fmf.processing.loaders.mail.mime import read_letter
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.unreadable import unreadable

_FROM_LINE: Final = re.compile(rb"From (?:\S+ .*\d{4}|- )")
_QUOTED: Final = re.compile(rb"^>(>*From )", re.MULTILINE)


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """A message: its headers, its body and the text of what is attached; its title is the subject.

    The plain form of the body is taken where there is one, else the HTML one. Attachments of kinds that are read have
    their text behind a mark, others only a line that names them.

    Raises:
        ProcessingError: it is no message, encrypted, or too large.
    """
    if source.size > LARGEST:
        raise _too_large(source, "eml")
    letter = read_letter(source, source.stream, "eml")
    return loaded_letter(letter, source, settings, "eml")


def loaded_letter(letter: Letter, source: Source, settings: ProcessingConfig, op: str) -> Loaded:
    """A message that was taken apart, on its way to text."""
    metadata = letter.metadata()
    markdown = settings.text.preserve_markdown and letter.has_form()
    pieces = Writer(source, settings, metadata, op).write(letter, DEPTH.get())
    title = letter.headers.get("Subject") or source.ref.name
    return Loaded(pieces, title=title, markdown=markdown, metadata=metadata)


def load_mbox(source: Source, settings: ProcessingConfig) -> Loaded:
    """The messages of the file, each behind a mark with its number; one message at a time is in memory.

    A message that cannot be read is counted in the metadata and named in its place; the others are read.
    """
    metadata: dict[str, Any] = {"messages": 0}
    pieces = _messages(source, settings, metadata)
    return Loaded(pieces, title=source.ref.name, markdown=settings.text.preserve_markdown, metadata=metadata)


def _messages(source: Source, settings: ProcessingConfig, metadata: dict[str, Any]) -> Iterator[str | Mark]:
    for number, data in enumerate(_split(source), 1):
        metadata["messages"] = number
        begun = False
        try:
            if data is None:
                raise _too_large(source, "mbox")
            letter = read_letter(source, io.BytesIO(data), "mbox")
            begun = True
            yield Mark("part", number, letter.headers.get("Subject"))
            yield "\n" if number > 1 else ""
            # What became of attachments is not noted for each message: there may be a million.
            noted: dict[str, Any] = {}
            yield from Writer(source, settings, noted, "mbox").write(letter, 1)
        except ProcessingError as error:
            metadata["unread_messages"] = metadata.get("unread_messages", 0) + 1
            metadata.setdefault("first_unread", error.message)
            if not begun:
                yield Mark("part", number)
            yield f"\n(message {number} cannot be read)\n"


def _split(source: Source) -> Iterator[bytes | None]:
    """The bytes of each message; nothing for one that is too large."""
    lines: list[bytes] = []
    size, blank, begun = 0, True, False
    for line in _lines(source):
        if blank and _FROM_LINE.match(line):
            if begun:
                yield _message(lines, size)
            lines, size, begun = [], 0, True
            continue
        blank = not line.strip()
        size += len(line)
        if size > LARGEST:
            lines.clear()
        else:
            lines.append(line)
    if begun or size:
        yield _message(lines, size)


def _message(lines: list[bytes], size: int) -> bytes | None:
    return _QUOTED.sub(rb"\1", b"".join(lines)) if size <= LARGEST else None


def _lines(source: Source) -> Iterator[bytes]:
    """The lines of the file, the longest of them in parts."""
    held = b""
    for block in source.blocks():
        lines = (held + block).splitlines(keepends=True)
        held = lines.pop() if lines and not lines[-1].endswith(b"\n") and len(lines[-1]) < MEGABYTE else b""
        yield from lines
    if held:
        yield held


def _too_large(source: Source, kind: str) -> ProcessingError:
    return unreadable(
        source,
        kind,
        f"a message has more than {LARGEST / MEGABYTE:g} MB, and larger ones are not read",
        hint="save what is attached to it as files of their own, or exclude the file",
    )
