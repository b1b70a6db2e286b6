"""Every sheet of a workbook becomes a table with its values as they are shown."""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta
from typing import ClassVar

import openpyxl
import pytest

from fmf.config.models import LimitsConfig, ProcessingConfig, TablesConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.office import xlsx as loader
from fmf.processing.loaders.office.sheet_facts import facts_of
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.zips import rezipped, zipped

SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = "</sheetData></worksheet>"
ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
    '<table:table table:name="Parts"><table:table-row><table:table-cell office:value-type="string">'
    "<text:p>part</text:p></table:table-cell></table:table-row><table:table-row>"
    '<table:table-cell office:value-type="float" office:value="7"><text:p>7</text:p></table:table-cell>'
    "</table:table-row></table:table></office:spreadsheet></office:body>"
    "</office:document-content>"
)


def workbook(*sheets: list[list], names: list[str] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(names[number] if names else f"S{number + 1}")
        for row in rows:
            sheet.append(row)
    return saved(book)


def saved(book) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def load(data: bytes, limits: dict | None = None, **tables):
    with source_of(data, "a.xlsx") as source:
        settings = ProcessingConfig(tables=TablesConfig(**tables), limits=LimitsConfig(**limits or {}))
        loaded = loader.load(source, settings)
        pieces = list(loaded.pieces)
    return pieces, loaded.metadata


def text_of(data: bytes, **tables) -> str:
    return "".join(piece for piece in load(data, **tables)[0] if isinstance(piece, str))


def rows_of(data: bytes, **tables):
    with source_of(data) as source:
        settings = ProcessingConfig(tables=TablesConfig(**tables))
        return [
            (table.sheet, table.number, table.names, list(table.rows())) for table in loader.tables(source, settings)
        ]


def with_sheet(rows: str) -> bytes:
    return rezipped(workbook([["x"]]), {SHEET: HEAD + rows + TAIL})


class TestWorkbooksSitTheExam(LoaderExam):
    words: ClassVar = {"a.xlsx": ["## Töne", "| name | pitch |", "| A | 440 |", "## Second", "| 2024-02-15 |"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        first = [["name", "pitch"], ["A", 440], [None, None], ["h", 493.9]]
        ods = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": ODS}
        manifest = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
        return {
            "a.xlsx": workbook(first, [["day"], [date(2024, 2, 15)]], names=["Töne", "Second"]),
            "b.ods": zipped({**ods, "META-INF/manifest.xml": manifest}),
        }

    def make_large_file(self):
        rows = [[number, "some words that fill the cells", number / 7] for number in range(6_000)]
        return "large.xlsx", workbook([["a", "b", "c"], *rows])


def test_all_sheets_come_in_order_with_names_and_marks():
    data = workbook([["a"], [1]], [["b"], [2]], [["c"], [3]], names=["One", "Two | half", "Drei"])
    pieces, metadata = load(data)
    marks = [piece for piece in pieces if isinstance(piece, Mark)]
    assert [mark for mark in marks if mark.kind == "sheet"] == [
        Mark("sheet", 1, "One"),
        Mark("sheet", 2, "Two | half"),
        Mark("sheet", 3, "Drei"),
    ]
    assert text_of(data).count("## ") == 3
    assert "## One\n\n| a |\n| --- |\n| 1 |\n\n## Two | half\n" in text_of(data)
    assert [sheet["name"] for sheet in metadata["sheets"]] == ["One", "Two | half", "Drei"]
    assert [sheet["rows"] for sheet in metadata["sheets"]] == [1, 1, 1]


def test_sheet_names_and_markdown_may_be_left_out():
    data = workbook([["a", "b"], [1, 2]], [["c"], ["x\ty"]])
    assert (
        text_of(data, include_sheet_names=False) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| c |\n| --- |\n| x\ty |\n"
    )
    assert text_of(data, to_markdown=False) == "## S1\n\na\tb\n1\t2\n\n## S2\n\nc\nx y\n"


def test_values_keep_their_types():
    day, moment = date(2024, 2, 15), datetime(2024, 2, 15, 10, 30)
    row = [5, 0.25, "5", True, False, day, moment, time(10, 30), timedelta(hours=37, minutes=30), None, 1e20]
    book = openpyxl.Workbook()
    book.active.append([f"c{number}" for number in range(len(row))])
    book.active.append(row)
    book.active["B2"].number_format = "0%"
    [(_, _, _, [(number, cells)])] = rows_of(saved(book))
    assert number == 2
    assert cells == [5, 0.25, "5", True, False, day, moment, time(10, 30), timedelta(hours=37, minutes=30), "", 1e20]
    assert [type(cell) for cell in cells[:5]] == [int, float, str, bool, bool]
    line = "| 5 | 0.25 | 5 | true | false | 2024-02-15 | 2024-02-15T10:30:00 | 10:30:00 | 37:30:00 |  | 1e+20 |"
    assert line in text_of(saved(book))


@pytest.mark.parametrize("number", [10**15 - 1, 10**15, 123_456_789_012_345_700, -(10**17)])
def test_large_whole_numbers_stay_whole(number):
    (table,) = rows_of(workbook([["n"], [number]]))
    assert f"| {number} |" in text_of(workbook([["n"], [number]]))
    assert table[-1][-1] == (2, [number])


def test_rows_have_the_numbers_of_the_spreadsheet():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet["C3"], sheet["D3"] = "a", "b"
    sheet["C4"], sheet["D5"], sheet["C9"] = 1, 2, 3
    assert rows_of(saved(book)) == [("Sheet", 1, ["a", "b"], [(4, [1, ""]), (5, ["", 2]), (9, [3, ""])])]
    marks = [piece for piece in load(saved(book))[0] if isinstance(piece, Mark) and piece.kind == "rows"]
    assert [mark.number for mark in marks] == [3, 4, 9]


def test_the_header_may_stand_further_down():
    data = workbook([["Report"], [None], ["a", "b"], [1, 2]])
    assert rows_of(data, header_row=2) == [("S1", 1, ["a", "b"], [(4, [1, 2])])]
    assert rows_of(data, header_row=9) == []


def test_a_title_above_the_table_is_text_above_it():
    data = workbook([["Report May"], [], ["id", "name"], [1, "Ann"], [2, "Bob"]])
    assert text_of(data, include_sheet_names=False).startswith(
        "Report May\n\n| id | name |\n| --- | --- |\n| 1 | Ann |\n"
    )
    [table] = rows_of(data)
    assert table[-1] == [(4, [1, "Ann"]), (5, [2, "Bob"])]


def test_duplicate_and_missing_names_of_columns():
    assert rows_of(workbook([["x", None, "x", 5], [1, 2, 3, 4]]))[0][2] == ["x", "column_2", "x_2", "5"]


def test_hidden_sheets_are_read_and_noted_and_charts_are_only_noted():
    book = openpyxl.Workbook()
    book.active.append(["a"])
    hidden = book.create_sheet("Secret")
    hidden.append(["b"])
    hidden.sheet_state = "veryHidden"
    book.create_chartsheet("Chart")
    book.create_sheet("Nothing")
    pieces, metadata = load(saved(book))
    assert "| b |" in "".join(piece for piece in pieces if isinstance(piece, str))
    noted = {sheet["name"]: sheet for sheet in metadata["sheets"]}
    assert noted["Secret"]["hidden"] is True
    assert "hidden" not in noted["Sheet"]
    assert noted["Chart"]["kind"] == "chart"
    assert noted["Nothing"]["rows"] == 0


def test_errors_are_kept():
    cells = (
        '<row r="1"><c r="B1" t="str"><v>x</v></c></row><row r="2"><c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    )
    data = with_sheet(cells + '<row r="3"><c r="C3" t="e"><v>#N/A</v></c></row>')
    assert rows_of(data) == [("S1", 1, ["x", "column_2"], [(2, ["#DIV/0!", ""]), (3, ["", "#N/A"])])]


def test_formulas_give_their_saved_results_and_are_counted():
    cells = (
        '<row r="1"><c r="A1" t="str"><v>sum</v></c></row><row r="2"><c r="A2"><f>1+1</f><v>2</v></c></row>'
        '<row r="3"><c r="A3"><f>A2+1</f><v></v></c></row><row r="4"><c r="A4"><f>A2+2</f></c></row>'
    )
    pieces, metadata = load(with_sheet(cells))
    assert "| 2 |\n" in "".join(piece for piece in pieces if isinstance(piece, str))
    assert metadata["formulas"] == 3
    assert metadata["formulas_without_value"] == 2


def test_what_is_merged_downwards_stands_in_each_row():
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (
        ["kind", "part", None],
        ["brake", "pad", 1],
        [None, "disc", 2],
        [None, None, None],
        ["lamp", "bulb", 3],
    ):
        sheet.append(row)
    sheet.merge_cells("A2:A4")
    sheet.merge_cells("B1:C1")
    data = saved(book)
    assert [cells for _, cells in rows_of(data)[0][3]] == [
        ["brake", "pad", 1],
        ["brake", "disc", 2],
        ["lamp", "bulb", 3],
    ]
    assert load(data)[1]["sheets"][0]["merged"] == 2


def test_a_sheet_that_spreads_too_far_is_refused_before_it_is_opened():
    data = with_sheet('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    with pytest.raises(ProcessingError, match="spreads over 1,048,576 rows and 16,384 columns") as caught:
        load(data)
    assert "max_memory_mb" in caught.value.hint
    for far in (
        '<row r="999999999"><c r="B999999999"><v>1</v></c></row>',
        '<row r="2"><c r="B999999999"><v>1</v></c></row>',
    ):
        with pytest.raises(ProcessingError, match="spreads over 999,999,999 rows"):
            load(with_sheet('<row r="1"><c r="A1"><v>1</v></c></row>' + far))


def test_bombs_and_entities_are_refused():
    data = rezipped(workbook([["a"]]), {SHEET: HEAD + " " * 30_000_000 + TAIL})
    with pytest.raises(ProcessingError, match="times its size"):
        load(data)
    evil = '<!DOCTYPE x [<!ENTITY a "aaaa">]><workbook>&a;</workbook>'
    with pytest.raises(ProcessingError, match="document type"):
        load(rezipped(workbook([["a"]]), {"xl/workbook.xml": evil}))


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), zipped({"a.xml": "<a/>"})]
)
def test_what_is_no_workbook_is_one_error(data):
    with pytest.raises(ProcessingError, match="damaged or not an xlsx file"):
        load(data)


def test_a_reason_names_the_file_as_its_ending_does():
    for name, said in (("a.ods", "an ods file"), ("A.XLS", "an xls file"), ("a.dat", "an xlsx file")):
        with pytest.raises(ProcessingError, match=f"damaged or not {said}"), source_of(b"PK", name) as source:
            loader.load(source, ProcessingConfig())


def test_want_of_memory_is_no_damage(monkeypatch):
    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(loader, "CalamineWorkbook", type("Book", (), {"from_filelike": greedy}))
    with pytest.raises(MemoryError):
        load(workbook([["a"]]))


def test_the_facts_of_a_sheet_are_the_same_in_blocks_of_any_size():
    rows = "".join(
        f'<row r="{row}"><c s="1" r="AB{row}" t="e"><f>x</f><v>#REF!</v></c><c r="C{row}"><v>1</v></c></row>'
        for row in range(1, 30)
    )
    for prefix in ("", "x:"):
        data = (HEAD + rows + TAIL).replace("<", f"<{prefix}").replace(f"<{prefix}/", f"</{prefix}").encode()
        for size in (50, 333, 100_000):
            facts = facts_of(data[at : at + size] for at in range(0, len(data), size))
            assert (facts.last_row, facts.last_column, facts.formulas) == (29, 28, 29)
            assert len(facts.errors) == 29
            assert facts.errors[28] == {27: "#REF!"}
