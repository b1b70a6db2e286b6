"""The section `processing`: how bytes become text, chunks and tables."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fmf.config.base import Name, Section


def _overlap(given: dict[str, Any]) -> int:
    return min(150, int(given.get("max_tokens", 800)) * 3 // 16)


class ChunkingConfig(Section):
    """How a text is cut into chunks."""

    strategy: Literal["recursive", "by_heading", "by_paragraph", "by_sentence", "by_row"] = "recursive"
    """`recursive` fills chunks up to max_tokens and cuts at the largest boundaries that fit: headings, paragraphs,
    sentences, words. The others make one chunk of each section, paragraph, sentence or row, and cut only what is too
    long for one."""
    max_tokens: int = Field(default=800, ge=4)
    """No chunk is longer, in tokens; one character may need four."""
    overlap: int = Field(default_factory=_overlap, ge=0)
    """Tokens at the start of a chunk that repeat the end of the one before, at most; from max_tokens on, half of it."""
    splitter: Literal["by_paragraph", "by_sentence", "by_word"] = "by_sentence"
    """What is kept whole where it fits into a chunk; with by_word, chunks are filled to the last word that fits."""
    tokenizer: Name = "o200k_base"
    """The vocabulary in which tokens are counted exactly: o200k_base, cl100k_base or o200k_harmony; or `characters`, an
    estimate of four characters a token, for models whose vocabulary is not known."""


class TextConfig(Section):
    """How text and Markdown are read."""

    normalize_whitespace: bool = True
    """Whether blanks at the ends of lines go and several blank lines become one; blanks inside a line stay. The text of
    office documents has none of either."""
    also: tuple[str, ...] = ()
    """Further endings of files that are plain text, such as `cocci`; those that are known need not be named."""
    preserve_markdown: bool = True
    """Whether headings, lists, tables and code fences of Markdown, web pages and documents are Markdown; otherwise they
    are plain lines."""
    chunking: ChunkingConfig = Field(default_factory=ChunkingConfig)
    """How a text is cut into chunks."""


class TablesConfig(Section):
    """How tables are read."""

    formats: tuple[Literal["csv", "xlsx", "parquet"], ...] = ("csv", "xlsx", "parquet")
    """Which kinds of file are read as tables; others of these kinds are skipped."""
    header_row: int = Field(default=1, ge=1)
    """The row that holds the column names; the first row is 1."""
    include_sheet_names: bool = True
    """Whether the sheet's name stands above its table."""
    to_markdown: bool = True
    """Whether a table's text is a Markdown table; otherwise tab-separated lines."""


class OcrConfig(Section):
    """How text is read from pictures."""

    enabled: bool = False
    """Whether pictures are read."""
    engine: Name = "tesseract"
    """The engine's name."""
    lang: Name = "eng"
    """The language in the engine's own spelling."""


class ImagesConfig(Section):
    """How pictures are read."""

    ocr: OcrConfig = Field(default_factory=OcrConfig)
    """How text is read from pictures."""


class MetadataConfig(Section):
    """What is noted of every document."""

    include_source_path: bool = True
    """Whether the path inside the connector is noted."""
    include_hash: Literal["sha256"] | None = "sha256"
    """The hash of the bytes that is noted; null for none."""


class LimitsConfig(Section):
    """Where reading a file is given up."""

    max_file_mb: float = Field(default=512, gt=0)
    """Larger files fail, in megabytes."""
    max_seconds_per_file: float = Field(default=120, gt=0)
    """Files that take longer fail, in seconds."""
    max_pages: int = Field(default=20_000, ge=1)
    """Files with more pages fail."""
    max_memory_mb: float = Field(default=2048, gt=0)
    """Files whose reading takes more memory fail, in megabytes."""
    max_archive_ratio: float = Field(default=100, gt=0)
    """Compressed files that unpack to more than this many times their size fail."""


class ProcessingConfig(Section):
    """How bytes become text, chunks and tables."""

    text: TextConfig = Field(default_factory=TextConfig)
    """How text and Markdown are read."""
    tables: TablesConfig = Field(default_factory=TablesConfig)
    """How tables are read."""
    images: ImagesConfig = Field(default_factory=ImagesConfig)
    """How pictures are read."""
    metadata: MetadataConfig = Field(default_factory=MetadataConfig)
    """What is noted of every document."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    """Where reading a file is given up."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """How many files are read at once, each in a process of its own; null means one for each processor."""
