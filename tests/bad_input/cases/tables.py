"""CSV, TSV and Parquet: quotation marks, widths, rows and codecs that go wrong."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from bad_input.case import Case, case, fails, ok, skips
from bad_input.seeds import SEEDS

ROWS = 1_000_000
QUICK = {"limits": {"max_seconds_per_file": 2}}


def _short_rows() -> Iterator[bytes]:
    yield b"kind,count\n"
    for _ in range(10):
        yield b"a\n" * (ROWS // 10)


def _csv() -> list[Case]:
    wide = ",".join(f"c{number}" for number in range(10_000))
    return [
        case("the same header four times", "a.csv", b"a,a,,a\n1,2,3,plum\n", ok("plum")),
        case("10,000 columns", "a.csv", f"{wide}\n{wide}\n".encode(), ok("c9999")),
        case("a quotation mark that never closes", "a.csv", b'a,b\n"plum,1\n2,3\n', fails("row 2", "never closed")),
        case(
            "a cell of 11 MB", "a.csv", lambda: iter([b'a,b\n"', b"plum " * 2_300_000]), fails("quotation mark", "row")
        ),
        case(
            "a line of 45 MB", "a.csv", lambda: iter([b"a,b\n", *[b"1,2,plum" * 125_000] * 45]), fails("line", "longer")
        ),
        case("a million short rows", "a.csv", _short_rows, ok("| a |", most_chars=10_000_000)),
        case("formulas", "a.csv", b"a,b\n=cmd|'/C calc'!A0,@SUM(1)\n+1,-2\n", ok("=cmd", "@SUM(1)")),
        case("a NUL byte", "a.csv", b"a,b\n1,\0\n", fails("binary")),
        case("rows of every width", "a.csv", b"a,b\n1\n1,2,3,plum\n,\n1,2\n", ok("plum")),
        case("only a header", "a.csv", b"a,b,c\n", ok("a")),
        case("only commas", "a.csv", b",,,\n,,,\n", fails("no text")),
        case("all three line ends", "a.csv", b"a,b\r\n1,2\n3,4\rplum,6\r\n", ok("plum")),
        case("only carriage returns", "a.csv", b"a,b\r1,2\rplum,4\r", ok("plum")),
        case("pipes, backslashes and line ends in cells", "a.csv", b'a,b\n"x|y\\|z","li\nne"\n', ok("x\\|y")),
        case("100,000 quotation marks", "a.csv", b"a,b\n" + b'"' * 100_000 + b"\n", ok("a")),
        case(
            "no header where one is to be",
            "a.csv",
            b"a,b\n1,2\n",
            fails("no text"),
            settings={"tables": {"header_row": 9}},
        ),
        case("a delimiter announced and not used", "a.csv", b"sep=;\na,b\n1,plum\n", ok("plum")),
        case("UTF-16 with a mark", "a.csv", b"\xff\xfe" + "a;b\n1;plüm\n".encode("utf-16-le"), ok("plüm")),
        case("quotation marks that are none", "a.tsv", b'a\tb\n5" pipe\tplum 3"\nx\ty\n', ok("plum")),
        case("a broken byte in row 3", "a.csv", ("ü,b\n" * 40).encode() + b"\xff,plum\n", fails("utf-8")),
        case("HTML in cells", "a.csv", b"a,b\n<script>alert(1)</script>,plum\n", ok("plum")),
        case(
            "a format that is not wanted",
            "a.csv",
            b"a,b\n1,2\n",
            skips("tables.formats"),
            settings={"tables": {"formats": ["xlsx"]}},
        ),
    ]


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


def _twice() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["plum"]), pa.array(["pear"])], names=["a", "a"]), stream)
    return stream.getvalue()


def _nested() -> bytes:
    return _parquet({"a": [{"b": [{"c": ["plum", None]}]}], "n": [None], "raw": [b"\xff\x00"]})


def _repeated() -> bytes:
    """Few bytes, and very much text: one long word, once for each of many rows."""
    import pyarrow as pa

    words = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 3_000_000), ["plum " * 2_000])
    return _parquet({"a": words}, compression="zstd")


def _damaged() -> bytes:
    data = bytearray(SEEDS["parquet"]())
    data[10:60] = b"\xff" * 50
    return bytes(data)


def _footer(size: int) -> bytes:
    data = SEEDS["parquet"]()
    return data[:-8] + struct.pack("<I", size) + b"PAR1"


def _parquets() -> list[Case]:
    return [
        case("only the mark of Parquet", "a.parquet", b"PAR1", fails("a.parquet")),
        case("a footer of 4 GB", "a.parquet", lambda: _footer(0xFFFFFFF0), fails("a.parquet")),
        case("a footer of no bytes", "a.parquet", lambda: _footer(0), fails("a.parquet")),
        case("a damaged page", "a.parquet", _damaged, fails("a.parquet")),
        case("an encrypted footer", "a.parquet", lambda: SEEDS["parquet"]()[:-4] + b"PARE", fails("a.parquet")),
        case("no rows", "a.parquet", lambda: _parquet({"a": [], "b": []}), ok("a")),
        case("no columns", "a.parquet", lambda: _parquet({}), fails("no text")),
        case("the same column twice", "a.parquet", _twice, ok("plum", "pear")),
        case("values inside values, and bytes", "a.parquet", _nested, ok("plum")),
        case(
            "thirty gigabytes of text in a kilobyte",
            "a.parquet",
            _repeated,
            fails("took more than"),
            isolated=True,
            settings=QUICK,
        ),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_csv(), *_parquets()]
