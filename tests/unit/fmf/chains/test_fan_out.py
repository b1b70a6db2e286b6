"""Steps that run for every element of a list: calls, records, limits, failures, plans, and runs that go on."""

from __future__ import annotations

import json
import re

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.chains.dry_run import dry_run
from fmf.chains.items import record_id
from fmf.chains.stop import StopReason
from fmf.errors import ConfigError
from fmf_core.errors import Code

LIST = {
    "id": "find",
    "prompt": "inline: list {{ t }}",
    "inputs": {"t": "${chunk.text}"},
    "output": {"name": "topics", "expects": "json", "parse_retries": 0},
}
NOTE = {
    "id": "note",
    "for_each": "${steps.topics}",
    "prompt": "inline: note {{ n }} {{ what }}",
    "inputs": {"n": "${each.index}", "what": "${each.value}"},
    "output": "notes",
}
AFTER = {"id": "after", "prompt": "inline: after {{ t }}", "inputs": {"t": '${join(steps.notes, "+")}'}}
PER_DOCUMENT = {"id": "doc", "prompt": "inline: doc {{ t }}", "inputs": {"t": '${join(document.all.notes, "+")}'}}
ONCE = {"id": "sum", "prompt": "inline: all {{ t }}", "inputs": {"t": '${join(all.notes, "+")}'}}
LISTS = {"text 0": ["a", "b", "c"], "text 1": [], "text 2": ["d"], "text 3": ["a", "a"]}


class Lister(ChatModel):
    """Answers `list ...` with the list of that text and everything else with its prompt."""

    provider_name = "lister"

    def __init__(self, after=None, fails=(), lists=LISTS):
        self.after, self.fails, self.lists = after, set(fails), lists
        self.asked, self.run = [], None

    async def complete_async(self, request):
        prompt = request.prompt
        self.asked.append(prompt)
        if prompt in self.fails:
            raise ChatModelError("no", op="lister", code=Code.AUTH)
        if self.after is not None and len(self.asked) >= self.after:
            self.run.stop.request(StopReason.INTERRUPTED)
        found = re.match(r"list (.*)", prompt)
        content = json.dumps(self.lists[found[1]]) if found else f"<{prompt}>"
        usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="lister")
        return ChatResponse(content=content, model="m", usage=usage)


@pytest.fixture
def work(project):
    return project({f"d{n}.md": text for n, text in enumerate(LISTS)})


def test_a_step_runs_once_for_each_element_and_leaves_the_list_of_answers(work, chain):
    model = Lister()
    result = work.run(chain(LIST, NOTE, AFTER, ONCE), model)
    notes = ["<note 0 a>", "<note 1 b>", "<note 2 c>", "<note 0 d>", "<note 0 a>", "<note 1 a>"]
    assert (result.status, result.exit_status) == ("completed", 0)
    told = [(row["output"], row["status"], row.get("each")) for row in result.of("note")]
    assert told == [
        (notes[0], "ok", {"index": 0, "count": 3}),
        (notes[1], "ok", {"index": 1, "count": 3}),
        (notes[2], "ok", {"index": 2, "count": 3}),
        (None, "skipped", None),
        (notes[3], "ok", {"index": 0, "count": 1}),
        (notes[4], "ok", {"index": 0, "count": 2}),
        (notes[5], "ok", {"index": 1, "count": 2}),
    ]
    assert [row["input"] for row in result.of("note")][:2] == [{"n": 0, "what": "a"}, {"n": 1, "what": "b"}]
    assert [row["input"]["t"] for row in result.of("after")] == [
        "+".join(notes[:3]),
        "",
        notes[3],
        "+".join(notes[4:]),
    ]
    assert [row["output"] for row in result.of("sum")] == [f"<all {'+'.join(notes)}>"]
    assert result.record["counts"]["steps"]["note"]["ok"] == 6
    assert result.record["counts"]["items"]["ok"] == 4
    assert len(model.asked) == 4 + 6 + 4 + 1


