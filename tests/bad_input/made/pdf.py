"""PDF files written by hand."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence

HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def stream(data: bytes, more: bytes = b"", *, length: int | None = None) -> bytes:
    """A stream object; `length` is a lie."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data) if length is None else length, more, data)


def shown(*lines: str) -> bytes:
    """What draws lines of text on a page."""
    rows = b" T* ".join(b"(%s) Tj" % line.encode("latin-1") for line in lines)
    return b"BT /F1 12 Tf 14 TL 72 720 Td %s ET" % rows


def assembled(objects: Mapping[int, bytes], *, trailer: bytes = b"", root: int = 1, prev: str = "") -> bytes:
    """A file of `objects`; `prev="self"` lets the table of objects point back at itself."""
    parts, places, at = [HEADER], {}, len(HEADER)
    for number, data in objects.items():
        places[number] = at
        part = b"%d 0 obj\n%s\nendobj\n" % (number, data)
        parts.append(part)
        at += len(part)
    size = max(objects, default=0) + 1
    rows = [b"0000000000 65535 f \n"]
    rows += [b"%010d 00000 n \n" % places[n] if n in places else b"0000000000 00000 f \n" for n in range(1, size)]
    back = b"/Prev %d" % at if prev == "self" else b""
    end = b"trailer\n<< /Size %d /Root %d 0 R %s %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, back, trailer, at)
    return b"".join(parts) + b"xref\n0 %d\n" % size + b"".join(rows) + end


def page_objects(contents: Sequence[bytes]) -> dict[int, bytes]:
    """The objects of a plain file: 1 the catalogue, 2 the pages, 3 the font, then a page and its content each."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(contents)))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        3: FONT,
    }
    for number, content in enumerate(contents):
        at = 4 + 2 * number
        objects[at] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % (at + 1)
        )
        objects[at + 1] = stream(content)
    return objects


def pdf(*pages: str) -> bytes:
    """A file with a page for each text."""
    return assembled(page_objects([shown(*page.split("\n")) for page in pages]))


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def encrypted(text: str, password: str) -> bytes:
    """A file that opens with `password`; with the empty one it opens for everybody, and is encrypted nevertheless."""
    identity, rights = b"0123456789abcdef", -44
    user = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5((b"owner" + _PAD)[:32], usedforsecurity=False).digest()[:5], user)
    raw = user + owner + rights.to_bytes(4, "little", signed=True) + identity
    key = hashlib.md5(raw, usedforsecurity=False).digest()[:5]
    objects = page_objects([shown(text)])
    mine = key + (5).to_bytes(3, "little") + bytes(2)
    objects[5] = stream(_rc4(hashlib.md5(mine, usedforsecurity=False).digest()[:10], shown(text)))
    objects[6] = b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P %d >>" % (
        owner.hex().encode(),
        _rc4(key, _PAD).hex().encode(),
        rights,
    )
    return assembled(
        objects, trailer=b"/Encrypt 6 0 R /ID [<%s> <%s>]" % (identity.hex().encode(), identity.hex().encode())
    )


def inflating(megabytes: int) -> bytes:
    """A packed stream of blanks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * megabytes + packer.flush() + bytes(4)
