"""Answers in JSON are mended, checked and asked for again the same way, whatever an item is (behaviour 37)."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, ImagePart, ModelInfo, TokenUsage
from unit.fmf.pictures import png

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 1}},
    "required": ["kind", "stars"],
    "additionalProperties": False,
}
MODES = {
    "chunks": ({}, "${chunk.text}", "text"),
    "documents": ({}, "${document.text}", "text"),
    "table_rows": ({"select": "*.csv"}, "${row.text}", "text"),
    "images_group": ({"select": "*.png", "images": {"group_size": 2}}, "${join(group.names, ' ')}", "multimodal"),
}
GOOD = '{"kind": "good", "stars": 3}'


def asked(request):
    """The question itself, which comes before what was answered and said about it."""
    return next(message for message in request.messages if message.role == "user")


class Sayer(ChatModel):
    """Says something else each time that it is asked about the same."""

    provider_name = "sayer"

    def __init__(self, *said):
        self.said, self.requests, self.times = said, [], Counter()

    def get_model_info(self):
        return ModelInfo(name="m", provider="sayer", capabilities=frozenset({"vision"}))

    async def complete_async(self, request):
        self.requests.append(request)
        first = asked(request).text
        turn = self.times[first]
        self.times[first] += 1
        usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="sayer")
        return ChatResponse(content=self.said[min(turn, len(self.said) - 1)], model="m", usage=usage)


@pytest.fixture
def run(project, chain):
    texts = {
        "a.md": "alpha",
        "b.md": "beta",
        "t.csv": "id,what\n1,one\n2,two\n",
        **{f"p{number}.png": png(number) for number in range(3)},
    }

    def made(mode, model, retries=1):
        work = project(texts)
        more, reference, shown = MODES[mode]
        step = {
            "id": "sort",
            "prompt": "inline: sort {{ t }}",
            "inputs": {"t": reference},
            "mode": shown,
            "output": {"name": "kind", "expects": "json", "schema": SCHEMA, "parse_retries": retries},
        }
        inputs = {"connector": "docs", "select": "*.md", "mode": mode, **more}
        return work.run(chain(step, inputs=inputs), model)

    return made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("said", [f"```json\n{GOOD}\n```", f"Here it is: {GOOD} Anything else?", GOOD], ids=str)
def test_what_stands_around_an_answer_is_removed_without_asking_again(run, mode, said):
    model = Sayer(said)
    result = run(mode, model)
    assert [row["output"] for row in result.outputs] == [{"kind": "good", "stars": 3}] * 2
    assert (result.status, len(model.requests)) == ("completed", 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "bad", ["no", '{"kind": "good"}', '{"kind": "fair", "stars": 3}', '{"kind": "bad", "stars": "3"}'], ids=str
)
def test_what_does_not_fit_is_asked_for_again_with_the_item_in_full(run, mode, bad):
    model = Sayer(bad, GOOD)
    result = run(mode, model)
    assert [(row["status"], row["output"]["stars"]) for row in result.outputs] == [("ok", 3)] * 2
    assert len(model.requests) == 4
    assert all(row["tokens_completion"] == 4 for row in result.outputs)
    again = [asked(request) for request in model.requests if any(one.role == "assistant" for one in request.messages)]
    assert len(again) == 2
    if mode == "images_group":
        assert sorted(sum(isinstance(part, ImagePart) for part in one.content) for one in again) == [1, 2]
    else:
        assert all(one.text.startswith("sort ") for one in again)


@pytest.mark.parametrize("mode", MODES)
def test_what_never_fits_is_one_failure_for_each_item_after_the_last_try(run, mode):
    model = Sayer(json.dumps({"kind": "fair", "stars": 0}))
    result = run(mode, model, retries=2)
    assert (result.status, len(result.errors), len(model.requests)) == ("failed", 2, 6)
    assert {row["status"] for row in result.outputs} == {"failed"}
    assert all("asked 3 times" in error["message"] for error in result.errors)
