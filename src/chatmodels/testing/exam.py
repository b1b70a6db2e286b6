"""The exam that every chat model sits: whole, in pieces, with tools, JSON and pictures, failing, late and cancelled."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from chatmodels.iface import ChatModel
from chatmodels.testing.exam_checks import (
    CONVERSATION,
    PICTURE,
    SCHEMA,
    TOOL,
    check_chunks,
    check_error,
    check_pickling,
    check_response,
    expect,
    failure_of,
)
from chatmodels.testing.forbidding import forbid_model_requests
from chatmodels.types import (
    ChatChunk,
    ChatRequest,
    HealthStatus,
    ImagePart,
    Message,
    ModelInfo,
    ResponseFormat,
    TextPart,
)
from fmf_core.errors import Code
from fmf_core.portal import iterate_sync, run_sync


class ChatModelExam:
    """What every chat model must do; a test class that subclasses it and gives `make_model` sits the exam under pytest.

        class TestMyModel(ChatModelExam):
            def make_model(self):
                return MyModel(base_url=...)

    The model is asked for a few short texts; any non-empty answer will do. What needs an ability (tools, JSON,
    pictures) is asked of models that say they have it; what needs a model that fails or hangs, where there is one.
    """

    model: ClassVar[str | None] = None
    """The model name that requests carry; `None` leaves the default."""
    roles: ClassVar[tuple[str, ...]] = ("system", "user", "assistant", "tool")
    """The roles that the model understands."""
    threads: ClassVar[int] = 8
    """How many threads ask at once."""
    capabilities: ClassVar[Sequence[str] | None] = None
    """What is asked of the model; `None` means what `get_model_info()` says."""
    secrets: ClassVar[Sequence[str]] = ()
    """The keys that the models of this exam are made with; they must appear in no text."""
    patience_s: ClassVar[float] = 30.0
    """Seconds after which something that should have ended counts as hanging."""

    def make_model(self) -> ChatModel:
        """The model that sits the exam; called for every test."""
        raise AssertionError(f"{type(self).__name__} must define make_model()")

    def make_failing_model(self) -> ChatModel | None:
        """A model of the same kind whose calls fail, such as one with a wrong key; `None` leaves that test out."""
        return None

    def make_models_failing_with(self) -> dict[Code, ChatModel]:
        """Models of the same kind whose calls fail, by the code that the errors must have."""
        return {}

    def make_slow_model(self) -> ChatModel | None:
        """A model of the same kind that never answers, with a time limit of a second or less; `None`: left out."""
        return None

    def make_hanging_model(self) -> ChatModel | None:
        """A model of the same kind that never answers and has no time limit; `None`: a working one is cancelled."""
        return None

    def ask(self, prompt: str = "Say hello.", **settings: Any) -> ChatRequest:
        """A request for a short answer."""
        named = {"model": self.model} if self.model else {}
        return ChatRequest(**{"prompt": prompt, "max_tokens": 32, "temperature": 0.0, **named, **settings})

    def test_blocking_and_awaited_answers_have_one_shape(self) -> None:
        """`complete` and `complete_async` both give a whole `ChatResponse`."""
        with self._made() as model:
            for response in (model.complete(self.ask()), run_sync(model.complete_async(self.ask()))):
                check_response(response)

    def test_usage_adds_up(self) -> None:
        """Tokens are counted, and their total is the sum."""
        with self._made() as model:
            usage = model.complete(self.ask()).usage
            streamed = list(model.stream(self.ask()))[-1].usage
        for counted in (usage, streamed):
            expect(counted is not None and counted.prompt_tokens > 0, f"no prompt tokens were counted: {counted}")
            expect(counted is not None and counted.completion_tokens > 0, f"no answer's tokens were counted: {counted}")
        expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, f"the total is wrong: {usage}")
        twice = usage + usage
        expect(twice.total_tokens == 2 * usage.total_tokens, f"the sum is wrong: {twice}")

    def test_a_stream_joins_to_a_text_and_ends_with_reason_and_usage(self) -> None:
        """Blocking and awaited streams give text, and only their last piece carries finish reason and usage."""
        with self._made() as model:
            blocking = list(model.stream(self.ask()))
            awaited = list(iterate_sync(model.astream(self.ask())))
        for chunks in (blocking, awaited):
            check_chunks(chunks)

    def test_a_stream_may_be_left_early(self) -> None:
        """After the first piece the caller may go, and the model answers the next request."""
        with self._made() as model:
            stream = model.stream(self.ask("Count to twenty."))
            next(stream)
            stream.close()
            check_response(model.complete(self.ask()))
            run_sync(self._leave_early(model))

    def test_every_role_is_understood(self) -> None:
        """A conversation with a turn of each role is answered."""
        with self._made() as model:
            messages = tuple(message for message in CONVERSATION if message.role in self.roles)
            check_response(model.complete(self.ask(prompt="", messages=messages)))

    def test_settings_of_none_are_left_out(self) -> None:
        """`None` leaves the choice to the model."""
        with self._made() as model:
            check_response(model.complete(self.ask(temperature=None, seed=None)))

    def test_a_batch_is_answered_in_full(self) -> None:
        """Several requests at once are all answered."""
        with self._made() as model:
            answers = model.batch([self.ask() for _ in range(3)], max_concurrency=2)
        expect(len(answers) == 3, f"3 requests got {len(answers)} answers")
        for answer in answers:
            check_response(answer)

    def test_tools_are_called_when_they_can_be(self) -> None:
        """A model with `tools` calls the one that it must, whole and streamed."""
        with self._able("tools") as model:
            if model is None:
                return
            request = self.ask("What time is it in Ulm?", tools=(TOOL,), tool_choice="required", max_tokens=128)
            response = model.complete(request)
            chunks = list(model.stream(request))
        streamed = tuple(call for chunk in chunks for call in chunk.tool_calls)
        for calls in (response.tool_calls, streamed):
            expect(bool(calls), f"no tool was called: {response!r}, {chunks!r}")
            expect({call.name for call in calls} == {TOOL.name}, f"another tool was called: {calls!r}")
            expect(all(call.id for call in calls), f"a call has no id: {calls!r}")

    def test_json_is_json_when_it_can_be(self) -> None:
        """A model with `json` or `json_schema` answers in that form."""
        formats = {
            "json": ResponseFormat(type="json_object"),
            "json_schema": ResponseFormat(type="json_schema", json_schema=SCHEMA),
        }
        for ability, wanted in formats.items():
            with self._able(ability) as model:
                if model is None:
                    continue
                request = self.ask("Name a colour, as a JSON object.", response_format=wanted, max_tokens=128)
                content = model.complete(request).content
            try:
                value = json.loads(content)
            except ValueError as error:
                raise AssertionError(f"the answer to {ability} is no JSON: {content!r}") from error
            expect(isinstance(value, dict), f"the answer to {ability} is no object: {content!r}")
            if ability == "json_schema":
                expect(isinstance(value.get("colour"), str), f"the answer does not fit the schema: {content!r}")

    def test_pictures_are_seen_when_they_can_be(self) -> None:
        """A model with `images` takes a picture beside a text."""
        with self._able("images") as model:
            if model is None:
                return
            parts = (TextPart(text="What do you see?"), ImagePart(data=PICTURE, media_type="image/png"))
            check_response(model.complete(self.ask(prompt="", messages=(Message(role="user", content=parts),))))

    def test_failures_are_chat_model_errors(self) -> None:
        """A failure says where it happened and what to do, blocking, awaited and streamed, and can be pickled."""
        model = self.make_failing_model()
        if model is None:
            return
        for call in self._every_way(model):
            error = failure_of(call)
            check_error(error)
            check_pickling(error)
            self._check_secrets(str(error), repr(error), repr(error.fields), repr(error.__dict__))
        run_sync(model.cleanup())

    def test_failures_have_the_fitting_code(self) -> None:
        """Each kind of failure has its code, blocking, awaited and streamed."""
        for code, model in self.make_models_failing_with().items():
            for call in self._every_way(model):
                error = failure_of(call)
                check_error(error)
                expect(error.code is code, f"expected the code {code.value!r}, got {error!r}")
            run_sync(model.cleanup())

    def test_time_limits_are_kept(self) -> None:
        """A model that never answers fails with `Code.TIMEOUT`, blocking, awaited and streamed."""
        model = self.make_slow_model()
        if model is None:
            return
        for call in self._every_way(model):
            error = failure_of(lambda call=call: self._in_time(call))  # type: ignore[misc]
            expect(error.code is Code.TIMEOUT, f"expected the code 'timeout', got {error!r}")
        run_sync(model.cleanup())

    def test_a_cancelled_call_leaves_nothing(self) -> None:
        """A call that is cancelled ends at once and leaves no task behind; a working model answers the next one."""
        hanging = self.make_hanging_model()
        with _cleaned(self.make_model() if hanging is None else hanging) as model:
            run_sync(self._cancel(model.complete_async(self.ask())))
            run_sync(self._cancel(_drain(model.stream_async(self.ask()))))
            if hanging is None:
                check_response(model.complete(self.ask()))

    def test_no_text_shows_a_key(self) -> None:
        """Neither the model's own text nor its information holds one of `secrets`."""
        with self._made() as model:
            self._check_secrets(repr(model), str(model), repr(model.get_model_info()), repr(model.check_health()))

    def test_forbidden_requests_are_not_made(self) -> None:
        """While requests are forbidden, a model that runs elsewhere refuses to ask."""
        model = self.make_model()
        if model.in_process:
            return
        with forbid_model_requests():
            for call in self._every_way(model):
                error = failure_of(call)
                expect(error.code is Code.UNSUPPORTED, f"expected the refusal of a forbidden request, got {error!r}")
        run_sync(model.cleanup())

    def test_cleanup_may_be_repeated(self) -> None:
        """`cleanup` works before any request, twice, and the model can be used afterwards."""
        model = self.make_model()
        run_sync(model.cleanup())
        run_sync(model.initialize())
        check_response(model.complete(self.ask()))
        run_sync(model.cleanup())
        run_sync(model.cleanup())
        check_response(model.complete(self.ask()))
        run_sync(model.cleanup())

    def test_it_describes_itself(self) -> None:
        """Information and health are of their types, and the provider has a name."""
        with self._made() as model:
            info = model.get_model_info()
            expect(isinstance(info, ModelInfo), f"get_model_info returned {info!r}")
            expect(bool(info.name and info.provider), f"name and provider must be told: {info!r}")
            health = model.check_health()
            expect(isinstance(health, HealthStatus), f"check_health returned {health!r}")
            expect(model.provider_name != "unknown", "provider_name must be set")

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
        expect(len(outcomes) == self.threads, "a thread did not come back")
        for outcome in outcomes:
            check_response(outcome)

    def _made(self) -> AbstractContextManager[ChatModel]:
        return _cleaned(self.make_model())

    @contextmanager
    def _able(self, ability: str) -> Iterator[ChatModel | None]:
        """The model when it can do what is asked; otherwise `None`."""
        with self._made() as model:
            able = model.get_model_info().capabilities if self.capabilities is None else self.capabilities
            yield model if ability in able else None

    def _every_way(self, model: ChatModel) -> tuple[Callable[[], Any], ...]:
        return (
            lambda: model.complete(self.ask()),
            lambda: run_sync(model.complete_async(self.ask())),
            lambda: list(model.stream(self.ask())),
            lambda: list(iterate_sync(model.astream(self.ask()))),
        )

    def _in_time(self, call: Callable[[], Any]) -> Any:
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append((call(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised by the thread that waits
                outcome.append((None, error))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(self.patience_s)
        expect(bool(outcome), f"the call still hangs after {self.patience_s:g} s")
        answer, error = outcome[0]
        if error is not None:
            raise error
        return answer

    async def _leave_early(self, model: ChatModel) -> None:
        before = asyncio.all_tasks()
        stream = model.astream(self.ask("Count to twenty."))
        await anext(stream)
        await stream.aclose()
        await self._settled(before)
        check_response(await model.complete_async(self.ask()))

    async def _cancel(self, work: Any) -> None:
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0.01)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=self.patience_s)
        expect(bool(done), f"a cancelled call still runs after {self.patience_s:g} s")
        if not task.cancelled() and task.exception() is not None:
            raise AssertionError("a cancelled call failed with something else") from task.exception()
        await self._settled(before)

    async def _settled(self, before: set[asyncio.Task[Any]]) -> None:
        """Wait until no task is left that was not there `before`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience_s
        while left := [task for task in asyncio.all_tasks() - before if not task.done()]:
            expect(loop.time() < end, f"tasks were left behind: {left!r}")
            await asyncio.sleep(0.01)

    def _check_secrets(self, *texts: str) -> None:
        for text in texts:
            shown = [number for number, secret in enumerate(self.secrets) if secret in text]
            expect(not shown, f"secrets[{shown[0] if shown else 0}] appears in a text of the model")


@contextmanager
def _cleaned(model: ChatModel) -> Iterator[ChatModel]:
    try:
        yield model
    finally:
        run_sync(model.cleanup())


async def _drain(stream: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    return [chunk async for chunk in stream]
