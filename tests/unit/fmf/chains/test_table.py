from __future__ import annotations

import csv

import openpyxl
import pytest

from fmf.artefacts.lines import read_lines
from fmf.errors import ConfigError
from fmf_core.redact import add_secret
from fmf_core.secret_shapes import MASK

PEOPLE = 'id;name;note\n7;Ada;likes tea\n8;Bob;\n\n9;Cy;"two\nlines"\n'


def rows_chain(prompt="inline: note: {{ text }}", inputs=None, **more):
    return {
        "name": "c",
        "inputs": {"connector": "docs", "mode": "table_rows", **more.pop("read", {})},
        "steps": [{"id": "a", "prompt": prompt, "inputs": inputs or {"text": "${row.text}"}, "output": "a"}],
        **more,
    }


def test_every_row_is_an_item_with_its_number_and_what_it_brings(project):
    table = {"text_column": "note", "pass_through": ["id", "name"]}
    result = project({"p.csv": PEOPLE}).run(rows_chain(read={"table": table}))
    assert [row["row"] for row in result.outputs] == [
        {"id": "7", "name": "Ada"},
        {"id": "8", "name": "Bob"},
        {"id": "9", "name": "Cy"},
    ]
    assert [row["place"] for row in result.outputs] == [{"row": 2}, {"row": 3}, {"row": 5}]
    assert [row["input"]["text"] for row in result.outputs] == ["likes tea", "", "two\nlines"]
    assert len({row["record_id"] for row in result.outputs}) == 3
    assert [row["row_id"].rpartition("-")[2] for row in result.rows("rows.jsonl")] == ["0000002", "0000003", "0000005"]
    assert result.record["counts"]["items"]["ok"] == 3


def test_steps_name_columns_and_several_text_columns_stand_below_one_another(project):
    inputs = {"who": "${row.name}", "all": "${row.text}", "doc": "${document.title}"}
    chain = rows_chain(
        "inline: {{ who }}|{{ all }}|{{ doc }}", inputs, read={"table": {"text_column": ["name", "note"]}}
    )
    result = project({"p.csv": PEOPLE}).run(chain)
    assert result.outputs[0]["input"] == {"who": "Ada", "all": "name: Ada\nnote: likes tea", "doc": "p.csv"}
    assert result.outputs[0]["row"] == {}


def test_columns_with_blanks_are_named_in_brackets(project):
    chain = rows_chain("inline: {{ x }}", {"x": '${row["First name"]}'})
    result = project({"p.csv": "First name,b\nAda,1\n"}).run(chain)
    assert result.outputs[0]["input"] == {"x": "Ada"}


def test_sheets_and_types_of_a_workbook_are_kept(project):
    work = project({})
    book = openpyxl.Workbook()
    book.active.title = "One"
    book.active.append(["n", "ok"])
    book.active.append([3, True])
    second = book.create_sheet("Two")
    second.append(["n", "ok"])
    second.append([2.5, False])
    book.save(work.root / "data" / "b.xlsx")
    result = work.run(rows_chain(read={"table": {"pass_through": ["n", "ok"]}}))
    assert [(row["place"], row["row"]) for row in result.outputs] == [
        ({"sheet": "One", "row": 2}, {"n": 3, "ok": True}),
        ({"sheet": "Two", "row": 2}, {"n": 2.5, "ok": False}),
    ]


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_a_chain_chooses_sheets_and_the_row_of_their_names(project):
    work = project({"p.csv": "Report\nn\n1\n"})
    rows = [["Report"], ["n"], [2]]
    workbook(work.root / "data" / "b.xlsx", Notes=[["of Monday"]], Orders1=rows, Orders2=rows)
    table = {"pass_through": "n", "sheets": "Orders*", "header_row": 2}
    result = work.run(rows_chain(read={"table": table}))
    assert [(row["place"].get("sheet"), row["row"]) for row in result.outputs] == [
        ("Orders1", {"n": 2}),
        ("Orders2", {"n": 2}),
        (None, {"n": "1"}),
    ]


def test_what_to_do_about_a_column_or_sheet_that_is_not_there_is_said(project):
    work = project({})
    workbook(work.root / "data" / "b.xlsx", Notes=[["x"], [1]])
    (error,) = work.run(rows_chain(read={"table": {"text_column": "n"}})).rows("errors.jsonl")
    assert "sheet 'Notes', has no column 'n'" in error["message"]
    assert "inputs.table.header_row" in error["hint"]
    assert "inputs.table.sheets" in error["hint"]
    (error,) = work.run(rows_chain(read={"table": {"sheets": ["Note", "N"]}})).rows("errors.jsonl")
    assert "has no sheet that fits inputs.table.sheets: Note, N" in error["message"]
    assert "Notes" in error["hint"]


