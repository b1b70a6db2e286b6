"""The exam that every loader sits: good files, the same under other names, and files that are damaged in many ways."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Loaded, Loader, Mark
from fmf.processing.source import Source, fetch
from fmf.testing.checks import expect
from fmf.types import ResourceRef

LONGEST_PIECE = 4_000_000
"""Characters of the longest piece of text that a loader may give at once."""
_CLIMBING = ("page", "slide", "sheet")


@dataclass(frozen=True, slots=True)
class Read:
    """What a loader gave for one file."""

    text: str
    marks: tuple[tuple[int, Mark], ...]
    """The marks, each with the number of characters before it."""
    title: str | None
    metadata: Mapping[str, Any]
    longest_piece: int
    """Characters of the longest piece."""
    pieces: int
    """How many pieces of text there were."""


class LoaderExam:
    """What every loader must do; a test class that subclasses it and gives a loader and files sits the exam in pytest.

        class TestMyLoader(LoaderExam):
            words = {"small.xyz": ["brake", "rain"]}

            def make_loader(self):
                return load

            def make_files(self):
                return {"small.xyz": b"..."}

    The files are good ones, small enough to be read some fifty times. The damaged files are made from them.
    """

    words: ClassVar[Mapping[str, Sequence[str]]] = {}
    """By the name of a file, what must stand in its text, in this order."""
    settings: ClassVar[ProcessingConfig] = ProcessingConfig()
    """How the files are read."""
    damages: ClassVar[int] = 12
    """How many times each file is damaged at random."""
    error_names_source: ClassVar[bool] = True
    """Whether errors must name the file's address."""

    def make_loader(self) -> Loader:
        """The loader that sits the exam."""
        raise AssertionError(f"{type(self).__name__} must define make_loader()")

    def make_files(self) -> dict[str, bytes]:
        """Good files by name, each with some text."""
        raise AssertionError(f"{type(self).__name__} must define make_files()")

    def make_large_file(self) -> tuple[str, bytes] | None:
        """The name and the bytes of a file with more text than one piece may hold; `None` leaves that test out."""
        return None

    def read(self, data: bytes, name: str) -> Read:
        """All that the loader gives for a file of that name."""
        with opened(data, name) as source:
            return read_through(self.make_loader()(source, self.settings))

    def test_the_text_is_there(self) -> None:
        """Good files have text, with the words that are expected, and every character of it can be written."""
        files = self.make_files()
        expect(bool(files), "make_files() gave no file")
        for name, data in files.items():
            text = self.read(data, name).text
            expect(bool(text.strip()), f"{name}: there is no text")
            expect("\ufffd" not in text, f"{name}: a character was replaced: {_around(text, chr(0xFFFD))}")
            expect("\r" not in text, f"{name}: lines end with \\r: {_around(text, chr(13))}")
            text.encode()
            at = 0
            for word in self.words.get(name, ()):
                found = text.find(word, at)
                expect(
                    found >= 0, f"{name}: {word!r} is not in the text after {at} characters: {text[at : at + 500]!r}"
                )
                at = found + len(word)

    def test_marks_are_in_order(self) -> None:
        """Pages, slides and sheets count up, rows count up within their sheet, and no row has two numbers."""
        for name, data in self.make_files().items():
            read = self.read(data, name)
            _check_marks(name, read)

    def test_metadata_is_json_and_the_title_a_text(self) -> None:
        """The metadata is plain JSON once the file is read, and the title is a text or nothing."""
        for name, data in self.make_files().items():
            read = self.read(data, name)
            expect(read.title is None or bool(read.title.strip()), f"{name}: the title is {read.title!r}")
            again = json.loads(json.dumps(dict(read.metadata), allow_nan=False))
            expect(again == dict(read.metadata), f"{name}: the metadata is no plain JSON: {read.metadata!r}")

    def test_the_same_bytes_give_the_same_text_whatever_their_name(self) -> None:
        """Reading is repeatable, and the name plays no part but in the title."""
        for name, data in self.make_files().items():
            first = self.read(data, name)
            for other in (name, "renamed", "名前 %2e%2e.dat", "a.b.c.TXT"):
                again = self.read(data, other)
                expect(again.text == first.text, f"{name}: as {other!r} its text is another")
                expect(again.marks == first.marks, f"{name}: as {other!r} its marks are others")
                expect(again.metadata == first.metadata, f"{name}: as {other!r} its metadata is {again.metadata!r}")

    def test_text_comes_in_pieces_and_may_be_left_early(self) -> None:
        """No piece is too long, the rest is not read once the reader has gone, and the stream stays the reader's."""
        for name, data in self.make_files().items():
            with opened(data, name) as source:
                loaded = self.make_loader()(source, self.settings)
                expect(iter(loaded.pieces) is loaded.pieces, f"{name}: pieces is no iterator: {loaded.pieces!r}")
                next(loaded.pieces)
                close = getattr(loaded.pieces, "close", None)
                if close:
                    close()
                expect(not source.stream.closed, f"{name}: the loader closed a stream that is not its own")
        if large := self.make_large_file():
            read = self.read(large[1], large[0])
            expect(read.pieces > 1, f"{large[0]}: {len(read.text)} characters came in one piece")
            expect(read.longest_piece <= LONGEST_PIECE, f"{large[0]}: a piece has {read.longest_piece} characters")

    def test_damaged_files_are_one_clear_error_or_text(self) -> None:
        """Whatever is cut off, changed or made up gives `ProcessingError` or text, never anything else."""
        for name, data in self.make_files().items():
            for what, damaged in _damaged(data, self.damages):
                self._survive(damaged, name, what)
        for what, made_up in _made_up():
            self._survive(made_up, "made up", what)

    def _survive(self, data: bytes, name: str, what: str) -> None:
        try:
            read = self.read(data, name)
        except ProcessingError as error:
            for part in ("op", "hint", "message"):
                expect(bool(getattr(error, part)), f"{name}, {what}: the error has no {part}: {error!r}")
            named = not self.error_names_source or _uri(name) in error.message
            expect(named, f"{name}, {what}: the error does not name the file: {error.message}")
        except Exception as error:
            raise AssertionError(
                f"{name}, {what}: {type(error).__name__} instead of ProcessingError: {error}"
            ) from error
        else:
            read.text.encode()
            _check_marks(f"{name}, {what}", read)
            json.dumps(dict(read.metadata), allow_nan=False)


