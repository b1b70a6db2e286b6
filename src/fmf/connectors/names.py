r"""Names as parts of ids: each is printable, and what may not stand there is written as `\xNN`."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]|\\(?=x[0-9a-f]{2})|^\.{1,2}$")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def part_of(name: str, surrogates: str = "surrogatepass") -> str:
    r"""A name as a part of an id: one printable line without `/`, and neither `.` nor `..`.

    Args:
        name: the name.
        surrogates: what stands for characters that are none, as `errors` of `str.encode` has it: file systems put
            bytes that are no UTF-8 into a name with `surrogateescape`.
    """
    if name.isascii() and name.isprintable() and "\\" not in name and "/" not in name and name[:1] != ".":
        return name
    return _UNPRINTABLE.sub(
        lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", surrogates)), name
    )


def name_of(part: str, surrogates: str = "surrogatepass") -> str:
    """The name behind a part of an id; the part itself where there can be none."""
    if "\\x" not in part:
        return part
    try:
        raw = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), part.encode("utf-8", surrogates))
        return raw.decode("utf-8", surrogates)
    except UnicodeError:
        return part
