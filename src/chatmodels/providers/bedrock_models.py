"""What a model of Bedrock takes: which body through `invoke_model`, and what its requests may hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from chatmodels.capabilities import expected_capabilities
from chatmodels.providers.call import Call
from chatmodels.types import ChatRequest
from fmf_core.errors import Code

PROVIDER: Final = "aws_bedrock"
Shape = Literal["anthropic", "nova", "llama3", "llama4", "mistral", "mistral_chat"]
"""The bodies that `invoke_model` is asked with."""
SHAPES: Final[Sequence[Shape]] = ("anthropic", "nova", "llama3", "llama4", "mistral", "mistral_chat")
PROMPT_SHAPES: Final = frozenset({"llama3", "llama4", "mistral"})
"""Bodies that hold the conversation as one text."""
SHAPE_OF: Final[Sequence[tuple[str, Shape]]] = (
    (r"anthropic\.", "anthropic"),
    (r"amazon\.nova", "nova"),
    (r"meta\.llama4", "llama4"),
    (r"meta\.llama3", "llama3"),
    (r"mistral\.(?:mistral-7b|mixtral|mistral-(?:large|small)-2402)", "mistral"),
    (r"mistral\.", "mistral_chat"),
)
"""A pattern that is looked for in the model's id, and the body that such models take; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one model takes."""

    shape: Shape | None = None
    """The body that `invoke_model` takes; `None` where the id does not tell it."""
    tools: bool = True
    images: bool = True
    system: bool = True
    """Whether there is a place for the system prompt; else it goes to the beginning of the first turn."""
    json_schema: bool = False
    """Whether the model can be held to a JSON Schema; else it is told in words."""
    stream: bool = True
    """Whether the model answers in pieces; else its whole answer is the only piece."""
    temperature: bool = True
    """Whether a temperature may be set; else one that the caller did not choose is left out."""


def traits_of(model: str) -> Traits:
    """What the model behind `model` takes: a plain id, an inference profile (`us.anthropic...`) or an ARN."""
    shape = next((shape for pattern, shape in SHAPE_OF if re.search(rf"(?:^|[./]){pattern}", model)), None)
    able = expected_capabilities(PROVIDER, model)
    return Traits(
        shape,
        tools="tools" in able,
        images="images" in able,
        system="system" in able,
        json_schema="json_schema" in able,
        stream="stream" in able,
        temperature="temperature" in able,
    )


def refuse_impossible(call: Call, traits: Traits) -> None:
    """Refuse what the model behind the call certainly cannot do.

    Raises:
        ChatModelError: `Code.UNSUPPORTED`, with what to do instead.
    """
    request = call.request
    if request.seed is not None:
        raise call.error("Bedrock takes no seed", Code.UNSUPPORTED, hint="leave seed out, or lower the temperature")
    if not traits.tools and _has_tools(request):
        hint = "use a model with tools, such as Claude, Nova or Llama 3.1"
        raise call.error("this model knows no tools", Code.UNSUPPORTED, hint=hint)
    if not traits.images and request.images:
        hint = "use a model with images, such as Claude or Nova Lite"
        raise call.error("this model takes no images", Code.UNSUPPORTED, hint=hint)


def _has_tools(request: ChatRequest) -> bool:
    return bool(request.tools) or any(turn.tool_calls or turn.role == "tool" for turn in request.messages)
