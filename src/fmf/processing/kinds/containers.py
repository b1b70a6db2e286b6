"""What a container file holds, told by its first bytes: Office packages, OpenDocument files and OLE containers."""

from __future__ import annotations

import re
from typing import Final

from fmf.processing.characters.decode import looks_binary
from fmf.processing.kinds import ole

_MEMBER: Final = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_FOLDERS: Final = ((b"word/", "docx"), (b"ppt/", "pptx"), (b"xl/", "xlsx"))
_PACKAGE: Final = (b"[Content_Types].xml", b"_rels/.rels")
_MOST_MEMBERS: Final = 500
_OPEN_DOCUMENT: Final = {
    b"text": "odt",
    b"text-template": "odt",
    b"spreadsheet": "ods",
    b"spreadsheet-template": "ods",
}
_MIMETYPE: Final = re.compile(rb"mimetypeapplication/vnd\.oasis\.opendocument\.([a-z-]+)")
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|table|meta)\b", re.IGNORECASE)


def kind_inside(head: bytes, window: ole.Window | None = None) -> str | None:
    """The ending that a container should have: `docx`, `xls`, `odt` ...; `encrypted` for a locked Office file.

    Args:
        head: the first bytes of the file.
        window: reads further on in the file; without it, what lies behind `head` is not seen.
    """
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head.startswith(ole.MAGIC):
        return ole.kind_of(window or (lambda at, size: head[at : at + size]))
    if head.startswith(b"{\\rtf"):
        return "rtf"
    return None


def is_text(head: bytes) -> bool:
    """Whether the first bytes are those of a text, and not the start of a container that is cut off."""
    return bool(head) and not head.startswith((b"PK", ole.MAGIC[:2])) and not looks_binary(head)


def is_markup(head: bytes) -> bool:
    """Whether the first bytes are those of a web page, which some programs call a spreadsheet."""
    return bool(_MARKUP.match(head))


def _zip_kind(head: bytes) -> str | None:
    if found := _MIMETYPE.search(head[:200]):
        return _OPEN_DOCUMENT.get(found[1])
    package, kind = False, None
    for number, member in enumerate(_MEMBER.finditer(head)):
        length = int.from_bytes(member[1], "little")
        name = head[member.end() : member.end() + length]
        package = package or name in _PACKAGE
        kind = kind or next((kind for folder, kind in _FOLDERS if name.startswith(folder)), None)
        if (package and kind) or number >= _MOST_MEMBERS:
            break
    return kind if package else None
