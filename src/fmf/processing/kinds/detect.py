"""What kind of file a resource is, by its name and its first bytes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from fmf.processing.characters.decode import looks_binary
from fmf.processing.kinds.containers import is_markup, is_text, kind_inside
from fmf.processing.kinds.endings import DOUBTFUL, PLAIN, telling_name
from fmf.processing.kinds.ole import Window
from fmf.processing.kinds.wording import worded_kind

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
GZIP: Final = Kind("gzip", "application/gzip", "document")
ENCRYPTED: Final = Kind("encrypted", "application/x-ole-storage", "document")
_CONTAINERS: Final = frozenset({"docx", "pptx", "xlsx", "odt", "ole"})
"""Loaders of what is no text, whatever its name."""


_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_MACROS: Final = "macroEnabled.12"


def _documents() -> dict[str, Kind]:
    types = {
        "pdf": "application/pdf",
        "eml": "message/rfc822",
        "msg": "application/vnd.ms-outlook",
        "html": "text/html",
        "mbox": "application/mbox",
        "mhtml": "multipart/related",
        "epub": "application/epub+zip",
    }
    kinds = {name: Kind(name, media_type, "document", "documents") for name, media_type in types.items()}
    kinds |= dict.fromkeys(("htm", "xhtml", "xht", "shtml"), kinds["html"])
    kinds |= {"mbx": kinds["mbox"], "mht": kinds["mhtml"]}
    parquet = Kind("parquet", "application/vnd.apache.parquet", "document", "parquet")
    return {**kinds, **_office(), "parquet": parquet}


def _office() -> dict[str, Kind]:
    """Office files, by ending: the loader, the media type and the extra."""
    word = f"{_OFFICE}.wordprocessingml"
    slides = f"{_OFFICE}.presentationml"
    sheets = f"{_OFFICE}.spreadsheetml"
    by_loader = {
        "docx": {
            "docx": f"{word}.document",
            "docm": f"application/vnd.ms-word.document.{_MACROS}",
            "dotx": f"{word}.template",
            "dotm": f"application/vnd.ms-word.template.{_MACROS}",
        },
        "pptx": {
            "pptx": f"{slides}.presentation",
            "pptm": f"application/vnd.ms-powerpoint.presentation.{_MACROS}",
            "ppsx": f"{slides}.slideshow",
            "potx": f"{slides}.template",
        },
        "xlsx": {
            "xlsx": f"{sheets}.sheet",
            "xlsm": f"application/vnd.ms-excel.sheet.{_MACROS}",
            "xltx": f"{sheets}.template",
            "xlsb": f"application/vnd.ms-excel.sheet.binary.{_MACROS}",
            "xls": "application/vnd.ms-excel",
            "ods": "application/vnd.oasis.opendocument.spreadsheet",
        },
        "odt": dict.fromkeys(("odt", "ott"), "application/vnd.oasis.opendocument.text"),
        "rtf": {"rtf": "application/rtf"},
        "ole": {
            **dict.fromkeys(("doc", "dot"), "application/msword"),
            **dict.fromkeys(("ppt", "pps"), "application/vnd.ms-powerpoint"),
        },
    }
    return {
        ending: Kind(loader, media_type, "document", "documents" if loader == "xlsx" else "")
        for loader, types in by_loader.items()
        for ending, media_type in types.items()
    }


def _images() -> dict[str, Kind]:
    types = {"jpg": "jpeg", "tif": "tiff"} | {name: name for name in ("png", "jpeg", "gif", "bmp", "tiff", "webp")}
    return {name: Kind("image", f"image/{media_type}", "image", "ocr") for name, media_type in types.items()}


def _plain(media_types: dict[str, str], endings: str) -> dict[str, Kind]:
    special = {ending: Kind("text", media_type, "text") for ending, media_type in media_types.items()}
    return dict.fromkeys(endings.split(), TEXT) | special


KINDS: Final[dict[str, Kind]] = {
    **_plain(
        {
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
        },
        PLAIN,
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
    "json": Kind("json", "application/json", "text"),
    "geojson": Kind("json", "application/geo+json", "text"),
    "ipynb": Kind("notebook", "application/x-ipynb+json", "text"),
    "jsonl": Kind("jsonl", "application/x-ndjson", "text"),
    "ndjson": Kind("jsonl", "application/x-ndjson", "text"),
    "srt": Kind("subtitles", "application/x-subrip", "text"),
    "vtt": Kind("subtitles", "text/vtt", "text"),
    "gz": GZIP,
    **_documents(),
    **_images(),
}
"""Kinds by the ending of the name, in small letters and without the dot."""

_ANY_TEXT: Final = frozenset({"txt", "text", "asc"})
"""Endings that say no more than that it is text."""
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
_PEEK: Final = 1 << 16


def ending(name: str) -> str:
    """The ending of a file name in small letters, without the dot; empty where there is none."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem else ""


