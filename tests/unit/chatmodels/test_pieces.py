from __future__ import annotations

import pytest

from chatmodels import ChatChunk, ChatResponse, TokenUsage, ToolCall
from chatmodels.pieces import joined, pieces_of

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
