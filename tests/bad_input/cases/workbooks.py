"""XLSX and XLS: sheets that lie about their size, values that are none, macros, formulas in a circle."""

from __future__ import annotations

from bad_input.case import Case, case, fails, ok
from bad_input.made import ole, ooxml, zips
from bad_input.made.ooxml import cell, row, sheet_xml, xlsx

PLUM = row(1, cell("A1", "kind") + cell("B1", "count")) + row(2, cell("A2", "plum") + cell("B2", "7"))


def _column(number: int) -> str:
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name


def _strings(*texts: str, count: int | None = None) -> str:
    made = "".join(f"<si><t>{text}</t></si>" for text in texts)
    total = len(texts) if count is None else count
    return f'{ooxml.XML}<sst xmlns="{ooxml.S}" count="{total}" uniqueCount="{total}">{made}</sst>'


def _wide(columns: int) -> bytes:
    head = "".join(cell(f"{_column(number)}1", f"c{number}") for number in range(1, columns + 1))
    body = "".join(cell(f"{_column(number)}2", "plum") for number in range(1, columns + 1))
    return xlsx(sheet_xml(row(1, head) + row(2, body)))


def _sizes() -> list[Case]:
    far = row(1, cell("A1", "plum")) + row(1_048_576, cell("XFD1048576", "pear"))
    beyond = row(4_000_000_000, cell("ZZZZ4000000000", "plum"))
    return [
        case(
            "a sheet that says it is full",
            "a.xlsx",
            xlsx(sheet_xml(PLUM, before='<dimension ref="A1:XFD1048576"/>')),
            ok("plum"),
        ),
        case("a cell in each far corner", "a.xlsx", xlsx(sheet_xml(far)), fails("spreads over"), isolated=True),
        case(
            "a cell beyond every sheet",
            "a.xlsx",
            xlsx(sheet_xml(beyond)),
            fails("spreads over"),
            isolated=True,
        ),
        case(
            "cells beyond every sheet in a row within it",
            "a.xlsx",
            xlsx(sheet_xml(row(1, cell("A1", "pear") + cell("A900000000", "plum") + cell("XFD1", "plum")))),
            fails("max_memory_mb"),
            isolated=True,
        ),
        case("10,000 columns in a workbook", "a.xlsx", lambda: _wide(10_000), ok("c10000", "plum")),
        case(
            "a row number that is no number",
            "a.xlsx",
            xlsx(sheet_xml('<row r="one"><c r="?1" t="inlineStr"><is><t>plum</t></is></c></row>')),
            fails("a.xlsx"),
        ),
        case(
            "rows in the wrong order",
            "a.xlsx",
            xlsx(sheet_xml(row(5, cell("A5", "plum")) + row(2, cell("A2", "pear")))),
            ok("plum", "pear"),
        ),
        case(
            "the same cell twice",
            "a.xlsx",
            xlsx(sheet_xml(row(1, cell("A1", "plum") + cell("A1", "pear")))),
            ok("pear"),
        ),
        case(
            "a million merged cells in one",
            "a.xlsx",
            xlsx(sheet_xml(PLUM, after='<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells>')),
            ok("kind"),
        ),
        case(
            "two merges that overlap",
            "a.xlsx",
            xlsx(
                sheet_xml(
                    PLUM,
                    after='<mergeCells><mergeCell ref="A1:B2"/><mergeCell ref="B2:A1"/><mergeCell/></mergeCells>',
                )
            ),
            ok("kind"),
        ),
    ]


