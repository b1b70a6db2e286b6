"""Plain text, Markdown and JSON: encodings, lines without end, nesting without end."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bad_input.case import Case, case, fails, ok

ACCENTS = "Voilà une crème brûlée, déjà prête à être mangée à Noël. " * 20
MB = 1 << 20


def _one_line(megabytes: int) -> Iterator[bytes]:
    """Words, and no line end."""
    block = (b"plums and pears " * (MB // 16))[:MB]
    for _ in range(megabytes):
        yield block


def _encodings() -> list[Case]:
    utf8 = ACCENTS.encode()
    return [
        case("only blanks", "a.txt", b" \t\r\n" * 500, fails("no text")),
        case("only blanks of Unicode", "a.txt", "\u00a0\u2003\u3000\n".encode() * 50, fails("no text")),
        case("only a byte order mark", "a.txt", b"\xef\xbb\xbf", fails("no text")),
        case("a NUL byte in its middle", "a.txt", b"before\0after", fails("binary", "6")),
        case("a megabyte of NUL bytes", "a.txt", bytes(MB), fails("binary")),
        case("control characters", "a.md", b"plum " + bytes(range(1, 9)) * 100, fails("binary")),
        case("control characters between fields", "a.log", b"plum\x0155=pear\x01" * 100, ok("plum")),
        case("colours of a terminal", "a.log", b"\x1b[31mred\x1b[0m\n" * 10, ok("red")),
        case("a lone surrogate in UTF-8", "a.txt", utf8 + b"\xed\xa0\x80" + utf8, fails("utf-8", str(len(utf8)))),
        case(
            "a lone surrogate in UTF-16",
            "a.txt",
            b"\xff\xfe" + "ab".encode("utf-16-le") + b"\x00\xd8" + b"c\0",
            fails("utf-16"),
        ),
        case("UTF-16 with an odd byte", "a.txt", b"\xff\xfe" + "plums".encode("utf-16-le") + b"x", fails("utf-16")),
        case("UTF-16 without a mark", "a.txt", ("plums and pears " * 20).encode("utf-16-be"), ok("plums and pears")),
        case("UTF-32 beyond Unicode", "a.txt", b"\xff\xfe\0\0" + b"a\0\0\0" + b"\0\0\x11\0", fails("utf-32")),
        case("a byte order mark in its middle", "a.txt", utf8 + b"\xef\xbb\xbf" + utf8, ok("Noël")),
        case("two byte order marks", "a.txt", b"\xef\xbb\xbf\xef\xbb\xbf" + utf8, ok("Noël")),
        case("UTF-16 after UTF-8", "a.txt", utf8 + "plums".encode("utf-16-le"), fails("binary")),
        case(
            "Latin-1 after UTF-8", "a.txt", utf8 * 9 + "Noël".encode("latin-1"), fails("utf-8", str(len(utf8 * 9) + 2))
        ),
        case("UTF-8 cut inside a character", "a.txt", utf8 + "ë".encode()[:1], fails("utf-8")),
        case("an overlong NUL", "a.txt", utf8 + b"\xc0\x80" + utf8, fails("utf-8")),
        case("Latin-1 alone", "a.txt", ACCENTS.encode("latin-1"), ok("Noël")),
        case("what turns the direction of text", "a.txt", "plum \u202egpj.exe".encode(), ok("plum")),
        case("replacement characters that were there before", "a.txt", "plum \ufffd".encode(), ok("plum \ufffd")),
        case("a thousand accents on a letter", "a.txt", ("z" + "\u0301" * 1_000).encode() * 20, ok("z")),
        case("template braces", "a.txt", b"{{ secret }} ${HOME} {% raw %}", ok("{{ secret }} ${HOME}")),
    ]


def _long() -> list[Case]:
    return [
        case("64 MB in one line", "a.txt", lambda: _one_line(64), ok("plums and pears", most_chars=64 * MB)),
        case("a megabyte without a blank", "a.txt", b"x" * MB, ok("xxxx")),
        case("a megabyte of one line of CJK", "a.txt", lambda: ("漢字" * (MB // 6)).encode(), ok("漢字")),
        case("a million empty lines", "a.txt", b"\n" * 1_000_000 + b"plum", ok("plum")),
        case("larger than allowed", "a.txt", b"plum" * 1_000, fails("MB"), settings={"limits": {"max_file_mb": 0.001}}),
    ]


def _markdown() -> list[Case]:
    return [
        case("100,000 quotations inside each other", "a.md", b">" * 100_000 + b" plum", ok("plum")),
        case("100,000 open brackets", "a.md", b"[" * 100_000 + b"plum", ok("plum")),
        case("100,000 open emphases", "a.md", b"*a " * 100_000 + b"plum", ok("plum")),
        case("a code fence that never closes", "a.md", b"```\n" + b"plum\n" * 50_000, ok("plum")),
        case("20,000 code fences", "a.md", b"```\n" * 20_000 + b"plum", ok("plum")),
        case("front matter that never closes", "a.md", b"---\n" + b"key: plum\n" * 50_000, ok("plum")),
        case("a heading of a megabyte", "a.md", b"# " + b"plum " * (MB // 5), ok("plum")),
        case("lists 5,000 deep", "a.md", b"".join(b" " * (2 * n) + b"- plum\n" for n in range(500)) * 4, ok("plum")),
        case(
            "a table of 20,000 columns",
            "a.md",
            b"|a" * 20_000 + b"|\n" + b"|-" * 20_000 + b"|\n" + b"|plum" * 20_000 + b"|\n",
            ok("plum"),
        ),
        case("raw HTML in Markdown", "a.md", b"# Plum\n<script>alert(1)</script>\n", ok("# Plum")),
    ]


def _json() -> list[Case]:
    deep = 100_000
    return [
        case("JSON 100,000 deep", "a.json", b"[" * deep + b"]" * deep, ok("[[[[")),
        case("JSON objects 50,000 deep", "a.json", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, ok("{")),
        case("JSON with the same key twice", "a.json", b'{"a": "plum", "a": "pear"}', ok("plum", "pear")),
        case("JSON with NaN", "a.json", b'{"a": NaN, "b": "plum", "c": -Infinity}', ok("plum")),
        case("a number of 100,000 digits", "a.json", b'{"a": ' + b"9" * 100_000 + b"}", ok("999")),
        case("a lone surrogate as an escape", "a.json", b'{"a": "\\ud800 plum"}', ok("plum")),
        case("a NUL as an escape", "a.json", b'{"a": "\\u0000 plum"}', ok("plum")),
        case("JSON with a tail", "a.json", b'{"a": "plum"} and more', ok("plum")),
        case("JSON that is one word", "a.json", b'"plum"', ok("plum")),
        case(
            "100,000 keys",
            "a.json",
            lambda: json.dumps({f"plum {n}": n for n in range(100_000)}).encode(),
            ok("plum 999", most_chars=4_000_000),
        ),
        case(
            "JSON lines, one of them broken", "a.jsonl", b'{"a": "plum"}\n{"a": \n{"a": "pear"}\n', ok("plum", "pear")
        ),
        case("JSON lines that are no JSON", "a.jsonl", b"plum\npear\n", ok("plum")),
        case("JSON lines with a NUL byte", "a.jsonl", b'{"a": 1}\n\0\n', fails("binary")),
        case("a notebook without cells", "a.ipynb", b'{"nbformat": 4, "metadata": {}}', ok("nbformat")),
        case("a notebook that is a list", "a.ipynb", b'["plum"]', ok("plum")),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_encodings(), *_long(), *_markdown(), *_json()]
