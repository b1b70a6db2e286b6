"""Any CSV becomes one table."""

from __future__ import annotations

import csv
import io
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig, TablesConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import csv as loader
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.dialect import Dialect, sniff
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of


def load(data: str | bytes, name: str = "a.csv", **tables):
    data = data.encode() if isinstance(data, str) else data
    with source_of(data, name) as source:
        loaded = loader.load(source, ProcessingConfig(tables=TablesConfig(**tables)))
        return "".join(piece for piece in loaded.pieces if isinstance(piece, str)), loaded.metadata


def rows_of(data: str, **settings):
    with source_of(data.encode(), "a.csv") as source:
        [table] = loader.tables(source, ProcessingConfig(tables=TablesConfig(**settings)))
        return table.header_row, table.names, list(table.rows())


class TestCsvSitsTheExam(LoaderExam):
    words: ClassVar = {"a.csv": ["Name", "Grüße", "a\\|b", "x<br>y"], "b.tsv": ["id", "value"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {
            "a.csv": 'Name;Text\r\nAnn;Grüße\r\n\r\nBob;a|b\r\nCarl;"x\ny"\r\n'.encode("utf-8-sig"),
            "b.tsv": b"id\tvalue\n1\t2\n\n\n3\t4\n",
        }

    def make_large_file(self):
        return "large.csv", b"id,text\n" + b"1,some words that fill the line\n" * 300_000


def test_rows_have_the_numbers_that_a_reader_counts():
    numbered = [(2, ["1", "2"]), (5, ["3", ""]), (6, ["4", "5"])]
    assert rows_of("a,b\n1,2\n\n,\n3\n4,5\n") == (1, ["a", "b"], numbered)
    assert rows_of('sep=,\na,b\n"1\n",2\n3,4\n') == (1, ["a", "b"], [(2, ["1\n", "2"]), (3, ["3", "4"])])


def test_the_header_is_the_first_row_with_text_from_the_one_that_is_named():
    assert rows_of("\n\na,b\n1,2\n")[:2] == (3, ["a", "b"])
    assert rows_of("Title\n\na,b\n1,2\n", header_row=2)[:2] == (3, ["a", "b"])
    assert rows_of("Title\n\na,b\n1,2\n", header_row=3)[:2] == (3, ["a", "b"])


def test_a_title_above_the_table_is_text_above_it():
    text, metadata = load("Report May\n\nid,name\n1,Ann\n2,Bob\n")
    assert text == "Report May\n\n| id | name |\n| --- | --- |\n| 1 | Ann |\n| 2 | Bob |\n"
    assert (metadata["columns"], metadata["rows"], metadata["titles"]) == (["id", "name"], 2, ["Report May"])
    assert rows_of("Report May\nid,name\n1,Ann\n\n2,Bob\n") == (
        2,
        ["id", "name"],
        [(3, ["1", "Ann"]), (5, ["2", "Bob"])],
    )
    long = "Report May\nid,name\n" + "1,Ann\n" * 5000
    assert len(rows_of(long)[2]) == load(long)[1]["rows"] == 5000
    assert load("# 1 | a\n\nid,name\n1,Ann\n")[0].startswith("\\# 1 | a\n\n| id |")
    assert load("Report May\nid,name\n1,Ann\n", to_markdown=False)[0] == "Report May\nid\tname\n1\tAnn\n"


def test_quotation_marks_behind_backslashes_stay_in_their_cell():
    data = 'id,text\n1,"it\\"s, ok"\n2,b\n3,"a ""double"" one \\\\ C:\\dir"\n'
    assert rows_of(data)[2] == [(2, ["1", 'it"s, ok']), (3, ["2", "b"]), (4, ["3", 'a "double" one \\ C:\\dir'])]
    assert load(data)[1]["escape"] == "\\"


@pytest.mark.parametrize("cell", ["C:\\dir\\", "a \\n b", "\\\\server\\share\\"])
def test_a_backslash_at_the_end_of_a_cell_or_inside_is_a_character(cell):
    data = f'id,text,more\n1,"{cell}",x\n2,"{cell}","y, z"\n'
    assert [row[1] for _, row in rows_of(data)[2]] == [cell, cell]


def test_marks_tell_where_rows_were_left_out():
    with source_of(b"a,b\n1,2\n\n3,4\n") as source:
        pieces = list(loader.load(source, ProcessingConfig()).pieces)
    assert [piece for piece in pieces if isinstance(piece, Mark)] == [Mark("rows", 1), Mark("rows", 2), Mark("rows", 4)]
    assert pieces[-1] == "| 3 | 4 |\n"


def test_bom_semicolons_quoted_newlines_and_pipes():
    text, metadata = load('\ufeffid;comment\r\n1;"two\r\nlines"\r\n2;a|b\r\n')
    assert text == "| id | comment |\n| --- | --- |\n| 1 | two<br>lines |\n| 2 | a\\|b |\n"
    assert metadata == {"delimiter": ";", "columns": ["id", "comment"], "rows": 2}


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        ("a,b\n1,2\n", "a.csv", ","),
        ("a\tb\n1,5\t2\n", "a.csv", "\t"),
        ("a|b\n1|2\n", "a.csv", "|"),
        ("name;price\nx;1,5\ny;2,5\n", "a.csv", ";"),
        ("only one column\nhello, world\nfoo; bar; baz\n", "a.csv", ","),
        ("only one column\n", "a.tsv", "\t"),
        ("a\tb,c\n1\t2,3\n", "a.tsv", "\t"),
        ("sep=;\na;b,c,d\n1;2,3,4\n", "a.csv", ";"),
        ("a,b\n1,2", "a.csv", ","),
    ],
)
def test_the_delimiter_is_found(data, name, expected):
    assert load(data, name)[1]["delimiter"] == expected


