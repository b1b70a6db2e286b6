"""What an earlier run wrote down is read only if it is whole, and is found again where names are blanked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmf.artefacts.files import VANISHED
from fmf.artefacts.history import read_record
from fmf.artefacts.lines import LineWriter, read_lines
from fmf.auth.base import build_secrets
from fmf.chains.changes import Since
from fmf.chains.earlier import Beside, check_whole, read_documents, read_failed
from fmf.chains.process import ProcessRun
from fmf.config.auth import AuthConfig
from fmf.config.processing import ProcessingConfig
from fmf.errors import ConfigError
from fmf.types import ResourceRef
from fmf_core import redact
from fmf_core.redact import add_secret

NO_SECRETS = build_secrets(AuthConfig(), Path())
SECRET = "Hq7-of-the-vault-93"
TEXTS = {"AAA.md": "one", f"{SECRET}.md": "two", "T.md": "three", "a.md": "four"}


@pytest.fixture
def no_secrets(monkeypatch):
    monkeypatch.setattr(redact, "_known", redact._Known())


def process(work, **options):
    return ProcessRun(work.loaded(), NO_SECRETS, "docs", **options).execute()


def states(report):
    return [(row["resource_id"], row["status"]) for row in read_lines(report.run_dir / "docs.jsonl")]


def vanished(report):
    return [row["resource_id"] for row in read_lines(report.run_dir / VANISHED)]


@pytest.mark.parametrize(
    ("known", "hashes"),
    [
        ("both times", "sha256"),
        ("both times", None),
        ("the first time", "sha256"),
        ("the second time", "sha256"),
        ("the second time", None),
    ],
)
def test_a_secret_in_a_name_is_blanked_and_its_document_known_again(project, no_secrets, monkeypatch, known, hashes):
    work = project(TEXTS)
    work.config["processing"] = {"metadata": {"include_hash": hashes}}
    if known != "the second time":
        add_secret(SECRET)
    process(work)
    if known == "the first time":
        monkeypatch.setattr(redact, "_known", redact._Known())
    add_secret(SECRET if known != "the first time" else "another-one-of-them")
    second = process(work, changed_since="last")
    found = dict(states(second))
    assert set(found.values()) == {"skipped"}
    assert vanished(second) == []
    if known != "the first time":
        assert SECRET not in json.dumps(found)
        assert states(process(work, changed_since="last")) == states(second)
    (work.root / "data" / f"{SECRET}.md").unlink()
    assert vanished(process(work, changed_since="last")) == ["[REDACTED].md"]


class Incremental:
    name, cursor = "docs", "there"

    def changes(self, cursor, select=()):
        return iter(())


def test_a_source_that_tells_of_its_changes_is_listed_where_names_are_blanked(project, no_secrets):
    work = project(TEXTS)
    add_secret(SECRET)
    run = process(work)
    (run.run_dir / "source.cursor").write_text("there")
    assert Since(run.run_dir.parent, run.run_id, Incremental(), (), ProcessingConfig()).refs() is None


def row(**fields):
    known = {"doc_id": "d", "source_uri": "x://a", "resource_id": "a", "status": "ok", "metadata": {}}
    return {**known, "hash": None, "bytes": 1, "reason": None, **fields}


@pytest.mark.parametrize(
    "bad",
    [
        [1],
        {"a": 1},
        row(resource_id=None),
        row(metadata=[]),
        row(modified_at="yesterday"),
        row(more=1),
        row(bytes="1"),
    ],
)
def test_a_row_that_is_no_document_is_told_with_its_number(tmp_path, bad):
    path = tmp_path / "docs.jsonl"
    path.write_text(json.dumps(row()) + "\n" + json.dumps(bad) + "\n")
    with pytest.raises(ConfigError, match=r"docs\.jsonl' is damaged: row 2 is no document") as caught:
        list(read_documents(path))
    assert "without --changed-since" in caught.value.hint


def test_rows_that_are_not_sorted_are_refused(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text(json.dumps(row(resource_id="b")) + "\n" + json.dumps(row()) + "\n")
    with pytest.raises(ConfigError, match="it is not sorted: 'a' stands behind 'b'"):
        list(read_documents(path))


@pytest.mark.parametrize("bad", ["[1]", '{"a": 1}', '{"doc_id": 7}'])
def test_a_row_that_tells_of_no_error_is_refused(tmp_path, bad):
    path = tmp_path / "errors.jsonl"
    path.write_text(f'{{"doc_id": "d"}}\n{{"doc_id": null}}\n{bad}\n')
    with pytest.raises(ConfigError, match="row 3 tells of no error"):
        read_failed(path)


@pytest.mark.parametrize(("cut", "told"), [(2, "bytes, and its run wrote"), (1, "bytes, and its run wrote")])
def test_a_file_that_is_shorter_than_its_run_left_it_is_refused(project, cut, told):
    work = project(TEXTS)
    run = process(work)
    path = run.run_dir / "docs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + (lines[-1][:-40] if cut == 1 else b""))
    with pytest.raises(ConfigError, match=told):
        process(work, changed_since=run.run_id)


def test_without_a_record_of_its_length_a_torn_line_is_seen(tmp_path):
    path = tmp_path / "docs.jsonl"
    for content, is_whole in ((b"", True), (b"{}\n", True), (b"{}\n{", False)):
        path.write_bytes(content)
        if is_whole:
            check_whole(path, {})
        else:
            with pytest.raises(ConfigError, match="its last line is cut off"):
                check_whole(path, {})


@pytest.mark.parametrize(
    "change", [("status:", "stat:"), ("status: completed", "status: [1]"), ("inputs:", "inputs: 3\nx:")]
)
def test_a_damaged_record_is_one_clear_error(project, change):
    work = project(TEXTS)
    run = process(work)
    path = run.run_dir / "run.yaml"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(ConfigError, match="is not the record of a run, or is damaged"):
        process(work, changed_since=run.run_id)
    with pytest.raises(ConfigError, match="is not the record of a run"):
        read_record(run.run_dir.parent, run.run_id)


def test_a_cursor_that_is_no_text_is_one_clear_error(project):
    work = project(TEXTS)
    run = process(work)
    (run.run_dir / "source.cursor").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ConfigError, match=r"source\.cursor' is damaged") as caught:
        process(work, changed_since=run.run_id)
    assert "delete it" in caught.value.hint


def test_very_many_blanked_names_are_found_by_what_they_have_become(no_secrets, tmp_path):
    add_secret(SECRET)
    names = [f"{SECRET}/{number:05d}" for number in range(10_100)]
    with LineWriter(tmp_path / "docs.jsonl") as lines:
        for name in names:
            lines.write(row(resource_id=name, doc_id=name))
    beside = Beside(read_documents(tmp_path / "docs.jsonl"))
    for name in names:
        assert list(beside.passed(name)) == []
        found = beside.row_of(ResourceRef(name, "x", "x"))
        assert found is not None
        assert found["resource_id"] == name.replace(SECRET, "[REDACTED]")
    assert list(beside.rest()) == []
