"""PDF: circles, depth, numbers that lie, passwords, pages without words."""

from __future__ import annotations

from bad_input.case import Case, case, fails, ok
from bad_input.made.pdf import FONT, HEADER, assembled, encrypted, inflating, page_objects, pdf, shown, stream

PLUM = "A plum is a fruit."
SMALL = {"limits": {"max_memory_mb": 200, "max_seconds_per_file": 5}}


def _with(changes: dict[int, bytes], *, trailer: bytes = b"", prev: str = "") -> bytes:
    return assembled(page_objects([shown(PLUM)]) | changes, trailer=trailer, prev=prev)


def _deep_tree(levels: int) -> bytes:
    objects = {1: b"<< /Type /Catalog /Pages 10 0 R >>", 3: FONT, 5: stream(shown(PLUM))}
    objects[4] = (
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
        b"/Contents 5 0 R >>" % (9 + levels)
    )
    for level in range(levels):
        kid = 11 + level if level + 1 < levels else 4
        parent = b"/Parent %d 0 R" % (9 + level) if level else b""
        objects[10 + level] = b"<< /Type /Pages %s /Kids [%d 0 R] /Count 1 >>" % (parent, kid)
    return assembled(objects)


def _many_objects(count: int) -> bytes:
    return assembled(page_objects([shown(PLUM)]) | {10 + number: b"null" for number in range(count)})


def _structure() -> list[Case]:
    page = page_objects([shown(PLUM)])[4]
    return [
        case("only a head", "a.pdf", HEADER, fails("a.pdf")),
        case("no end", "a.pdf", pdf(PLUM).partition(b"xref")[0], fails("a.pdf")),
        case("a table of objects that points at itself", "a.pdf", _with({}, prev="self"), ok(PLUM)),
        case(
            "a tree of pages in a circle",
            "a.pdf",
            _with({2: b"<< /Type /Pages /Kids [2 0 R 4 0 R] /Count 2 >>"}),
            fails("a.pdf"),
        ),
        case(
            "two trees that hold each other",
            "a.pdf",
            _with({2: b"<< /Type /Pages /Kids [7 0 R] /Count 9 >>", 7: b"<< /Type /Pages /Kids [2 0 R] /Count 9 >>"}),
            fails("a.pdf"),
        ),
        case("a tree of pages 3,000 deep", "a.pdf", lambda: _deep_tree(3_000), fails("a.pdf"), isolated=True),
        case("a million objects", "a.pdf", lambda: _many_objects(1_000_000), ok(PLUM)),
        case("two billion pages", "a.pdf", _with({2: b"<< /Type /Pages /Kids [4 0 R] /Count 2147483647 >>"}), ok(PLUM)),
        case("fewer than no pages", "a.pdf", _with({2: b"<< /Type /Pages /Kids [4 0 R] /Count -3 >>"}), ok(PLUM)),
        case(
            "no pages",
            "a.pdf",
            assembled({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
            fails("a.pdf"),
        ),
        case("a catalogue that is not there", "a.pdf", assembled(page_objects([shown(PLUM)]), root=99), fails("a.pdf")),
        case("places of objects that are wrong", "a.pdf", pdf(PLUM).replace(b"0000000015", b"0000000019"), ok(PLUM)),
        case("a kilobyte of junk before it", "a.pdf", b"junk " * 200 + pdf(PLUM), ok(PLUM)),
        case("junk behind it", "a.pdf", pdf(PLUM) + b"\0" * 5_000, ok(PLUM)),
        case("an object that is itself", "a.pdf", _with({5: b"5 0 R"}), fails("a.pdf")),
        case("a page 14,400,000 inches wide", "a.pdf", _with({4: page.replace(b"612 792", b"1e12 1e12")}), ok(PLUM)),
        case("names 100,000 characters long", "a.pdf", _with({7: b"/" + b"N" * 100_000}), ok(PLUM)),
        case("arrays 100,000 deep", "a.pdf", _with({7: b"[" * 100_000 + b"]" * 100_000}), ok(PLUM), isolated=True),
        case(
            "arrays 100,000 deep where the pages are",
            "a.pdf",
            _with({2: b"[" * 100_000}),
            fails("a.pdf"),
            isolated=True,
        ),
    ]


def _content() -> list[Case]:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 7 0 R >> >>"
    page = page_objects([b""])[4].replace(b"/Font << /F1 3 0 R >>", b"/Font << /F1 3 0 R >> /XObject << /X 7 0 R >>")
    odd = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Odd /Encoding /Identity-H /DescendantFonts [3 0 R] "
        b"/ToUnicode 3 0 R >>"
    )
    action = (
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> "
        b"/AA << /WC << /S /Launch /F (/bin/sh) >> >> >>"
    )
    return [
        case(
            "a drawing that draws itself",
            "a.pdf",
            _with({4: page, 5: stream(shown(PLUM) + b" /X Do"), 7: stream(b"/X Do " * 50, form)}),
            fails("a.pdf"),
            isolated=True,
            settings=SMALL,
        ),
        case("a length that is a lie", "a.pdf", _with({5: stream(shown(PLUM), length=999_999_999)}), ok(PLUM)),
        case(
            "a packed page that breaks off",
            "a.pdf",
            _with({5: stream(inflating(1)[:60], b"/Filter /FlateDecode")}),
            fails("a.pdf"),
        ),
        case(
            "a packed page of 2 GB",
            "a.pdf",
            lambda: _with({5: stream(inflating(2_000), b"/Filter /FlateDecode")}),
            fails("a.pdf"),
            isolated=True,
            settings=SMALL,
        ),
        case(
            "a page packed 20 times",
            "a.pdf",
            _with({5: stream(b"x" * 50, b"/Filter [" + b"/FlateDecode " * 20 + b"]")}),
            fails("a.pdf"),
        ),
        case(
            "a packed page whose packing nobody knows",
            "a.pdf",
            _with({5: stream(shown(PLUM), b"/Filter /Nobody")}),
            ok(PLUM),
        ),
        case("a font that is its own descendant", "a.pdf", _with({3: odd}), ok(), isolated=True),
        case("a font that is not there", "a.pdf", _with({3: b"null"}), ok(PLUM)),
        case("scripts and programs to start", "a.pdf", _with({1: action}), ok(PLUM, lacks=("alert", "/bin/sh"))),
        case("pages without words", "a.pdf", pdf("", ""), fails("blank")),
        case(
            "text 100,000 brackets deep",
            "a.pdf",
            _with({5: stream(b"BT /F1 12 Tf (" + b"(" * 100_000 + b")" * 100_000 + b") Tj ET")}),
            ok(),
            isolated=True,
        ),
        case("5,000 pages", "a.pdf", lambda: pdf(*[PLUM] * 5_000), ok(PLUM)),
        case("a password", "a.pdf", encrypted(PLUM, "secret"), fails("a.pdf", "password")),
        case("encrypted for everybody", "a.pdf", encrypted(PLUM, ""), ok(PLUM)),
        case(
            "an encryption that nobody knows",
            "a.pdf",
            _with({7: b"<< /Filter /Nobody /V 99 >>"}, trailer=b"/Encrypt 7 0 R"),
            fails("a.pdf"),
        ),
        case(
            "a file inside it",
            "a.pdf",
            _with({7: stream(b"root:x:0", b"/Type /EmbeddedFile")}),
            ok(PLUM, lacks=("root:",)),
        ),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_structure(), *_content()]
