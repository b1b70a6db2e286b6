from __future__ import annotations

import pytest

from chatmodels import ChatChunk, ChatModel, ChatResponse, TokenUsage, ToolCall
from chatmodels.pieces import joined, joined_anyway, pieces_of
from chatmodels.types import RateLimitStatus

USAGE = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p")
ANSWERS = [
    ChatResponse(content="two words", model="m", usage=USAGE),
    ChatResponse(content="cut", model="m", usage=USAGE, finish_reason="length", cached=True),
    ChatResponse(
        content="",
        model="m",
        usage=USAGE,
        finish_reason="tool_calls",
        tool_calls=(ToolCall(id="1", name="t", arguments={"a": 1}),),
        fell_back_from=("p/n: timeout",),
        response_id="r-1",
        attempts=3,
        rate_limit=RateLimitStatus(remaining_requests=7),
    ),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_pieces_join_to_the_answer(answer):
    assert joined(pieces_of(answer)) == answer


def test_without_an_end_there_is_no_answer():
    assert joined([ChatChunk(text="a")]) is None
    assert joined([ChatChunk(text="a", finish_reason="stop")]) is None
    assert joined([]) is None


def test_nothing_is_no_answer():
    with pytest.raises(ValueError, match="empty"):
        joined([ChatChunk(text="", finish_reason="stop", usage=USAGE)])


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_model_that_cannot_stream_loses_nothing_of_its_answer(answer):
    class Whole(ChatModel):
        def complete(self, _):
            return answer

    assert joined(list(Whole().stream("x"))) == answer


@pytest.mark.parametrize(
    ("chunks", "content", "finish_reason"),
    [
        ([ChatChunk(text="a"), ChatChunk(text="b")], "ab", "stop"),
        ([ChatChunk(text="a"), ChatChunk(text="", finish_reason="content_filter")], "a", "content_filter"),
        ([ChatChunk(text="", finish_reason="stop")], "", "length"),
        ([], "", "length"),
    ],
)
def test_an_answer_without_an_end_is_joined_where_it_must_be(chunks, content, finish_reason):
    answer = joined_anyway(chunks, USAGE)
    assert (answer.content, answer.finish_reason, answer.usage) == (content, finish_reason, USAGE)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_with_an_end_keeps_it_in_any_case(answer):
    other = TokenUsage(prompt_tokens=0, completion_tokens=0, model="x", provider="x")
    assert joined_anyway(pieces_of(answer), other) == answer
