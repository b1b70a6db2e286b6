"""What it costs to switch each wrapper on: CPU of a call, with the layers of `chatmodels.factory` put on one by one."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

from benchmarks.peers.clients import KEY, MODEL, PROMPT
from benchmarks.peers.worker import calls
from chatmodels.config import ChatModelConfig
from chatmodels.factory import LAYERS
from chatmodels.iface import ChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.types import ChatRequest, ChatResponse, TokenUsage

AT_ONCE = 64


class Instant(ChatModel):
    """Answers at once: what is left is what a wrapper costs."""

    provider_name = "openai"
    timeout_s = 60.0

    def __init__(self) -> None:
        usage = TokenUsage(prompt_tokens=400, completion_tokens=80, model=MODEL, provider="openai")
        self._response = ChatResponse(content="A short answer.", model=MODEL, usage=usage)

    async def complete_async(self, _: ChatRequest) -> ChatResponse:
        return self._response


class Forgetful:
    """A cache that never has anything: what is left is what looking into it costs."""

    async def get(self, _key: str) -> ChatResponse | None:
        return None

    async def put(self, _key: str, _response: ChatResponse) -> None: ...


SWITCHED_ON: dict[str, Any] = {
    "temperature": 0.0,
    "rate_limit": {"requests_per_minute": 1e9, "tokens_per_minute": 1e12},
    "breaker": {"failures": 5},
    "hedge_after_s": 30.0,
    "cache": Forgetful(),
    "fallbacks": (Instant(),),
}
"""What switches layers on and changes no answer here."""


async def costs(base_url: str, *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """The vendor alone and then every layer, innermost first.

    Each with the CPU of one HTTP call through everything up to it (`stack_us`) and that of the layer itself, around a
    model that answers at once (`own_us`); both are `None` for a layer that has nothing to do here. `standard` says
    whether it is on when nothing is configured.
    """
    known = {name: value for name, value in SWITCHED_ON.items() if name in ChatModelConfig.model_fields}
    config = ChatModelConfig(model=MODEL, **known)
    vendor: ChatModel = OpenAIChatModel(base_url=base_url, api_key=KEY, model=MODEL)
    instant = Instant()
    plain = ChatModelConfig(model=MODEL)
    standard = {layer.__name__: layer(instant, plain) is not instant for layer in LAYERS}
    stacks: dict[str, ChatModel | None] = {"vendor": vendor}
    alone: dict[str, ChatModel | None] = {"vendor": instant}
    for layer in reversed(LAYERS):
        name = layer.__name__
        stacked, single = layer(vendor, config), layer(instant, config)
        stacks[name] = stacked if stacked is not vendor else None
        alone[name] = single if single is not instant else None
        vendor = stacked
    over_http = await _medians(stacks, seconds, rounds)
    at_once = await _medians(alone, seconds / 4, rounds)
    floor = at_once["vendor"] or 0.0
    rows = [
        {
            "layer": name,
            "stack_us": over_http[name],
            "own_us": _more(at_once[name], floor),
            "standard": standard.get(name),
        }
        for name in stacks
    ]
    await vendor.cleanup()
    return rows


def _more(taken: float | None, floor: float) -> float | None:
    return None if taken is None else taken - floor


async def _medians(models: dict[str, ChatModel | None], seconds: float, rounds: int) -> dict[str, float | None]:
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            if model is not None:
                taken[name].append(await _us(model, seconds))
    return {name: statistics.median(values) if values else None for name, values in taken.items()}


async def _us(model: ChatModel, seconds: float) -> float:
    numbers = itertools.count()

    async def ask() -> str:
        # No two are the same: those who are asked the same at the same time may ask once.
        return (await model.complete_async(ChatRequest(prompt=f"{next(numbers)} {PROMPT}", temperature=0.0))).content

    return float((await calls(ask, at_once=AT_ONCE, seconds=seconds))["us"])
