from __future__ import annotations

import csv
import json

import pytest

from fmf.artefacts.lines import LineWriter
from fmf.chains.collect import answers_of, collect
from fmf.chains.saves import Save, form_of, save_path, write_save
from fmf.errors import ConfigError

NAMES = {"run_id": "R", "chain_id": "c", "now": "n", "date": "d"}


def row(number, output, step="one", status="ok", extra=None):
    return {
        "step_id": step,
        "record_id": f"r{number}",
        "source_uri": f"file:///{number}",
        "doc_id": f"d{number}",
        "chunk_id": None,
        "row": extra,
        "output": output,
        "status": status,
    }


@pytest.fixture
def outputs(tmp_path):
    def write(*rows):
        path = tmp_path / "outputs.jsonl"
        with LineWriter(path) as writer:
            for each in rows:
                writer.write(each)
        return path

    return write


def saved(tmp_path, path, form, name="x"):
    target = tmp_path / "deep" / name
    assert write_save(Save(target, "one", form), path)
    return target


def test_the_ending_tells_the_form():
    assert [form_of(f"a/{name}", None) for name in ("b.md", "b.TXT", "b.jsonl", "b.csv", "b.json")] == [
        *("text", "text", "jsonl", "csv", "text"),
    ]
    assert form_of("a.md", "csv") == "csv"
    with pytest.raises(ConfigError, match="cannot be told"):
        form_of("report", None)


def test_answers_are_read_back_in_order(outputs):
    path = outputs(row(1, "a"), row(2, None, status="failed"), row(3, "x", step="two"), row(4, {"k": 1}))
    assert [found["record_id"] for found in answers_of(path, "one")] == ["r1", "r4"]
    assert collect(path, [("first", "one"), ("second", "two")]) == {"first": ["a", {"k": 1}], "second": ["x"]}


def test_an_answer_that_talks_like_a_record_is_no_record(outputs):
    path = outputs(row(1, '"step_id":"one",', step="two"), row(2, "b"))
    assert [found["record_id"] for found in answers_of(path, "one")] == ["r2"]


def test_text(tmp_path, outputs):
    path = outputs(row(1, "first\n"), row(2, {"k": ["ü"]}), row(3, "x", step="two"), row(4, "last"))
    target = saved(tmp_path, path, "text")
    assert target.read_text() == 'first\n\n{\n  "k": [\n    "ü"\n  ]\n}\n\nlast\n'


def test_jsonl_is_whole_records(tmp_path, outputs):
    rows = [row(1, "a"), row(2, None, status="failed"), row(3, [1])]
    target = saved(tmp_path, outputs(*rows), "jsonl")
    assert [json.loads(line) for line in target.read_text().splitlines()] == [rows[0], rows[2]]


def test_csv_of_texts_is_safe_for_spreadsheets(tmp_path, outputs):
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", 'plain, "quoted"\nline', "ü"]
    target = saved(tmp_path, outputs(*(row(n, text) for n, text in enumerate(texts))), "csv")
    with target.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [each["output"] for each in found] == [*(f"'{text}" for text in texts[:6]), *texts[6:]]
    assert list(found[0]) == ["record_id", "source_uri", "doc_id", "chunk_id", "output"]


def test_csv_of_objects_has_their_keys_as_columns(tmp_path, outputs):
    path = outputs(
        row(1, {"mood": "=good", "score": -3, "tags": ["a"]}, extra={"id": "7"}),
        row(2, {"mood": None, "output": "twice", "late": True}, extra={"id": "8"}),
    )
    with saved(tmp_path, path, "csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[4:] == ["id", "output", "mood", "score", "tags", "output.output", "late"]
    assert [found[0][key] for key in ("id", "mood", "score", "tags")] == ["7", "'=good", "-3", '["a"]']
    assert [found[1][key] for key in ("mood", "output.output", "late")] == ["", "twice", "true"]
    assert json.loads(found[0]["output"])["score"] == -3


def test_no_answer_no_file(tmp_path, outputs):
    path = outputs(row(1, None, status="failed"))
    assert not write_save(Save(tmp_path / "x.txt", "one", "text"), path)
    assert not (tmp_path / "x.txt").exists()


def test_paths_count_from_the_project(tmp_path):
    root, artefacts = tmp_path / "project", tmp_path / "runs"
    assert save_path("out/${run_id}.md", NAMES, root, artefacts) == root / "out" / "R.md"
    assert save_path(f"{artefacts}/${{run_id}}/r.md", NAMES, root, artefacts) == artefacts / "R" / "r.md"


def test_artefacts_are_where_the_configuration_puts_them(tmp_path):
    root, artefacts = tmp_path / "project", tmp_path / "runs"
    assert save_path("artefacts/${run_id}/r.md", NAMES, root, artefacts) == artefacts / "R" / "r.md"
    assert save_path("./artefacts/r.md", NAMES, root, artefacts) == artefacts / "r.md"
    assert save_path("artefacts.md", NAMES, root, artefacts) == root / "artefacts.md"
    with pytest.raises(ConfigError, match="leads out of the project"):
        save_path("artefacts/../../x.md", NAMES, root, artefacts)


@pytest.mark.parametrize("save", ["../x.md", "/etc/x.md", "out/../../x.md", "."])
def test_paths_stay_inside(tmp_path, save):
    with pytest.raises(ConfigError, match="leads out of the project"):
        save_path(save, NAMES, tmp_path / "project", tmp_path / "runs")


def test_a_run_s_own_files_are_not_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="the run writes itself"):
        save_path("artefacts/${run_id}/outputs.jsonl", NAMES, tmp_path, tmp_path / "artefacts")
