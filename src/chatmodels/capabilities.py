"""What models can do: a dated table by provider and name, and the check of a request against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, get_args
from urllib.parse import urlsplit

from chatmodels.config import Capability
from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.types import ChatRequest
from fmf_core.errors import Code

CAPABILITIES_AS_OF = "2026-11"
"""The month whose public documentation the table follows; what came later is unknown to it, and so never refused."""

WORDS: Final[tuple[Capability, ...]] = get_args(Capability)
"""Every capability, in the order in which they are listed."""
ALL: Final = frozenset[str](WORDS)


class Family(NamedTuple):
    """Models of one kind."""

    pattern: str
    """What their names begin with; an id of Bedrock may have a region or a path before it."""
    capabilities: frozenset[str] | None
    """What they can do; `None` where it is not known for sure."""
    example: str = ""
    """One that hints may name."""


def _but(*words: Capability) -> frozenset[str]:
    return ALL - set(words)


_DATED = r"(?:-20\d\d-\d\d-\d\d)?$"
# Each row tells only what a provider refuses for certain: a model that can do more than is said here would be refused
# wrongly, one that can do less is refused by its provider. The first row that fits counts.
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
        Family(r"o1-(?:mini|preview)", _but("tools", "json", "json_schema", "images", "temperature", "system")),
        Family(rf"o1{_DATED}", _but("temperature"), "o1"),
        Family(rf"o3-mini{_DATED}", _but("images", "temperature"), "o3-mini"),
        Family(rf"(?:o3|o4-mini){_DATED}", _but("temperature", "stop"), "o4-mini"),
        Family(rf"gpt-5(?:-mini|-nano)?{_DATED}", _but("temperature", "stop"), "gpt-5-mini"),
    ),
    "azure_openai": (),
    "aws_bedrock": (
        Family(r"anthropic\.claude-(?:v2|instant|2)", _but("tools", "json", "json_schema", "images", "seed")),
        Family(r"anthropic\.claude-3-5-haiku", _but("json", "json_schema", "images", "seed")),
        Family(r"anthropic\.claude-opus-4-[7-9]", _but("json", "seed", "temperature")),
        Family(
            r"anthropic\.claude-(?:haiku-4-5|sonnet-4-[56]|opus-4-[56])",
            _but("json", "seed"),
            "anthropic.claude-haiku-4-5",
        ),
        Family(r"anthropic\.claude-3-haiku", _but("json", "json_schema", "seed")),
        Family(r"anthropic\.claude-(?:3|opus-4|sonnet-4)", _but("json", "json_schema", "seed")),
        Family(r"amazon\.nova-micro", _but("json", "json_schema", "images", "seed"), "amazon.nova-micro-v1:0"),
        Family(r"amazon\.nova-(?:lite|pro|premier)", _but("json", "json_schema", "seed"), "amazon.nova-lite-v1:0"),
        Family(r"amazon\.titan-text", _but("tools", "json", "json_schema", "images", "seed", "system")),
        Family(r"amazon\.titan-(?:embed|image)|amazon\.nova-(?:canvas|reel|sonic)|cohere\.embed", frozenset()),
        Family(r"meta\.llama4", _but("stream", "json", "json_schema", "seed"), "meta.llama4-scout-17b-instruct-v1:0"),
        Family(r"meta\.llama3-2-(?:11|90)b", _but("json", "json_schema", "seed")),
        Family(
            r"meta\.llama3-[1-9]-", _but("json", "json_schema", "images", "seed"), "meta.llama3-3-70b-instruct-v1:0"
        ),
        Family(r"meta\.llama[23]-", _but("tools", "json", "json_schema", "images", "seed")),
        Family(r"mistral\.mi(?:stral-7b|xtral)", _but("tools", "json", "json_schema", "images", "seed", "system")),
        Family(
            r"mistral\.mistral-(?:large|small)-24",
            _but("json", "json_schema", "images", "seed"),
            "mistral.mistral-large-2407-v1:0",
        ),
        Family(r"cohere\.command-(?:text|light)", _but("stream", "tools", "json", "json_schema", "images", "seed")),
        Family(r"cohere\.command-r", _but("json", "json_schema", "images", "seed"), "cohere.command-r-plus-v1:0"),
        Family(r"openai\.gpt-oss|ai21\.jamba|deepseek\.v3", _but("json", "json_schema", "images", "seed")),
        Family(r"deepseek\.r1", _but("tools", "json", "json_schema", "images", "seed"), "deepseek.r1-v1:0"),
    ),
    "local": (Family(r"", _but("tools", "images")),),
    "mock": (Family(r"", ALL, "mock"),),
}
MADE_UP_FOR: Final[Mapping[str, frozenset[str]]] = {
    "aws_bedrock": frozenset({"stream", "json", "json_schema", "system"})
}
"""What a provider's own file makes up for where a model lacks it: in the words of the prompt, or in one piece."""
UNKNOWN_MODELS: Final[Mapping[str, frozenset[str]]] = {"aws_bedrock": _but("json", "json_schema", "seed")}
"""What models may be expected to do that the table does not know; everything, where nothing is said."""

