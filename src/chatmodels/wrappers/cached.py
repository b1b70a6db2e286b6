"""A response cache: what was asked before is answered from memory or disk, without a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from uuid import uuid4

from chatmodels.caches.memory import MemoryCache
from chatmodels.caches.single_flight import SingleFlight
from chatmodels.caches.sqlite import SqliteCache
from chatmodels.config import ResponseCache
from chatmodels.iface import ChatModel
from chatmodels.pieces import joined, pieces_of, unshared
from chatmodels.request_facts import UntellableError, digest, distinct_json, request_key
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.logs import get_logger
from fmf_core.portal import in_thread
from fmf_core.redact import blank_known

T = TypeVar("T")
KEPT = frozenset({"stop", "tool_calls"})
"""The finish reasons of whole answers; one that was cut, filtered or refused is asked for anew."""
CACHE_TIMEOUT_S = 5.0
"""How long the cache may take for one look or one answer; then the model is asked."""
PAUSE_S = 60.0
"""How long a cache that failed is left alone."""
LARGE_BYTES = 500_000
"""Pictures of this size are hashed in a thread."""

_log = get_logger("chatmodels")


class CachedModel(WrappedModel):
    """Answers equal requests from a cache, and keeps what the model answers.

    Two requests are equal when everything that decides the answer is: provider, address and model, all messages with
    the bytes of their pictures, tools, format, sampling settings, the provider's own parameters and the settings of the
    model inside (`cache_facts`). Where these cannot be told, a `MemoryCache` keeps answers for this object alone, and
    any other cache is not used, which a warning in the log says once.

    Kept are whole answers only: finished normally or with tool calls, given by the model that was asked and not by a
    fallback, and without a registered secret in them. An answer from the cache has `cached=True`, cost 0 and the tokens
    that it once took.

    Equal requests that are under way at the same time are asked once. A stream is looked up and kept as well, but
    does not wait for another call, nor others for it: its consumer says how fast it goes.

    A cache that fails or hangs costs a warning in the log and nothing else: the model answers, and the cache is left
    alone for a minute.

    Args:
        inner: the model that answers what is not in the cache.
        cache: where answers are kept.
        facts: what the model inside was made of, for models that do not say it by themselves.
        clock: the time in seconds.
    """

    def __init__(
        self,
        inner: ChatModel,
        cache: ResponseCache,
        facts: Mapping[str, Any] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(inner)
        self.cache = cache
        self._identity = uuid4().hex
        self._unkept_because = ""
        self._warned = False
        self._made_of: str | None = None
        try:
            self._made_of = None if facts is None else digest({"facts": distinct_json(facts)})
        except UntellableError as error:
            self._unkept_because = str(error)
        self._clock = clock
        self._resume_at = float("-inf")
        self._flights: SingleFlight[ChatResponse] = SingleFlight()

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` from the cache, or else by the model."""
        key = await self._key(request)
        if key is None:
            return await self.inner.complete_async(request)

        async def ask() -> ChatResponse:
            found = await self._look(key)
            if found is not None:
                return found
            response = await self.inner.complete_async(request)
            await self._keep(key, response)
            return response

        response, own = await self._flights.fetch(key, ask)
        # Who waited for another's answer has not paid either.
        return unshared(response) if own else _from_cache(response)

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; a stream that was left early is not kept."""
        key = await self._key(request)
        found = await self._look(key) if key is not None else None
        if found is not None:
            for chunk in pieces_of(found):
                yield chunk
            return
        chunks: list[ChatChunk] = []
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                if key is not None:
                    chunks.append(unshared(chunk))
                yield chunk
        finally:
            await close_stream(stream)
        if key is None:
            return
        try:
            response = joined(chunks)
        except ValueError:
            return  # an answer without anything in it
        if response is not None:
            await self._keep(key, response)

    async def cleanup(self) -> None:
        """Release the connections of the model inside, and the file of the cache."""
        close = getattr(self.cache, "close", None)
        try:
            await self.inner.cleanup()
        finally:
            if close is not None:
                await self._careful("close", close)

    async def _key(self, request: ChatRequest) -> str | None:
        """The key of `request`; `None` when nothing tells it or the model from others, so that no answer is kept."""
        settings = self._settings()
        if settings is None:
            return None
        model = self.unwrapped
        facts: dict[str, Any] = {
            "provider": self.provider_name,
            "endpoint": self.endpoint,
            "kind": f"{type(model).__module__}.{type(model).__qualname__}",
            "settings": settings,
        }
        name = request.named_model or getattr(model, "model", request.model)
        if self.in_process and isinstance(name, str) and name.lower().endswith(".gguf"):
            facts["file"] = await in_thread(_file_facts, name)
        try:
            if sum(len(picture.data or b"") for picture in request.images) < LARGE_BYTES:
                return request_key(request, **facts)
            return await in_thread(lambda: request_key(request, **facts))
        except (ValueError, TypeError, RecursionError):
            return None  # what cannot be written down; the model says what it thinks of it

    def _settings(self) -> str | None:
        """A hash of everything that decides the answers of the model inside, as it holds now."""
        try:
            facts = self._facts()
            if facts is not None:
                return digest({"facts": distinct_json(facts)})
        except UntellableError as error:
            self._unkept_because = str(error)
        except Exception as error:  # noqa: BLE001 - a plugin's own code; the model can answer all the same
            self._unkept_because = f"cache_facts failed: {type(error).__name__}: {error}"
        if isinstance(self.cache, MemoryCache):
            return self._identity
        if not self._warned:
            self._warned = True
            why = self._unkept_because or "its settings are not known; a property `cache_facts` can say them"
            kind = type(self.unwrapped).__name__
            _log.warning("llm.cache", action="key", status="off", error=f"answers are not kept: {why}", kind=kind)
        return None

    def _facts(self) -> Mapping[str, Any] | None:
        model = self.unwrapped
        said = _said_by(model)
        if said is not None or self._made_of is None:
            return said
        return {"made": self._made_of, "said": model.cache_facts}

    async def _look(self, key: str) -> ChatResponse | None:
        found = await self._careful("get", lambda: self.cache.get(key))
        return _from_cache(found) if isinstance(found, ChatResponse) else None

    async def _keep(self, key: str, response: ChatResponse) -> None:
        if _is_whole(response):
            of_this_call = {"attempts": 1, "cost_usd": None, "rate_limit": None, "failed_usage": ()}
            kept = unshared(response).model_copy(update=of_this_call)
            await self._careful("put", lambda: self.cache.put(key, kept))

    async def _careful(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the cache gives, or `None` when it fails; its troubles are not the caller's."""
        if self._clock() < self._resume_at:
            return None
        try:
            async with asyncio.timeout(CACHE_TIMEOUT_S):
                return await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the model can answer
            if self._clock() < self._resume_at:
                return None  # it was under way when another one failed, which the log has
            self._resume_at = self._clock() + PAUSE_S
            said = f"nothing within {CACHE_TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
            kind = type(error).__name__
            _log.warning("llm.cache", action=what, status="failed", error=said, kind=kind, pause_s=PAUSE_S)
            return None