def test_record_ids_tell_elements_apart_and_follow_from_the_work(work, chain):
    rows = work.run(chain(LIST, NOTE), Lister()).outputs
    assert len({row["record_id"] for row in rows}) == len(rows) == 11
    found = next(row for row in rows if row["step_id"] == "note")
    assert found["record_id"] == record_id("c", "note", f"{found['chunk_id']}[0]", "text 0")
    assert all(row["chunk_id"] and row["source_uri"] for row in rows)


def test_elements_have_parts_and_lists_stand_below_keys(work, chain):
    lists = {text: {"found": [{"name": f"{text}/{n}"} for n in range(2)]} for text in LISTS}
    note = {**NOTE, "for_each": "${steps.topics.found}", "inputs": {"n": "${each.index}", "what": "${each.value.name}"}}
    model = Lister(lists=lists)
    assert work.run(chain(LIST, note), model).status == "completed"
    assert "note 1 text 3/1" in model.asked


def test_one_element_that_fails_leaves_the_others_alone_and_fails_the_item(work, chain):
    result = work.run(chain(LIST, NOTE, AFTER, ONCE), Lister(fails=["note 1 b"]))
    assert (result.status, result.exit_status) == ("partial", 10)
    assert [row["status"] for row in result.of("note")][:3] == ["ok", "failed", "ok"]
    assert [row["status"] for row in result.of("after")] == ["skipped", "ok", "ok", "ok"]
    [error] = result.errors
    assert (error["step_id"], error["each"], error["code"]) == ("note", {"index": 1, "count": 3}, "auth")
    assert "<note 0 a>+<note 2 c>+<note 0 d>" in result.of("sum")[0]["output"]
    assert result.record["counts"]["items"]["failed"] == 1


def test_after_a_failure_that_is_not_critical_the_item_goes_on_without_the_step(work, chain):
    after = {"id": "after", "prompt": "inline: after {{ t }}", "inputs": {"t": "${steps.topics}"}}
    result = work.run(chain(LIST, {**NOTE, "is_critical": False}, after), Lister(fails=["note 1 b"]))
    assert [row["status"] for row in result.of("after")] == ["ok"] * 4


@pytest.mark.parametrize(
    ("answer", "more", "said"),
    [
        ("no list", {}, "its items should be a list"),
        ({"a": 1}, {}, "its items should be a list"),
        (None, {}, "its items should be a list, and are null"),
        (["x"] * 4, {"max_items": 3}, "it has 4 items, and max_items is 3"),
    ],
)
def test_what_is_no_list_or_too_long_a_one_fails_before_anything_is_asked(work, chain, answer, more, said):
    model = Lister(lists={**LISTS, "text 2": answer})
    result = work.run(chain(LIST, {**NOTE, **more}), model)
    [error] = result.errors
    assert said in error["message"]
    assert (error["step_id"], "each" in error) == ("note", False)
    assert not [prompt for prompt in model.asked if "note 0 d" in prompt or "note 0 x" in prompt]
    assert result.status == "partial"


def test_a_condition_over_the_element_leaves_out_elements_and_another_one_the_step(work, chain):
    urgent = work.run(chain(LIST, {**NOTE, "when": "each.value != 'b'"}, AFTER), Lister())
    assert [row["status"] for row in urgent.of("note")] == ["ok", "skipped", "ok", "skipped", "ok", "ok", "ok"]
    assert urgent.of("after")[0]["input"]["t"] == "<note 0 a>+<note 2 c>"
    assert urgent.status == "completed"
    whole = work.run(chain(LIST, {**NOTE, "when": "len(steps.topics) > 1"}), Lister())
    assert [row["status"] for row in whole.of("note")] == ["ok", "ok", "ok", "skipped", "skipped", "ok", "ok"]


def test_lists_of_all_items_are_looked_through_per_document_and_once(work, chain):
    one = {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}}
    per = {"id": "per", "for_each": "${all.one}", "prompt": "inline: on {{ t }}", "inputs": {"t": "${each.value}"}}
    result = work.run(chain(one, per), Lister())
    assert [row["output"] for row in result.of("per")] == [f"<on <say text {n}>>" for n in range(4)]
    of_document = {**per, "for_each": "${document.all.one}"}
    result = work.run(chain(one, of_document), Lister())
    assert [(row["output"], row["each"]["count"]) for row in result.of("per")] == [
        (f"<on <say text {n}>>", 1) for n in range(4)
    ]