def _values() -> list[Case]:
    circle = row(1, cell("A1", "plum") + '<c r="B1"><f>C1</f><v>0</v></c><c r="C1"><f>B1</f><v>0</v></c>')
    bare = row(1, cell("A1", "plum") + '<c r="B1"><f>WEBSERVICE("http://127.0.0.1:9/")</f></c>')
    errors = row(
        1,
        cell("A1", "plum")
        + "".join(
            f'<c r="{c}1" t="e"><v>{e}</v></c>' for c, e in zip("BCD", ("#REF!", "#DIV/0!", "#N/A"), strict=True)
        ),
    )
    numbers = row(
        1, cell("A1", "plum") + '<c r="B1"><v>1e308</v></c><c r="C1"><v>NaN</v></c><c r="D1"><v>-1e999</v></c>'
    )
    dates = row(
        1,
        cell("A1", "plum")
        + '<c r="B1" s="1"><v>1e300</v></c><c r="C1" s="1"><v>-5</v></c><c r="D1" t="d"><v>2026-99-99</v></c>',
    )
    formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    styles = f'{ooxml.XML}<styleSheet xmlns="{ooxml.S}">{formats}</styleSheet>'
    pipes = row(1, cell("A1", "a|b\\|c") + cell("B1", "line\nline")) + row(
        2, cell("A2", "plum") + cell("B2", "`x` <b>")
    )
    shared = row(1, '<c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>999999</v></c>')
    return [
        case("formulas in a circle", "a.xlsx", xlsx(sheet_xml(circle)), ok("plum")),
        case("a formula that was never computed", "a.xlsx", xlsx(sheet_xml(bare)), ok("plum")),
        case(
            "a formula whose value is a command",
            "a.xlsx",
            xlsx(sheet_xml(row(1, cell("A1", "plum") + cell("B1", "=cmd|'/C calc'!A0", formula="1+1")))),
            ok("plum", "=cmd"),
        ),
        case("cells that are errors", "a.xlsx", xlsx(sheet_xml(errors)), ok("plum")),
        case("numbers that are none", "a.xlsx", xlsx(sheet_xml(numbers)), ok("plum")),
        case("dates that never were", "a.xlsx", xlsx(sheet_xml(dates), parts={"xl/styles.xml": styles}), ok("plum")),
        case("pipes and line ends in cells", "a.xlsx", xlsx(sheet_xml(pipes)), ok("plum", "a\\|b")),
        case(
            "a shared text that is not there",
            "a.xlsx",
            xlsx(sheet_xml(shared), parts={"xl/sharedStrings.xml": _strings("plum")}),
            fails("a.xlsx"),
        ),
        case(
            "a list of four billion shared texts",
            "a.xlsx",
            xlsx(
                sheet_xml(row(1, '<c r="A1" t="s"><v>0</v></c>')),
                parts={"xl/sharedStrings.xml": _strings("plum", count=4_000_000_000)},
            ),
            fails("a.xlsx"),
            isolated=True,
        ),
        case(
            "a text of a million characters",
            "a.xlsx",
            lambda: xlsx(sheet_xml(row(1, cell("A1", " ".join(f"plum {n * 7919 % 100_003}" for n in range(100_000)))))),
            ok("plum"),
        ),
        case(
            "escapes for characters that XML has not",
            "a.xlsx",
            xlsx(sheet_xml(row(1, cell("A1", "plum _x0000_ _xD800_ _x000D_")))),
            ok("plum"),
        ),
    ]


def _books() -> list[Case]:
    empty = sheet_xml("")
    strict = sheet_xml(PLUM).replace(ooxml.S, "http://purl.oclc.org/ooxml/spreadsheetml/main")
    macro = {"xl/vbaProject.bin": ole.compound({"VBA": {"dir": b"macro" * 20}})}
    return [
        case("macros", "a.xlsm", ooxml.xlsx(sheet_xml(PLUM), parts=macro), ok("plum", lacks=("macro",))),
        case("no sheets", "a.xlsx", xlsx(), fails("a.xlsx")),
        case("only empty sheets", "a.xlsx", xlsx(empty, empty), fails("no text")),
        case(
            "a sheet that is not there",
            "a.xlsx",
            xlsx(sheet_xml(PLUM), empty, parts={"xl/worksheets/sheet2.xml": None}),
            fails("a.xlsx"),
        ),
        case(
            "sheets with the same name", "a.xlsx", xlsx(sheet_xml(PLUM), sheet_xml(PLUM), names=("S", "S")), ok("plum")
        ),
        case(
            "a sheet with a line end in its name", "a.xlsx", xlsx(sheet_xml(PLUM), names=("one\n# two |",)), ok("plum")
        ),
        case(
            "hidden sheets",
            "a.xlsx",
            xlsx(sheet_xml(PLUM), sheet_xml(row(1, cell("A1", "pear"))), states=("visible", "veryHidden")),
            ok("plum"),
        ),
        case("a sheet whose XML breaks off", "a.xlsx", xlsx(sheet_xml(PLUM)[:-40]), fails("a.xlsx")),
        case(
            "a workbook without its list of sheets",
            "a.xlsx",
            xlsx(sheet_xml(PLUM), parts={"xl/workbook.xml": None}),
            fails("a.xlsx"),
        ),
        case("a workbook of the strict kind", "a.xlsx", xlsx(strict), ok("plum")),
        case("a thousand sheets", "a.xlsx", lambda: xlsx(*[sheet_xml(PLUM)] * 1_000), ok("plum")),
        case(
            "a sheet that is the workbook",
            "a.xlsx",
            xlsx(sheet_xml(PLUM), parts={"xl/_rels/workbook.xml.rels": ooxml.relations(("worksheet", "workbook.xml"))}),
            fails("a.xlsx"),
        ),
        case(
            "a sheet outside of the archive",
            "a.xlsx",
            xlsx(
                sheet_xml(PLUM),
                parts={
                    "xl/_rels/workbook.xml.rels": ooxml.relations(("worksheet", "file:///etc/passwd"), mode="External")
                },
            ),
            fails("a.xlsx", lacks=("root:",)),
        ),
        case(
            "a workbook of zip bombs of shared texts",
            "a.xlsx",
            lambda: xlsx(sheet_xml(PLUM), parts={"xl/sharedStrings.xml": zips.bomb("xl/sharedStrings.xml", 200)}),
            fails("a.xlsx", "max_archive_ratio"),
        ),
        case("an old workbook with a password", "a.xls", ole.xls([["plum"]], password=True), fails("encrypted")),
        case(
            "an old workbook whose container runs in a circle",
            "a.xls",
            ole.compound({"Workbook": bytes(9_000)}, fat_loop=True),
            fails("a.xls"),
        ),
        case("an old workbook without rows", "a.xls", ole.xls([]), fails("a.xls")),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_sizes(), *_values(), *_books()]
