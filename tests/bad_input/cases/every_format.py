"""What can happen to a file of any format: it is empty, it breaks off, it is only blanks, it is something else."""

from __future__ import annotations

from bad_input.case import Case, Expected, case, fails, ok, skips
from bad_input.made import ole, ooxml
from bad_input.seeds import SEEDS

OCR = {"images": {"ocr": {"enabled": True}}}
UNKNOWN = ("zip",)
PICTURES = ("png", "jpeg", "gif", "tiff", "bmp", "webp")


def _settings(ending: str) -> dict[str, object]:
    return OCR if ending in PICTURES else {}


def _empty() -> list[Case]:
    return [case(f"{ending} of no bytes", f"a.{ending}", b"", skips("empty")) for ending in SEEDS]


def _cut(ending: str) -> bytes:
    whole = SEEDS[ending]()
    return whole[: len(whole) * 6 // 10]


HALF: dict[str, Expected] = {
    **{
        ending: ok("plum")
        for ending in ("txt", "md", "csv", "tsv", "html", "mhtml", "srt", "xml", "rtf", "mbox", "eml")
    },
    "svg": ok("<svg"),
    "json": ok("plum 3"),
    "jsonl": ok("plum 3"),
    "ipynb": fails("a.ipynb"),
    **{
        ending: fails(f"a.{ending}")
        for ending in ("xlsx", "xls", "parquet", "docx", "pptx", "odt", "epub", "msg", "txt.gz")
    },
    "pdf": fails("a.pdf"),
    **{ending: skips(f".{ending}") for ending in UNKNOWN},
    **{ending: fails(f"a.{ending}") for ending in PICTURES},
}


def _truncated() -> list[Case]:
    return [
        case(
            f"{ending} that breaks off",
            f"a.{ending}",
            lambda ending=ending: _cut(ending),
            HALF[ending],
            settings=_settings(ending),
        )
        for ending in SEEDS
    ]


def _garbage() -> list[Case]:
    """Bytes that begin as the format does and go on with anything."""
    noise = bytes((number * 7919 + number // 251) % 256 for number in range(5_000))
    heads = {
        "pdf": b"%PDF-1.7\n",
        "docx": b"PK\3\4",
        "xlsx": b"PK\3\4",
        "pptx": b"PK\3\4",
        "parquet": b"PAR1",
        "msg": ole.MAGIC,
        "xls": ole.MAGIC,
        "png": b"\x89PNG\r\n\x1a\n",
        "jpeg": b"\xff\xd8\xff\xe0",
        "gif": b"GIF89a",
        "tiff": b"II*\0",
        "bmp": b"BM",
        "webp": b"RIFF\0\0\0\0WEBP",
    }
    return [
        case(
            f"{ending} whose head alone is right",
            f"a.{ending}",
            head + noise,
            fails(f"a.{ending}"),
            settings=_settings(ending),
        )
        for ending, head in heads.items()
    ]


def _mislabelled() -> list[Case]:
    prose = SEEDS["txt"]()
    return [
        case("text that calls itself a PDF", "a.pdf", prose, fails("PDF")),
        case("text that calls itself a document", "a.docx", prose, ok("A plum is a fruit")),
        case("text that calls itself a workbook", "a.xlsx", SEEDS["csv"](), ok("plum 39")),
        case("text that calls itself a presentation", "a.pptx", prose, ok("A plum is a fruit")),
        case("text that calls itself Parquet", "a.parquet", prose, fails("a.parquet")),
        case("text that calls itself a message of Outlook", "a.msg", prose, fails("a.msg")),
        case("text that calls itself a picture", "a.png", prose, fails("a.png"), settings=OCR),
        case("a web page that calls itself a document", "a.docx", SEEDS["html"](), ok("# Fruit", lacks=("alert",))),
        case("a web page that calls itself a workbook", "a.xlsx", SEEDS["html"](), ok("# Fruit", lacks=("alert",))),
        case("a PDF that calls itself text", "a.txt", SEEDS["pdf"], ok("A plum is a fruit")),
        case("a PDF that calls itself a table", "a.csv", SEEDS["pdf"], ok("A plum is a fruit")),
        case("Parquet that calls itself CSV", "a.csv", SEEDS["parquet"], ok("plum 3")),
        case("a workbook that calls itself CSV", "a.csv", SEEDS["xlsx"], ok("plum 3")),
        case("a document that calls itself a workbook", "a.xlsx", SEEDS["docx"], ok("plum")),
        case("a workbook that calls itself a document", "a.docx", SEEDS["xlsx"], ok("plum 3")),
        case("a presentation that calls itself a document", "a.docx", ooxml.pptx, ok("Plums")),
        case("an old workbook that calls itself a new one", "a.xlsx", SEEDS["xls"], ok("plum")),
        case("a PDF that calls itself a document", "a.docx", SEEDS["pdf"], ok("A plum is a fruit")),
        case("a PNG that calls itself a JPEG", "a.jpg", SEEDS["png"], ok("Invoice"), settings=OCR),
        case("a PNG that calls itself text", "a.txt", SEEDS["png"], skips("ocr.enabled")),
        case("a picture that calls itself a PDF", "a.pdf", SEEDS["png"], skips("ocr.enabled")),
        case("an archive that calls itself text", "a.txt", SEEDS["zip"], fails("a.txt")),
        case("an archive that calls itself a document", "a.docx", SEEDS["zip"], fails("a.docx")),
        case("gzip that calls itself JSON", "a.json", SEEDS["txt.gz"], fails("a.json")),
        case("a program that calls itself Markdown", "a.md", b"\x7fELF\2\1\1\0" + bytes(400), fails("binary")),
        case("bytes under an unknown ending", "a.xyzzy", b"\0\1\2", skips(".xyzzy")),
        case("bytes without an ending", "data", b"\0\1\2\3" * 50, skips("binary")),
        case("text without an ending", "README", prose, ok("plum")),
        case("a web page that calls itself text", "a.txt", SEEDS["html"](), ok("plum")),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_empty(), *_truncated(), *_garbage(), *_mislabelled()]
