"""What is known of the models that Bedrock offers: which of them takes what, as a table, first match first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from chatmodels.providers.call import Call
from chatmodels.types import ChatRequest, ImagePart
from fmf_core.errors import Code

Shape = Literal["anthropic", "nova", "llama3", "llama4", "mistral", "mistral_chat"]
"""The bodies that `invoke_model` is asked with."""
SHAPES: Final[Sequence[Shape]] = ("anthropic", "nova", "llama3", "llama4", "mistral", "mistral_chat")
PROMPT_SHAPES: Final = frozenset({"llama3", "llama4", "mistral"})
"""Bodies that hold the conversation as one text."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one kind of model takes."""

    shape: Shape | None = None
    """The body that `invoke_model` takes; `None` where it is not known here."""
    tools: bool = True
    images: bool = True
    system: bool = True
    """Whether there is a place for the system prompt; else it goes to the beginning of the first turn."""
    json_schema: bool = False
    """Whether the model can be held to a JSON Schema."""
    streams: bool = True
    any_temperature: bool = True
    """Whether a temperature may be set; else one that the caller did not choose is left out."""


TABLE: Final[Sequence[tuple[str, Traits]]] = (
    (r"anthropic\.claude-(?:v2|instant|2)", Traits("anthropic", tools=False, images=False)),
    (r"anthropic\.claude-3-5-haiku", Traits("anthropic", images=False)),
    (r"anthropic\.claude-opus-4-[7-9]", Traits("anthropic", json_schema=True, any_temperature=False)),
    (r"anthropic\.claude-(?:haiku-4-5|sonnet-4-[56]|opus-4-[56])", Traits("anthropic", json_schema=True)),
    (r"anthropic\.", Traits("anthropic")),
    (r"amazon\.nova-micro", Traits("nova", images=False)),
    (r"amazon\.nova", Traits("nova")),
    (r"amazon\.titan-text", Traits(tools=False, images=False, system=False)),
    (r"meta\.llama4", Traits("llama4", streams=False)),
    (r"meta\.llama3-2-(?:11|90)b", Traits("llama3")),
    (r"meta\.llama3-[1-9]-", Traits("llama3", images=False)),
    (r"meta\.llama3", Traits("llama3", tools=False, images=False)),
    (r"mistral\.mi(?:stral-7b|xtral)", Traits("mistral", tools=False, images=False, system=False)),
    (r"mistral\.mistral-(?:large|small)-2402", Traits("mistral", images=False)),
    (r"mistral\.(?:pixtral|mistral-large-3|mistral-medium)", Traits("mistral_chat")),
    (r"mistral\.", Traits("mistral_chat", images=False)),
    (r"openai\.gpt-oss|deepseek\.|qwen\.|cohere\.|ai21\.|writer\.", Traits(images=False)),
)
"""A pattern that is looked for in the model's id, and what such models take."""
UNKNOWN: Final = Traits()
"""For ids that do not tell the model, such as the ARN of a profile of one's own: here Bedrock does the refusing."""


def traits_of(model: str) -> Traits:
    """What the model behind `model` takes: a plain id, an inference profile (`us.anthropic...`) or an ARN."""
    return next((traits for pattern, traits in TABLE if re.search(rf"(?:^|[./]){pattern}", model)), UNKNOWN)


def capabilities_of(traits: Traits) -> tuple[str, ...]:
    """The same in the words of `ModelInfo.capabilities`."""
    wanted = {"tools": traits.tools, "json_schema": traits.json_schema, "images": traits.images}
    return ("chat", "stream", *(name for name, there in wanted.items() if there))


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
    if not traits.images and any(isinstance(part, ImagePart) for turn in request.messages for part in turn.content):
        hint = "use a model with images, such as Claude or Nova Lite"
        raise call.error("this model takes no images", Code.UNSUPPORTED, hint=hint)


def _has_tools(request: ChatRequest) -> bool:
    return bool(request.tools) or any(turn.tool_calls or turn.role == "tool" for turn in request.messages)
