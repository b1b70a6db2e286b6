from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmodels import ChatRequest, ImagePart, Message, TextPart, ToolCall
from chatmodels.worst_case import IMAGE_TOKENS, MESSAGE_TOKENS, most_prompt_tokens
from fmf.processing.cutting.tokens import count_one

PNG = b"\x89PNG\r\n\x1a\n"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
@pytest.mark.parametrize("vocabulary", ["o200k_base", "cl100k_base"])
def test_no_text_has_more_tokens_than_the_bound(vocabulary, text):
    request = ChatRequest(prompt=text if text.strip() else "x")
    assert count_one(text, vocabulary) <= most_prompt_tokens(request, "gpt-4o")


def test_everything_that_is_sent_counts():
    bare = most_prompt_tokens(ChatRequest(prompt="x"), "gpt-4o")
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    more = (
        ChatRequest(prompt="é"),
        ChatRequest(prompt="x", system_prompt="y"),
        ChatRequest(prompt="x", tools=({"name": "look", "parameters": schema},)),
        ChatRequest(prompt="x", response_format={"type": "json_object"}),
        ChatRequest(prompt="x", response_format=schema),
        ChatRequest(messages=(Message(role="user", content=[TextPart(text="x"), ImagePart(data=PNG)]),)),
        ChatRequest(
            messages=(
                Message(role="user", content="x"),
                Message(role="assistant", tool_calls=[ToolCall(id="1", name="look", arguments={"n": 10**30})]),
                Message(role="tool", tool_call_id="1", content="5"),
            )
        ),
    )
    bounds = [most_prompt_tokens(request, "gpt-4o") for request in more]
    assert all(bound > bare for bound in bounds)
    assert bounds[1] == bare + MESSAGE_TOKENS + 1
    assert bounds[2] >= bare + 1024 + 2 * len(orjson.dumps(schema))
    assert bounds[5] == bare + IMAGE_TOKENS
    assert most_prompt_tokens(more[5], "gpt-4o-mini-2024-07-18") >= bare + 2833 + 8 * 5667
