from __future__ import annotations

import json
import socket
import tempfile

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.chains.dry_run import dry_run
from fmf.chains.stop import StopReason
from fmf.errors import NothingMatchedError
from fmf_core.errors import Code

ONE = {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}, "output": "one"}
TWO = {"id": "two", "prompt": "inline: and {{ t }}", "inputs": {"t": "${steps.one}"}, "output": "two"}
PER_DOCUMENT = {"id": "doc", "prompt": "inline: doc {{ t }}", "inputs": {"t": '${join(document.all.one, ", ")}'}}
ONCE = {"id": "sum", "prompt": "inline: all {{ t }}", "inputs": {"t": '${join(all.one, ", ")}'}, "output": "sum"}
JSON = {
    "id": "kind",
    "prompt": "inline: sort {{ t }}",
    "inputs": {"t": "${chunk.text}"},
    "output": {"name": "kind", "schema": {"type": "object", "required": ["k"]}, "parse_retries": 1},
}
ON_JSON = {
    "id": "on",
    "prompt": "inline: on {{ k }}",
    "inputs": {"k": "${steps.kind.k}"},
    "when": "steps.kind.k == 'x'",
}
PRICE = {"input_per_1m": 1_000_000.0, "output_per_1m": 1_000_000.0}
"""A dollar for each token."""


class Clerk(ChatModel):
    """Answers as the mock that the plan is made for would, so that both have the same name and abilities."""

    provider_name = "mock"

    def __init__(self, after=None, fails=()):
        self.after, self.fails, self.run = after, fails, None
        self.asked = []

    async def complete_async(self, request):
        self.asked.append(request)
        if self.after is not None and len(self.asked) >= self.after:
            self.run.stop.request(StopReason.INTERRUPTED)
        if any(word in request.prompt for word in self.fails):
            raise ChatModelError("no", op="clerk", code=Code.AUTH)
        sorts = any(message.text.startswith("sort") for message in request.messages)
        text = '{"k": "x"}' if sorts else f"<{request.prompt[:9]}>"
        if "sort" in request.prompt and len(request.messages) == 1 and "text 3" in request.prompt:
            text = "no JSON"
        usage = TokenUsage(prompt_tokens=1, completion_tokens=5, model="mock", provider="mock")
        return ChatResponse(content=text, model="mock", usage=usage)

    def get_model_info(self):
        from chatmodels.providers.mock import MockChatModel

        return MockChatModel().get_model_info()


def planned(work, spec, **options):
    plan = dry_run(work.prepare(spec, dry_run=True, **options))
    return plan, {step.step_id: step for step in plan.steps}


