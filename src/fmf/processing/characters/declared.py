"""What bytes say of their own encoding, and the codec that reads text under such a label in practice."""

from __future__ import annotations

import codecs
import re
from typing import Final

_WITHIN: Final = 4096
_LABEL: Final = rb"[\"']?\s*(?P<label>[A-Za-z0-9._:+-]{1,40})"
_XML: Final = re.compile(rb"\A\s*<\?xml\s[^>]{0,200}?\bencoding\s*=\s*" + _LABEL)
_META: Final = re.compile(rb"<meta\s[^>]{0,500}?\bcharset\s*=\s*" + _LABEL, re.IGNORECASE)
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)

# Codecs that hold all characters of the one that is named, and some that are written under its name all the same.
_WIDER: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Names that Python does not know, or takes for something else.
_OTHER_NAMES: Final = {
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "x-x-big5": "big5hkscs",
    "ks_c_5601-1987": "cp949",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "koi8": "koi8_r",
    "x-unknown": "",
}
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})


def codec_of(label: str) -> str | None:
    """The codec that reads what is written under the label, in practice often a larger one; nothing for no label."""
    label = label.strip().strip("\"'").lower()
    try:
        found = codecs.lookup(_OTHER_NAMES.get(label, label))
    except (LookupError, ValueError):  # a label may hold anything
        return None
    if found.name in _NO_CHARSETS or not getattr(found, "_is_text_encoding", True):
        return None
    return _WIDER.get(found.name, found.name)


def declared_codec(head: bytes, *, markup: bool = False) -> str | None:
    """The codec that the first bytes name in an XML declaration or, in HTML, in a meta element; nothing where none is.

    Args:
        head: the first bytes; the declaration stands among the first few thousand.
        markup: whether it is HTML.
    """
    head = head[:_WITHIN]
    found = _XML.match(head) or (_META.search(_COMMENT.sub(b"", head)) if markup else None)
    if found is None:
        return None
    codec = codec_of(found["label"].decode("ascii"))
    if codec == "utf-7":  # browsers do not read it, and neither is it written
        return None
    # What is declared so could not have been found in bytes of twice or four times the width.
    return "utf-8" if codec and codec.startswith(("utf-16", "utf-32")) else codec