def detect(
    name: str, head: bytes, window: Window | None = None, *, brings: Callable[[str], bool] | None = None
) -> Kind | None:
    """The kind of a file, or nothing where it is not known.

    The first bytes win over the name: a PDF called `notes.txt` is a PDF, a web page called `list.xls` a web page. Where
    they tell nothing the name decides, without what copies have behind it: `a.log.1` is a log. A name that says little
    is overruled by words: a message in `a.txt` is a message. A file whose name has no ending, or a number for one, is
    plain text when its first bytes are not binary.

    Args:
        name: the file's name.
        head: its first bytes, a few thousand at least where it has them.
        window: reads further on in the file (place, size), which some containers need to be told apart.
        brings: says whether a plugin has a loader under the name of an ending that nothing here reads.
    """
    name = telling_name(name, KINDS)
    claimed = KINDS.get(ending(name))
    if claimed is GZIP:
        return GZIP if _packed_kind(name, head) else None
    found = by_magic(head, window)
    if found is None and claimed and claimed.name in _CONTAINERS and is_text(head):
        found = KINDS["html"] if is_markup(head) else CSV if claimed.name == "xlsx" else TEXT
    if found and claimed and found.name == ENCRYPTED.name:
        return replace(ENCRYPTED, media_type=claimed.media_type)
    if found and (claimed is None or claimed.name != found.name):
        return found
    if claimed is None and ending(name) and brings and brings(ending(name)):
        return Kind(ending(name), "application/octet-stream", "document")
    return _by_words(ending(name), claimed, head)


def _by_words(claims: str, claimed: Kind | None, head: bytes) -> Kind | None:
    """The kind of what the first bytes do not tell by a mark: by the name, and where that says little, by the words."""
    if (claimed is None or claims in _ANY_TEXT) and (told := worded_kind(head)):
        return KINDS[told]
    if claimed is None:
        versioned = claims.isdecimal()  # LICENSE-2.0
        return TEXT if (versioned or not claims) and not looks_binary(head) else None
    return None if claims in DOUBTFUL and claimed.family == "text" and looks_binary(head) else claimed


def _packed_kind(name: str, head: bytes) -> Kind | None:
    """The kind of the one file in a packed one, by its name without `.gz`; nothing where that would not be read.

    Where that name says nothing, the first bytes inside are looked at.
    """
    if not head.startswith(b"\x1f\x8b"):
        return None
    name = name[: -len(".gz")]
    inside = KINDS.get(ending(telling_name(name, KINDS))) or detect(name, _unpacked(head))
    return inside if inside and inside is not GZIP and inside.family != "image" else None


def _unpacked(head: bytes) -> bytes:
    """The first bytes of what is packed; none where that is nothing or cannot be told."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _PEEK)
    except zlib.error:
        return b""


def detected(name: str, kind: Kind) -> str | None:
    """What a file turned out to be, where its name says something else or nothing; for its metadata."""
    claimed = KINDS.get(ending(telling_name(name, KINDS)))
    as_claimed = claimed is not None and (claimed.name == kind.name or claimed.media_type == kind.media_type)
    return None if as_claimed or (claimed is None and kind == TEXT) else kind.media_type


def spelled(name: str, loader: str) -> str:
    """What a person calls a file that `loader` reads: by its own ending, such as `ods`, where that is one of them."""
    claims = ending(name)
    return claims if claims in KINDS and KINDS[claims].name == loader else loader


def by_magic(head: bytes, window: Window | None = None) -> Kind | None:
    """The kind that the first bytes alone tell, or nothing where they tell none."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return KINDS[kind]
    if inside := kind_inside(head, window):
        return ENCRYPTED if inside == "encrypted" else KINDS[inside]
    if head[30:58] == b"mimetypeapplication/epub+zip":
        return KINDS["epub"]
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return KINDS["webp"]
    if head.startswith(b"BM") and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return KINDS["bmp"]
    return KINDS["pdf"] if _LATE_PDF.match(head[:_PDF_WITHIN]) and looks_binary(head) else None