@contextmanager
def opened(data: bytes, name: str) -> Iterator[Source]:
    """`data` as a source of that name, as a loader gets it."""
    with fetch(_Memory(data), ResourceRef(name, _uri(name), name, len(data)), max_bytes=1e12) as source:
        yield source


def read_through(loaded: Loaded) -> Read:
    """Everything that a loader has to give."""
    text: list[str] = []
    marks: list[tuple[int, Mark]] = []
    chars = 0
    for piece in loaded.pieces:
        if isinstance(piece, Mark):
            marks.append((chars, piece))
            continue
        expect(isinstance(piece, str), f"neither text nor a mark: {piece!r}")
        text.append(piece)
        chars += len(piece)
    longest = max(map(len, text), default=0)
    return Read("".join(text), tuple(marks), loaded.title, loaded.metadata, longest, len(text))


class _Memory:
    """Opens one file of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, ref: ResourceRef) -> BinaryIO:  # noqa: ARG002 - the protocol's name
        return io.BytesIO(self._data)


def _uri(name: str) -> str:
    return f"memory://{name}"


def _check_marks(name: str, read: Read) -> None:
    last: dict[str, int] = {}
    row: tuple[int, int] | None = None  # the place of the last `rows` mark, and the number of the row there
    for at, mark in read.marks:
        expect(mark.number is None or mark.number > 0, f"{name}: {mark} counts from 1")
        expect(mark.name is None or bool(mark.name.strip()), f"{name}: {mark} has a blank name")
        if mark.kind in _CLIMBING and mark.number is not None:
            expect(mark.number > last.get(mark.kind, 0), f"{name}: {mark} follows {mark.kind} {last.get(mark.kind)}")
            last[mark.kind] = mark.number
        if mark.kind == "sheet":
            row = None
        if mark.kind == "rows":
            expect(mark.number is not None, f"{name}: {mark} has no number")
            expect(at == 0 or read.text[at - 1] == "\n", f"{name}: {mark} is not at the start of a line")
            least = row[1] + _lines(read.text[row[0] : at]) if row else 1
            expect((mark.number or 0) >= least, f"{name}: {mark} comes where row {least} is due")
            row = (at, mark.number or 0)


def _lines(text: str) -> int:
    """How many lines there are, without those that draw a line under the header of a Markdown table."""
    return sum(1 for line in text.split("\n")[:-1] if not line.startswith("| ---"))


def _damaged(data: bytes, times: int) -> Iterator[tuple[str, bytes]]:
    """The file cut off, and with other bytes in places; the same ones every time."""
    chance = random.Random(len(data))  # noqa: S311 - damage that can be repeated
    for part in (0.02, 0.3, 0.6, 0.9, 0.99):
        size = int(len(data) * part)
        yield f"cut off after {size} bytes", data[:size]
    yield "with the first half twice", data[: len(data) // 2] + data
    for number in range(times):
        changed = bytearray(data)
        for _ in range(1 + number * 3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield f"with {1 + number * 3} bytes changed, number {number}", bytes(changed)
    at = chance.randrange(len(data))
    yield f"with zeros from byte {at}", data[:at] + bytes(len(data) - at)


def _made_up() -> Iterator[tuple[str, bytes]]:
    chance = random.Random(7)  # noqa: S311 - the same bytes every time
    yield "no bytes", b""
    yield "one zero", b"\0"
    yield "blanks", b" \n" * 50
    yield "zeros", bytes(5000)
    yield "plain text", b"Nothing but words.\n" * 20
    for start in (
        b"",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"%PDF-1.7\n",
        b"PAR1",
        b"{\\rtf1",
        b"<html>",
        b"<?xml ",
    ):
        yield f"random bytes after {start!r}", start + chance.randbytes(3000)


def _around(text: str, what: str) -> str:
    at = text.find(what)
    return repr(text[max(0, at - 40) : at + 40])
