from __future__ import annotations

import json
import threading

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.chains.stop import StopReason
from fmf.errors import BudgetError, ConfigError
from fmf.ledger.run_ledger import RunLedger
from fmf_core.errors import Code
from fmf_core.portal import run_sync

TWO = (
    {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}, "output": "one"},
    {"id": "two", "prompt": "inline: and {{ t }}", "inputs": {"t": "${steps.one}"}, "output": "two"},
)
PER_DOCUMENT = {"id": "doc", "prompt": "inline: doc {{ t }}", "inputs": {"t": '${join(document.all.one, ",")}'}}
ONCE = {"id": "sum", "prompt": "inline: all {{ t }}", "inputs": {"t": '${join(all.one, ",")}'}}
PRICES = {"input_per_1m": 0.0, "output_per_1m": 1_000_000.0}
"""A dollar for each token of an answer."""


class Clerk(ChatModel):
    """Answers with the prompt, counts what it was asked, and stops the run after some answers."""

    provider_name = "clerk"

    def __init__(self, after=None, fails=()):
        self.after = after
        self.fails = set(fails)
        self.asked = []
        self.run = None
        self._lock = threading.Lock()

    async def complete_async(self, request):
        with self._lock:
            self.asked.append(request.prompt)
            count = len(self.asked)
        if request.prompt in self.fails:
            raise ChatModelError("no", op="clerk", code=Code.AUTH)
        if self.after is not None and count >= self.after:
            self.run.stop.request(StopReason.INTERRUPTED)
        usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="clerk")
        return ChatResponse(content=f"<{request.prompt}>", model="m", usage=usage)


def started(work, chain, model, **options):
    run = work.start(chain, model, **options)
    model.run = run
    return run.execute()


def answers(report):
    rows = [json.loads(line) for line in (report.run_dir / "outputs.jsonl").read_text().splitlines()]
    return [(row["step_id"], row["record_id"], row["output"], row["status"]) for row in rows]


SHAPES = {
    "two steps": {"steps": TWO},
    "per document": {"steps": (*TWO, PER_DOCUMENT)},
    "once": {"steps": (*TWO, ONCE)},
    "all at once": {"steps": (*TWO, PER_DOCUMENT, ONCE), "continue_on_error": False},
    "conditions": {"steps": (TWO[0], {**TWO[1], "when": "'1' in steps.one"}, PER_DOCUMENT)},
    "sample": {"steps": (*TWO, ONCE), "options": {"sample": 7}},
    "sample per document": {"steps": (*TWO, PER_DOCUMENT), "options": {"sample": 7, "sample_seed": 3}},
    "sample of whole documents": {
        "steps": ({**TWO[0], "inputs": {"t": "${document.text}"}}, TWO[1], ONCE),
        "inputs": {"connector": "docs", "mode": "documents"},
        "options": {"sample": 3},
    },
    "whole documents": {
        "steps": ({**TWO[0], "inputs": {"t": "${document.text}"}}, ONCE),
        "inputs": {"connector": "docs", "mode": "documents"},
    },
}


@pytest.mark.parametrize("after", [1, 4, 9, 13])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_interrupted_run_goes_on_and_pays_nothing_twice(project, chain, shape, after):
    more = dict(SHAPES[shape])
    options = more.pop("options", {})
    spec = chain(*more.pop("steps"), concurrency=3, **more)
    texts = {f"d{n}.md": "\n\n".join(f"# H{n}{k}\n\ntext {n} {k}" for k in range(3)) for n in range(4)}
    work = project(texts)
    work.config["processing"] = {"text": {"chunking": {"strategy": "by_heading", "max_tokens": 50}}}
    whole = Clerk()
    undisturbed = started(work, spec, whole, **options)
    assert undisturbed.status == "completed"

    first, second = Clerk(after=min(after, len(whole.asked) - 1)), Clerk()
    broken = started(work, spec, first, **options)
    assert (broken.status, broken.exit_status) == ("interrupted", 130)
    resumed = started(work, spec, second, resume=broken.run_id)
    assert (resumed.run_id, resumed.status) == (broken.run_id, "completed")
    assert sorted(first.asked + second.asked) == sorted(whole.asked)
    assert answers(resumed) == answers(undisturbed)
    counts = resumed.record["counts"]
    assert {**counts, "chunks": 0} == {**undisturbed.record["counts"], "chunks": 0}
    assert resumed.record["metrics"]["tokens_completion"] == undisturbed.record["metrics"]["tokens_completion"]
    for name in ("docs.jsonl", "chunks.jsonl"):
        assert (resumed.run_dir / name).read_bytes() == (undisturbed.run_dir / name).read_bytes()


def test_a_killed_run_goes_on_from_its_last_checkpoint(project, chain):
    """What a dead process leaves: files longer or torn behind the checkpoint, and answers in the ledger alone."""
    work = project()
    spec = chain(*TWO, concurrency=2)
    first, second = Clerk(after=11), Clerk()
    broken = started(work, spec, first)
    with (broken.run_dir / "outputs.jsonl").open("ab") as file:
        file.write(b'{"torn')
    (broken.run_dir / "run.yaml").unlink()
    resumed = started(work, spec, second, resume="last")
    assert (resumed.run_id, resumed.status) == (broken.run_id, "completed")
    assert len(first.asked) + len(second.asked) == 20
    assert [row[3] for row in answers(resumed)] == ["ok"] * 20


