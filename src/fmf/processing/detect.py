"""What kind of file a resource is, by its name and its first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from fmf.processing.decode import looks_binary
from fmf.processing.loaders.base import loaders

Family = Literal["text", "table", "image", "document"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    name: str
    """The loader that reads it, in the table of loaders."""
    media_type: str
    family: Family
    """`text` and `table` are made of characters; `image` and `document` are binary."""
    extra: str = ""
    """The extra that brings its loader, where the loader is not always there."""


TEXT: Final = Kind("text", "text/plain", "text")
MARKDOWN: Final = Kind("markdown", "text/markdown", "text")
CSV: Final = Kind("csv", "text/csv", "table")


def _documents() -> dict[str, Kind]:
    office = "application/vnd.openxmlformats-officedocument"
    types = {
        "pdf": "application/pdf",
        "docx": f"{office}.wordprocessingml.document",
        "pptx": f"{office}.presentationml.presentation",
        "eml": "message/rfc822",
        "msg": "application/vnd.ms-outlook",
        "html": "text/html",
    }
    kinds = {name: Kind(name, media_type, "document", "documents") for name, media_type in types.items()}
    kinds["htm"] = kinds["xhtml"] = kinds["html"]
    excel = Kind("xlsx", f"{office}.spreadsheetml.sheet", "document", "documents")
    parquet = Kind("parquet", "application/vnd.apache.parquet", "document", "parquet")
    return {**kinds, "xlsx": excel, "xlsm": excel, "parquet": parquet}


def _images() -> dict[str, Kind]:
    types = {"jpg": "jpeg", "tif": "tiff"} | {name: name for name in ("png", "jpeg", "gif", "bmp", "tiff", "webp")}
    return {name: Kind("image", f"image/{media_type}", "image", "ocr") for name, media_type in types.items()}


def _plain(media_types: dict[str, str], endings: str) -> dict[str, Kind]:
    special = {ending: Kind("text", media_type, "text") for ending, media_type in media_types.items()}
    return dict.fromkeys(endings.split(), TEXT) | special


KINDS: Final[dict[str, Kind]] = {
    **_plain(
        {
            "json": "application/json",
            "jsonl": "application/x-ndjson",
            "ndjson": "application/x-ndjson",
            "geojson": "application/geo+json",
            "ipynb": "application/x-ipynb+json",
            "xml": "application/xml",
            "xsl": "application/xml",
            "xsd": "application/xml",
            "svg": "image/svg+xml",
            "yaml": "application/yaml",
            "yml": "application/yaml",
            "toml": "application/toml",
            "rst": "text/x-rst",
            "org": "text/x-org",
            "tex": "text/x-tex",
            "py": "text/x-python",
            "sql": "application/sql",
            "srt": "application/x-subrip",
            "vtt": "text/vtt",
        },
        "txt text log adoc asciidoc ini cfg conf properties env bib css diff patch po pot tmpl jinja "
        "sh bash zsh ps1 bat c h cc cpp hpp cs go java js jsx ts tsx kt lua m pl pm php r rb rs scala swift pyi pyx "
        "proto graphql",
    ),
    "md": MARKDOWN,
    "markdown": MARKDOWN,
    "mdown": MARKDOWN,
    "mkd": MARKDOWN,
    "mdx": MARKDOWN,
    "qmd": MARKDOWN,
    "rmd": MARKDOWN,
    "csv": CSV,
    "tsv": Kind("csv", "text/tab-separated-values", "table"),
    **_documents(),
    **_images(),
}
"""Kinds by the ending of the name, in small letters and without the dot."""

_MAGIC: Final = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"PAR1", "parquet"),
)
_BMP_HEADERS: Final = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_LATE_PDF: Final = re.compile(rb".{1,1024}?%PDF-\d\.\d\s", re.DOTALL)
"""Something in front of a PDF: part of a letter, of a reply over HTTP."""
_PDF_WITHIN: Final = 1024 + 9


def ending(name: str) -> str:
    """The ending of a file name in small letters, without the dot; empty where there is none."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem else ""


def detect(name: str, head: bytes) -> Kind | None:
    """The kind of a file, or nothing where it is not known.

    The first bytes win over a name that claims text: a PDF called `notes.txt` is a PDF; those of a PDF or a picture win
    over any name. A file whose name has no ending
    is plain text when its first bytes are not binary.

    Args:
        name: the file's name.
        head: its first bytes, a few thousand at least where it has them.
    """
    claimed = KINDS.get(ending(name))
    found = by_magic(head)
    if claimed and claimed.family in {"document", "image"}:
        return found if found and found.name in {"pdf", "image"} else claimed
    if found:
        return found
    if claimed:
        return claimed
    if ending(name):
        return _of_plugin(ending(name))
    return None if looks_binary(head) else TEXT


def _of_plugin(claimed: str) -> Kind | None:
    if claimed not in loaders or loaders.metadata(claimed)["source"] == "built-in":
        return None
    return Kind(claimed, "application/octet-stream", "document")


def by_magic(head: bytes) -> Kind | None:
    """The kind that the first bytes alone tell, or nothing where they tell none."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return KINDS[kind]
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return KINDS["webp"]
    if head.startswith(b"BM") and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return KINDS["bmp"]
    return KINDS["pdf"] if _LATE_PDF.match(head[:_PDF_WITHIN]) and looks_binary(head) else None
