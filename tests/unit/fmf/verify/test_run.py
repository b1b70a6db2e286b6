from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.artefacts.lines import encode_line
from fmf.auth.base import build_secrets
from fmf.chains.prepare import prepare
from fmf.chains.prepared import RunOptions
from fmf.chains.run import ChainRun
from fmf.config.loader import load_config
from fmf.errors import ConfigError
from fmf.ledger.run_ledger import RunLedger
from fmf.verify.run import verify_run
from fmf_core.errors import Code
from fmf_core.portal import run_sync

ONE = {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}, "output": "one"}
TWO = {"id": "two", "prompt": "inline: and {{ t }}", "inputs": {"t": "${steps.one}"}, "output": "two"}
DOC = {"id": "doc", "prompt": "inline: doc {{ t }}", "inputs": {"t": '${join(document.all.one, ",")}'}}
SUM = {"id": "sum", "prompt": "inline: all {{ t }}", "inputs": {"t": '${join(all.one, ",")}'}}
PRICES = {"m": {"input_per_1m": 1.0, "output_per_1m": 2.0}}

NAMES = "record lines documents chunks outputs items errors ledger answers money counts metrics artefacts"


class Clerk(ChatModel):
    """Answers with the prompt, refuses some prompts, and stops the run after some answers."""

    provider_name = "clerk"
    run = None

    def __init__(self, refuses="", after=None):
        self.refuses = refuses
        self.after = after
        self.count = 0

    async def complete_async(self, request):
        self.count += 1
        if self.refuses and self.refuses in request.prompt:
            raise ChatModelError("no", op="clerk", code=Code.REFUSED)
        if self.count == self.after:
            from fmf.chains.stop import StopReason

            self.run.stop.request(StopReason.INTERRUPTED)
        usage = TokenUsage(prompt_tokens=3, completion_tokens=5, model="m", provider="clerk")
        return ChatResponse(content=f"<{request.prompt}>", model="m", usage=usage, finish_reason="stop")


def run_of(root, steps=(ONE, TWO, DOC, SUM), model=None, inputs=None, **options):
    from dataclasses import replace

    from chatmodels.config import ChatModelConfig
    from chatmodels.factory import wrap

    config = {
        "connectors": [{"name": "docs", "type": "local", "root": "data"}],
        "inference": {"provider": "mock", "prices": PRICES},
        "processing": {"text": {"chunking": {"strategy": "by_heading", "max_tokens": 50}}},
    }
    (root / "fmf.yaml").write_text(yaml.safe_dump(config))
    loaded = load_config(root / "fmf.yaml", environ={})
    chain = {"name": "c", "inputs": {"connector": "docs", **(inputs or {})}, "steps": list(steps)}
    prepared = prepare(loaded, build_secrets(loaded.value.auth, root), chain, RunOptions(**options))
    model = model or Clerk()
    bare = ChatModelConfig(provider="script", retry={"max_attempts": 1}, timeout_s=None, prices=PRICES)
    model.run = ChainRun(replace(prepared, model=wrap(model, bare)))
    return model.run.execute()


def documents(root, texts=None):
    (root / "data").mkdir()
    for name, text in (texts or {f"d{n}.md": f"# A\n\ntext {n}\n\n# B\n\nmore {n}\n" for n in range(3)}).items():
        (root / "data" / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = documents(tmp_path_factory.mktemp("sound"))
    (root / "data" / "e.pdf").write_text("no PDF")
    return run_of(root, model=Clerk(refuses="more 1")).run_dir


@pytest.fixture
def run(sound, tmp_path):
    """A copy of a run in which a document and an item failed."""
    folder = tmp_path / "artefacts" / sound.name
    shutil.copytree(sound.parent, folder.parent)
    return folder


def wrong(folder):
    found = verify_run(folder.parent, folder.name)
    return {check.name: check.wrong for check in found.checks if not check.ok}


def change(folder, name, number, change_row):
    """Change one record; a change to `None` takes it away."""
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    row = change_row(json.loads(lines[number - 1]))
    lines[number - 1] = b"" if row is None else encode_line(row)
    (folder / name).write_bytes(b"".join(lines))


def test_a_sound_run_is_told_in_a_line_for_each_check(run):
    found = verify_run(run.parent, "last")
    assert found.ok, wrong(run)
    lines = [line for check in found.checks for line in check.lines()]
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in NAMES.split()]
    assert "ok documents 4 documents: 3 ok, 1 failed, 0 skipped" in lines
    assert "ok items 6 items with 2 steps each, 1 of them failed" in lines