def test_a_missing_column_fails_its_document_before_anything_is_asked(project):
    chain = rows_chain(read={"table": {"text_column": "note"}})
    result = project({"a.csv": PEOPLE, "b.csv": "x\n1\n"}).run(chain)
    assert [row["source_uri"].rpartition("/")[2] for row in result.outputs] == ["a.csv"] * 3
    (error,) = result.rows("errors.jsonl")
    assert "has no column 'note'" in error["message"]
    assert "x" in error["hint"]


def test_what_has_no_rows_is_skipped(project):
    result = project({"a.csv": PEOPLE, "b.md": "# text"}).run(rows_chain())
    states = {row["resource_id"]: (row["status"], row["reason"]) for row in result.rows("docs.jsonl")}
    assert states["a.csv"][0] == "ok"
    assert states["b.md"] == (
        "skipped",
        "markdown files have no rows: inputs.mode table_rows reads csv, gzip, parquet, xlsx",
    )


def test_steps_over_a_document_and_over_all_see_the_rows(project):
    chain = rows_chain()
    chain["steps"] += [
        {"id": "d", "prompt": "inline: {{ x }}", "inputs": {"x": '${join(document.all.a, ",")}'}, "output": "d"},
        {"id": "z", "prompt": "inline: {{ x }}", "inputs": {"x": '${join(all.a, ",")}'}, "output": "z"},
    ]
    result = project({"a.csv": "t\n1\n2\n", "b.csv": "t\n3\n"}).run(chain)
    assert [row["step_id"] for row in result.outputs].count("d") == 2
    assert [row["step_id"] for row in result.outputs].count("z") == 1


def test_all_documents_first_reads_the_rows_once(project):
    chain = rows_chain(continue_on_error=False)
    result = project({"a.csv": PEOPLE, "b.csv": PEOPLE}).run(chain)
    assert len(result.outputs) == 6
    assert len(result.rows("rows.jsonl")) == 6


def test_a_limit_counts_rows(project):
    result = project({"a.csv": PEOPLE, "b.csv": PEOPLE}).run(rows_chain(), limit=4)
    assert len(result.outputs) == 4


def test_answers_are_saved_beside_the_columns_that_came_along(project):
    table = {"text_column": "note", "pass_through": "id"}
    chain = rows_chain(read={"table": table}, outputs=[{"save": "artefacts/${run_id}/a.csv", "from": "a"}])
    result = project({"p.csv": PEOPLE}).run(chain)
    with (result.dir / "a.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["7", "8", "9"]


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        ({"inputs": {"mode": "chunks", "table": {}}}, "table belongs to mode table_rows, and the mode is chunks"),
        ({"steps": [{"id": "a", "prompt": "inline: {{ t }}", "inputs": {"t": "${chunk.text}"}}]}, "are rows of tables"),
        ({"steps": [{"id": "a", "prompt": "inline: {{ t }}", "inputs": {"t": "${document.text}"}}]}, "can never exist"),
        ({"steps": [{"id": "a", "prompt": "inline: {{ t }}", "inputs": {"t": "${row}"}}]}, "can never exist"),
    ],
)
def test_what_rows_do_not_have_is_refused_when_the_chain_is_loaded(project, chain, says):
    given = {**rows_chain(), **chain}
    given["inputs"] = {"connector": "docs", "mode": "table_rows", **chain.get("inputs", {})}
    with pytest.raises(ConfigError, match=says):
        project({"p.csv": PEOPLE}).prepare(given)


def test_values_cannot_become_references(project):
    result = project({"p.csv": "t\n${run_id} {{ x }}\n"}).run(rows_chain())
    assert result.outputs[0]["input"] == {"text": "t: ${run_id} {{ x }}"}
    assert next(iter(read_lines(result.dir / "rows.jsonl")))["values"] == {"t": "${run_id} {{ x }}"}


def test_secrets_in_headers_and_numbers_are_blanked(project):
    add_secret("Tr0ub4dor-hunter2")
    add_secret("987654321012")
    work = project({"p.csv": "id,Tr0ub4dor-hunter2\n1,x Tr0ub4dor-hunter2\n"})
    book = openpyxl.Workbook()
    book.active.append(["id", "n"])
    book.active.append([987654321012, 5])
    book.save(work.root / "data" / "b.xlsx")
    result = work.run(rows_chain(read={"table": {"pass_through": ["id"]}}))
    for path in result.dir.iterdir():
        assert b"hunter2" not in path.read_bytes()
        assert b"987654321012" not in path.read_bytes()
    assert [row["values"] for row in result.rows("rows.jsonl")] == [
        {"id": MASK, "n": 5},
        {"id": "1", MASK: f"x {MASK}"},
    ]


def test_cells_beyond_the_header_take_no_other_columns_place(project):
    result = project({"p.csv": "column_2\n1,2\n3,4\n"}).run(rows_chain())
    assert [row["values"] for row in result.rows("rows.jsonl")] == [
        {"column_2": "1", "column_2_2": "2"},
        {"column_2": "3", "column_2_2": "4"},
    ]
