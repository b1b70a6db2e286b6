from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from chatmodels.iface import ChatModel
from chatmodels.providers.mock import MockChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.chains.trial import MOST_KEPT, Sample, Trial, agrees
from fmf.config.loader import load_config
from fmf.errors import AuthError, ConfigError, InferenceError
from fmf.prompts.prompt import build_prompt, inline_prompt
from fmf_core.errors import Code
from generative_ai_workflow.prompt_file import PromptVersion

PLAIN = inline_prompt("{{ text }}")


@pytest.fixture
def trial(tmp_path):
    """A trial with a model, on a sample of the given rows."""

    def of(model, rows, config="inference: {provider: mock}\n"):
        (tmp_path / "fmf.yaml").write_text(config)
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / "s.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return Trial(load_config(tmp_path / "fmf.yaml", environ={}), model), str(tmp_path / "s.jsonl")

    return of


def labelled(*pairs):
    return [{"text": text, "label": label} for text, label in pairs]


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("praise", " praise\n", True),
        ("praise", "Praise", False),
        ('{"a": 1, "b": [true]}', '{"b":[true],"a":1}', True),
        ({"a": 1, "b": [True]}, '{"b":[true],"a":1}', True),
        ('{"a": 1}', '{"a": true}', False),
        ([1, 2], "[2, 1]", False),
        ([1, 2], "[1]", False),
        (1, " 1.0 ", True),
        (True, "true", True),
        (True, "1", False),
        ({"a": 1}, "not json", False),
        ('{"a": 1}', '{"a": 1', False),
        ("[" * 9_999, "[" * 9_998, False),
    ],
)
def test_an_answer_agrees_as_text_or_as_json(expected, answer, right):
    assert agrees(expected, answer) is right


def test_a_verdict_counts_right_wrong_failed_and_unlabelled_rows(trial):
    usage = TokenUsage(prompt_tokens=3, completion_tokens=1, model="m", provider="mock")
    model = MockChatModel({"a": "x", "b": "x", "c": Code.REFUSED, "d": "x", "default": "y"}, usage=usage)
    rows = [*labelled(("a", "x"), ("b", "y"), ("c", "x"), ("d", ""), ("d", None)), {"label": "x"}, {"text": "a"}]
    tried, path = trial(model, rows)
    verdict = tried.judge(PLAIN, Sample(path), "label")
    assert (verdict.rows, verdict.right, verdict.wrong, verdict.spent.failed, verdict.unlabelled) == (4, 1, 1, 2, 3)
    assert verdict.accuracy == 0.25
    assert verdict.confusion == Counter({("x", "x"): 1, ("y", "x"): 1})
    assert verdict.wrong_rows == [(2, "y", "x")]
    assert [(number, code) for number, code, _ in verdict.failures] == [(3, "refused"), (6, "invalid")]
    assert (verdict.spent.prompt_tokens, verdict.spent.completion_tokens) == (6, 2)
    assert model.call_count == 3


def test_the_conversation_has_system_text_and_examples_as_in_a_run(trial):
    declared = PromptVersion.model_validate(
        {"version": "v1", "template": "Q {{ text }}", "examples": [{"input": {"text": "e"}, "output": "f"}]}
    )
    model = MockChatModel("x")
    tried, path = trial(model, labelled(("a", "x")), "inference: {provider: mock, system_prompt: Be brief.}\n")
    tried.judge(build_prompt("p", declared), Sample(path), "label")
    turns = [(turn.role, turn.text) for turn in model.call_log[0].messages]
    assert turns == [("system", "Be brief."), ("user", "Q e"), ("assistant", "f"), ("user", "Q a")]


class Crowded(ChatModel):
    """Counts how many ask at the same time."""

    provider_name = "crowded"

    def __init__(self):
        self.now = self.most = self.count = 0

    async def complete_async(self, request):
        self.now += 1
        self.count += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.002)
        self.now -= 1
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="crowded")
        return ChatResponse(content=request.messages[-1].text, model="m", usage=usage, cost_usd=0.5)


@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_more_calls_are_under_way_than_allowed_and_the_limit_holds(trial, concurrency):
    model = Crowded()
    tried, path = trial(model, labelled(*((str(number), str(number % 7)) for number in range(40))))
    verdict = tried.judge(PLAIN, Sample(path, limit=20, concurrency=concurrency), "label")
    assert (model.most, model.count, verdict.rows, verdict.right) == (concurrency, 20, 20, 7)
    pairs = tried.compare(PLAIN, inline_prompt("new {{ text }}"), Sample(path, limit=9, concurrency=concurrency))
    assert model.most == concurrency
    assert [(pair.number, pair.old.text, pair.new.text) for pair in pairs] == [
        (number + 1, str(number), f"new {number}") for number in range(9)
    ]
    assert not any(pair.same for pair in pairs)
    assert {pair.old.cost_usd for pair in pairs} == {0.5}


def test_only_the_first_wrong_rows_are_kept(trial):
    count = MOST_KEPT + 30
    tried, path = trial(Crowded(), labelled(*((str(number), "other") for number in range(count))))
    verdict = tried.judge(PLAIN, Sample(path, concurrency=16), "label")
    assert verdict.wrong == count
    assert [number for number, _, _ in verdict.wrong_rows] == list(range(1, MOST_KEPT + 1))


def test_an_unknown_price_makes_the_sum_unknown(trial):
    tried, path = trial(MockChatModel("x"), labelled(("a", "x"), ("b", "x")))
    assert tried.judge(PLAIN, Sample(path), "label").spent.cost_usd is None
    priced, path = trial(Crowded(), labelled(("a", "a"), ("b", "b")))
    assert priced.judge(PLAIN, Sample(path), "label").spent.cost_usd == 1.0


@pytest.mark.parametrize("error", [AuthError("refused"), ConfigError("no"), InferenceError("x", code=Code.AUTH)])
def test_what_is_wrong_for_every_row_ends_it_at_once(trial, error):
    model = MockChatModel(fail_with=error)
    tried, path = trial(model, labelled(*[("a", "x")] * 50))
    with pytest.raises(type(error)):
        tried.judge(PLAIN, Sample(path, concurrency=2), "label")
    assert model.call_count <= 2


def test_a_foreign_exception_is_the_error_of_its_row(trial):
    tried, path = trial(MockChatModel({"a": ValueError("odd"), "default": "x"}), labelled(("a", "x"), ("b", "x")))
    verdict = tried.judge(PLAIN, Sample(path), "label")
    assert verdict.right == 1
    [(number, code, message)] = verdict.failures
    assert (number, code) == (1, "internal")
    assert "odd" in message


@pytest.mark.parametrize(
    ("rows", "expect", "prompt", "part"),
    [
        (labelled(("a", "x")), "lable", PLAIN, "no column 'lable'"),
        (labelled(("a", "x")), "label", inline_prompt("{{ txt }}"), "'txt'"),
        (labelled(("a", "")), "label", PLAIN, "has anything in column 'label'"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_before_anything_is_asked(trial, rows, expect, prompt, part):
    model = MockChatModel("x")
    tried, path = trial(model, rows)
    with pytest.raises(ConfigError, match=part) as caught:
        tried.judge(prompt, Sample(path), expect)
    assert caught.value.hint
    assert model.call_count == 0


def test_a_sample_that_breaks_off_is_an_error_and_no_verdict(trial):
    from fmf.errors import ProcessingError

    tried, path = trial(MockChatModel("x"), [*labelled(("a", "x")), "{"])
    with pytest.raises(ProcessingError, match="line 2"):
        tried.judge(PLAIN, Sample(path), "label")