@pytest.mark.parametrize(
    ("inputs", "steps"),
    [
        ({"mode": "documents"}, [{**ONE, "inputs": {"t": "${document.text}"}}, SUM]),
        ({"mode": "table_rows", "select": ["*.csv"]}, [{**ONE, "inputs": {"t": "${row.text}"}}, DOC, SUM]),
    ],
    ids=["documents", "rows"],
)
def test_every_mode_holds(tmp_path, inputs, steps):
    root = documents(tmp_path, {"a.md": "one", "b.md": "two", "t.csv": "name,age\nAnna,3\nBen,4\n"})
    report = run_of(root, steps, inputs=inputs)
    assert report.status == "completed"
    assert wrong(report.run_dir) == {}


def test_a_run_that_was_stopped_holds_and_so_does_what_became_of_it(tmp_path):
    root = documents(tmp_path)
    report = run_of(root, model=Clerk(after=4), concurrency=2)
    assert report.status == "interrupted"
    assert wrong(report.run_dir) == {}
    (report.run_dir / "run.yaml").unlink()
    with (report.run_dir / "outputs.jsonl").open("ab") as file:
        file.write(b'{"torn')
    assert wrong(report.run_dir) == {}
    resumed = run_of(root, resume=report.run_id)
    assert resumed.status == "completed"
    assert wrong(report.run_dir) == {}


def test_answers_of_another_run_hold(tmp_path):
    root = documents(tmp_path)
    first = run_of(root)
    again = run_of(root, reuse=first.run_id)
    assert again.record["counts"]["steps"]["one"]["cached"] == 6
    assert wrong(again.run_dir) == {}