def test_a_line_that_names_the_delimiter_is_no_row():
    assert load("SEP=;\r\na;b\r\n1;2\r\n")[0] == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_lone_quotation_marks_are_characters_where_they_hold_nothing_together():
    rows = "".join(f'{number}\t"{number} inch\n' for number in range(50))
    text, metadata = load(f"id\tsize\n{rows}", "a.tsv")
    assert metadata["rows"] == 50
    assert '| 7 | "7 inch |' in text
    assert sniff('a,"b c"\n1,"x, y"\n') == Dialect(",")


def test_rows_of_other_lengths_are_kept_and_counted():
    text, metadata = load("a,b,c\n1,2\n\n1,2,3,4\n , ,\n1,2,3\n")
    assert metadata["rows"] == 4
    assert metadata["short_rows"] == 1
    assert metadata["long_rows"] == 1
    assert "| 1 | 2 |  |\n" in text
    assert "| 1 | 2 | 3 | 4 |\n" in text


def test_the_header_may_stand_further_down():
    text, metadata = load("Report of May\n\nid,id\n1,2\n", header_row=2)
    assert metadata["columns"] == ["id", "id_2"]
    assert text.startswith("| id | id_2 |")
    assert load("a,b\n", header_row=9)[0] == ""


def test_lines_with_tabs_where_markdown_is_off():
    assert load('a,b\n1,"x\ty"\n', to_markdown=False)[0] == "a\tb\n1\tx y\n"


def test_other_encodings_are_read_and_noted():
    text, metadata = load("Größe;Straße\r\n1;ü\r\n".encode("cp1252"))
    assert "Größe" in text
    assert metadata["encoding"] == "cp1252"
    assert "Größe" in load("Größe;Straße\r\n1;ü\r\n".encode("utf-16"))[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_row_and_no_other_character_does(end):
    text, metadata = load(end.join(["a,b", "1,x\u2028y\x0bz", "2,\x85"]) + end)
    assert metadata["rows"] == 2
    assert "x\u2028y\x0bz" in text


def test_a_quotation_mark_that_is_never_closed_fails_with_its_row(monkeypatch):
    monkeypatch.setattr(loader, "LONGEST_FIELD", 200_000)
    limit = csv.field_size_limit(131_072)
    try:
        with pytest.raises(ProcessingError, match="row 4,") as caught:
            load('a,b\n1,2\n1,2\n1,"open\n' + "text without end\n" * 20_000)
        assert "quotation mark" in caught.value.hint
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("further", [0, 1, 250, 30_000])
@pytest.mark.parametrize("last", ["", "last;one"])
def test_a_quotation_mark_that_is_open_at_the_end_fails_with_its_row_and_line(end, further, last):
    rows = [f"{number};text;{number}" for number in range(1, 50)]
    lines = ["id;text;n", '0;"two', 'lines";0', *rows, '50;"never closed;5', *["51;text;51"] * further]
    with pytest.raises(ProcessingError, match=r"row 52: the quotation mark that opens in line 53 is never") as caught:
        load("".join(line + end for line in lines) + last)
    assert "close it" in caught.value.hint


def test_quotation_marks_inside_of_a_cell_are_characters():
    text, metadata = load('id;what\n1;5" pipe\n2;"a ""quoted"" word"\n3;6" pipe')
    assert metadata["rows"] == 3
    assert '| 1 | 5" pipe |\n| 2 | a "quoted" word |\n| 3 | 6" pipe |\n' in text


def test_a_line_without_end_fails(monkeypatch):
    monkeypatch.setattr(loader, "_LONGEST_LINE", 100_000)
    with pytest.raises(ProcessingError, match="line longer than 100,000 characters"):
        load("a,b\n" + "x" * 300_000)


def test_ten_thousand_columns():
    text, metadata = load(",".join(f"c{number}" for number in range(10_000)) + "\n" + "," * 9_999 + "x\n")
    assert len(metadata["columns"]) == 10_000
    assert text.endswith(" x |\n")


CELLS = st.text(alphabet='ab,;"\n\r\t |é', max_size=6).filter(lambda cell: "\r" not in cell or "\n" not in cell)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=2, max_size=20))
def test_whatever_the_csv_module_writes_comes_back(rows):
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["h1", "h2"], *[["x", "y"]] * 40, *rows])
    text, metadata = load(written.getvalue())
    assert metadata["columns"] == ["h1", "h2"]
    assert metadata["rows"] == 40 + sum(any(row) for row in rows)
    assert text.count("\n") == 2 + metadata["rows"]
