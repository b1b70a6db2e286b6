"""Rich Text Format: its text, paragraph by paragraph; fonts, pictures and other furniture are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.office.blocks import Blocks, gathered, in_a_cell
from fmf.processing.loaders.office.rtf_fonts import Fonts, codec_of
from fmf.processing.source import Source
from fmf.processing.unreadable import unreadable

_KIND: Final = "rtf"
_MAGIC: Final = b"{\\rtf"
_TOKEN: Final = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
_DEEPEST: Final = 500
_LONGEST_TOKEN: Final = 1 << 16
_LONGEST_WORD: Final = 64
_SILENT: Final = frozenset(
    [
        *("fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "objdata", "filetbl", "xmlnstbl", "template"),
        *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "listtext", "pntext"),
        *("listtable", "listoverridetable", "revtbl", "rsidtbl", "generator", "themedata", "colorschememapping"),
        *("datastore", "latentstyles", "fldinst", "bkmkstart", "bkmkend", "annotation", "atnid", "atnauthor"),
        "nonshppict",
    ]
)
"""Groups whose text is no text of the document."""
_SHOWN: Final = frozenset({"shppict", "shpinst", "shptxt", "pn"})
"""Groups that older programs are told to leave out, and that hold text."""
_CHARACTERS: Final = {
    **dict.fromkeys(("par", "sect", "page"), "\n\n"),
    "line": "\n",
    "tab": "\t",
    "emdash": "\u2014",
    "endash": "\u2013",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
    "emspace": " ",
    "enspace": " ",
}
_SYMBOLS: Final = {b"~": "\u00a0", b"_": "-", b"-": "", b"\n": "\n\n", b"\r": "\n\n"}

_THEMSELVES: Final = frozenset([b"\\", b"{", b"}"])


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the file: paragraphs, and tables as Markdown, or as lines without `preserve_markdown`.

    Raises:
        ProcessingError: it does not begin like RTF.
    """
    if not source.head.startswith(_MAGIC):
        raise unreadable(source, _KIND, "it does not begin as RTF does")
    markdown = settings.text.preserve_markdown
    return Loaded(gathered(_pieces(source, Blocks(markdown=markdown))), title=source.ref.name, markdown=markdown)


def _pieces(source: Source, blocks: Blocks) -> Iterator[str]:
    reader = _Rtf()
    for token in _tokens(source):
        reader.take(token)
        if reader.depth > _DEEPEST:
            raise unreadable(source, _KIND, f"its groups are nested more than {_DEEPEST} deep")
        for block in reader.done():
            yield blocks.paragraph(block) if isinstance(block, str) else blocks.table(block)
    for block in reader.done(final=True):
        yield blocks.paragraph(block) if isinstance(block, str) else blocks.table(block)
    yield blocks.end()


