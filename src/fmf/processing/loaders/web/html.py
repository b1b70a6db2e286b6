"""HTML: its text with headings, lists, tables and links as Markdown, or as plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Any, Final

from html_to_markdown import (
    CodeBlockStyle,
    ConversionOptions,
    HeadingStyle,
    HiddenContent,
    HighlightStyle,
    InlineDataMedia,
    LinkStyle,
    ListIndentType,
    NewlineStyle,
    OutputFormat,
    PreprocessingOptions,
    PreprocessingPreset,
    TierStrategy,
    UrlEscapeStyle,
    WhitespaceMode,
    convert,
)

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.declared import declared_codec
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.characters.normalize import line_ends, normalized
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.web.html_text import PlainText, head_of, last_words
from fmf.processing.loaders.web.tags import without_bad_references
from fmf.processing.panics import is_panic
from fmf.processing.source import Source

LARGEST_TREE: Final = 32_000_000
"""Characters of a page that is read as a tree, and bytes of its file; of a larger one the lines of text are taken."""
MOST_TAGS: Final = 1_000_000
"""Tags of such a page; each takes some 600 bytes of memory."""
_BLOCK: Final = 1 << 16
_HEAD: Final = 1 << 18
_CDATA: Final = "<![CDATA["
_OPTIONS: Final = ConversionOptions(
    preprocessing=PreprocessingOptions(enabled=False, preset=PreprocessingPreset.STANDARD),
    # Metadata would stand above the text; it is read apart.
    extract_metadata=False,
    inline_data_media=InlineDataMedia.ALT_TEXT_ONLY,
    hidden_content=HiddenContent.DROP,
    br_in_tables=True,
    compact_tables=True,
    bullets="-",
    # Without a sign, the cube of 10 would be read as 103.
    sup_symbol="^",
    # The defaults as values: as words they would be looked up anew for every page, which takes 0.1 ms.
    heading_style=HeadingStyle.ATX,
    list_indent_type=ListIndentType.SPACES,
    highlight_style=HighlightStyle.DOUBLE_EQUAL,
    whitespace_mode=WhitespaceMode.NORMALIZED,
    newline_style=NewlineStyle.SPACES,
    code_block_style=CodeBlockStyle.BACKTICKS,
    url_escape_style=UrlEscapeStyle.ANGLE,
    link_style=LinkStyle.INLINE,
    output_format=OutputFormat.MARKDOWN,
    tier_strategy=TierStrategy.AUTO,
)


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page."""

    pieces: Iterator[str]
    markdown: bool
    notes: dict[str, str]
    """What is to be noted of how it was read."""


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the page; its title is that of its head, else the file's name.

    Scripts, styles, templates and what a browser does not show are left out. Pages that are too large or too deep for a
    tree, and pages in which the tree would lose text, are read as plain lines; `reduced` in the metadata says why.

    Raises:
        ProcessingError: the bytes cannot be decoded.
    """
    encoding = encoding_of(source, declared=declared_codec(source.head, markup=True))
    pieces = decoded(source, encoding)
    start = ""
    while len(start) < _HEAD and (piece := next(pieces, "")):
        start += piece
    head = head_of(start[:_HEAD])
    metadata: dict[str, Any] = head.metadata()
    metadata |= encoding.notes()
    if not settings.text.preserve_markdown or source.size > LARGEST_TREE:
        page = plain(chain([start], pieces), "too large" if settings.text.preserve_markdown else "")
    else:
        page = page_of(start + "".join(pieces), settings)
    metadata |= page.notes
    return Loaded(tidy(page, settings), title=head.title or source.ref.name, markdown=page.markdown, metadata=metadata)


def page_of(text: str, settings: ProcessingConfig) -> Page:
    """The text of a page that is in memory."""
    if not settings.text.preserve_markdown:
        return plain(_in_blocks(text), "")
    if len(text) > LARGEST_TREE or text.count("<") > MOST_TAGS:
        return plain(_in_blocks(text), "too large")
    whole, unclosed = _without_open_end(text)
    try:
        result = convert(without_bad_references(_with_cdata(whole)), _OPTIONS)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return plain(_in_blocks(text), "its markup cannot be read")
    content = result.content or ""
    if any("DEPTH" in str(warning.kind).upper() for warning in result.warnings):
        return plain(_in_blocks(text), "nested too deep")
    notes = {"unclosed": unclosed} if unclosed else {}
    if _has_end_of(content, whole):
        return Page(_in_blocks(content), markdown=True, notes=notes)
    return _fuller(text, content, notes)


def plain(pieces: Iterator[str], why: str) -> Page:
    """The text of a page without its structure, for a reason or on purpose."""
    return Page(PlainText().write(pieces), markdown=False, notes={"reduced": why} if why else {})


def tidy(page: Page, settings: ProcessingConfig) -> Iterator[str]:
    """The text with its white space as the settings want it."""
    if settings.text.normalize_whitespace:
        return normalized(page.pieces, markdown=page.markdown)
    return line_ends(page.pieces)


def _fuller(text: str, content: str, notes: dict[str, str]) -> Page:
    """The Markdown, unless much of the text is not in it; where all of a page is hidden, that is its text."""
    writer = PlainText()
    lines = "".join(writer.write(_in_blocks(text)))
    if not lines.strip() and not content.strip():
        lines = "".join(PlainText(hidden=True).write(_in_blocks(text)))
        if lines.strip():
            return Page(_in_blocks(lines), markdown=False, notes={"reduced": "all of it is hidden"})
    if _words(lines) > 1.1 * _words(content):
        return Page(_in_blocks(lines), markdown=False, notes={"reduced": "its markup is damaged"})
    if writer.unclosed:
        notes = {"unclosed": writer.unclosed}
    return Page(_in_blocks(content), markdown=True, notes=notes)


def _words(text: str) -> int:
    return len(text) - text.count(" ") - text.count("\n")


def _has_end_of(content: str, text: str) -> bool:
    """Whether the last words of the page are at the end of what was made of it."""
    words = last_words(text)
    end = content[-50_000:]
    return bool(content.strip()) and all(word in end for word in words)


def _without_open_end(text: str) -> tuple[str, str]:
    """The text without a script or style that never ends, and which of them that was."""
    for name in ("script", "style"):
        opened = max(text.rfind(f"<{name}"), text.rfind(f"<{name.upper()}"))
        closed = any(text.find(end, opened) >= 0 for end in (f"</{name}", f"</{name.upper()}"))
        if opened >= 0 and not closed and text[text.find(">", opened) - 1] != "/":
            return text[:opened], name
    return text, ""


def _with_cdata(text: str) -> str:
    """The text with the content of its CDATA sections as ordinary text."""
    if _CDATA not in text:
        return text
    parts, at = [], 0
    while (begin := text.find(_CDATA, at)) >= 0 and (end := text.find("]]>", begin)) >= 0:
        parts += [text[at:begin], escape(text[begin + len(_CDATA) : end], quote=False)]
        at = end + 3
    return "".join([*parts, text[at:]])


def _in_blocks(text: str) -> Iterator[str]:
    for at in range(0, len(text), _BLOCK):
        yield text[at : at + _BLOCK]
