"""Tools for tests with chat models: the exam that every provider sits, and a ban on requests to real models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from chatmodels.errors import ChatModelError
from chatmodels.guard import switched
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, Message, ModelInfo, ToolCall
from fmf_core.errors import Code
from fmf_core.portal import iterate_sync, run_sync


@contextmanager
def forbid_model_requests() -> Iterator[None]:
    """Make every request of a real provider fail inside the block, in every thread; mock and replay go on answering.

    Raises:
        ChatModelError: with `Code.UNSUPPORTED`, raised by the provider that was about to make the request.
    """
    with switched(allowed=False):
        yield


@contextmanager
def allow_model_requests() -> Iterator[None]:
    """Lift the ban of an outer `forbid_model_requests()` inside the block."""
    with switched(allowed=True):
        yield


class ChatModelExam:
    """What every chat model must do; a test class that subclasses it and gives `make_model` sits the exam under pytest.

        class TestMyModel(ChatModelExam):
            def make_model(self):
                return MyModel(base_url=...)

    The model is asked for a few short texts; any non-empty answer will do.
    """

    model: ClassVar[str | None] = None
    """The model name that requests carry; `None` leaves the default."""
    roles: ClassVar[tuple[str, ...]] = ("system", "user", "assistant", "tool")
    """The roles that the model understands."""
    threads: ClassVar[int] = 8
    """How many threads ask at once."""

    def make_model(self) -> ChatModel:
        """The model that sits the exam; called for every test."""
        raise AssertionError(f"{type(self).__name__} must define make_model()")

    def make_failing_model(self) -> ChatModel | None:
        """A model of the same kind whose calls fail, such as one with a wrong key; `None` leaves that test out."""
        return None

    def ask(self, prompt: str = "Say hello.", **settings: Any) -> ChatRequest:
        """A request for a short answer."""
        named = {"model": self.model} if self.model else {}
        return ChatRequest(**{"prompt": prompt, "max_tokens": 32, "temperature": 0.0, **named, **settings})

    def test_blocking_and_awaited_answers_have_one_shape(self) -> None:
        """`complete` and `complete_async` both give a whole `ChatResponse`."""
        with self._made() as model:
            for response in (model.complete(self.ask()), run_sync(model.complete_async(self.ask()))):
                _check_response(response)

    def test_usage_adds_up(self) -> None:
        """Tokens are counted, and their total is the sum."""
        with self._made() as model:
            usage = model.complete(self.ask()).usage
        _expect(usage.prompt_tokens > 0, f"no prompt tokens were counted: {usage}")
        _expect(usage.completion_tokens > 0, f"no completion tokens were counted: {usage}")
        _expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, f"the total is wrong: {usage}")
        twice = usage + usage
        _expect(twice.total_tokens == 2 * usage.total_tokens, f"the sum is wrong: {twice}")

    def test_a_stream_joins_to_a_text_and_ends_with_reason_and_usage(self) -> None:
        """Blocking and awaited streams give text, and only their last piece carries finish reason and usage."""
        with self._made() as model:
            blocking = list(model.stream(self.ask()))
            awaited = list(iterate_sync(model.astream(self.ask())))
        for chunks in (blocking, awaited):
            _check_chunks(chunks)

    def test_a_stream_may_be_left_early(self) -> None:
        """After the first piece the caller may go, and the model answers the next request."""
        with self._made() as model:
            stream = model.stream(self.ask("Count to twenty."))
            next(stream)
            stream.close()  # type: ignore[attr-defined]
            _check_response(model.complete(self.ask()))

    def test_every_role_is_understood(self) -> None:
        """A conversation with a turn of each role is answered."""
        with self._made() as model:
            messages = tuple(message for message in _conversation() if message.role in self.roles)
            _check_response(model.complete(self.ask(prompt="", messages=messages)))

    def test_settings_of_none_are_left_out(self) -> None:
        """`None` leaves the choice to the model."""
        with self._made() as model:
            _check_response(model.complete(self.ask(temperature=None, seed=None)))

    def test_failures_are_chat_model_errors(self) -> None:
        """A failure says where it happened and what to do, blocking, awaited and streamed."""
        model = self.make_failing_model()
        if model is None:
            return
        calls: tuple[Callable[[], Any], ...] = (
            lambda: model.complete(self.ask()),
            lambda: run_sync(model.complete_async(self.ask())),
            lambda: list(model.stream(self.ask())),
        )
        for call in calls:
            _check_failure(call)
        run_sync(model.cleanup())

    def test_cleanup_may_be_repeated(self) -> None:
        """`cleanup` works before any request, twice, and the model can be used afterwards."""
        model = self.make_model()
        run_sync(model.cleanup())
        run_sync(model.initialize())
        _check_response(model.complete(self.ask()))
        run_sync(model.cleanup())
        run_sync(model.cleanup())
        _check_response(model.complete(self.ask()))
        run_sync(model.cleanup())

    def test_it_describes_itself(self) -> None:
        """Information and health are of their types, and the provider has a name."""
        with self._made() as model:
            info = model.get_model_info()
            _expect(isinstance(info, ModelInfo), f"get_model_info returned {info!r}")
            _expect(bool(info.name and info.provider), f"name and provider must be told: {info!r}")
            health = model.check_health()
            _expect(isinstance(health, HealthStatus), f"check_health returned {health!r}")
            _expect(model.provider_name != "unknown", "provider_name must be set")

    def test_threads_share_one_model(self) -> None:
        """Many threads may ask at once."""
        outcomes: list[object] = []
        with self._made() as model:

            def ask() -> None:
                try:
                    outcomes.append(model.complete(self.ask()))
                except Exception as error:  # noqa: BLE001 - it is reported by the thread that waits
                    outcomes.append(error)

            threads = [threading.Thread(target=ask) for _ in range(self.threads)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        _expect(len(outcomes) == self.threads, "a thread did not come back")
        for outcome in outcomes:
            _check_response(outcome)

    def _made(self) -> AbstractContextManager[ChatModel]:
        return _cleaned(self.make_model())


@contextmanager
def _cleaned(model: ChatModel) -> Iterator[ChatModel]:
    try:
        yield model
    finally:
        run_sync(model.cleanup())


def _conversation() -> Sequence[Message]:
    call = ToolCall(id="call_1", name="clock", arguments={"zone": "UTC"})
    return (
        Message(role="system", content="You answer in one short sentence."),
        Message(role="user", content="Hello."),
        Message(role="assistant", content="Hello, how can I help?"),
        Message(role="user", content="What time is it?"),
        *(
            [
                Message(role="assistant", tool_calls=(call,)),
                Message(role="tool", content="12:00", tool_call_id="call_1"),
            ]
        ),
        Message(role="user", content="Thank you. And is that before or after lunch?"),
    )


def _check_response(response: object) -> None:
    if not isinstance(response, ChatResponse):
        raise AssertionError(f"expected a ChatResponse, got {response!r}") from (  # noqa: TRY004 - an exam's verdict
            response if isinstance(response, BaseException) else None
        )
    _expect(bool(response.content or response.tool_calls), f"the answer is empty: {response!r}")
    _expect(bool(response.model and response.finish_reason), f"model or finish reason is missing: {response!r}")
    _expect(response.message.role == "assistant", f"the answer is no turn of the assistant: {response!r}")


def _check_chunks(chunks: Sequence[ChatChunk]) -> None:
    _expect(bool(chunks), "the stream is empty")
    _expect(all(isinstance(chunk, ChatChunk) for chunk in chunks), f"not all pieces are ChatChunks: {chunks!r}")
    _expect(bool("".join(chunk.text for chunk in chunks)), "the pieces join to an empty text")
    last = chunks[-1]
    _expect(last.finish_reason is not None, f"the last piece has no finish reason: {last!r}")
    _expect(last.usage is not None, f"the last piece has no usage: {last!r}")
    early = [chunk for chunk in chunks[:-1] if chunk.finish_reason is not None or chunk.usage is not None]
    _expect(not early, f"pieces before the last one carry finish reason or usage: {early!r}")


def _check_failure(call: Callable[[], Any]) -> None:
    try:
        answer = call()
    except ChatModelError as error:
        _expect(bool(error.op), f"the error does not say where it happened: {error!r}")
        _expect(isinstance(error.code, Code), f"the error has no code: {error!r}")
        _expect(bool(error.message), "the error has no message")
    else:
        raise AssertionError(f"the failing model answered: {answer!r}")


def _expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise AssertionError(complaint)
