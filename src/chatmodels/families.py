"""What is known of models by their names: families of them, what each can do and how it is asked; data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

from chatmodels.config import Capability
from chatmodels.types import DEFAULT_MODEL

WORDS: Final[tuple[Capability, ...]] = get_args(Capability)
"""Every capability, in the order in which they are listed."""
ALL: Final = frozenset[str](WORDS)
BodyShape = Literal["anthropic", "nova", "llama3", "llama4", "mistral", "mistral_chat"]
"""The bodies that Bedrock's `invoke_model` is asked with."""


class Family(NamedTuple):
    """Models of one kind."""

    pattern: str
    """What their names begin with; an id of Bedrock may have a region or a path before it."""
    capabilities: frozenset[str] | None
    """What they can do; `None` where it is not known for sure."""
    example: str = ""
    """One that hints may name."""
    expected: frozenset[str] | None = None
    """What may be tried where nothing is known for sure; `None` is what holds for unknown models of the provider."""
    limit: str = "max_tokens"
    """What chat completions call the limit of its answer."""
    body: BodyShape | None = None
    """The body that Bedrock's `invoke_model` takes; `None` where there is none, or where it is not known."""


def _but(*words: Capability) -> frozenset[str]:
    return ALL - set(words)


def _thinking(pattern: str, capabilities: frozenset[str] | None, example: str = "") -> Family:
    """A family of OpenAI that thinks before it answers: its limit counts the thoughts, its temperature is its own."""
    return Family(pattern, capabilities, example, expected=_but("temperature"), limit="max_completion_tokens")