def test_elements_are_asked_one_by_one_where_one_call_goes_at_once(work, chain):
    model = Lister()
    work.run(chain(LIST, NOTE, concurrency=1), model)
    assert [prompt for prompt in model.asked if prompt.startswith("note")][:3] == ["note 0 a", "note 1 b", "note 2 c"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({**NOTE, "for_each": "steps.topics"}, "is no reference to a list: 'steps.topics'"),
        ({**NOTE, "for_each": "${steps.topics} and more"}, "is no reference to a list"),
        ({**NOTE, "for_each": '${join(steps.topics, ",")}'}, "is no reference to a list"),
        ({**NOTE, "for_each": "${steps.topic}"}, "names no step's output"),
        ({**NOTE, "for_each": "${each.value}"}, "is what for_each is to give"),
        ({**NOTE, "inputs": {"n": "${each}", "what": "x"}}, r"\$\{each\} in step 'note' can never exist"),
        ({**NOTE, "inputs": {"n": "${each.number}", "what": "x"}}, "write ..each.value"),
        ({**NOTE, "for_each": None}, "only a step with for_each runs for elements"),
        ({**NOTE, "for_each": None, "max_items": 4}, "max_items belongs to for_each"),
        ({**NOTE, "output": "each"}, "an output cannot be called 'each'"),
    ],
)
def test_what_can_never_be_is_refused_when_the_chain_is_loaded(work, chain, step, said):
    with pytest.raises(ConfigError, match=said):
        work.prepare(chain(LIST, step))


def test_a_plan_counts_elements_of_lists_that_are_there_and_tells_of_others(work, chain):
    spec = chain(LIST, {**NOTE, "params": {"max_tokens": 10}}, AFTER, PER_DOCUMENT, ONCE)
    plan = dry_run(work.prepare(spec, Lister(), dry_run=True))
    note = plan.steps[1]
    assert (note.to_ask, note.completion_tokens_most, note.cost_usd_most) == (4, None, None)
    assert any("step 'note' runs for every element of 4 lists that are not there yet" in said for said in plan.warnings)
    done = work.run(spec, Lister())
    again = dry_run(work.prepare(spec, Lister(), dry_run=True, reuse=done.record["run_id"]))
    assert [(step.answered, step.to_ask) for step in again.steps] == [(4, 0), (6, 0), (4, 0), (3, 0), (1, 0)]
    assert not again.warnings


@pytest.mark.parametrize("after", [2, 5, 9])
@pytest.mark.parametrize("last", [(), (AFTER, ONCE), (PER_DOCUMENT,)], ids=["alone", "once", "per document"])
def test_an_interrupted_run_asks_no_element_twice(work, chain, after, last):
    spec = chain(LIST, NOTE, *last, concurrency=2)
    whole = Lister()
    undisturbed = work.run(spec, whole)
    first, second = Lister(after=min(after, len(whole.asked) - 1)), Lister()
    first.run = work.start(spec, first)
    broken = first.run.execute()
    assert broken.status == "interrupted"
    resumed = work.run(spec, second, resume=broken.run_id)
    assert resumed.status == "completed"
    assert sorted(first.asked + second.asked) == sorted(whole.asked)
    shown = [
        [(row["record_id"], row["output"], row["status"]) for row in run.outputs] for run in (undisturbed, resumed)
    ]
    assert shown[0] == shown[1]
    counts = [{**run.record["counts"], "chunks": 0} for run in (undisturbed, resumed)]
    assert counts[0] == counts[1]


def test_failed_elements_alone_are_asked_again(work, chain):
    first, second = Lister(fails=["note 1 b"]), Lister()
    broken = work.run(chain(LIST, NOTE, AFTER), first)
    resumed = work.run(chain(LIST, NOTE, AFTER), second, resume=broken.record["run_id"])
    assert resumed.status == "completed"
    assert second.asked == ["note 1 b", "after <note 0 a>+<note 1 b>+<note 2 c>"]
