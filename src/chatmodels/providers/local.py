"""A language model inside this process, run by the embedded engine on any `.gguf` file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import orjson

from chatmodels import weights
from chatmodels.capabilities import expected_capabilities
from chatmodels.errors import ChatModelError
from chatmodels.families import DEFAULT_MODELS
from chatmodels.guard import check_allowed
from chatmodels.iface import ChatModel
from chatmodels.providers.call import Call
from chatmodels.providers.local_engine import (
    Engine,
    EngineBusyError,
    EngineKey,
    EngineLoadError,
    engine_for,
    release,
)
from chatmodels.providers.openai_wire import StreamDecoder, check_one_answer, encode
from chatmodels.providers.special_tokens import SpecialTokens
from chatmodels.providers.time_limits import check_seconds
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code, FrameworkError
from fmf_core.portal import in_thread
from fmf_core.threads import available_cpus


class LocalChatModel(ChatModel):
    """A chat model that runs in this process, without network and without key.

    All models of the process that share weights, context and threads share one engine. It answers one request at a
    time; the others wait in the order in which they came.

    Args:
        model: a name of `fmf models ls`, or the path of a `.gguf` file.
        context: the most tokens that prompt and answer may have together.
        threads: processor threads; `None` takes all available but one.
        timeout_s: seconds for one answer, from the moment the engine turns to it (waiting does not count).
    """

    provider_name = "local"
    in_process = True

    def __init__(
        self,
        *,
        model: str | None = None,
        context: int = 4096,
        threads: int | None = None,
        timeout_s: float = 300.0,
    ) -> None:
        check_seconds(self.provider_name, timeout_s=timeout_s)
        self.model = model or DEFAULT_MODELS[self.provider_name]
        self.context = context
        self.threads = threads if threads is not None else max(1, available_cpus() - 1)
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, context={self.context}, threads={self.threads})"

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """The weights and the room that they have."""
        return {"model": self.model, "context": self.context}

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`.

        Raises:
            ChatModelError: the weights are missing, the request does not fit, or the answer took too long.
        """
        call = self._call("complete", request)
        decoder = StreamDecoder(call)
        started = asyncio.get_running_loop().time()
        async with aclosing(self._chunks(call, decoder)) as chunks:
            last = [chunk async for chunk in chunks][-1]
        return ChatResponse(
            content="".join(decoder.text),
            model=call.request.model,
            usage=last.usage,
            finish_reason=last.finish_reason,
            tool_calls=last.tool_calls,
            response_id=decoder.response_id,
            latency_ms=(asyncio.get_running_loop().time() - started) * 1000,
        )

    async def stream_async(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` token by token; closing the iterator early stops the engine."""
        call = self._call("stream", request)
        async with aclosing(self._chunks(call, StreamDecoder(call))) as chunks:
            async for chunk in chunks:
                yield chunk

    def get_model_info(self) -> ModelInfo:
        """Name, limits and capabilities; nothing is loaded for it."""
        return ModelInfo(
            name=self.model,
            provider=self.provider_name,
            max_tokens=self.context,
            context_tokens=self.context,
            capabilities=expected_capabilities(self.provider_name, self.model),
        )

    def check_health(self) -> HealthStatus:
        """Whether the weights are there; nothing is loaded for it."""
        try:
            path = weights.find(self.model)
        except ChatModelError as error:
            return HealthStatus(status="unhealthy", detail=str(error))
        return HealthStatus(status="healthy", detail=str(path))

    def check_ready(self) -> None:
        """Look whether the weights are there; nothing is loaded for it."""
        self._weights(self._call("load", ChatRequest(prompt="load", model=self.model)))

    async def initialize(self) -> None:
        """Load the weights now instead of with the first request."""
        call = self._call("load", ChatRequest(prompt="load", model=self.model))
        with _translated(call):
            await in_thread(self._engine, call)

    async def cleanup(self) -> None:
        """Free the engine, unless another model uses it; the next request loads it again."""
        await in_thread(release, self)

    def _call(self, verb: str, request: ChatRequest) -> Call:
        return Call(self.provider_name, f"{self.provider_name}.{verb}", request.filled({"model": self.model}))

    def _weights(self, call: Call) -> Path:
        try:
            return weights.find(call.request.model)
        except ChatModelError as error:
            raise call.error(error.message, error.code, hint=error.hint) from error

    def _engine(self, call: Call) -> Engine:
        return engine_for(EngineKey(self._weights(call).resolve(), self.context, self.threads), self)

    async def _chunks(self, call: Call, decoder: StreamDecoder) -> AsyncGenerator[ChatChunk, None]:
        check_allowed(self.provider_name, call.request.model)
        body = _body(call)
        with _translated(call):
            engine = await in_thread(self._engine, call)
            body["messages"] = [_plain_text(message, engine.special) for message in body["messages"]]
            prompt = orjson.dumps(body["messages"])
            async with engine.turn():
                deadline = asyncio.get_running_loop().time() + self.timeout_s
                anew = {"cache_prompt": not engine.asked_before(prompt)}
                async with aclosing(engine.payloads(orjson.dumps({**anew, **body}).decode())) as payloads:
                    async for payload in _until(deadline, payloads, call, self.timeout_s):
                        chunk = decoder.feed(_checked(payload, call))
                        if chunk is not None:
                            yield chunk
                yield decoder.finish(model=call.request.model)


def _body(call: Call) -> dict[str, Any]:
    check_one_answer(call)
    if call.request.images:
        hint = "use a provider with the capability 'images'"
        raise call.error("the embedded engine takes no images", Code.UNSUPPORTED, hint=hint)
    # The name of a file says nothing of OpenAI's families, however it begins. Progress while the prompt is read gives
    # the engine more moments to notice that it should stop.
    request = call.request.model_copy(update={"model": call.provider})
    return {**encode(request, stream=True), "return_progress": True}


def _plain_text(value: Any, special: SpecialTokens) -> Any:
    """`value` with all its texts as mere text: the engine would take the marks of roles in them for such."""
    if isinstance(value, str):
        return special.broken_up(value)
    if isinstance(value, Mapping):
        return {name: _plain_text(inner, special) for name, inner in value.items()}
    return [_plain_text(inner, special) for inner in value] if isinstance(value, list) else value


async def _until(deadline: float, payloads: AsyncIterator[str], call: Call, timeout_s: float) -> AsyncIterator[str]:
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                payload = await anext(payloads, None)
        except TimeoutError as error:
            hint = "raise timeout_s, lower max_tokens, or shorten the prompt"
            raise call.error(f"no complete answer within {timeout_s:g} s", Code.TIMEOUT, hint=hint) from error
        if payload is None:
            return
        yield payload


def _checked(payload: str, call: Call) -> dict[str, Any]:
    piece: dict[str, Any] = orjson.loads(payload)
    error = piece.get("error")
    if not error:
        return piece
    facts = error if isinstance(error, dict) else {"message": str(error)}
    if facts.get("type") == "exceed_context_size_error":
        prompt, context = facts.get("n_prompt_tokens"), facts.get("n_ctx")
        raise call.error(
            f"the prompt has {prompt} tokens, the context holds {context}",
            Code.INVALID,
            hint=(
                "raise the context (inference.local.context in fmf.yaml), or have documents cut: inputs.mode: chunks "
                "in the chain, and processing.text.chunking.max_tokens in fmf.yaml says how small"
            ),
            fields={"prompt_tokens": prompt, "context_tokens": context},
        )
    status = facts.get("code")
    code = Code.INVALID if isinstance(status, int) and 400 <= status < 500 else Code.INTERNAL
    raise call.error(f"the engine refused: {facts.get('message')}", code)


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    try:
        yield
    except FrameworkError:
        raise
    except EngineBusyError as error:
        raise call.error(str(error), Code.RATE_LIMIT, hint="ask fewer things at once") from error
    except EngineLoadError as error:
        hint = "is it a complete .gguf file of a chat model, and is there memory for its context?"
        raise call.error(f"the engine cannot load it: {error}", Code.INVALID, hint=hint) from error
    except ValueError as error:
        raise call.error(f"the engine cannot take the request: {error}", Code.INVALID) from error
    except Exception as error:
        raise call.error(f"the engine failed: {type(error).__name__}: {error}", Code.INTERNAL) from error