_DATED = r"(?:-20\d\d-\d\d-\d\d)?$"
# As of November 2026. Each row tells only what a provider refuses for certain: a model that can do more than is said
# here would be refused wrongly, one that can do less is refused by its provider. The first row that fits counts. What
# came later is unknown to the table, and so never refused.
#
# Sources: OpenAI's pages of each model, its guides to structured outputs and reasoning, and the parameters of chat
# completions there (`stop`, `temperature`); AWS, "Supported models and model features" of the Converse interface.
TABLE: Final[Mapping[str, tuple[Family, ...]]] = {
    "openai": (
        Family(
            r"text-|babbage|davinci|gpt-3\.5-turbo-instruct|whisper|tts|dall-e|gpt-image|omni-moderation|sora",
            frozenset(),
        ),
        Family(r"gpt-3\.5-turbo", _but("json_schema", "images"), "gpt-3.5-turbo"),
        Family(r"gpt-4-vision", _but("tools", "json", "json_schema")),
        Family(r"gpt-4-(?:0125|1106|turbo-preview)", _but("json_schema", "images")),
        Family(r"gpt-4-turbo", _but("json_schema"), "gpt-4-turbo"),
        Family(r"gpt-4(?:-32k)?(?:-0314|-0613)?$", _but("json", "json_schema", "images"), "gpt-4"),
        Family(r"gpt-4o(?:-mini)?-(?:audio|realtime|transcribe|tts|search)", None),
        Family(r"gpt-4o-2024-05-13", _but("json_schema")),
        Family(r"chatgpt-4o", _but("tools", "json_schema")),
        Family(rf"gpt-4o-mini{_DATED}", ALL, "gpt-4o-mini"),
        Family(rf"gpt-4o{_DATED}", ALL, "gpt-4o"),
        Family(rf"gpt-4\.1(?:-mini|-nano)?{_DATED}", ALL, "gpt-4.1"),
        Family(r"(?:o[1-9]|gpt-5).*-chat", None, limit="max_completion_tokens"),
        _thinking(r"o1-(?:mini|preview)", _but("tools", "json", "json_schema", "images", "temperature", "system")),
        _thinking(rf"o1{_DATED}", _but("temperature"), "o1"),
        _thinking(rf"o3-mini{_DATED}", _but("images", "temperature"), "o3-mini"),
        _thinking(rf"(?:o3|o4-mini){_DATED}", _but("temperature", "stop"), "o4-mini"),
        _thinking(rf"gpt-5(?:-mini|-nano)?{_DATED}", _but("temperature", "stop"), "gpt-5-mini"),
        _thinking(r"o[1-9]|gpt-5", None),
    ),
    "azure_openai": (),
    "aws_bedrock": (
        Family(
            r"anthropic\.claude-(?:v2|instant|2)",
            _but("tools", "json", "json_schema", "images", "seed"),
            body="anthropic",
        ),
        Family(r"anthropic\.claude-3-5-haiku", _but("json", "json_schema", "images", "seed"), body="anthropic"),
        Family(r"anthropic\.claude-opus-4-[7-9]", _but("json", "seed", "temperature"), body="anthropic"),
        Family(
            r"anthropic\.claude-(?:haiku-4-5|sonnet-4-[56]|opus-4-[56])",
            _but("json", "seed"),
            "anthropic.claude-haiku-4-5",
            body="anthropic",
        ),
        Family(r"anthropic\.claude-3-haiku", _but("json", "json_schema", "seed"), body="anthropic"),
        Family(r"anthropic\.claude-(?:3|opus-4|sonnet-4)", _but("json", "json_schema", "seed"), body="anthropic"),
        Family(r"anthropic\.", None, body="anthropic"),
        Family(
            r"amazon\.nova-micro", _but("json", "json_schema", "images", "seed"), "amazon.nova-micro-v1:0", body="nova"
        ),
        Family(
            r"amazon\.nova-(?:lite|pro|premier)",
            _but("json", "json_schema", "seed"),
            "amazon.nova-lite-v1:0",
            body="nova",
        ),
        Family(r"amazon\.titan-text", _but("tools", "json", "json_schema", "images", "seed", "system")),
        Family(r"amazon\.titan-(?:embed|image)|amazon\.nova-(?:canvas|reel|sonic)|cohere\.embed", frozenset()),
        Family(r"amazon\.nova", None, body="nova"),
        Family(
            r"meta\.llama4",
            _but("stream", "json", "json_schema", "seed"),
            "meta.llama4-scout-17b-instruct-v1:0",
            body="llama4",
        ),
        Family(r"meta\.llama3-2-(?:11|90)b", _but("json", "json_schema", "seed"), body="llama3"),
        Family(
            r"meta\.llama3-[1-9]-",
            _but("json", "json_schema", "images", "seed"),
            "meta.llama3-3-70b-instruct-v1:0",
            body="llama3",
        ),
        Family(r"meta\.llama3-", _but("tools", "json", "json_schema", "images", "seed"), body="llama3"),
        Family(r"meta\.llama3", None, body="llama3"),
        Family(r"meta\.llama2-", _but("tools", "json", "json_schema", "images", "seed")),
        Family(
            r"mistral\.mi(?:stral-7b|xtral)",
            _but("tools", "json", "json_schema", "images", "seed", "system"),
            body="mistral",
        ),
        Family(r"mistral\.mistral-(?:large|small)-2402", _but("json", "json_schema", "images", "seed"), body="mistral"),
        Family(
            r"mistral\.mistral-(?:large|small)-24",
            _but("json", "json_schema", "images", "seed"),
            "mistral.mistral-large-2407-v1:0",
            body="mistral_chat",
        ),
        Family(r"mistral\.", None, body="mistral_chat"),
        Family(r"cohere\.command-(?:text|light)", _but("stream", "tools", "json", "json_schema", "images", "seed")),
        Family(r"cohere\.command-r", _but("json", "json_schema", "images", "seed"), "cohere.command-r-plus-v1:0"),
        Family(r"openai\.gpt-oss|ai21\.jamba|deepseek\.v3", _but("json", "json_schema", "images", "seed")),
        Family(r"deepseek\.r1", _but("tools", "json", "json_schema", "images", "seed"), "deepseek.r1-v1:0"),
    ),
    "local": (Family(r"", _but("tools", "images")),),
    "mock": (Family(r"", ALL, "mock"),),
}
DEFAULT_MODELS: Final[Mapping[str, str]] = {
    "openai": DEFAULT_MODEL,
    "azure_openai": DEFAULT_MODEL,
    "aws_bedrock": "amazon.nova-lite-v1:0",
    "local": "smollm2-135m-instruct",
    "mock": "mock",
}
"""Who is asked where nobody names a model."""
CHARACTERS_PER_TOKEN: Final = 4
"""How many characters of English text most models count as one token, about."""
UNKNOWN: Final = Family(r"", None)
"""The family of names that no row fits."""
MADE_UP_FOR: Final[Mapping[str, frozenset[str]]] = {
    "aws_bedrock": frozenset({"stream", "json", "json_schema", "system"})
}
"""What a provider's own file makes up for where a model lacks it: in the words of the prompt, or in one piece."""
UNKNOWN_MODELS: Final[Mapping[str, frozenset[str]]] = {"aws_bedrock": _but("json", "json_schema", "seed")}
"""What models may be expected to do that the table does not know; everything, where nothing is said."""
INTERFACE_LACKS: Final[Mapping[str, frozenset[str]]] = {"responses": frozenset({"seed", "stop"})}
"""What an interface of OpenAI has no field for, whatever the model."""
BEFORE_NAMES: Final[Mapping[str, str]] = {"aws_bedrock": r"(?:^|.*[./])"}
"""What may stand before the names of a provider's models, such as a region."""
