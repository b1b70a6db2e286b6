"""What kind of text some first bytes are: a web page, a message, a folder of messages."""

from __future__ import annotations

import re
from typing import Final

_PAGE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,300}>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_FROM_LINE: Final = re.compile(rb"From \S{1,200} .{0,100}\d{4}\r?\n")
_HEADER: Final = re.compile(rb"(?P<name>[A-Za-z][A-Za-z0-9-]{1,60}):[ \t\r\n]")
_USUAL: Final = frozenset(
    b"bcc cc content-type date delivered-to in-reply-to message-id mime-version received reply-to return-path sender "
    b"subject to x-mailer".split()
)
_LINES: Final = 200


def worded_kind(head: bytes) -> str | None:
    """`html`, `eml`, `mbox` or `mhtml`, where the first bytes are clearly those of one; else nothing."""
    if _PAGE.match(head):
        return "html"
    if line := _FROM_LINE.match(head):
        return "mbox" if _headers(head[line.end() :]) else None
    names = _headers(head)
    if not names:
        return None
    return "mhtml" if b"multipart/related" in head[:4096] and b"snapshot-content-location" in names else "eml"


def _headers(head: bytes) -> set[bytes]:
    """The names of the headers at the start of a message; none unless a sender and two others are among them."""
    names: set[bytes] = set()
    for line in head.split(b"\n", _LINES)[:_LINES]:
        if not line.strip():
            break
        if line[:1] in b" \t":
            continue
        if (found := _HEADER.match(line + b"\n")) is None:
            return set()
        names.add(found["name"].lower())
    return names if b"from" in names and len(names & _USUAL) > 1 else set()