DAMAGE = {
    "a document is gone": ("docs.jsonl", 2, lambda row: None, "chunks: it belongs to no document"),
    "a document has no state": ("docs.jsonl", 1, lambda row: {**row, "status": "open"}, "documents: the state 'open'"),
    "a document says more": ("docs.jsonl", 1, lambda row: {**row, "text_chars": 99}, "documents: text_chars is 99"),
    "a chunk is gone": ("chunks.jsonl", 3, lambda row: None, "chunks: chunks of the document: 2 is said, 1 found"),
    "a chunk is another's": (
        "chunks.jsonl",
        3,
        lambda row: {**row, "doc_id": "x"},
        "chunks: it belongs to no document",
    ),
    "a chunk says else": ("chunks.jsonl", 1, lambda row: {**row, "text": "else"}, "chunks: its text is not what"),
    "a chunk is moved": ("chunks.jsonl", 1, lambda row: {**row, "start": 1}, "chunks: its text is not what"),
    "a chunk is nowhere": ("chunks.jsonl", 1, lambda row: {**row, "end": 1000}, "chunks: 0 to 1000 is no place"),
    "a chunk has another's id": (
        "chunks.jsonl",
        2,
        lambda row: {**row, "chunk_id": row["chunk_id"][:-1] + "0"},
        "chunks: chunk .* stands twice",
    ),
    "an answer is gone": ("outputs.jsonl", 2, lambda row: None, "items: .* has 1 records of 2 steps"),
    "an answer is of another run": ("outputs.jsonl", 1, lambda row: {**row, "run_id": "x"}, "outputs: run_id: x is"),
    "an answer has another id": (
        "outputs.jsonl",
        1,
        lambda row: {**row, "record_id": "0" * 32},
        "outputs: record_id 0+ does not follow",
    ),
    "a failure counts as ok": (
        "outputs.jsonl",
        8,
        lambda row: {**row, "status": "ok", "finish_reason": "stop"},
        "errors: failures of step 'one'",
    ),
    "a skip counts as an answer": (
        "outputs.jsonl",
        9,
        lambda row: {**row, "status": "ok", "finish_reason": "stop"},
        "answers: 1 answers of item/.* stand in outputs.jsonl, and not in the ledger",
    ),
    "money is made up": ("outputs.jsonl", 1, lambda row: {**row, "cost_usd": 1.0}, "money: the records cost 1.0"),
    "tokens are made up": ("outputs.jsonl", 1, lambda row: {**row, "tokens_prompt": 4}, "metrics: .*tokens_prompt"),
    "a record has no key": ("outputs.jsonl", 1, lambda row: {"run_id": row["run_id"]}, "outputs: no record of this"),
    "a line is a number": ("errors.jsonl", 1, lambda row: 5, "lines: no record .errors.jsonl:1"),
    "a failure is gone": ("errors.jsonl", 1, lambda row: None, "errors: "),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_changed_is_found_and_named(run, damage):
    name, number, change_row, told = DAMAGE[damage]
    change(run, name, number, change_row)
    found = wrong(run)
    assert f"{name}: it is not what" in found["artefacts"][0] or name in found["artefacts"][0]
    lines = [f"{check}: {fault}" for check, faults in found.items() for fault in faults]
    assert any(re.match(told, line) for line in lines), lines


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("counts.documents", 5, "counts: counts.documents: 5 is said, 4 found"),
        ("counts.items.ok", 7, "counts: counts.items.total"),
        ("counts.items.failed", 0, "counts: counts.items"),
        ("counts.steps.one.ok", 6, "counts: counts.steps.one.ok: 6 is said, 5 found"),
        ("counts.deferred", -1, "record: counts.deferred"),
        ("metrics.cost_estimate_usd", 0.0, "metrics: metrics.cost_estimate_usd"),
        ("ledger.spent_usd", 0.0, "ledger: ledger.spent_usd"),
        ("errors.count", 1, "counts: errors.count: 1 is said, 2 found"),
        ("run_id", "20261121T094500123Z-00000a", "record: run_id"),
        ("surprise", 1, "record: surprise: Extra inputs"),
    ],
)
def test_what_the_record_says_wrongly_is_found(run, path, value, told):
    record = yaml.load((run / "run.yaml").read_text(), Loader=yaml.SafeLoader)  # noqa: TID251
    *sections, key = path.split(".")
    section = record
    for name in sections:
        section = section[name]
    section[key] = value
    (run / "run.yaml").write_text(yaml.safe_dump(record))
    lines = [f"{check}: {fault}" for check, faults in wrong(run).items() for fault in faults]
    assert any(line.startswith(told) for line in lines), lines


def test_a_changed_ledger_is_found(run):
    ledger = run / "ledger.sqlite"
    content = bytearray(ledger.read_bytes())
    at = content.rfind(b"say ")
    content[at : at + 4] = b"SAY "
    ledger.write_bytes(bytes(content))
    assert "ledger" in wrong(run)


def test_a_path_that_leads_out_of_the_folder_is_not_followed(run):
    text = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(text.replace("path: docs.jsonl", "path: ../../x"))
    assert "lies outside" in wrong(run)["artefacts"][0]


def test_many_faults_are_counted_and_some_told(run):
    lines = (run / "chunks.jsonl").read_bytes().splitlines(keepends=True)
    (run / "chunks.jsonl").write_bytes(lines[0] * 50)
    chunks = next(check for check in verify_run(run.parent, run.name).checks if check.name == "chunks")
    told = list(chunks.lines())
    assert len(told) == 21
    assert told[-1] == f"wrong chunks: {chunks.count - 20} more"


def test_a_run_that_is_going_on_is_not_verified(tmp_path):
    folder = tmp_path / "20261121T094500123Z-00000a"
    folder.mkdir()
    ledger = RunLedger.begin(folder, {})
    try:
        with pytest.raises(ConfigError, match="still going on"):
            verify_run(tmp_path, folder.name)
    finally:
        run_sync(ledger.close())