def cache_at(given: str | Path | ResponseCache) -> ResponseCache:
    """The cache that a setting means: `"memory"`, a folder or a file, or a cache as it is."""
    if given == "memory":
        return MemoryCache()
    return SqliteCache(given) if isinstance(given, str | Path) else given


def _said_by(model: ChatModel) -> Mapping[str, Any] | None:
    """What `model` says of itself, unless a subclass has settings that are not in it."""
    if "cache_facts" not in getattr(model, "__dict__", {}):
        own = next(kind for kind in type(model).__mro__ if {"cache_facts", "__init__"} & set(vars(kind)))
        if "cache_facts" not in vars(own):
            return None
    return model.cache_facts


def _is_whole(response: ChatResponse) -> bool:
    if response.finish_reason not in KEPT or response.cached or response.fell_back_from:
        return False
    said = "\n".join([response.content, *(str(call.arguments) for call in response.tool_calls)])
    return bool(response.content or response.tool_calls) and blank_known(said) == said


def _from_cache(response: ChatResponse) -> ChatResponse:
    told = {"cached": True, "cost_usd": 0.0, "attempts": 1, "failed_usage": ()}
    return unshared(response).model_copy(update=told)


def _file_facts(path: str) -> list[int] | None:
    """What tells weights apart from others that stood in the same place before."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