def started(work, spec, model, **options):
    run = work.start(spec, model, **options)
    model.run = run
    return run.execute()


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_plan_counts_every_question_and_leaves_nothing_behind(project, chain, monkeypatch, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a plan asks nobody"))
    work = project({"a.md": "one two", "b.md": "three", "bad.md": b"\x00\x01"})
    work.config["inference"]["options"] = {"max_tokens": 100}
    spec = chain(ONE, TWO, PER_DOCUMENT, ONCE)
    work.loaded()
    before = files(work.root)
    plan, steps = planned(work, spec)
    assert files(work.root) == before
    assert files(scratch) == []
    assert (plan.documents["total"], plan.documents["ok"], plan.items) == (3, 2, 2)
    assert [(step.items, step.to_ask, step.runs) for step in plan.steps] == [
        *((2, 2, "per item"),) * 2,
        (2, 2, "per document"),
        (1, 1, "once"),
    ]
    # The mock counts words: "say one two" and "say three".
    assert (steps["one"].prompt_tokens, steps["one"].prompt_tokens_most, steps["one"].prompt_tokens_exact) == (
        5,
        5,
        True,
    )
    assert steps["one"].completion_tokens_most == 200
    assert steps["one"].completion_tokens_about == 50
    # "and" and an answer of at most 100 tokens, twice.
    assert (steps["two"].prompt_tokens, steps["two"].prompt_tokens_about, steps["two"].prompt_tokens_most) == (
        2,
        52,
        202,
    )
    # "all", a comma, and two answers.
    assert (steps["sum"].prompt_tokens, steps["sum"].prompt_tokens_most) == (2, 202)
    assert json.loads(json.dumps(plan.document()))["total"]["to_ask"] == 7


SHAPES = {
    "text": ((ONE, TWO, PER_DOCUMENT, ONCE), {}),
    "json": ((JSON, ON_JSON), {}),
    "documents": (
        ({**ONE, "inputs": {"t": "${document.text}"}}, ONCE),
        {"inputs": {"connector": "docs", "mode": "documents"}},
    ),
    "all first": ((ONE, TWO, ONCE), {"continue_on_error": False}),
    "settings": (
        ({**ONE, "params": {"temperature": 0.1, "model": "m", "max_tokens": 9}}, {**TWO, "system_prompt": "be"}),
        {},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_whoever_runs_asks_what_was_planned_and_answers_are_known_again(project, chain, shape):
    steps, more = SHAPES[shape]
    work, spec, clerk = project(), chain(*steps, **more), Clerk()
    before, _ = planned(work, spec)
    done = started(work, spec, clerk)
    assert done.status == "completed"
    repairs = sum(len(request.messages) > 2 for request in clerk.asked)
    assert before.total("to_ask") == len(clerk.asked) - repairs
    after, again = planned(work, spec, reuse=done.run_id)
    assert (after.total("to_ask"), after.total("cost_usd_most")) == (0, 0.0)
    assert all(step.answered == step.items for step in again.values())
    assert all("mean of" not in step.completion_rule or step.answered for step in again.values())


@pytest.mark.parametrize("after", [1, 7, 15])
def test_what_is_left_of_a_broken_run_is_what_it_asks_when_it_goes_on(project, chain, after):
    work, spec = project(), chain(ONE, TWO, PER_DOCUMENT, ONCE, concurrency=3)
    first, second = Clerk(after=after), Clerk()
    broken = started(work, spec, first)
    assert broken.status == "interrupted"
    plan, _ = planned(work, spec, resume="last")
    assert plan.resume == broken.run_id
    started(work, spec, second, resume="last")
    assert plan.total("to_ask") == len(second.asked) > 0
    assert plan.total("answered") == len(first.asked)


def test_conditions_on_answers_are_bounds_and_others_are_decided(project, chain):
    by_text = {"id": "long", "prompt": "inline: x", "when": "len(chunk.text) > 6"}
    _, steps = planned(project({"a.md": "short", "b.md": "long enough"}), chain(JSON, ON_JSON, by_text))
    assert (steps["on"].to_ask, steps["on"].conditional, steps["on"].skipped) == (2, 2, 0)
    assert (steps["long"].to_ask, steps["long"].conditional, steps["long"].skipped) == (1, 0, 1)


def test_earlier_runs_say_how_long_answers_are(project, chain):
    work, spec = project(), chain(ONE)
    done = started(work, spec, Clerk())
    (work.root / "data" / "d00.md").write_text("another text")
    _, steps = planned(work, spec)
    assert steps["one"].completion_tokens_about == 50
    assert steps["one"].completion_rule == f"the mean of 10 answers of run {done.run_id}"
    _, steps = planned(work, spec, reuse="all")
    assert (steps["one"].answered, steps["one"].to_ask, steps["one"].completion_tokens_about) == (9, 1, 5)


@pytest.mark.parametrize(("limit", "verdict"), [(1.0, "no"), (60.0, "probably"), (1000.0, "yes")])
def test_a_plan_says_whether_the_budget_will_do(project, chain, limit, verdict):
    work = project()
    work.config["inference"] |= {"prices": {"m": PRICE}, "options": {"model": "m", "max_tokens": 4}}
    plan, _ = planned(work, chain(ONE), max_cost_usd=limit)
    # Ten times "say text N", and answers of a quarter of four tokens, or of four.
    assert (plan.total("cost_usd_about"), plan.total("cost_usd_most")) == (40.0, 70.0)
    assert plan.budget is not None
    assert plan.budget.verdict == verdict


def test_an_unknown_price_is_null_and_a_budget_without_it_refused(project, chain):
    work = project()
    work.config["inference"] = {"provider": "openai", "openai": {"model": "nobody-knows", "max_tokens": 10}}
    plan, steps = planned(work, chain(ONE), max_cost_usd=1.0)
    assert (steps["one"].cost_usd_about, plan.total("cost_usd_most")) == (None, None)
    assert plan.document()["total"]["cost_usd_most"] is None
    assert plan.budget is not None
    assert plan.budget.verdict == "refused"
    assert not steps["one"].prompt_tokens_exact
    assert planned(work, chain(ONE), max_cost_usd=1.0, allow_unpriced=True)[0].budget.verdict == "yes"


def test_a_plan_needs_no_key_and_counts_in_the_vocabulary_of_the_model(project, chain):
    work = project({"a.md": "tiktoken is great!"})
    work.config["inference"] = {"provider": "openai", "openai": {"model": "gpt-4o-mini"}}
    step = {**ONE, "prompt": "inline: {{ t }}"}
    _, steps = planned(work, chain(step))
    # Six tokens of text, four around the message, three before the answer.
    assert (steps["one"].prompt_tokens, steps["one"].prompt_tokens_exact) == (13, True)


PROVIDERS = {
    "openai": ({"provider": "openai"}, {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k"}),
    "azure": (
        {"provider": "azure_openai", "azure_openai": {"endpoint": "http://127.0.0.1:9"}},
        {"AZURE_OPENAI_AD_TOKEN": "t"},
    ),
    "bedrock": (
        {"provider": "aws_bedrock", "aws_bedrock": {"model_id": "amazon.nova-lite-v1:0"}},
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"},
    ),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_plan_without_keys_knows_the_answers_that_were_given_with_them(project, chain, monkeypatch, provider):
    inference, environment = PROVIDERS[provider]
    work = project()
    work.config["inference"] = inference
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = started(work, chain(ONE), Clerk())
    for name in ("OPENAI_BASE_URL", "AWS_REGION"):  # plain values, which are there all the same
        if name in environment:
            monkeypatch.setenv(name, environment[name])
    plan, _ = planned(work, chain(ONE), reuse=done.run_id)
    assert (plan.total("answered"), plan.total("to_ask")) == (10, 0)


def test_an_aggregate_beyond_the_window_of_its_model_is_told(project, chain):
    work = project()
    work.config["inference"] = {"provider": "openai", "openai": {"model": "gpt-4", "max_tokens": 1000}}
    plan, _ = planned(work, chain(ONE, ONCE))
    (warning,) = plan.warnings
    assert "step 'sum' may ask with up to 10," in warning
    assert "8,192" in warning
    assert planned(work, chain({**ONE, "params": {"max_tokens": 50}}, ONCE))[0].warnings == ()
    (work.root / "data" / "d00.md").write_text("word " * 3000)
    work.config["processing"] = {"text": {"chunking": {"max_tokens": 8000}}}
    plan, _ = planned(work, chain({**ONE, "params": {"max_tokens": 7000}}))
    assert plan.warnings[0].startswith("step 'one' may ask with up to 3,0")


def test_time_follows_concurrency_and_limits(project, chain):
    work, spec = project(), chain({**ONE, "params": {"max_tokens": 400}}, concurrency=5)
    plan, _ = planned(work, spec)
    assert (plan.seconds_about, plan.limited_by) == (5.0, "concurrency")  # two rounds of 0.5 s and 100 tokens
    work.config["inference"]["rate_limit"] = {"requests_per_minute": 20}
    plan, _ = planned(work, spec)
    assert (plan.seconds_about, plan.limited_by) == (30.0, "requests_per_minute")


def test_a_step_that_cannot_ask_is_told(project, chain):
    work = project({"t.csv": "a,b\n1,2\n"})
    spec = chain({**ONE, "inputs": {"t": "${row.zzz}"}}, inputs={"connector": "docs", "mode": "table_rows"})
    plan, _ = planned(work, spec)
    assert plan.documents["failed"] == 1
    assert plan.total("to_ask") == 0


def test_nothing_to_plan_is_an_error(project, chain):
    with pytest.raises(NothingMatchedError):
        planned(project({}), chain(ONE))


def test_pictures_are_counted_as_an_estimate(project, chain, tmp_path):
    import io

    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    work = project({f"{n}.png": picture.getvalue() for n in range(3)})
    work.config["inference"] = {"provider": "openai", "openai": {"model": "gpt-4o"}}
    look = {"id": "look", "mode": "multimodal", "prompt": "inline: look"}
    plan, steps = planned(
        work, chain(look, inputs={"connector": "docs", "mode": "images_group", "images": {"group_size": 2}})
    )
    assert (plan.items, steps["look"].to_ask, steps["look"].prompt_tokens_exact) == (2, 2, False)
    assert steps["look"].prompt_tokens_most > steps["look"].prompt_tokens


def test_rows_limits_and_changes_are_those_of_a_run(project, chain):
    work = project({"t.csv": "id,says\n1,late\n2,fine\n3,good\n"})
    step = {**ONE, "inputs": {"t": "${row.says}"}}
    spec, clerk = chain(step, inputs={"connector": "docs", "mode": "table_rows"}), Clerk()
    plan, _ = planned(work, spec, limit=2)
    assert (plan.items, plan.total("to_ask")) == (2, 2)
    done = started(work, spec, clerk, limit=2)
    assert len(clerk.asked) == 2
    plan, _ = planned(work, spec, reuse=done.run_id)
    assert (plan.total("answered"), plan.total("to_ask")) == (2, 1)
    started(work, spec, Clerk())
    plan, _ = planned(work, spec, changed_since="last")
    assert (plan.documents["skipped"], plan.items) == (1, 0)


def test_answers_that_are_not_there_yet_stay_apart_from_what_looks_like_them(project, chain):
    """A mark stands for an answer; text of a document that holds such a character is no more than a character."""
    step = {**TWO, "prompt": "inline: {{ t }} {{ d }}", "inputs": {"t": "${steps.one}", "d": "${chunk.text}"}}
    work = project({"a.md": "odd \U0010fff0 text"})
    work.config["inference"]["options"] = {"max_tokens": 10}
    _, steps = planned(work, chain(ONE, step))
    assert (steps["one"].prompt_tokens, steps["one"].prompt_tokens_most) == (4, 4)
    assert (steps["two"].prompt_tokens, steps["two"].prompt_tokens_most) == (3, 13)


def test_a_step_that_fails_before_it_asks_is_counted_and_told(project, chain):
    missing = {"id": "skipped", "prompt": "inline: x", "when": "len(chunk.text) > 100", "output": "skipped"}
    after = {"id": "after", "prompt": "inline: on {{ t }}", "inputs": {"t": "${steps.skipped}"}}
    plan, steps = planned(project({"a.md": "short"}), chain(missing, after))
    assert (steps["skipped"].skipped, steps["after"].failing, steps["after"].to_ask) == (1, 1, 0)
    assert "step 'after' fails 1 times before anybody is asked" in plan.warnings[0]