def test_failed_items_are_asked_again(project, chain):
    work = project()
    first, second = Clerk(fails=["say text 3", "say text 7"]), Clerk()
    broken = started(work, chain(*TWO), first)
    assert (broken.status, broken.record["counts"]["items"]["failed"]) == ("partial", 2)
    resumed = started(work, chain(*TWO), second, resume=broken.run_id)
    assert resumed.status == "completed"
    assert sorted(second.asked) == sorted(
        f"{what} text {n}{end}" for n in (3, 7) for what, end in (("say", ""), ("and <say", ">"))
    )
    assert (resumed.run_dir / "errors.jsonl").read_bytes() == b""
    assert resumed.record["resumed"] == 1


def test_a_complete_run_is_not_resumed(project, chain):
    work = project()
    done = started(work, chain(*TWO), Clerk())
    with pytest.raises(ConfigError, match="is complete: there is nothing to resume"):
        started(work, chain(*TWO), Clerk(), resume=done.run_id)


def test_another_chain_is_no_reason_to_go_on(project, chain):
    work = project()
    broken = started(work, chain(*TWO), Clerk(after=2))
    other = chain({**TWO[0], "prompt": "inline: tell {{ t }}"}, TWO[1])
    with pytest.raises(ConfigError, match="since it was begun, the chain file, a prompt has changed") as caught:
        started(work, other, Clerk(), resume=broken.run_id)
    assert f"--reuse {broken.run_id}" in caught.value.hint


def test_a_run_that_is_going_on_is_not_resumed(project, chain):
    work = project()
    broken = started(work, chain(*TWO), Clerk(after=2))
    held = RunLedger.resume(broken.run_dir)
    try:
        with pytest.raises(ConfigError, match="run") as caught:
            started(work, chain(*TWO), Clerk(), resume=broken.run_id)
        assert caught.value.code is Code.CONFLICT
    finally:
        run_sync(held.close())


@pytest.mark.parametrize("budget", [0.5, 7.0, 25.0])
def test_a_budget_is_never_exceeded_and_a_larger_one_goes_on(project, chain, budget):
    work = project()
    work.config["inference"]["prices"] = {"m": PRICES}
    spec = chain(*({**step, "params": {"max_tokens": 2, "model": "m"}} for step in TWO), concurrency=4)
    first, second = Clerk(), Clerk()
    poor = started(work, spec, first, max_cost_usd=budget)
    assert (poor.status, poor.exit_status) == ("partial", 9)
    assert len(first.asked) == budget // 2
    assert poor.record["counts"]["items"]["failed"] == 0
    rich = started(work, spec, second, resume=poor.run_id, max_cost_usd=40.0)
    assert rich.status == "completed"
    assert len(first.asked) + len(second.asked) == 20
    assert rich.record["metrics"]["cost_estimate_usd"] == pytest.approx(40.0)


def test_an_unpriced_model_has_no_budget(project, chain):
    work = project()
    spec = chain(*({**step, "params": {"model": "nobody-knows", "max_tokens": 2}} for step in TWO))
    work.config["inference"] = {"provider": "openai", "openai": {"base_url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(BudgetError, match="the price of 'nobody-knows' is unknown"):
        work.prepare(spec, max_cost_usd=1.0)
    assert work.prepare(spec, max_cost_usd=1.0, allow_unpriced=True).options.allow_unpriced


@pytest.mark.parametrize("reuse", ["last", "all"])
def test_what_another_run_has_answered_is_not_asked_again(project, chain, reuse):
    work = project()
    work.config["inference"]["prices"] = {"m": PRICES}
    first, second = Clerk(), Clerk()
    steps = tuple({**step, "params": {"model": "m"}} for step in TWO)
    one = started(work, chain(*steps), first)
    work.write("data/d99.md", "new")
    two = started(work, chain(*steps), second, reuse=reuse)
    assert sorted(second.asked) == ["and <say new>", "say new"]
    assert [row[2] for row in answers(two)[:20]] == [row[2] for row in answers(one)]
    assert two.record["counts"]["steps"]["one"]["cached"] == 10
    assert two.record["metrics"]["cost_estimate_usd"] == pytest.approx(4.0)
    assert two.record["ledger"]["spent_usd"] == pytest.approx(4.0)


def test_an_answer_about_something_else_is_not_used(project, chain):
    work = project({"a.md": "text"})
    started(work, chain(TWO[0]), Clerk())
    other = {**TWO[0], "params": {"temperature": 0.9}}
    second = Clerk()
    started(work, chain(other), second, reuse="all")
    assert second.asked == ["say text"]


def test_a_run_without_answers_cannot_be_used_again(project, chain):
    work = project()
    with pytest.raises(ConfigError, match="there is no run 'x'"):
        started(work, chain(TWO[0]), Clerk(), reuse="x")


def test_last_says_what_there_is_none_of(project, chain):
    work = project()
    started(work, chain(*TWO), Clerk())
    with pytest.raises(ConfigError, match="there is no run that can be resumed under"):
        started(work, chain(*TWO), Clerk(), resume="last")
