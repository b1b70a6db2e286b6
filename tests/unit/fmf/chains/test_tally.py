from __future__ import annotations

from fmf.chains.asking import Outcome, StepOutcome
from fmf.chains.tally import StepCount, Tally
from fmf.types import Document


def document(status, **more):
    return Document("d", "file:///a", "a", status, **more)


def row(code, op="x.y", uri="file:///a"):
    return {"code": code, "op": op, "source_uri": uri, "step_id": None, "message": f"first {code}", "hint": "do"}


def test_every_document_ends_in_one_state():
    tally = Tally()
    for status in ("ok", "failed", "skipped", "ok"):
        tally.count_document(document(status, bytes=10, chunks=3))
    assert tally.bytes == 40
    assert tally.chunks == 6
    counts = tally.counts()
    assert counts["documents"] == 4
    assert counts["documents_by_status"] == {"ok": 2, "failed": 1, "skipped": 1}


def test_pages_that_nobody_read_are_counted_where_the_document_is_ok():
    tally = Tally()
    for status in ("ok", "failed", "ok"):
        tally.count_document(document(status, metadata={"pages_not_read": [2, 5]}))
    tally.count_document(document("ok"))
    assert tally.unread_pages == 4


def test_problems_are_grouped():
    tally = Tally()
    for code, status in (("timeout", 6), ("timeout", 6), ("invalid", 5)):
        tally.count_problem(row(code), status)
    assert tally.errors() == {"count": 3, "by_code": {"timeout": 2, "invalid": 1}}
    assert tally.problems["timeout", "x.y"].message == "first timeout"
    assert tally.exit_kinds.most_common(1) == [(6, 2)]


def test_one_unknown_price_makes_the_cost_unknown():
    tally = Tally(cost_usd=0.25)
    assert tally.metrics(12.3456)["cost_estimate_usd"] == 0.25
    tally.unpriced = 1
    assert tally.metrics(1)["cost_estimate_usd"] is None


def test_calls_without_any_answer_cost_nobody_knows_what():
    tally = Tally()
    assert tally.cost_estimate_usd == 0.0
    tally.count_outcome(Outcome("failed", steps=[StepOutcome("a", "failed", asked=True)]), item_id="i")
    assert tally.cost_estimate_usd is None
    tally.count_outcome(Outcome("ok", steps=[StepOutcome("a", "ok", asked=True, cost_usd=0.5)]), item_id="i")
    assert tally.cost_estimate_usd == 0.5


def test_breaking_off_leaves_no_item_uncounted():
    tally = Tally(items_read=10, under_way=3)
    tally.items.ok = 2
    assert tally.break_off(["a", "b"]) == 3
    assert tally.counts()["items"] == {"total": 5, "ok": 2, "failed": 3, "skipped": 0}
    assert tally.counts()["deferred"] == 5
    first, second = tally.steps["a"], tally.steps["b"]
    assert (first.calls, first.failed, first.skipped, second.calls, second.skipped) == (3, 3, 5, 0, 8)
    assert tally.cost_estimate_usd is None


def test_counts_have_the_names_of_run_yaml():
    tally = Tally(steps={"a": StepCount(calls=1, ok=1)})
    tally.items.ok = 2
    assert tally.counts()["items"] == {"total": 2, "ok": 2, "failed": 0, "skipped": 0}
    assert tally.counts()["steps"]["a"] == {"calls": 1, "ok": 1, "failed": 0, "skipped": 0, "retried": 0, "cached": 0}


def test_the_identity_of_what_was_counted_knows_order():
    one, two = Tally(), Tally()
    for tally, ids in ((one, "ab"), (two, "ba")):
        for item_id in ids:
            tally.count_outcome(Outcome("ok"), item_id=item_id)
    assert one.content != two.content != ""
