"""The most tokens that a request can take, told from the request alone: no tokenizer is loaded for it."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from chatmodels.types import ChatRequest, Message, ResponseFormat

REQUEST_TOKENS: Final = 64
"""What a provider may put around a conversation."""
MESSAGE_TOKENS: Final = 16
"""What a provider may put around one turn."""
TOOLS_TOKENS: Final = 1024
"""What a provider may say about the use of tools, whichever they are; Anthropic tells of up to 700."""
TOOL_TOKENS: Final = 64
"""What a provider may put around one tool, or one call of it."""
FORMAT_TOKENS: Final = 512
"""What a provider may say about the shape of an answer, besides its schema."""
IMAGE_TOKENS: Final = 12_000
"""The most that the shipped models take one picture for: 10,000 patches and what is put around them."""
COSTLY_IMAGES: Final = ((r"gpt-4o-mini", 48_500),)
"""Models that take a picture for more: 2833 tokens and 5667 for each of up to eight tiles."""


def most_prompt_tokens(request: ChatRequest, model: str) -> int:
    """The most tokens that the prompt of `request` can have.

    A token of every vocabulary in use stands for one byte of UTF-8 or more, so that bytes are a bound. English has
    about four bytes a token, so the bound is about four times what is used.

    Args:
        request: what is asked.
        model: the model's name; what a picture can count for depends on it.
    """
    most = REQUEST_TOKENS + sum(_of_message(message) for message in request.messages)
    if request.tools:
        most += TOOLS_TOKENS
        for tool in request.tools:
            most += TOOL_TOKENS + _bytes(tool.name) + _bytes(tool.description) + 2 * _json_bytes(tool.parameters)
    if request.response_format is not None:
        most += _of_format(request.response_format)
    if request.images:
        most += len(request.images) * _of_image(model)
    return most


def _of_message(message: Message) -> int:
    most = MESSAGE_TOKENS + _bytes(message.text)
    for call in message.tool_calls:
        most += TOOL_TOKENS + _bytes(call.id) + _bytes(call.name) + 2 * _json_bytes(call.arguments)
    return most + _bytes(message.tool_call_id or "")


def _of_format(wanted: ResponseFormat) -> int:
    # Some providers put the schema into the prompt, others into both the prompt and a tool.
    schema = 0 if wanted.json_schema is None else 2 * _json_bytes(wanted.json_schema) + _bytes(wanted.name)
    return FORMAT_TOKENS + schema


def _of_image(model: str) -> int:
    return next((tokens for pattern, tokens in COSTLY_IMAGES if re.search(pattern, model)), IMAGE_TOKENS)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _json_bytes(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # whole numbers of more than 64 bits: rare, and Python can write them
        import json

        return _bytes(json.dumps(value, ensure_ascii=False, default=str))