def _tokens(source: Source) -> Iterator[re.Match[bytes]]:
    """The words, characters and runs of text of the file; what is between them means nothing."""
    held, at = b"", 0
    for block in chain(source.blocks(_LONGEST_TOKEN), [None]):
        held, at = held[at:] + (block or b""), max(at - len(held), 0)
        # The last bytes may be half of a word, unless they are the last of all.
        end = len(held) - (_LONGEST_WORD if block else 0)
        while at < end and (token := _TOKEN.search(held, at)) and token.start() < end:
            at = token.end()
            if token[1] == b"bin" and token[2]:  # so many bytes follow that are no text
                at += max(int(token[2]), 0)
            yield token


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds inside a pair of braces."""

    silent: bool = False
    fallback: int = 1
    """How many characters after a `\\u` stand for it where Unicode is not known."""
    font: int | None = None
    """The font in force, where one was named."""
    is_font_table: bool = False


class _Rtf:
    """Takes tokens, and gives paragraphs and tables."""

    def __init__(self) -> None:
        self._groups = [_Group()]
        self._fonts = Fonts()
        self._text: list[str] = []
        self._bytes = bytearray()
        self._skip = 0
        self._starred = False
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._in_table = False
        self._blocks: list[str | list[list[str]]] = []
        self._high: int | None = None

    @property
    def depth(self) -> int:
        """How many groups are open."""
        return len(self._groups)

    def take(self, token: re.Match[bytes]) -> None:
        """Note one token."""
        word, number, code, symbol, brace, text = token.groups()
        if brace:
            self._brace(brace)
        elif word:
            self._word(word.decode("ascii"), int(number) if number else None)
            self._starred = False
        elif code:
            self._byte(int(code, 16))
        elif symbol == b"*":
            self._starred = True
        elif symbol in _THEMSELVES:
            self._byte(symbol[0])  # it may be the second half of a character
        elif symbol:
            self._write(_SYMBOLS.get(symbol, ""))
        elif text and not self._groups[-1].silent:
            dropped = min(self._skip, len(text))
            self._skip -= dropped
            self._bytes += text[dropped:]

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._skip = 0
        if brace == b"{":
            self._groups.append(self._groups[-1])
        elif len(self._groups) > 1:
            self._groups.pop()
        self._starred = False

    def done(self, *, final: bool = False) -> Iterator[str | list[list[str]]]:
        """The blocks that are whole by now."""
        if final:
            self._flush()
            self._end_paragraph()
            self._end_table()
        yield from self._blocks
        self._blocks.clear()

    def _word(self, word: str, number: int | None) -> None:
        group = self._groups[-1]
        if word in _SILENT or (self._starred and word not in _SHOWN):
            self._flush()
            self._groups[-1] = replace(group, silent=True, is_font_table=group.is_font_table or word == "fonttbl")
        elif number is not None:
            self._numbered_word(word, number)
        elif word in {"mac", "pc", "pca"}:
            self._fonts.of_document(codec_of({"mac": 10000, "pc": 437, "pca": 850}[word]))
        elif word == "plain":
            self._in_font(None)
        elif word in {"trowd", "cell", "row"} and not group.silent:
            {"trowd": self._begin_row, "cell": self._end_cell, "row": self._end_row}[word]()
        elif word in _CHARACTERS:
            self._write(_CHARACTERS[word])

    def _numbered_word(self, word: str, number: int) -> None:
        if self._groups[-1].is_font_table:
            self._fonts.describe(word, number)
        elif word == "f":
            self._in_font(number)
        elif word == "deff":
            self._fonts.by_default(number)
        elif word == "ansicpg":
            self._fonts.of_document(codec_of(number))
        elif word == "uc":
            self._groups[-1] = replace(self._groups[-1], fallback=min(max(number, 0), 100))
        elif word == "u":
            self._unicode(number % 65536)

    def _in_font(self, font: int | None) -> None:
        group = self._groups[-1]
        if font != group.font:
            self._flush()
            self._groups[-1] = _Group(group.silent, group.fallback, font, group.is_font_table)

    def _begin_row(self) -> None:
        self._in_table = True

    def _unicode(self, code: int) -> None:
        self._flush()
        self._skip = self._groups[-1].fallback
        if 0xD800 <= code < 0xDC00:
            self._high = code
            return
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((self._high - 0xD800) << 10) + code - 0xDC00 if self._high else 0xFFFD
        self._high = None
        if not self._groups[-1].silent and code != 0xFFFD:
            self._text.append(chr(code))

    def _byte(self, byte: int) -> None:
        if self._skip:
            self._skip -= 1
        elif not self._groups[-1].silent:
            self._bytes.append(byte)

    def _write(self, text: str) -> None:
        self._flush()
        if self._groups[-1].silent:
            return
        if text == "\n\n" and not self._in_table:
            self._end_paragraph()
        else:
            self._text.append("\n" if text == "\n\n" else text)

    def _flush(self) -> None:
        if self._bytes:
            # What is no character of the code page is dropped: it was none for any other program either.
            self._text.append(self._bytes.decode(self._fonts.codec(self._groups[-1].font), "ignore"))
            self._bytes.clear()

    def _end_paragraph(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        if text.strip():
            self._end_table()
            self._blocks.append(text)

    def _end_cell(self) -> None:
        self._flush()
        self._cells.append(in_a_cell("".join(self._text)))
        self._text.clear()

    def _end_row(self) -> None:
        if self._cells:
            self._rows.append(self._cells)
        self._cells, self._in_table = [], False

    def _end_table(self) -> None:
        if self._cells:
            self._end_row()
        if self._rows:
            self._blocks.append(self._rows)
            self._rows = []
