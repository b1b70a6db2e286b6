"""A message as text, whatever file it came from: its headers, its body, and what is attached to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.characters.decode import wide_encoding
from fmf.processing.characters.normalize import line_ends, normalized
from fmf.processing.kinds.detect import KINDS, Kind
from fmf.processing.loaders.base import Mark, kind_of, loaders
from fmf.processing.loaders.inner import inner_source, inner_text, one_line
from fmf.processing.loaders.web.html import page_of, tidy
from fmf.processing.source import Source
from fmf.processing.unreadable import unreadable
from fmf.processing.wanted import Skipped, wanted
from fmf_core.errors import Code, FrameworkError

LARGEST: Final = 150_000_000
"""Bytes of a message; servers carry less."""
DEEPEST: Final = 5
"""Messages inside messages, at most."""
MOST_PARTS: Final = 1000
"""Attachments of one message, with those of the messages inside it."""
SHOWN: Final = ("From", "To", "Cc", "Bcc", "Date", "Subject")
"""Headers that stand above the body, in this order."""
_NOT_ENTERED: Final = frozenset({"gzip", "epub", "mbox"})
_MAIL: Final = frozenset({"eml", "msg"})
DEPTH: Final = ContextVar("fmf_messages_around", default=0)
"""In how many messages the file is that a loader is called for."""
_SAMPLE: Final = 1 << 15
_HEAD: Final = 1_000_000
_PGP: Final = "-----BEGIN PGP MESSAGE-----"


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a message as it was sent."""

    data: bytes
    charset: str = ""
    """The label that came with it."""
    html: bool = False


@dataclass(slots=True)
class Part:
    """Something attached to a message."""

    name: str
    media_type: str
    data: Callable[[], bytes]
    """Its bytes, made when they are needed."""
    letter: Letter | None = None
    """Where it is a message itself."""
    embedded: bool = False
    """Whether it is a picture that the body shows, not a document."""


@dataclass(slots=True)
class Letter:
    """A message."""

    headers: dict[str, str] = field(default_factory=dict)
    """Those out of `SHOWN` that it has, as one line each."""
    body: list[Body] = field(default_factory=list)
    """Its text, in one part or several."""
    parts: list[Part] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Other things to note, such as the id of the message."""
    encrypted: str = ""
    """In which way it is encrypted, if it is."""
    unread_body: str = ""
    """The format of its text, where that is there in no format that is read."""

    def metadata(self) -> dict[str, Any]:
        """The headers under their names in small letters, the facts, and the format of a body that is not read."""
        unread = {"unread_body": self.unread_body} if self.unread_body else {}
        return {name.lower(): value for name, value in self.headers.items()} | self.facts | unread

    def has_form(self) -> bool:
        """Whether any of its text may become Markdown."""
        return any(body.html for body in self.body) or any(not part.embedded for part in self.parts)


@dataclass
class Writer:
    """Writes messages as text, and notes in the metadata what became of their attachments.

    Args:
        source: the file that they are in, for addresses.
        settings: the section `processing`.
        metadata: gets `attachments`: for each its name, type, size, and whether it was `read`, `listed` or `failed`.
        op: what reads, for errors, such as `eml`.
    """

    source: Source
    settings: ProcessingConfig
    metadata: dict[str, Any]
    op: str
    parts: int = 0

    def write(self, letter: Letter, depth: int) -> Iterator[str | Mark]:
        """The headers, a blank line, the body, then each attachment behind a mark and a line that names it.

        Args:
            letter: the message.
            depth: in how many messages it is.

        Raises:
            ProcessingError: it is encrypted, or its body cannot be decoded.
        """
        if letter.encrypted:
            raise self._encrypted(letter.encrypted)
        lines = [f"{name}: {letter.headers[name]}\n" for name in SHOWN if letter.headers.get(name)]
        yield "".join(lines)
        for body in letter.body:
            yield "\n"
            yield from self._body(body)
            yield "\n"
        if letter.unread_body:
            yield f"\n(its text is {letter.unread_body}, which is not read)\n"
        for part in letter.parts:
            yield from self._part(part, depth)

    def _encrypted(self, how: str) -> ProcessingError:
        return unreadable(
            self.source,
            self.op,
            f"the message is encrypted ({how})",
            hint="open it in the mail program that has the key and save it without encryption, or exclude the file",
            code=Code.UNSUPPORTED,
        )

    def _body(self, body: Body) -> Iterator[str]:
        # Some programs leave NUL bytes in messages; they say nothing.
        data = body.data if wide_encoding(body.data[:_SAMPLE]) else body.data.replace(b"\0", b"")
        text = inner_text(self.source, "body", data, self.settings, charset=body.charset, markup=body.html)
        if body.html:
            page = page_of("".join(text), self.settings)
            yield from tidy(page, self.settings)
            return
        whole = "".join(text)
        if whole.lstrip().startswith(_PGP):
            raise self._encrypted("PGP")
        tidied = normalized if self.settings.text.normalize_whitespace else line_ends
        yield from tidied(iter([whole]))

    def _part(self, part: Part, depth: int) -> Iterator[str | Mark]:
        self.parts += 1
        name = one_line(part.name) or "unnamed"
        noted: dict[str, Any] = {"name": name, "type": part.media_type, "status": "listed"}
        if self.parts <= MOST_PARTS:
            self.metadata.setdefault("attachments", []).append(noted)
        else:
            self.metadata["more_attachments"] = self.metadata.get("more_attachments", 0) + 1
            return
        if part.letter is not None and not part.letter.encrypted and depth < DEEPEST:
            yield Mark("part", self.parts, name)
            yield f"\nAttached message: {name}\n\n"
            noted["status"] = "read"
            if part.letter.unread_body:
                noted["unread_body"] = part.letter.unread_body
            yield from self.write(part.letter, depth + 1)
            return
        data = part.data()
        noted["bytes"] = len(data)
        if part.embedded:
            return
        kind = self._kind(name, part.media_type, data)
        yield Mark("part", self.parts, name)
        yield f"\nAttachment: {name} ({part.media_type}, {len(data):,} bytes)\n"
        if kind is not None and (depth < DEEPEST or kind.name not in _MAIL):
            yield from self._read(noted, kind, data, depth)

    def _kind(self, name: str, media_type: str, data: bytes) -> Kind | None:
        """The kind of an attachment, where it is one that is to be read."""
        if not data:
            return None
        head = data[:_HEAD]
        found = kind_of(name, head) or next(
            (each for each in KINDS.values() if each.media_type == media_type and each.family != "text"), None
        )
        try:
            kind = wanted(found, name, head, self.settings)
        except Skipped:
            return None
        return None if kind.name in _NOT_ENTERED or kind.name not in loaders else kind

    def _read(self, noted: dict[str, Any], kind: Kind, data: bytes, depth: int) -> Iterator[str | Mark]:
        """The text of an attachment; where it cannot be read, the message is not lost for that."""
        try:
            with inner_source(self.source, str(noted["name"]), data, self.settings) as source:
                # A message in a file of its own counts like one that is there as a part.
                outside = DEPTH.set(depth + 1)
                try:
                    loaded = loaders.get(kind.name)(source, self.settings)
                finally:
                    DEPTH.reset(outside)
                yield "\n"
                yield from loaded.pieces
        except FrameworkError as error:
            noted |= {"status": "failed", "reason": error.message}
            yield "\n(it cannot be read)\n"
        else:
            noted["status"] = "read"
            yield "\n"
