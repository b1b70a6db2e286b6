"""The OpenTelemetry GenAI conventions as data: names, units and buckets of both profiles, and which one is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from fmf_core.errors import ConfigurationError

PROFILE_VARIABLE = "CHATMODELS_OTEL_PROFILE"
"""Chooses the names: `released` (the default), `genai-main`, or `both`. Read when a model is made."""
CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Where messages are told: a key of `CAPTURES`, whatever its case."""
EVENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"

EXCEPTION_EVENT = "gen_ai.client.operation.exception"
DETAILS_EVENT = "gen_ai.client.inference.operation.details"

PROVIDER_NAMES: Mapping[str, str] = {"azure_openai": "azure.ai.openai", "aws_bedrock": "aws.bedrock"}
"""Our names of providers to those that the conventions prescribe, where they differ."""

TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
DURATION_BUCKETS = tuple(0.01 * 2**power for power in range(14))

SETTINGS: Mapping[str, str] = {
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "n": "gen_ai.request.choice.count",
}
"""Settings of a request and entries of its `extra_params` to their attributes, in both profiles."""
MAIN_SETTINGS: Mapping[str, str] = {
    "reasoning_effort": "gen_ai.request.reasoning.level",
    "previous_response_id": "gen_ai.request.previous_response.id",
}
"""Further ones that only `genai-main` knows."""


class Shape(NamedTuple):
    """One metric: its instrument, and what is told of it to the backend."""

    name: str
    description: str
    unit: str = "s"
    buckets: tuple[float, ...] | None = DURATION_BUCKETS
    """The advised boundaries of a histogram; `None` makes it a counter."""


class Profile(NamedTuple):
    """One set of names.

    Args:
        name: as the setting calls it.
        duration: of a call, retries included.
        time_to_first_chunk: of a streamed answer.
        time_per_output_chunk: of a streamed answer, from piece to piece.
        tokens: kind of token to its histogram, one value a call.
        token_type: the attribute that tells `input` from `output`, where one histogram holds both.
        totals: kind of token to its counter.
        cache_write: the attribute for tokens that were written to the provider's cache.
        integral_top_k: whether `top_k` is a whole number.
        settings: parameters of a request to their attributes.
        prompt_version: whether the version of a prompt is told beside its name.
    """

    name: str
    duration: Shape
    time_to_first_chunk: Shape
    time_per_output_chunk: Shape
    tokens: Mapping[str, Shape]
    token_type: str | None
    totals: Mapping[str, Shape]
    cache_write: str
    integral_top_k: bool
    settings: Mapping[str, str]
    prompt_version: bool


_DURATION = "Duration of a chat call, retries included"
_FIRST = "Time from the request to the first piece of a streamed answer"
_NEXT = "Time from one piece of a streamed answer to the next"
_USAGE = Shape("gen_ai.client.token.usage", "Tokens of a chat call", "{token}", TOKEN_BUCKETS)

RELEASED = Profile(
    name="released",
    duration=Shape("gen_ai.client.operation.duration", _DURATION),
    time_to_first_chunk=Shape("gen_ai.client.operation.time_to_first_chunk", _FIRST),
    time_per_output_chunk=Shape("gen_ai.client.operation.time_per_output_chunk", _NEXT),
    tokens={"input": _USAGE, "output": _USAGE},
    token_type="gen_ai.token.type",  # noqa: S106 - the name of an attribute
    totals={},
    cache_write="gen_ai.usage.cache_creation.input_tokens",
    integral_top_k=False,
    settings=SETTINGS,
    prompt_version=False,
)
"""Semantic conventions v1.41.1, which today's backends read."""

MAIN = Profile(
    name="genai-main",
    duration=Shape("gen_ai.client.inference.duration", _DURATION),
    time_to_first_chunk=Shape("gen_ai.client.inference.time_to_first_chunk", _FIRST),
    time_per_output_chunk=Shape("gen_ai.client.inference.time_per_output_chunk", _NEXT),
    tokens={
        kind: Shape(
            f"gen_ai.client.inference.operation.{kind}_tokens", f"The {kind} tokens of a call", "{token}", TOKEN_BUCKETS
        )
        for kind in ("input", "output")
    },
    token_type=None,
    totals={
        kind: Shape(f"gen_ai.client.inference.usage.{kind}_tokens", f"All {told} tokens so far", "{token}", None)
        for kind, told in {
            "input": "input",
            "output": "output",
            "cache_read.input": "input tokens read from a cache, of the input",
            "cache_write.input": "input tokens written to a cache, of the input",
            "reasoning.output": "reasoning tokens, of the output",
        }.items()
    },
    cache_write="gen_ai.usage.cache_write.input_tokens",
    integral_top_k=True,
    settings={**SETTINGS, **MAIN_SETTINGS},
    prompt_version=True,
)
"""The main branch of semantic-conventions-genai, where the names are going."""

PROFILES: Mapping[str, tuple[Profile, ...]] = {"released": (RELEASED,), "genai-main": (MAIN,), "both": (RELEASED, MAIN)}


def chosen_profiles() -> tuple[Profile, ...]:
    """The profiles that the environment asks for.

    Raises:
        ConfigurationError: it asks for one that does not exist.
    """
    asked = os.environ.get(PROFILE_VARIABLE, "").strip().lower() or "released"
    if asked not in PROFILES:
        raise ConfigurationError(
            f"{PROFILE_VARIABLE} is {asked!r}, which is no profile of the GenAI conventions",
            op="chatmodels.telemetry",
            hint=f"use one of {', '.join(PROFILES)}",
        )
    return PROFILES[asked]


CAPTURES: Mapping[str, tuple[bool, bool]] = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
    "TRUE": (True, False),  # as it was before there was a choice
    "FALSE": (False, False),
}
"""Values of `CAPTURE_VARIABLE` to whether spans and events hold messages."""


class Content(NamedTuple):
    """Where messages may be told, and whether the event with the details of a call is sent at all."""

    on_span: bool = False
    on_event: bool = False
    event: bool = False

    @property
    def wanted(self) -> bool:
        """Whether messages are told anywhere."""
        return self.on_span or self.on_event


def chosen_content(*, on_spans: bool = False) -> Content:
    """What the environment allows.

    Args:
        on_spans: whether spans hold messages where the environment says nothing.

    Raises:
        ConfigurationError: it says something that means nothing.
    """
    mode = _said(CAPTURE_VARIABLE, tuple(CAPTURES)) or ("SPAN_ONLY" if on_spans else "NO_CONTENT")
    event = _said(EVENT_VARIABLE, ("TRUE", "FALSE"))
    on_span, on_event = CAPTURES[mode]
    return Content(on_span, on_event, event == "TRUE" if event else on_event)


def _said(variable: str, allowed: tuple[str, ...]) -> str:
    said = os.environ.get(variable, "").strip()
    if said and said.upper() not in allowed:
        raise ConfigurationError(
            f"{variable} is {said!r}, which means nothing",
            op="chatmodels.telemetry",
            hint=f"use one of {', '.join(allowed)}",
        )
    return said.upper()
