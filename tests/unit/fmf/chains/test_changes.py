from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmodels import ChatModelError, MockChatModel
from fmf.artefacts.files import VANISHED
from fmf.artefacts.folder import create_run
from fmf.artefacts.history import read_record
from fmf.artefacts.lines import LineWriter, read_lines
from fmf.artefacts.rows import document_row
from fmf.auth.base import build_secrets
from fmf.chains.changes import Since, keep_cursor
from fmf.chains.process import ProcessRun
from fmf.config.auth import AuthConfig
from fmf.config.processing import ProcessingConfig
from fmf.connectors.base import Gone, Reset
from fmf.errors import ConfigError, ConnectorError
from fmf.types import UNCHANGED_SINCE, Document, ResourceRef
from fmf_core.errors import Code


class Failing(MockChatModel):
    """Fails at every prompt that holds a word."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    async def complete_async(self, request):
        if self.word in request.prompt:
            raise ChatModelError("no", op="mock.complete", code=Code.INVALID)
        return await super().complete_async(request)


NO_SECRETS = build_secrets(AuthConfig(), Path())
TEXTS = {"a.md": "one", "b.md": "two", "c.md": "three", "sub/d.md": "four"}


def process(work, **options):
    return ProcessRun(work.loaded(), NO_SECRETS, "docs", **options).execute()


def states(report):
    return {row["resource_id"]: row["status"] for row in read_lines(report.run_dir / "docs.jsonl")}


def test_only_what_is_new_or_changed_is_read(project):
    work = project(TEXTS)
    first = process(work)
    work.write("data/b.md", "two, and more")
    work.write("data/e.md", "five")
    (work.root / "data/c.md").unlink()
    second = process(work, changed_since=first.run_id)
    assert states(second) == {"a.md": "skipped", "b.md": "ok", "e.md": "ok", "sub/d.md": "skipped"}
    assert [row["text"] for row in read_lines(second.run_dir / "chunks.jsonl")] == ["two, and more", "five"]
    assert [row["resource_id"] for row in read_lines(second.run_dir / VANISHED)] == ["c.md"]
    inputs = read_record(second.run_dir.parent, second.run_id)["inputs"]
    assert (inputs["changed_since"], inputs["unchanged"], inputs["vanished"]) == (first.run_id, 2, 1)
    assert (second.status, second.exit_status) == ("completed", 0)


def test_a_third_run_knows_what_the_first_one_read(project):
    work = project(TEXTS)
    first = process(work)
    second = process(work, changed_since="last")
    third = process(work, changed_since="last")
    assert set(states(third).values()) == {"skipped"}
    rows = list(read_lines(third.run_dir / "docs.jsonl"))
    assert {row["metadata"][UNCHANGED_SINCE] for row in rows} == {first.run_id}
    assert {row["reason"] for row in rows} == {f"unchanged since run {first.run_id}"}
    assert second.run_id not in json.dumps(rows)


def test_what_failed_before_is_read_again(project):
    work = project({"a.md": "one", "b.md": b"\x00\x01"})
    process(work)
    second = process(work, changed_since="last")
    assert states(second) == {"a.md": "skipped", "b.md": "failed"}
    assert (second.status, second.exit_status) == ("partial", 10)


def test_other_settings_of_processing_read_everything_anew(project):
    work = project(TEXTS)
    process(work)
    work.config["processing"] = {"text": {"chunking": {"max_tokens": 50}}}
    assert set(states(process(work, changed_since="last")).values()) == {"ok"}
    work.config["processing"]["limits"] = {"max_file_mb": 100}
    assert set(states(process(work, changed_since="last")).values()) == {"skipped"}


def test_another_selection_calls_nothing_vanished(project):
    work = project(TEXTS)
    process(work)
    second = process(work, changed_since="last", select=("sub/*.md",))
    assert states(second) == {"sub/d.md": "skipped"}
    assert read_record(second.run_dir.parent, second.run_id)["inputs"]["vanished"] == 0


def test_a_run_of_another_source_is_refused(project):
    work = project(TEXTS)
    first = process(work)
    work.config["connectors"].append({"name": "other", "type": "local", "root": "data"})
    with pytest.raises(ConfigError, match="read connector 'docs', and this one reads 'other'") as caught:
        ProcessRun(work.loaded(), NO_SECRETS, "other", changed_since=first.run_id).execute()
    assert caught.value.code is Code.CONFLICT
    with pytest.raises(ConfigError, match=r"no run .* to go on from: none that .* reads connector 'other'") as caught:
        ProcessRun(work.loaded(), NO_SECRETS, "other", changed_since="last").execute()
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(ConfigError, match="there is no run 'none'"):
        process(work, changed_since="none")


def test_a_chain_takes_only_what_has_changed(project):
    work = project(TEXTS)
    chain = {
        "name": "c",
        "inputs": {"connector": "docs", "mode": "documents"},
        "steps": [{"id": "a", "prompt": "inline: {{ text }}", "inputs": {"text": "${document.text}"}, "output": "a"}],
    }
    first = work.run(chain)
    work.write("data/b.md", "two, and more")
    second = work.run(chain, changed_since=first.report.run_id)
    assert [row["source_uri"].rpartition("/")[2] for row in read_lines(second.report.run_dir / "outputs.jsonl")] == [
        "b.md"
    ]


class Incremental:
    """A source that tells of its changes."""

    name = "docs"
    cursor = None

    def __init__(self, changes):
        self._changes = changes

    def changes(self, cursor, select=()):
        assert cursor == "there"
        yield from self._changes


def ref(name, etag="1"):
    return ResourceRef(name, f"x://{name}", name, 1, datetime(2026, 1, 1, tzinfo=UTC), etag)


def earlier(tmp_path, names, cursor="there"):
    folder = create_run(tmp_path)
    folder.lines("docs.jsonl")
    for name in sorted(names):
        document = Document(name, f"x://{name}", name, "ok", bytes=1, etag="1", modified_at=ref(name).modified_at)
        folder.lines("docs.jsonl").write(document_row(document))
    folder.announce({"chain": None})
    folder.close()
    source = Incremental([])
    source.cursor = cursor
    keep_cursor(folder.path, source)
    record = {"status": "completed", "inputs": {"connector": "docs", "select": []}}
    folder.finish(record, {"status": "completed"})
    return folder.run_id


def test_what_the_source_says_of_its_changes_makes_the_listing(tmp_path):
    run_id = earlier(tmp_path, ["a", "b", "c", "e"])
    source = Incremental([Gone("b"), Gone("x"), ref("c", "2"), ref("d")])
    since = Since(tmp_path, run_id, source, (), ProcessingConfig())
    assert [(each.id, each.etag) for each in since.refs()] == [("a", "1"), ("c", "2"), ("d", "1"), ("e", "1")]


def test_a_source_that_must_be_listed_anew_says_so(tmp_path):
    run_id = earlier(tmp_path, ["a", "b"])
    since = Since(tmp_path, run_id, Incremental([Reset(), ref("b"), ref("c")]), (), ProcessingConfig())
    assert [each.id for each in since.refs()] == ["b", "c"]
    assert Since(tmp_path, run_id, Incremental([]), ("*.md",), ProcessingConfig()).refs() is None
    other = earlier(tmp_path, ["a"], cursor=None)
    assert Since(tmp_path, other, Incremental([]), (), ProcessingConfig()).refs() is None


NAMES = st.dictionaries(st.text("abc/", min_size=1, max_size=4), st.sampled_from("12"), max_size=8)


@settings(max_examples=60)
@given(before=NAMES, now=NAMES)
def test_each_document_is_new_changed_unchanged_or_gone(tmp_path_factory, before, now):
    root = tmp_path_factory.mktemp("runs")
    run_id = earlier(root, before)
    since = Since(root, run_id, Incremental([]), (), ProcessingConfig())
    with LineWriter(root / "gone") as gone:
        listed = [ref(name, etag) for name, etag in sorted(now.items())]
        sifted = list(since.sifted(listed, gone))
    assert [each.resource_id if isinstance(each, Document) else each.id for each in sifted] == sorted(now)
    unchanged = {each.resource_id for each in sifted if isinstance(each, Document)}
    assert unchanged == {name for name, etag in now.items() if name in before and etag == "1"}
    assert [row["resource_id"] for row in read_lines(root / "gone")] == sorted(set(before) - set(now))
    assert since.vanished == len(set(before) - set(now))


def test_without_an_etag_size_and_time_decide(tmp_path):
    run_id = earlier(tmp_path, ["a", "b", "c"])
    since = Since(tmp_path, run_id, Incremental([]), (), ProcessingConfig())
    bare = [replace(ref(name), etag=None) for name in "abc"]
    bare[1] = replace(bare[1], size=2)
    bare[2] = replace(bare[2], modified_at=None)
    with LineWriter(tmp_path / "gone") as gone:
        sifted = list(since.sifted(bare, gone))
    assert [isinstance(each, Document) for each in sifted] == [True, False, False]


CHAIN = {
    "name": "c",
    "inputs": {"connector": "docs", "mode": "documents"},
    "steps": [{"id": "a", "prompt": "inline: {{ text }}", "inputs": {"text": "${document.text}"}, "output": "a"}],
}


def test_documents_without_a_good_answer_are_asked_about_again(project):
    work = project(TEXTS)
    first = work.run(CHAIN, Failing("two"))
    assert first.report.status == "partial"
    second = work.run(CHAIN, Failing("nothing"), changed_since="last")
    asked = [row["source_uri"].rpartition("/")[2] for row in read_lines(second.report.run_dir / "outputs.jsonl")]
    assert asked == ["b.md"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted", "running"])
def test_a_chain_goes_on_from_runs_only_that_came_to_their_end(project, status):
    work = project(TEXTS)
    run = work.run(CHAIN).report
    path = run.run_dir / "run.yaml"
    if status == "running":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("status: completed", f"status: {status}"))
    with pytest.raises(ConfigError, match="is no ground to go on from") as caught:
        work.run(CHAIN, changed_since=run.run_id)
    assert caught.value.code is Code.CONFLICT


def test_a_chain_goes_on_from_itself_only(project):
    work = project(TEXTS)
    read = process(work)
    with pytest.raises(ConfigError, match="reads documents only, and this one is of chain 'c'"):
        work.run(CHAIN, changed_since=read.run_id)
    asked = work.run(CHAIN).report
    with pytest.raises(ConfigError, match="is of chain 'c', and this one is of chain 'd'"):
        work.run({**CHAIN, "name": "d"}, changed_since=asked.run_id)
    with pytest.raises(ConfigError, match="is of chain 'c', and this one reads documents only"):
        process(work, changed_since=asked.run_id)


def test_last_is_the_latest_run_that_can_be_gone_on_from(project):
    work = project(TEXTS)
    work.config["connectors"].append({"name": "other", "type": "local", "root": "data"})
    read, asked = process(work), work.run(CHAIN).report
    ProcessRun(work.loaded(), NO_SECRETS, "other").execute()
    assert process(work, changed_since="last").record["inputs"]["changed_since"] == read.run_id
    assert work.run(CHAIN, changed_since="last").report.record["inputs"]["changed_since"] == asked.run_id


def test_a_listing_that_is_not_sorted_is_refused(tmp_path):
    run_id = earlier(tmp_path, ["a", "b", "c"])
    since = Since(tmp_path, run_id, Incremental([]), (), ProcessingConfig())
    with LineWriter(tmp_path / "gone") as gone, pytest.raises(ConnectorError, match="lists 'a' behind 'c'"):
        list(since.sifted([ref("c"), ref("a")], gone))
