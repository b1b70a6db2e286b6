from __future__ import annotations

import pytest

from fmf.chains.ending import RunReport
from fmf.chains.tally import StateCount, StepCount, Tally
from fmf.cli.progress import progress_text, watching
from fmf.cli.summary import asked_text, cut, duration, read_text, size, spent_text, summary_lines


def test_what_was_read():
    tally = Tally(documents=StateCount(ok=1), bytes=999, chunks=1)
    assert read_text(tally) == "1 document (999 bytes), 1 chunk"
    tally = Tally(documents=StateCount(ok=2_000, failed=3, skipped=1), bytes=5_400_000, chunks=8_000)
    assert read_text(tally) == "2,004 documents (5.4 MB), 8,000 chunks, 1 skipped, 3 failed"


@pytest.mark.parametrize(("name", "read"), [("rows.jsonl", "7 rows"), ("chunks.jsonl", "7 chunks")])
def test_rows_of_tables_are_called_rows(tmp_path, name, read):
    record = {"metrics": {"duration_ms": 1}, "artefacts": [{"path": "docs.jsonl"}, {"path": name}]}
    tally = Tally(documents=StateCount(ok=1), bytes=9, chunks=7)
    lines = list(summary_lines(RunReport("r", tmp_path, "completed", 0, record, tally)))
    assert lines[1] == f"  read     1 document (9 bytes), {read}"


def test_a_run_that_can_go_on_says_how(tmp_path):
    ledger = {"unknown": 2, "at_risk_usd": 0.0123}
    record = {"metrics": {"duration_ms": 1}, "ledger": ledger, "artefacts": []}
    tally = Tally(steps={"one": StepCount()}, deferred=3)
    lines = list(summary_lines(RunReport("r", tmp_path, "interrupted", 130, record, tally)))
    assert "  at risk  2 requests of unknown outcome, up to $0.0123" in lines
    assert lines[-1] == "  go on    3 items left, fmf run --resume r"


def test_what_was_asked():
    steps = {"one": StepCount(calls=10, ok=9, failed=1), "report": StepCount(calls=1, ok=1)}
    tally = Tally(items=StateCount(ok=9, failed=1), steps=steps, retries=2, missing=1)
    assert asked_text(tally) == ("11 calls for 10 items (9 ok, 1 failed), 2 retries, steps over all items do without 1")
    assert asked_text(Tally(steps={"one": StepCount()})) == "0 calls for 0 items (none)"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"cost_usd": 0.12345}, "1,200 prompt + 34 answer tokens, about $0.1235"),
        ({"unpriced": 1}, "1,200 prompt + 34 answer tokens, price unknown"),
        ({}, "1,200 prompt + 34 answer tokens, $0"),
    ],
)
def test_what_was_spent(numbers, text):
    assert spent_text(Tally(tokens_prompt=1200, tokens_completion=34, **numbers)) == text


def test_numbers_for_people():
    assert [size(n) for n in (0, 1500, 2_000_000, 3e9)] == ["0 bytes", "1.5 kB", "2.0 MB", "3.0 GB"]
    assert [duration(s) for s in (0.04, 59, 61, 3600)] == ["0.0 s", "59.0 s", "1 min 1 s", "60 min 0 s"]
    assert cut("a\n  b") == "a b"
    assert cut("x" * 400).endswith("x…")


def test_progress_on_one_line():
    tally = Tally(documents=StateCount(ok=3), chunks=5)
    assert progress_text(tally) == "3 documents, 5 chunks"
    tally.steps["one"] = StepCount()
    tally.items_read = 5
    tally.tokens_prompt, tally.cost_usd = 12, 0.5
    tally.items.ok = 2
    tally.count_problem({"code": "c", "op": "", "source_uri": None, "step_id": "one", "message": "m", "hint": ""}, 6)
    assert progress_text(tally) == "3 documents, 2 of 5 items, 12 tokens, $0.5000, 1 failed"


@pytest.mark.parametrize("total", [None, 5])
def test_progress_is_shown_only_where_somebody_watches(capsys, total):
    with watching(Tally(), shown=False):
        pass
    assert capsys.readouterr().err == ""
    with watching(Tally(documents=StateCount(ok=3)), shown=True, total=total):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
