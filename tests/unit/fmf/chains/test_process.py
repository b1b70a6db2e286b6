from __future__ import annotations

from pathlib import Path

import pytest

from fmf.artefacts.history import read_record
from fmf.artefacts.index import read_index
from fmf.artefacts.lines import read_lines
from fmf.auth.base import build_secrets
from fmf.chains.process import ProcessRun
from fmf.chains.run_yaml import UNREAD
from fmf.chains.stop import StopReason
from fmf.cli.summary import notice_lines
from fmf.config.auth import AuthConfig
from fmf.errors import ConfigError, ConnectorError, NothingMatchedError
from fmf.types import Document
from fmf_core.errors import Code
from unit.fmf.processing.pdf_files import pdf
from unit.fmf.processing.rendered import drawn

NO_SECRETS = build_secrets(AuthConfig(), Path())
TEXTS = {"a.md": "# A\n\ntext", "b.md": b"\x00\x01", "c.md": b"", "sub/d.txt": "more"}


def test_documents_become_chunks(project):
    work = project(TEXTS)
    report = ProcessRun(work.loaded(), NO_SECRETS, "docs").execute()
    assert (report.status, report.exit_status) == ("partial", 10)
    documents = list(read_lines(report.run_dir / "docs.jsonl"))
    assert [(row["resource_id"], row["status"]) for row in documents] == [
        ("a.md", "ok"),
        ("b.md", "failed"),
        ("c.md", "skipped"),
        ("sub/d.txt", "ok"),
    ]
    texts = {row["doc_id"]: row["text"] for row in documents}
    for chunk in read_lines(report.run_dir / "chunks.jsonl"):
        assert chunk["text"] == texts[chunk["doc_id"]][chunk["start"] : chunk["end"]]
    errors = list(read_lines(report.run_dir / "errors.jsonl"))
    assert [(row["stage"], row["source_uri"].rpartition("/")[2]) for row in errors] == [("read", "b.md")]
    record = read_record(work.root / "artefacts", report.run_id)
    assert record == report.record
    assert (record["chain"], record["provider"], record["prompts_used"]) == (None, None, [])
    assert record["inputs"]["connector"] == "docs"
    assert record["counts"]["documents"] == 4


def test_good_documents_alone(project):
    report = ProcessRun(project(TEXTS).loaded(), NO_SECRETS, "docs", ("**/*.txt",)).execute()
    assert (report.status, report.exit_status) == ("completed", 0)
    assert report.tally.chunks == 1


def test_only_bad_documents(project):
    report = ProcessRun(project(TEXTS).loaded(), NO_SECRETS, "docs", ("b.md",)).execute()
    assert (report.status, report.exit_status) == ("failed", 5)


def test_pages_that_are_pictures_are_told_of_while_nobody_reads_them(project):
    run = ProcessRun(project({"a.pdf": pdf(["Words.", drawn(), []]), "b.md": "text"}).loaded(), NO_SECRETS, "docs")
    report = run.execute()
    assert report.status == "completed"
    assert report.record["inputs"]["notices"] == [{"reason": UNREAD, "count": 1}]
    assert list(notice_lines(report)) == [f"1 left out: {UNREAD}"]
    assert "notices" not in ProcessRun(run.loaded, NO_SECRETS, "docs", ("*.md",)).execute().record["inputs"]


def test_nothing_matched(project):
    work = project(TEXTS)
    with pytest.raises(NothingMatchedError, match=r"'docs'.*'\*\.none'") as caught:
        ProcessRun(work.loaded(), NO_SECRETS, "docs", ("*.none",)).execute()
    assert "fmf connect ls docs" in caught.value.hint
    assert not (work.root / "artefacts").exists()


def test_an_unknown_connector(project):
    with pytest.raises(ConfigError, match="'dcos'"):
        ProcessRun(project().loaded(), NO_SECRETS, "dcos").execute()


def test_a_stop_keeps_what_was_read(project):
    run = ProcessRun(project().loaded(), NO_SECRETS, "docs")
    count = run.tally.count_document

    def stopping(document: Document):
        count(document)
        if run.tally.documents.total == 3:
            run.stop.request(StopReason.INTERRUPTED)

    run.tally.count_document = stopping
    report = run.execute()
    assert (report.status, report.exit_status) == ("interrupted", 130)
    assert len(list(read_lines(report.run_dir / "docs.jsonl"))) == 3


def test_a_listing_that_breaks_off(project, monkeypatch):
    from fmf.connectors.local import LocalConnector

    listing = LocalConnector.list

    def broken(self, select=()):
        for number, ref in enumerate(listing(self, select)):
            if number == 4:
                raise ConnectorError("gone", op="local.list")
            yield ref

    monkeypatch.setattr(LocalConnector, "list", broken)
    report = ProcessRun(project().loaded(), NO_SECRETS, "docs").execute()
    assert (report.status, report.exit_status) == ("failed", 4)
    assert report.tally.documents.ok == 4
    assert report.error is not None


def _ended(work):
    root = work.root / "artefacts"
    (entry,) = read_index(root)
    return entry, read_record(root, entry["run_id"]), root / entry["run_id"]


def _breaking(run, error):
    count = run.tally.count_document

    def broken(document: Document):
        count(document)
        if run.tally.documents.total == 3:
            raise error

    run.tally.count_document = broken
    return run


def test_a_second_interrupt_leaves_a_finished_folder(project):
    work = project()
    with pytest.raises(KeyboardInterrupt):
        _breaking(ProcessRun(work.loaded(), NO_SECRETS, "docs"), KeyboardInterrupt()).execute()
    entry, record, folder = _ended(work)
    assert entry["status"] == record["status"] == "interrupted"
    assert len(list(read_lines(folder / "docs.jsonl"))) == 3


def test_a_fault_of_the_program_is_recorded_and_reported(project):
    work = project()
    bug = ValueError("odd")
    report = _breaking(ProcessRun(work.loaded(), NO_SECRETS, "docs"), bug).execute()
    assert (report.status, report.exit_status) == ("failed", 1)
    assert report.error.code is Code.INTERNAL
    assert report.error.__cause__ is bug
    entry, record, folder = _ended(work)
    assert entry["status"] == record["status"] == "failed"
    assert [(row["stage"], row["code"]) for row in read_lines(folder / "errors.jsonl")] == [("read", "internal")]


def test_a_full_disk_is_no_fault_of_the_source(project, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr("fmf.artefacts.lines._BUFFER_BYTES", 10)
    from fmf.chains import process

    begin = process.begin

    def full(loaded, name):
        folder = begin(loaded, name)
        (folder.path / "docs.jsonl").symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(process, "begin", full)
    report = ProcessRun(project().loaded(), NO_SECRETS, "docs").execute()
    assert (report.status, report.exit_status) == ("failed", 1)
    assert [row["stage"] for row in read_lines(report.run_dir / "errors.jsonl")] == ["save"]