OPENAI_HOST: Final = "api.openai.com"
"""Where the models of OpenAI are; regions have names before it."""
_FINE_TUNED: Final = "ft:"
_BEFORE_IDS: Final = {"aws_bedrock": r"(?:^|.*[./])"}
"""What may stand before the names of a provider, such as a region."""
_REMEDIES: Final[Mapping[str, str]] = {
    "stream": "ask for the whole answer",
    "json_schema": "ask for JSON in the prompt and check it (parse does both)",
    "json": "ask for JSON in the prompt and check it (parse does both)",
    "seed": "leave seed out",
    "temperature": "leave temperature open (None, or null in fmf.yaml)",
    "stop": "leave stop out",
    "system": "put the system prompt into the first turn of the user",
}


def capabilities_of(provider: str, model: str) -> frozenset[str] | None:
    """What `model` of `provider` can do, in `WORDS`; `None` where the table does not know it.

    Names of deployments, profiles and servers of one's own say nothing: what they stand for is unknown.
    """
    return _known(provider, model)


def provider_capabilities(provider: str) -> tuple[str, ...]:
    """What there is a model for at a provider of the house, in the order of `WORDS`."""
    families = [family.capabilities for family in TABLE[provider] if family.capabilities]
    return listed(frozenset().union(*families) if families else ALL)


def expected_capabilities(provider: str, model: str) -> tuple[str, ...]:
    """What to tell of `model`: what the table says, and of an unknown one what may be tried."""
    known = _known(provider, model)
    return listed(UNKNOWN_MODELS.get(provider, ALL) if known is None else known)


def is_openai(address: str | None) -> bool:
    """Whether `address` is that of OpenAI; names of models on other servers say nothing."""
    host = urlsplit(address).hostname if address else None
    return host is not None and (host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}"))


def listed(capabilities: Iterable[str]) -> tuple[str, ...]:
    """Capabilities in the order of `WORDS`."""
    found = frozenset(capabilities)
    return tuple(word for word in WORDS if word in found)


def check_request(provider: str, model: str, request: ChatRequest, *, stream: bool = False) -> None:
    """Refuse what `model` certainly cannot do.

    Args:
        provider: the provider's name.
        model: the model that is to answer.
        request: what it is asked.
        stream: whether it is asked for pieces.

    Raises:
        ChatModelError: `Code.UNSUPPORTED`, with what the model can do and what to do instead.
    """
    lacking = lacking_of(provider, model)
    if lacking:
        check_lacking(provider, model, request, lacking, stream=stream)


@lru_cache(maxsize=1024)
def lacking_of(provider: str, model: str) -> frozenset[str]:
    """The capabilities for whose sake a request to `model` is refused; none where the table does not know it."""
    known = _known(provider, model)
    return frozenset() if known is None else lacking_beside(provider, known)


def lacking_beside(provider: str, capabilities: frozenset[str]) -> frozenset[str]:
    """The capabilities for whose sake a request is refused to a model that has `capabilities`."""
    return ALL - capabilities - MADE_UP_FOR.get(provider, frozenset())


def check_lacking(
    provider: str, model: str, request: ChatRequest, lacking: frozenset[str], *, stream: bool = False
) -> None:
    """Refuse a request that asks for any of `lacking`; arguments and errors as in `check_request`."""
    missing = [word for word in WORDS if word in lacking and (stream if word == "stream" else _ASKED[word](request))]
    if missing:
        raise _refusal(provider, model, missing, ALL - lacking, stream=stream)


@lru_cache(maxsize=1024)
def _known(provider: str, model: str) -> frozenset[str] | None:
    before = _BEFORE_IDS.get(provider, "")
    name = model.split(":")[1] if model.startswith(_FINE_TUNED) else model
    for family in TABLE.get(provider, ()):
        if re.match(f"{before}(?:{family.pattern})", name):
            return family.capabilities
    return None


def _refusal(
    provider: str, model: str, missing: list[Capability], able: frozenset[str], *, stream: bool
) -> ChatModelError:
    can = ", ".join(listed(able)) or "nothing of what is asked here"
    advice = [_REMEDIES[word] for word in missing if word in _REMEDIES]
    others = _others(provider, missing)
    if others:
        advice.append(f"use another model, such as {', '.join(others)}")
    advice.append("set capabilities, if you know better than the table")
    return chat_model_error(
        f"model {model!r} has no {' and no '.join(missing)}, which the request asks for; it has: {can}",
        op=f"{provider}.{'stream' if stream else 'complete'}",
        code=Code.UNSUPPORTED,
        hint="; or ".join(dict.fromkeys(advice)),
        fields={"provider": provider, "model": model, "missing": list(missing)},
    )


def _others(provider: str, missing: Iterable[str]) -> list[str]:
    wanted = {"chat", *missing}
    families = TABLE.get(provider, ())
    return [row.example for row in families if row.example and row.capabilities and wanted <= row.capabilities][:3]


def _chooses_temperature(request: ChatRequest) -> bool:
    # One that nobody chose is left out by the provider's file, and 1 is what such models use.
    return "temperature" in request.model_fields_set and request.temperature not in (None, 1)


def _wants(kind: str) -> Callable[[ChatRequest], bool]:
    return lambda request: request.response_format is not None and request.response_format.type == kind


_ASKED: Final[Mapping[str, Callable[[ChatRequest], object]]] = {
    "chat": lambda _: True,
    "tools": lambda request: request.tools,
    "json": _wants("json_object"),
    "json_schema": _wants("json_schema"),
    "images": lambda request: request.images,
    "seed": lambda request: request.seed is not None,
    "temperature": _chooses_temperature,
    "stop": lambda request: request.stop,
    "system": lambda request: any(message.role == "system" for message in request.messages),
}
