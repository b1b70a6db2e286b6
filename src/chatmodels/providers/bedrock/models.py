"""What a model of Bedrock takes: which body through `invoke_model`, and what its requests may hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, get_args

from chatmodels.capabilities import examples_with, expected_capabilities, family_of
from chatmodels.families import UNKNOWN_MODELS, BodyShape
from chatmodels.providers.call import Call
from chatmodels.types import ChatRequest
from fmf_core.errors import Code

PROVIDER: Final = "aws_bedrock"
BODY_SHAPES: Final[tuple[BodyShape, ...]] = get_args(BodyShape)
PROMPT_SHAPES: Final = frozenset[BodyShape](("llama3", "llama4", "mistral"))
"""Bodies that hold the conversation as one text."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one model takes."""

    body: BodyShape | None = None
    """The body that `invoke_model` takes; `None` where nobody knows."""
    able: frozenset[str] = UNKNOWN_MODELS[PROVIDER]
    """What it can do. Where it lacks `system`, the system prompt goes to the beginning of the first turn; where it
    lacks `json_schema`, it is told the format in words; where it lacks `stream`, its whole answer is the only piece."""


@lru_cache(maxsize=1024)
def traits_of(model: str) -> Traits:
    """What the model behind `model` takes: a plain id, an inference profile (`us.anthropic...`) or an ARN."""
    return Traits(family_of(PROVIDER, model).body, frozenset(expected_capabilities(PROVIDER, model)))


def refuse_impossible(call: Call, traits: Traits) -> None:
    """Refuse what the model behind the call certainly cannot do.

    Raises:
        ChatModelError: `Code.UNSUPPORTED`, with what to do instead; `Code.INVALID` for a name that leads elsewhere.
    """
    request = call.request
    if request.model in (".", ".."):
        raise call.error("that is no name of a model", Code.INVALID, hint="give the id of a model or of a profile")
    if request.seed is not None:
        raise call.error("Bedrock takes no seed", Code.UNSUPPORTED, hint="leave seed out, or lower the temperature")
    asked = {"tools": _has_tools(request), "images": request.images}
    for word in (word for word in asked if asked[word] and word not in traits.able):
        hint = f"use a model with {word}, such as {', '.join(examples_with(PROVIDER, [word]))}"
        raise call.error(f"this model takes no {word}", Code.UNSUPPORTED, hint=hint)


def _has_tools(request: ChatRequest) -> bool:
    return bool(request.tools) or any(turn.tool_calls or turn.role == "tool" for turn in request.messages)
