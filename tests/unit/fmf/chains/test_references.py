from __future__ import annotations

import pytest

from fmf.chains.references import Level, Mention, StepFacts, faults_of, levels_of


def step(step_id, *paths, output=None, keyed=False):
    mentions = tuple(Mention(f"steps.{step_id}", tuple(path.split("."))) for path in paths)
    return StepFacts(step_id, output or step_id, mentions, keyed)


@pytest.mark.parametrize(
    ("paths", "level"),
    [
        ((), Level.ITEM),
        (("run_id",), Level.ITEM),
        (("chunk.text",), Level.ITEM),
        (("document.title",), Level.ITEM),
        (("steps.first",), Level.ITEM),
        (("all.first",), Level.ONCE),
        (("document.all.first",), Level.DOCUMENT),
        (("all.first", "document.all.first"), Level.ONCE),
        (("steps.total",), Level.ONCE),
        (("steps.per_document",), Level.DOCUMENT),
        (("steps.total", "document.title"), Level.ITEM),
        (("steps.per_document", "document.title"), Level.DOCUMENT),
        (("steps.per_document", "chunk.text"), Level.ITEM),
    ],
)
def test_levels(paths, level):
    steps = [step("first"), step("per_document", "document.all.first"), step("total", "all.first"), step("x", *paths)]
    assert levels_of(steps)["x"] is level


@pytest.mark.parametrize(
    "paths",
    [
        ("chunk.text", "chunk.source_uri", "chunk.id", "chunk.index", "chunk.start", "chunk.end", "chunk.tokens"),
        ("document.text", "document.id", "document.source_uri", "document.title", "document.metadata.author"),
        ("document.metadata", "document.metadata.deep.er"),
        ("run_id", "chain_id", "now", "date"),
        ("steps.first", "chunk.text"),
        ("steps.json.name", "steps.json.a.b"),
        ("all.first", "all.per_document", "steps.total"),
        ("document.all.first", "document.title", "run_id"),
    ],
)
def test_what_can_exist(paths):
    steps = [
        step("first"),
        step("json", keyed=True),
        step("per_document", "document.all.first"),
        step("total", "all.first"),
        step("x", *paths),
    ]
    assert faults_of(steps, "chunks") == []


@pytest.mark.parametrize(
    ("paths", "message", "hint"),
    [
        (("chunk.txt",), "can never exist", "did you mean 'chunk.text'"),
        (("chunk",), "can never exist", "chunk.text"),
        (("documents.text",), "can never exist", "did you mean 'document.text'"),
        (("all",), "can never exist", "run_id"),
        (("document.all",), "can never exist", "run_id"),
        (("input.text",), "can never exist", "chunk.text"),
        (("row.name",), "the items of inputs.mode chunks are chunks of documents", "chunk.text"),
        (("steps.frist",), "names no step's output", "did you mean 'first'"),
        (("steps.x",), "not there yet", "reorder"),
        (("steps.later",), "not there yet", "reorder"),
        (("all.later",), "not there yet", "reorder"),
        (("steps.named",), "its output is called 'other'", "${steps.other}"),
        (("steps.first.key",), "no keys", "json"),
        (("all.first.key",), "no keys", "end the reference"),
        (("document.all.first.key",), "no keys", "end the reference"),
        (("all.total",), "is made by a step that runs once, after all", "${steps.total}"),
        (("document.all.per_document",), "is made by a step that runs once per document", "${steps.per_document}"),
        (("all.first", "document.all.first"), "stands beside", "${all.first}"),
        (("all.first", "steps.first"), "runs once per item; this one runs once, after", "${all.first}"),
        (("document.all.first", "steps.first"), "runs once per item; this one", "${document.all.first}"),
        (("steps.total", "chunk.text"), "runs once, after all items; this one", "does not exist yet"),
        (("all.first", "chunk.text"), "has no value: this step runs once, after", "all.first"),
        (("all.first", "document.metadata.k"), "has no value", "all.first"),
        (("document.all.first", "chunk.index"), "has no value: this step runs once per document", "document.title"),
    ],
)
def test_what_can_never_exist(paths, message, hint):
    steps = [
        step("first"),
        step("named", output="other"),
        step("per_document", "document.all.first"),
        step("total", "all.first"),
        step("x", *paths),
        step("later"),
    ]
    faults = faults_of(steps, "chunks")
    assert len(faults) == 1
    assert faults[0].where == "steps.x"
    assert "'x'" in faults[0].message
    assert message in faults[0].message
    assert hint in faults[0].hint


def test_whole_documents_have_no_chunks():
    faults = faults_of([step("x", "document.text", "chunk.text")], "documents")
    assert [fault.message for fault in faults] == [
        "${chunk.text} in step 'x' has no value: the items of inputs.mode documents are whole documents"
    ]
    assert "document.text" in faults[0].hint


def test_all_faults_are_told():
    faults = faults_of([step("a", "chunk.x", "nothing"), step("b", "steps.c")], "chunks")
    assert len(faults) == 3
