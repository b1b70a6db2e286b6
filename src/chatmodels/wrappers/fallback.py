"""Fallback: when a model fails, another one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple

from chatmodels.config import FALLBACK_ON, Price
from chatmodels.errors import ChatModelError, charges_in, chat_model_error, requests_in
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, TokenUsage
from chatmodels.wrappers.base import WrappedModel, close_stream, counted, presets_of, tell_charged, until_text
from fmf_core.errors import Code, FrameworkError
from fmf_core.logs import get_logger
from fmf_core.redact import bare_address

_log = get_logger("chatmodels")


class Fallback(NamedTuple):
    """A model that stands by."""

    model: ChatModel
    """Answers requests, with retries and limits of its own."""
    name: str | None = None
    """The model that its requests name; `None` leaves that to `model`."""
    prices: Mapping[str, Price] = {}
    """Model name to price, besides those of the model that is asked first."""
    owned: bool = False
    """Whether it was made for this use, so that it is cleaned up along."""
    keeps: object = None
    """What must live as long as `model`."""


class FallbackModel(WrappedModel):
    """Asks the next model when one fails with a code of `codes`; of a stream only until its first text.

    The request is the same for all but for the model's name, and but for settings that the caller left open and the
    next model has a value of its own for (`filled_in`). `model` of the answer is the one that answered,
    `fell_back_from` those that failed before, `attempts` the requests to all of them, `failed_usage` what was charged
    for those that failed; every change to another model is a log line `llm.fallback`. When the last one fails, too, the
    error has its code and names all that were tried; its `__cause__` is the error of the last one.

    Args:
        inner: the model that is asked first.
        fallbacks: those that are asked after it, in turn.
        codes: the failures after which the next one is asked.
    """

    def __init__(self, inner: ChatModel, fallbacks: Sequence[Fallback], codes: Collection[Code] = FALLBACK_ON) -> None:
        super().__init__(inner)
        self.fallbacks = tuple(fallbacks)
        self.codes = frozenset(codes)
        self._candidates = (Fallback(inner), *self.fallbacks)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` by the first model that can."""
        failures: list[FrameworkError] = []
        for number, candidate in enumerate(self._candidates):
            try:
                response = await candidate.model.complete_async(self._request_for(number, request))
            except FrameworkError as error:
                self._go_on(failures, error, request)
                continue
            if not failures:
                return response
            told = {
                "attempts": sum(map(requests_in, failures)) + response.attempts,
                "fell_back_from": self._tried(failures, request),
                "failed_usage": _charged(failures) + response.failed_usage,
            }
            failures.clear()  # each of them knows this frame, and so itself
            return response.model_copy(update=told)
        raise AssertionError("the last candidate returns or raises")

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, by the first model that can begin to."""
        failures: list[FrameworkError] = []
        for number, candidate in enumerate(self._candidates):
            began = False
            stream = candidate.model.stream_async(self._request_for(number, request))
            try:
                held_back = await until_text(stream)
                began = True
                for chunk in held_back:
                    yield self._told(chunk, failures, request)
                async for chunk in stream:
                    yield self._told(chunk, failures, request)
            except FrameworkError as error:
                if began:
                    error.fields["attempts"] = sum(map(requests_in, [*failures, error]))
                    tell_charged(error, _charged(failures) + error.fields.get("failed_usage", ()))
                    failures.clear()
                    raise
                self._go_on(failures, error, request)
            else:
                failures.clear()
                return
            finally:
                await close_stream(stream)

    @property
    def fallback_prices(self) -> Mapping[str, Price]:
        """The prices that come with the models that stand by."""
        return {name: price for fallback in reversed(self.fallbacks) for name, price in fallback.prices.items()}

    def check_health(self) -> HealthStatus:
        """Whether the model that is asked first can be reached, or else which of the others."""
        first = self.inner.check_health()
        if first.status != "unhealthy":
            return first
        for number, fallback in enumerate(self.fallbacks, start=1):
            if fallback.model.check_health().status == "healthy":
                return HealthStatus(status="healthy", detail=f"by fallback {self._name(number)}: {first.detail}")
        return first

    async def initialize(self) -> None:
        """Get all models ready."""
        for candidate in self._candidates:
            await candidate.model.initialize()

    async def cleanup(self) -> None:
        """Release the connections of the model that is asked first, and of the others that were made for it."""
        owned = [self.inner, *(fallback.model for fallback in self.fallbacks if fallback.owned)]
        done = await asyncio.gather(*(model.cleanup() for model in owned), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    def _request_for(self, number: int, request: ChatRequest) -> ChatRequest:
        if number == 0:
            return request
        fallback = self.fallbacks[number - 1]
        # What was only filled in for the first model must not stand in the way of the next one's own settings.
        reduced = request.without({"model", *(request.filled_in & presets_of(fallback.model).keys())})
        return reduced if fallback.name is None else reduced.filled({"model": fallback.name})

    def _go_on(self, failures: list[FrameworkError], error: FrameworkError, request: ChatRequest) -> None:
        """Note a failure; raise when there is nobody else to ask, or when nobody else is to be asked."""
        number = len(failures)
        if not failures and error.code not in self.codes:
            raise error
        failures.append(error)
        if error.code not in self.codes or number == len(self.fallbacks):
            failed = self._all_failed(failures, request)
            failures.clear()
            try:
                raise failed from error
            finally:
                del failed
        _log.warning(
            "llm.fallback",
            model=self._name(number, request),
            code=str(error.code),
            error=error.message,
            to=self._name(number + 1, request),
        )

    def _all_failed(self, failures: list[FrameworkError], request: ChatRequest) -> ChatModelError:
        tried = self._tried(failures, request)
        last = failures[-1]
        waits = [error.retry_after for error in failures if error.retry_after is not None]
        error = chat_model_error(
            f"no model answered; tried {', '.join(tried)}; the last one said: {last.message}",
            op="chatmodels.fallback",
            code=last.code,
            hint=last.hint,
            retry_after=min(waits) if waits and last.retryable else last.retry_after,
            fields={
                "provider": self.provider_name,
                "model": request.model,
                "tried": list(tried),
                "attempts": sum(map(requests_in, failures)),
                **{name: last.fields[name] for name in ("usage",) if name in last.fields},
            },
        )
        tell_charged(error, _charged(failures[:-1]) + last.fields.get("failed_usage", ()))
        for earlier in failures[:-1]:
            error.add_note(f"before that: {earlier}")
        return error

    def _told(self, chunk: ChatChunk, failures: list[FrameworkError], request: ChatRequest) -> ChatChunk:
        if not failures or not chunk.is_last:
            return chunk
        told = counted(chunk, sum(map(requests_in, failures)), _charged(failures))
        return told.model_copy(update={"fell_back_from": self._tried(failures, request)})

    def _tried(self, failures: list[FrameworkError], request: ChatRequest) -> tuple[str, ...]:
        return tuple(f"{self._name(number, request)}: {error.code}" for number, error in enumerate(failures))

    def _name(self, number: int, request: ChatRequest | None = None) -> str:
        """How messages call a candidate: with its server where another one goes by the same name."""
        name = self._bare_name(number, request)
        alike = any(
            other != number and self._bare_name(other, request) == name for other in range(len(self._candidates))
        )
        endpoint = self._candidates[number].model.endpoint if alike else None
        return f"{name} at {bare_address(endpoint)}" if endpoint else name

    def _bare_name(self, number: int, request: ChatRequest | None) -> str:
        candidate = self._candidates[number]
        name = candidate.name or presets_of(candidate.model).get("model")
        if number == 0 and request is not None:
            name = request.model
        return f"{candidate.model.provider_name}/{name or candidate.model.get_model_info().name}"


def _charged(failures: Sequence[FrameworkError]) -> tuple[TokenUsage, ...]:
    return tuple(usage for error in failures for usage in charges_in(error))
