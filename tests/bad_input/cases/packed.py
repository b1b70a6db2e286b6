"""Packed files, books, saved pages and subtitles."""

from __future__ import annotations

import gzip
import zlib

from bad_input.case import Case, case, fails, ok, skips
from bad_input.made import ole, xml, zips
from bad_input.seeds import CSV, TEXT, epub, odt

PAGE = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>A plum is a fruit.</p></body></html>"
MB = 1 << 20


def _gzip_bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + block * megabytes + packer.flush() + bytes(8)


def _book(**parts: bytes | str | None) -> bytes:
    names = {"container": "META-INF/container.xml", "opf": "book.opf", "chapter": "c.xhtml"}
    return zips.with_parts(epub(PAGE), {names[name]: part for name, part in parts.items()})


def _packed() -> list[Case]:
    text = gzip.compress(TEXT.encode(), mtime=0)
    return [
        case("packed text", "a.txt.gz", text, ok("A plum is a fruit")),
        case("a packed table", "a.csv.gz", gzip.compress(CSV.encode(), mtime=0), ok("| plum 39 | 39 |")),
        case("two packed files in one", "a.txt.gz", text + gzip.compress(b"pear", mtime=0), ok("A plum", "pear")),
        case("packed text that breaks off", "a.txt.gz", text[: len(text) * 2 // 3], fails("a.txt.gz")),
        case("packed text with a wrong sum", "a.txt.gz", text[:-8] + bytes(8), fails("a.txt.gz")),
        case("packed text with junk behind it", "a.txt.gz", text + b"junk", fails("a.txt.gz")),
        case("a packed bomb of 3 GB", "a.txt.gz", lambda: _gzip_bomb(3_000), fails("80 MB are allowed")),
        case("packed twice", "a.txt.gz.gz", gzip.compress(text, mtime=0), skips(".gz")),
        case("a packed archive", "a.tar.gz", text, skips(".gz")),
        case("text that calls itself packed", "a.txt.gz", TEXT.encode(), skips(".gz")),
        case("packed bytes that call themselves text", "a.txt.gz", gzip.compress(bytes(5_000)), fails("binary")),
    ]


def _books() -> list[Case]:
    laughing = f"<?xml version='1.0'?>{xml.laughs('html')}<html><body>plum &e9;</body></html>"
    away = epub(PAGE).replace(b"c.xhtml", b"../../x")
    return [
        case("a book without its list of parts", "a.epub", lambda: _book(container=None), fails("a.epub")),
        case("a book without its order", "a.epub", lambda: _book(opf=None), fails("a.epub")),
        case("a book without its only chapter", "a.epub", lambda: _book(chapter=None), fails("a.epub")),
        case("a book of billion laughs", "a.epub", lambda: _book(chapter=laughing), ok("plum")),
        case(
            "a book that asks for /etc/passwd",
            "a.epub",
            lambda: _book(opf=f"{xml.outside('package')}<package>&file;</package>"),
            fails("a.epub", lacks=("root:",)),
        ),
        case("a book whose chapter is outside", "a.epub", away, fails("a.epub")),
        case("a book without words", "a.epub", lambda: _book(chapter="<html><body/></html>"), fails("no text")),
        case("a chapter 50,000 deep", "a.epub", lambda: _book(chapter="<div>" * 50_000 + "plum"), ok("plum")),
    ]


def _others() -> list[Case]:
    head = "From: <saved>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n"
    part = "--b\r\nContent-Type: text/html\r\nContent-Location: http://x/\r\n\r\n<p>plum</p>\r\n"
    return [
        case("a saved page without an end", "a.mhtml", (head + part).encode(), ok("plum")),
        case("a saved page without a page", "a.mhtml", head.encode(), fails("a.mhtml")),
        case(
            "subtitles whose times run backwards",
            "a.srt",
            b"2\n00:00:09,000 --> 00:00:01,000\nplum\n\n1\n99:99:99,999 --> x\npear\n",
            ok("plum"),
        ),
        case("subtitles without times", "a.vtt", b"WEBVTT\n\nplum\n", fails("no cues")),
        case("subtitles that are something else", "a.srt", b"\0\1\2" * 100, fails("binary")),
    ]


def _locked() -> list[Case]:
    """What only opens with a key, and binary files of old programs."""
    space = "xmlns:enc='http://www.w3.org/2001/04/xmlenc#'"
    method = "<enc:EncryptionMethod Algorithm='http://www.w3.org/2001/04/xmlenc#aes128-cbc'/>"
    place = "<enc:CipherData><enc:CipherReference URI='c.xhtml'/></enc:CipherData>"
    data = f"<enc:EncryptedData>{method}{place}</enc:EncryptedData>"
    rights = f"<encryption xmlns='urn:oasis:names:tc:opendocument:xmlns:container' {space}>{data}</encryption>"
    manifest = (
        "<m:manifest xmlns:m='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'>"
        "<m:file-entry m:full-path='content.xml'><m:encryption-data m:checksum='x'/></m:file-entry></m:manifest>"
    )
    old = {"a.doc": "WordDocument", "a.ppt": "PowerPoint Document"}
    return [
        case(
            "a book with a lock",
            "a.epub",
            lambda: zips.with_parts(epub("\0\1noise"), {"META-INF/encryption.xml": rights}),
            fails("encrypted"),
        ),
        case(
            "an OpenDocument with a password",
            "a.odt",
            lambda: zips.with_parts(
                odt("x"), {"META-INF/manifest.xml": manifest, "content.xml": bytes(range(256)) * 9}
            ),
            fails("encrypted"),
        ),
        *(
            case(f"{name} of 1997", name, ole.compound({stream: bytes(5_000)}), fails("97"))
            for name, stream in old.items()
        ),
        case("a compound file of no kind", "a.doc", ole.compound({"plum": b"pear"}), fails("a.doc")),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_packed(), *_books(), *_locked(), *_others()]
