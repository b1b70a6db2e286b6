"""What a request and its answer say, as attributes of a span under the GenAI conventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from chatmodels.conventions import Profile
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, RateLimitStatus, TokenUsage, ToolCall
from fmf_core.redact import redact
from fmf_core.telemetry import Plain, plain

OPENAI_PROVIDERS = frozenset({"openai", "azure_openai"})

_around: ContextVar[Mapping[str, str] | None] = ContextVar("chatmodels.call_attributes.around", default=None)


@contextmanager
def telemetry_context(
    *, conversation_id: str | None = None, prompt_name: str | None = None, prompt_version: str | None = None
) -> Iterator[None]:
    """Tell telemetry what the calls within the block belong to; what is not given stays as it was.

        with telemetry_context(conversation_id="c-17"):
            model.invoke("Hello")

    Args:
        conversation_id: the conversation or session.
        prompt_name: the named template that the prompt was made of.
        prompt_version: its version; only the profile `genai-main` has a place for it.
    """
    given = {
        "gen_ai.conversation.id": conversation_id,
        "gen_ai.prompt.name": prompt_name,
        "gen_ai.prompt.version": prompt_version,
    }
    before = _around.get()
    _around.set({**(before or {}), **plain(given)})
    try:
        yield
    finally:
        # Not reset(token): a generator may be closed in another context than the one it was begun in.
        _around.set(before)


@dataclass(slots=True)  # not frozen: made for every call, and freezing takes three times as long
class Ending:
    """How an answered call ended; `None` is what nobody knows."""

    usage: TokenUsage | None = None
    model: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    cached: bool = False
    fell_back_from: Sequence[str] = ()
    attempts: int | None = None
    cost_usd: float | None = None
    rate_limit: RateLimitStatus | None = None
    text: str = ""
    tool_calls: Sequence[ToolCall] = ()

    @classmethod
    def of(cls, response: ChatResponse, cost_usd: float | None) -> Ending:
        """That of a whole answer."""
        return cls(
            usage=response.usage,
            model=response.model,
            finish_reason=response.finish_reason,
            response_id=response.response_id,
            cached=response.cached,
            fell_back_from=response.fell_back_from,
            attempts=response.attempts,
            cost_usd=cost_usd,
            rate_limit=response.rate_limit,
            text=response.content,
            tool_calls=response.tool_calls,
        )

    @classmethod
    def of_stream(cls, last: ChatChunk, text: str, cost_usd: float | None) -> Ending:
        """That of a streamed answer, whose `last` piece carried usage and finish reason."""
        return cls(
            usage=last.usage,
            model=last.usage.model if last.usage else None,
            finish_reason=last.finish_reason,
            response_id=last.response_id,
            cached=last.cached,
            fell_back_from=last.fell_back_from,
            attempts=last.attempts,
            cost_usd=cost_usd,
            rate_limit=last.rate_limit,
            text=text,
            tool_calls=last.tool_calls,
        )

    @property
    def counted(self) -> TokenUsage | None:
        """The tokens that the provider counted for this call: neither a guess nor those of an earlier call."""
        return None if self.usage is None or self.usage.estimated or self.cached else self.usage


def _came_about(ending: Ending) -> Plain:
    """How the answer came about, where it was not by one request to the model that was asked."""
    attributes = Plain()
    if ending.attempts is not None and ending.attempts > 1:
        attributes["fmf.chat.attempts"] = ending.attempts
    if ending.cached:
        attributes["fmf.chat.cached"] = True
    if ending.fell_back_from:
        attributes["fmf.chat.fell_back_from"] = tuple(map(redact, ending.fell_back_from))
    return attributes


class Vocabulary:
    """The chosen profiles' names for what requests and answers say.

    Args:
        profiles: which there are; with several, a request or an answer is told under the names of all.
    """

    __slots__ = ("_cache_writes", "_prompt_version", "_settings", "_whole_top_k")

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self._settings = {name: found for profile in profiles for name, found in profile.settings.items()}
        self._cache_writes = [profile.cache_write for profile in profiles]
        self._whole_top_k = all(profile.integral_top_k for profile in profiles)
        self._prompt_version = any(profile.prompt_version for profile in profiles)

    def requested(self, common: Plain, request: ChatRequest, provider: str, *, streamed: bool) -> Plain:
        """What is known when a call begins, and so can be seen by samplers; `common` is what all calls share."""
        known = self._settings
        attributes = Plain(common)
        if request.temperature is not None:
            attributes[known["temperature"]] = request.temperature
        if request.max_tokens is not None:
            attributes[known["max_tokens"]] = request.max_tokens
        if request.seed is not None:
            attributes[known["seed"]] = request.seed
        if request.stop:
            attributes[known["stop"]] = [redact(text) for text in request.stop]
        if streamed:
            attributes["gen_ai.request.stream"] = True
        if request.response_format is not None:
            attributes["gen_ai.output.type"] = "text" if request.response_format.type == "text" else "json"
        if request.extra_params:
            attributes.update(plain(self._extra(request.extra_params, provider)))
        around = _around.get()
        if around:
            attributes.update(around)
            if not self._prompt_version:
                attributes.pop("gen_ai.prompt.version", None)
        return attributes

    def answered(self, ending: Ending) -> Plain:
        """What is known when a call has been answered."""
        attributes = Plain()
        if ending.model:
            attributes["gen_ai.response.model"] = redact(ending.model)
        if ending.response_id:
            attributes["gen_ai.response.id"] = redact(ending.response_id)
        if ending.finish_reason:
            attributes["gen_ai.response.finish_reasons"] = (ending.finish_reason,)
        attributes.update(_came_about(ending))
        usage = ending.counted
        if usage is None:
            return attributes
        attributes["gen_ai.usage.input_tokens"] = usage.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if usage.cached_tokens:
            attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if usage.cache_write_tokens:
            attributes.update(dict.fromkeys(self._cache_writes, usage.cache_write_tokens))
        if usage.reasoning_tokens:
            attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
        return attributes

    def _extra(self, given: Mapping[str, Any], provider: str) -> dict[str, Any]:
        """What `extra_params` say; they go out last, so they count more than the fields of the request."""
        found = {self._settings[name]: value for name, value in given.items() if name in self._settings}
        if found.get("gen_ai.request.choice.count") == 1:
            del found["gen_ai.request.choice.count"]
        stop = found.get("gen_ai.request.stop_sequences")
        if isinstance(stop, str):
            found["gen_ai.request.stop_sequences"] = [stop]
        top_k = found.get("gen_ai.request.top_k")
        if isinstance(top_k, int | float):
            found["gen_ai.request.top_k"] = int(top_k) if self._whole_top_k else float(top_k)
        reasoning = given.get("reasoning")
        if isinstance(reasoning, Mapping) and "reasoning_effort" in self._settings:
            found[self._settings["reasoning_effort"]] = reasoning.get("effort")
        conversation = given.get("conversation")
        found["gen_ai.conversation.id"] = conversation.get("id") if isinstance(conversation, Mapping) else conversation
        if provider in OPENAI_PROVIDERS and given.get("service_tier") != "auto":
            found["openai.request.service_tier"] = given.get("service_tier")
        return found
