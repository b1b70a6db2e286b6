"""What models can do, asked of the table of families, and the check of a request against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from chatmodels.config import Capability
from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.families import ALL, BEFORE_NAMES, MADE_UP_FOR, TABLE, UNKNOWN, UNKNOWN_MODELS, WORDS, Family
from chatmodels.types import ChatRequest
from fmf_core.errors import Code

OPENAI_HOST: Final = "api.openai.com"
"""Where the models of OpenAI are; regions have names before it."""
_FINE_TUNED: Final = "ft:"
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
    return family_of(provider, model).capabilities


@lru_cache(maxsize=1024)
def family_of(provider: str, model: str) -> Family:
    """The row of the table that speaks of `model`; `UNKNOWN` without one."""
    before = BEFORE_NAMES.get(provider, "")
    name = model.split(":")[1] if model.startswith(_FINE_TUNED) else model
    rows = TABLE.get(provider, ())
    return next((family for family in rows if re.match(f"{before}(?:{family.pattern})", name)), UNKNOWN)


def provider_capabilities(provider: str) -> tuple[str, ...]:
    """What there is a model for at a provider of the house, in the order of `WORDS`."""
    families = [family.capabilities for family in TABLE[provider] if family.capabilities]
    return listed(frozenset().union(*families) if families else ALL)


@lru_cache(maxsize=1024)
def expected_capabilities(provider: str, model: str) -> tuple[str, ...]:
    """The capabilities that `get_model_info` tells: those of the table, or of an unknown model what may be tried."""
    family = family_of(provider, model)
    if family.capabilities is not None:
        return listed(family.capabilities)
    return listed(UNKNOWN_MODELS.get(provider, ALL) if family.expected is None else family.expected)


def temperature_to_send(request: ChatRequest, capabilities: Collection[str]) -> float | None:
    """The temperature that goes out: one that the caller chose whatever the model, another only where it is taken.

    So a refusal of what was chosen is the provider's, and visible.
    """
    chosen = "temperature" in request.model_fields_set
    return request.temperature if chosen or "temperature" in capabilities else None


def examples_with(provider: str, capabilities: Iterable[str]) -> list[str]:
    """A few models of `provider` that can do all of it, for hints."""
    wanted = {"chat", *capabilities}
    rows = TABLE.get(provider, ())
    return [row.example for row in rows if row.example and row.capabilities and wanted <= row.capabilities][:3]


def is_openai(address: str | None) -> bool:
    """Whether `address` is that of OpenAI; names of models on other servers say nothing."""
    host = urlsplit(address).hostname if address else None
    return host is not None and (host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}"))


def listed(capabilities: Iterable[str]) -> tuple[str, ...]:
    """Capabilities in the order of `WORDS`."""
    found = frozenset(capabilities)
    return tuple(word for word in WORDS if word in found)


@lru_cache(maxsize=1024)
def lacking_by_table(provider: str, model: str) -> frozenset[str]:
    """The capabilities for whose sake a request to `model` is refused; none where the table does not know it."""
    known = capabilities_of(provider, model)
    return frozenset() if known is None else lacking_beside(provider, known)


def lacking_beside(provider: str, capabilities: frozenset[str]) -> frozenset[str]:
    """The capabilities for whose sake a request is refused to a model that has `capabilities`."""
    return ALL - capabilities - MADE_UP_FOR.get(provider, frozenset())


def check_lacking(
    provider: str, model: str, request: ChatRequest, lacking: frozenset[str], *, stream: bool = False
) -> None:
    """Refuse a request that asks for any of `lacking`.

    Args:
        provider: the provider's name.
        model: the model that is to answer.
        request: what it is asked.
        lacking: what it cannot do, see `lacking_by_table`.
        stream: whether it is asked for pieces.

    Raises:
        ChatModelError: `Code.UNSUPPORTED`, with what the model can do and what to do instead.
    """
    missing = [word for word in WORDS if word in lacking and (stream if word == "stream" else _ASKED[word](request))]
    if missing:
        raise _refusal(provider, model, missing, ALL - lacking, stream=stream)


def _refusal(
    provider: str, model: str, missing: list[Capability], able: frozenset[str], *, stream: bool
) -> ChatModelError:
    can = ", ".join(listed(able)) or "nothing of what is asked here"
    advice = [_REMEDIES[word] for word in missing if word in _REMEDIES]
    others = examples_with(provider, missing)
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
