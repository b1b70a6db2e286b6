"""The one interface of the chat layer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from chatmodels.answered import check_methods, checked_answer
from chatmodels.asked import (
    BATCHED,
    PARSED,
    RequestOptions,
    all_of,
    check_concurrency,
    check_effort,
    fill_default_model,
    request_of,
    requests_of,
)
from chatmodels.batches import answers_of
from chatmodels.pieces import pieces_of
from chatmodels.protocols import ChatInput
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, Message, ModelInfo
from fmf_core.errors import ConfigurationError
from fmf_core.portal import in_thread, iterate_sync, run_sync

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from chatmodels.structured.asking import Parsed

T = TypeVar("T")


class ChatModel:
    """Answers chat requests.

    Write `complete_async`, or `complete`, or both: the missing one is derived, and a class with neither is refused when
    it is defined. Write `stream_async` when the model can answer piece by piece. Everything else has a default.

        class Echo(ChatModel):
            def complete(self, request):
                usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="echo", provider="echo")
                return ChatResponse(content=request.prompt, model="echo", usage=usage)
    """

    provider_name: str = "unknown"
    """The vendor as telemetry and records name it."""
    chat_model_metadata: Mapping[str, Any] = MappingProxyType({})
    """What is told of the provider: `description`, `capabilities`, `default_model` (for requests that name none)."""
    in_process: bool = False
    """Whether the model runs in this process, so that telemetry does not show its calls as remote ones."""
    endpoint: str | None = None
    """The address of the server that answers, where there is one and it is known."""
    credentials_id: int | None = None
    """Tells callers with other credentials apart and holds none; `None` where the address tells whose limits hold."""
    cache_facts: Mapping[str, Any] | None = None
    """The settings that decide the answers, for the response cache, which keeps only a hash of them; no credentials.

    `None` says that they cannot be told: then the cache has only the settings given to `create_chat_model`. They count
    for the class that says them, and not for subclasses with an `__init__` of their own.
    """
    api_type: str | None = None
    """Which of OpenAI's interfaces is spoken (`chat_completions` or `responses`), where it is one of them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.complete is ChatModel.complete and cls.complete_async is ChatModel.complete_async:
            raise TypeError(f"{cls.__name__} must define complete_async or complete")
        check_methods(cls)
        fill_default_model(cls, ChatModel)

    def __copy__(self) -> Self:
        """A model with the same parts."""
        twin = object.__new__(type(self))
        state = object.__getstate__(self)
        for facts in state if isinstance(state, tuple) else (state,):
            for name, value in (facts or {}).items():
                object.__setattr__(twin, name, value)
        return twin

    def __getstate__(self) -> Any:
        """Refuse to be pickled or copied with all parts: those are connections, locks and keys of this process.

        Raises:
            ConfigurationError: always; a class that holds none of these may say its state in its own `__getstate__`.
        """
        raise ConfigurationError(
            f"a chat model ({type(self).__name__}) cannot be pickled or deep-copied: its connections, locks and keys"
            " belong to this process",
            op="chatmodels.pickle",
            hint="send the settings, without the key, and call create_chat_model(...) in the worker or task itself;"
            " inside one process, share the model: threads and event loops may use it at the same time",
        )

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`.

        Raises:
            ChatModelError: the model could not answer; its `code` says whether waiting helps.
        """
        return await in_thread(self.complete, request)

    def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, blocking."""
        return run_sync(self.complete_async(request))

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; a model that cannot stream gives its whole text as one piece."""
        for piece in pieces_of(checked_answer(await self.complete_async(request), type(self))):
            yield piece

    def generate_messages(self, messages: Sequence[Message], **options: Unpack[RequestOptions]) -> list[Message]:
        """The next turn of `messages`, blocking; `options` are fields of `ChatRequest`."""
        return [self.invoke(messages, **options).message]

    def stream_messages(
        self, messages: Sequence[Message], **options: Unpack[RequestOptions]
    ) -> Generator[ChatChunk, None, None]:
        """The next turn of `messages` in pieces, blocking."""
        return self.stream(messages, **options)

    def invoke(self, request: ChatInput, **options: Unpack[RequestOptions]) -> ChatResponse:
        """Answer a prompt, a conversation or a request, blocking; `options` are fields of `ChatRequest`."""
        return checked_answer(self.complete(request_of(request, options)), type(self))

    async def ainvoke(self, request: ChatInput, **options: Unpack[RequestOptions]) -> ChatResponse:
        """Answer a prompt, a conversation or a request; `options` are fields of `ChatRequest`."""
        return checked_answer(await self.complete_async(request_of(request, options)), type(self))

    @overload
    def parse(
        self,
        request: ChatInput,
        shape: type[T] | TypeAdapter[T],
        *,
        parse_retries: int = ...,
        max_tokens_cap: int | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Parsed[T]: ...

    @overload
    def parse(
        self,
        request: ChatInput,
        shape: Mapping[str, Any],
        *,
        parse_retries: int = ...,
        max_tokens_cap: int | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Parsed[Any]: ...

    def parse(self, request: ChatInput, shape: Any, **options: Any) -> Parsed[Any]:
        """Answer with a value of `shape`, blocking; see `aparse`."""
        return run_sync(self.aparse(request, shape, **options))

    @overload
    async def aparse(
        self,
        request: ChatInput,
        shape: type[T] | TypeAdapter[T],
        *,
        parse_retries: int = ...,
        max_tokens_cap: int | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Parsed[T]: ...

    @overload
    async def aparse(
        self,
        request: ChatInput,
        shape: Mapping[str, Any],
        *,
        parse_retries: int = ...,
        max_tokens_cap: int | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Parsed[Any]: ...

    async def aparse(
        self,
        request: ChatInput,
        shape: Any,
        *,
        parse_retries: int = 2,
        max_tokens_cap: int | None = None,
        **options: Any,
    ) -> Parsed[Any]:
        """Answer with a value of `shape`.

            invoice = model.parse("Two pens at 1.20 each", Invoice).value

        Args:
            request: a prompt, a conversation or a request; its own `response_format` does not count.
            shape: a pydantic model or another type that pydantic knows (a dataclass, `list[Invoice]`, a `TypeAdapter`),
                or a JSON Schema.
            parse_retries: how often to ask again, whatever was wrong with the answer.
            max_tokens_cap: how far `max_tokens` may be raised for an answer that was cut; default is the model's limit.
            options: fields of `ChatRequest`.

        Raises:
            ChatModelError: no answer fitted (`BAD_REPLY`), the last one was cut (`TRUNCATED`) or withheld (`REFUSED`);
                `fields` holds `usage`, `cost_usd`, `asks` and `repairs`. Or the model could not answer.
            ConfigurationError: `shape` or another argument cannot be used.
        """
        # Here, for most programs never need it.
        from chatmodels.structured.asking import Answerer, Effort, answer_wanted
        from chatmodels.structured.telling import RefusedFormats
        from chatmodels.structured.wanted import wanted_shape

        check_effort(parse_retries, max_tokens_cap)
        asked = request_of(request, options, PARSED)
        wanted = wanted_shape(shape)
        refused = self.__dict__.setdefault("_refused_formats", RefusedFormats())
        answerer = Answerer(self.ainvoke, self.get_model_info(), refused)
        return await answer_wanted(answerer, asked, wanted, Effort(parse_retries, max_tokens_cap))

    @overload
    def batch(
        self,
        requests: Iterable[ChatInput],
        *,
        max_concurrency: int = ...,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[RequestOptions],
    ) -> list[ChatResponse]: ...

    @overload
    def batch(
        self,
        requests: Iterable[ChatInput],
        *,
        max_concurrency: int = ...,
        return_exceptions: bool,
        **options: Unpack[RequestOptions],
    ) -> list[ChatResponse | Exception]: ...

    def batch(self, requests: Iterable[ChatInput], **options: Any) -> Any:
        """Answer all `requests`, blocking; see `abatch`."""
        return run_sync(self.abatch(all_of(requests), **options))

    @overload
    async def abatch(
        self,
        requests: Iterable[ChatInput],
        *,
        max_concurrency: int = ...,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[RequestOptions],
    ) -> list[ChatResponse]: ...

    @overload
    async def abatch(
        self,
        requests: Iterable[ChatInput],
        *,
        max_concurrency: int = ...,
        return_exceptions: bool,
        **options: Unpack[RequestOptions],
    ) -> list[ChatResponse | Exception]: ...

    async def abatch(
        self,
        requests: Iterable[ChatInput],
        *,
        max_concurrency: int = 8,
        return_exceptions: bool = False,
        **options: Any,
    ) -> Any:
        """Answer all `requests`; answers in the order of the requests.

        What is wrong with one of them is told before the first is asked.

        Args:
            requests: prompts, conversations and requests, as many as there are.
            max_concurrency: how many are under way at once, at most.
            return_exceptions: whether what failed stands as its exception in the place of its answer. Without it the
                first failure stops the rest and is raised.
            options: fields of `ChatRequest`, for all of them.

        Raises:
            ChatModelError: a request could not be answered; a note says which, `fields["answers"]` holds the answers so
                far, by number.
            ConfigurationError: `requests` is a single one, one of them is wrong, or `max_concurrency` below 1.
        """
        check_concurrency(max_concurrency)
        asked = await requests_of(requests, options, BATCHED, keep=return_exceptions)
        return await answers_of(asked, self.ainvoke, max_concurrency, return_exceptions=return_exceptions)

    @overload
    def batch_parse(
        self,
        requests: Iterable[ChatInput],
        shape: type[T] | TypeAdapter[T],
        *,
        return_exceptions: Literal[False] = ...,
        **options: Any,
    ) -> list[Parsed[T]]: ...

    @overload
    def batch_parse(
        self, requests: Iterable[ChatInput], shape: type[T] | TypeAdapter[T], *,
        return_exceptions: bool, **options: Any,
    ) -> list[Parsed[T] | Exception]: ...  # fmt: skip

    @overload
    def batch_parse(self, requests: Iterable[ChatInput], shape: Any, **options: Any) -> list[Any]: ...

    def batch_parse(self, requests: Iterable[ChatInput], shape: Any, **options: Any) -> Any:
        """Answer all `requests` with values of `shape`, blocking; see `abatch_parse`."""
        return run_sync(self.abatch_parse(all_of(requests), shape, **options))

    @overload
    async def abatch_parse(
        self,
        requests: Iterable[ChatInput],
        shape: type[T] | TypeAdapter[T],
        *,
        return_exceptions: Literal[False] = ...,
        **options: Any,
    ) -> list[Parsed[T]]: ...

    @overload
    async def abatch_parse(
        self, requests: Iterable[ChatInput], shape: type[T] | TypeAdapter[T], *,
        return_exceptions: bool, **options: Any,
    ) -> list[Parsed[T] | Exception]: ...  # fmt: skip

    @overload
    async def abatch_parse(self, requests: Iterable[ChatInput], shape: Any, **options: Any) -> list[Any]: ...

    async def abatch_parse(
        self,
        requests: Iterable[ChatInput],
        shape: Any,
        *,
        max_concurrency: int = 8,
        return_exceptions: bool = False,
        parse_retries: int = 2,
        max_tokens_cap: int | None = None,
        **options: Any,
    ) -> list[Any]:
        """Answer all `requests` with values of `shape`: `abatch`, with what `aparse` makes of each request."""

        async def ask(request: ChatRequest) -> Parsed[Any]:
            return await self.aparse(request, shape, parse_retries=parse_retries, max_tokens_cap=max_tokens_cap)

        check_concurrency(max_concurrency)
        check_effort(parse_retries, max_tokens_cap)
        asked = await requests_of(requests, options, (*BATCHED, *PARSED), keep=return_exceptions)
        return await answers_of(asked, ask, max_concurrency, return_exceptions=return_exceptions)

    def stream(self, request: ChatInput, **options: Unpack[RequestOptions]) -> Generator[ChatChunk, None, None]:
        """Answer in pieces, blocking."""
        return iterate_sync(self.stream_async(request_of(request, options)))

    def astream(self, request: ChatInput, **options: Unpack[RequestOptions]) -> AsyncGenerator[ChatChunk, None]:
        """Answer in pieces; `aclose()` ends it early."""
        pieces = self.stream_async(request_of(request, options))
        return pieces if isinstance(pieces, AsyncGenerator) else _generated(pieces)

    def get_model_info(self) -> ModelInfo:
        """Name, provider, limits and capabilities; by default what the methods of the class tell of these."""
        streams = type(self).stream_async is not ChatModel.stream_async
        capabilities = ("chat", "stream") if streams else ("chat",)
        return ModelInfo(name=type(self).__name__, provider=self.provider_name, capabilities=capabilities)

    def check_health(self) -> HealthStatus:
        """A cheap check that spends no tokens."""
        return HealthStatus(status="unknown", detail=f"{type(self).__name__} has no health check")

    def check_ready(self) -> None:
        """Look whether the model could be asked now, without asking anybody; does nothing by default.

        A model of your own raises here what a request would find missing on this side: a key, an address, a file.

        Raises:
            ChatModelError: it could not; its `hint` says what to set.
        """

    async def initialize(self) -> None:
        """Get ready: called once before the first request of a run; does nothing by default."""

    async def cleanup(self) -> None:
        """Release connections; called at the latest when the process ends. The model may be used again afterwards."""

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cleanup()


async def _generated(pieces: AsyncIterator[ChatChunk]) -> AsyncGenerator[ChatChunk, None]:
    """`pieces` of a model whose streams cannot be closed, as one that can."""
    async for piece in pieces:
        yield piece
