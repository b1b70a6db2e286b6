"""Prompts over collected answers that are larger than the model's window: refused, or reduced in a tree."""

from __future__ import annotations

import pytest

from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, ModelInfo, TokenUsage
from fmf.chains.dry_run import dry_run
from fmf.chains.stop import StopReason
from fmf.errors import ConfigError

SAY = {"id": "say", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}}
SUM = {
    "id": "sum",
    "prompt": "inline: all {{ t }}",
    "inputs": {"t": '${join(all.say, " ")}'},
    "params": {"max_tokens": 10},
    "reduce": "tree",
}
ROOM = 12


class Narrow(ChatModel):
    """Takes so many words and no more, counts what it is asked, and sums up as `+` and the number of words."""

    provider_name = "narrow"

    def __init__(self, room=ROOM, after=None, long=False):
        self.room, self.after, self.long, self.asked, self.run = room, after, long, [], None

    def get_model_info(self):
        return ModelInfo(name="m", provider="narrow", context_tokens=self.room + 10 if self.room else 0)

    async def complete_async(self, request):
        prompt = request.prompt
        self.asked.append(prompt)
        if self.after is not None and len(self.asked) >= self.after:
            self.run.stop.request(StopReason.INTERRUPTED)
        words = prompt.split()
        content = f"{words[0]}+{len(words) - 1}" if words[0] == "all" else f"<{words[-1]}>"
        if self.long:
            content = " ".join([content] * ROOM)
        usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="narrow")
        return ChatResponse(content=content, model="m", usage=usage)


@pytest.fixture
def work(project):
    return project({f"d{n:02}.md": f"text t{n}" for n in range(30)})


def sums(model):
    return [prompt for prompt in model.asked if prompt.startswith("all")]


def test_what_does_not_fit_is_asked_about_in_groups_that_do_and_then_over_their_answers(work, chain):
    model = Narrow()
    result = work.run(chain(SAY, SUM, concurrency=1), model)
    *groups, last = sums(model)
    assert all(len(prompt.split()) <= ROOM for prompt in sums(model))
    assert " ".join(prompt.removeprefix("all ") for prompt in groups) == " ".join(f"<t{n}>" for n in range(30))
    assert len(groups) == 3
    assert last == "all " + " ".join(f"all+{len(prompt.split()) - 1}" for prompt in groups)
    [row] = result.of("sum")
    assert (row["status"], row["output"]) == ("ok", "all+3")
    assert (row["tokens_completion"], row["attempts"]) == (8, 4)
    assert result.status == "completed"


def test_a_tree_has_as_many_levels_as_it_takes(work, chain):
    model = Narrow(room=4)
    result = work.run(chain(SAY, SUM), model)
    assert result.of("sum")[0]["status"] == "ok"
    assert all(len(prompt.split()) <= 4 for prompt in sums(model))
    assert len(sums(model)) >= 10 + 4 + 2


@pytest.mark.parametrize("room", [100, 0])
def test_what_fits_and_what_nobody_knows_the_window_of_is_asked_once(work, chain, room):
    model = Narrow(room=room)
    work.run(chain(SAY, SUM), model)
    assert len(sums(model)) == 1


def test_without_a_tree_it_is_an_error_before_anything_is_asked(work, chain):
    model = Narrow()
    result = work.run(chain(SAY, {**SUM, "reduce": None}), model)
    [error] = result.errors
    assert not sums(model)
    assert "the prompt has 31 tokens, and the model takes 12 besides the answer" in error["message"]
    assert "reduce: tree" in error["hint"]
    assert result.status == "partial"


def test_answers_that_do_not_get_smaller_end_with_an_error_and_not_for_ever(work, chain):
    result = work.run(chain(SAY, SUM), Narrow(long=True))
    [error] = result.errors
    assert "let these be shorter" in error["hint"]


def test_a_document_is_reduced_as_well(project, chain):
    work = project({"a.md": "\n\n".join(f"# H{n}\n\ntext t{n}" for n in range(20))})
    work.config["processing"] = {"text": {"chunking": {"strategy": "by_heading", "max_tokens": 50}}}
    model = Narrow()
    per = {**SUM, "inputs": {"t": '${join(document.all.say, " ")}'}}
    result = work.run(chain(SAY, per), model)
    assert result.of("sum")[0]["status"] == "ok"
    assert len(sums(model)) == 3


@pytest.mark.parametrize("after", [5, 31, 32, 33])
def test_an_interrupted_tree_goes_on_and_asks_no_group_twice(work, chain, after):
    spec = chain(SAY, SUM, concurrency=2)
    whole = Narrow()
    undisturbed = work.run(spec, whole)
    first, second = Narrow(after=after), Narrow()
    first.run = work.start(spec, first)
    broken = first.run.execute()
    assert broken.status == "interrupted"
    resumed = work.run(spec, second, resume=broken.run_id)
    assert resumed.of("sum")[0]["output"] == undisturbed.of("sum")[0]["output"]
    assert sorted(first.asked + second.asked) == sorted(whole.asked)


def test_the_plan_tells_of_the_tree(work, chain):
    plan = dry_run(work.prepare(chain(SAY, SUM), Narrow(), dry_run=True))
    assert any("reduced in a tree" in said for said in plan.warnings)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (({**SAY, "reduce": "tree"},), "its prompt has 0 lists of answers"),
        ((SAY, {**SAY, "id": "two"}, {**SUM, "inputs": {"t": "${all.say} ${all.two}"}}), "2 lists of answers"),
        ((SAY, {**SUM, "for_each": "${all.say}"}), "reduce does not go with for_each"),
    ],
)
def test_what_cannot_be_reduced_is_refused_when_the_chain_is_loaded(work, chain, steps, said):
    with pytest.raises(ConfigError, match=said):
        work.prepare(chain(*steps))
