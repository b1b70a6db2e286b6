from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading
from typing import ClassVar

import pytest

from chatmodels import (
    ChatChunk,
    ChatModel,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ConfigurationError,
    ErrorCode,
    HealthChecker,
    Message,
    MessageGenerator,
    MockChatModel,
    ModelInfoProvider,
    Runnable,
    StreamMessageHandler,
    TokenUsage,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from fmf_core.portal import run_sync


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def answer(request: ChatRequest, text: str | None = None) -> ChatResponse:
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    return ChatResponse(content=text or f"<{request.prompt}>", model="m", usage=usage)


class Blocking(ChatModel):
    def complete(self, request):
        return answer(request, threading.current_thread().name)


class Awaited(ChatModel):
    def __init__(self):
        self.active = self.most = 0

    async def complete_async(self, request):
        self.active += 1
        self.most = max(self.most, self.active)
        await asyncio.sleep(0.001)
        self.active -= 1
        return answer(request)


def test_a_class_with_neither_method_is_refused():
    with pytest.raises(TypeError, match="must define complete_async or complete"):

        class Nothing(ChatModel):
            pass


def test_a_blocking_model_can_be_awaited_without_blocking_the_loop():
    async def go():
        return await Blocking().complete_async(ChatRequest(prompt="x"))

    assert in_own_loop(go()).content != threading.current_thread().name


def test_an_awaited_model_can_block():
    assert Awaited().complete(ChatRequest(prompt="x")).content == "<x>"


def test_blocking_works_inside_a_running_loop():
    async def go():
        return Awaited().complete(ChatRequest(prompt="x")).content

    assert in_own_loop(go()) == "<x>"


def test_a_prompt_a_conversation_and_a_request_are_all_inputs():
    model = Awaited()
    assert model.invoke("a").content == "<a>"
    assert model.invoke([Message(role="user", content="b")]).content == "<b>"
    assert model.invoke(ChatRequest(prompt="c", temperature=0.1), temperature=0.0).content == "<c>"
    assert in_own_loop(model.ainvoke("d", max_tokens=5)).content == "<d>"


def test_options_go_on_top_of_a_request_and_keep_the_rest_unset():
    seen = []

    class Spy(ChatModel):
        def complete(self, request):
            seen.append(request)
            return answer(request)

    Spy().invoke(ChatRequest(prompt="x", seed=1), temperature=0.0)
    assert (seen[0].seed, seen[0].temperature) == (1, 0.0)
    assert seen[0].model_fields_set == {"prompt", "seed", "temperature"}


def test_a_batch_keeps_order_and_concurrency():
    model = Awaited()
    answers = model.batch([f"q{number}" for number in range(20)], max_concurrency=4)
    assert [a.content for a in answers] == [f"<q{number}>" for number in range(20)]
    assert model.most == 4
    assert model.batch([]) == []


def test_a_failing_batch_raises_the_failure_with_its_cause():
    class Failing(ChatModel):
        async def complete_async(self, request):
            try:
                raise OSError("socket")
            except OSError as error:
                raise ChatModelError("broken", op="f.c", code=ErrorCode.INVALID) from error

    with pytest.raises(ChatModelError, match="broken") as caught:
        Failing().batch(["a", "b"])
    assert isinstance(caught.value.__cause__, OSError)


def test_a_model_that_cannot_stream_gives_its_answer_once():
    text, end = Blocking().stream("x")
    assert text.text
    assert (text.finish_reason, text.usage) == (None, None)
    assert (end.text, end.finish_reason) == ("", "stop")
    assert end.usage is not None


def test_messages_go_in_and_come_out():
    model = Awaited()
    conversation = [Message(role="user", content="hello")]
    assert model.generate_messages(conversation, temperature=0.1) == [Message(role="assistant", content="<hello>")]
    assert "".join(chunk.text for chunk in model.stream_messages(conversation)) == "<hello>"


def test_every_model_speaks_the_small_protocols():
    for protocol in (MessageGenerator, StreamMessageHandler, ModelInfoProvider, HealthChecker, Runnable):
        assert isinstance(Awaited(), protocol)


def test_defaults_describe_the_model():
    model = Awaited()
    assert model.get_model_info().name == "Awaited"
    assert model.check_health().status == "unknown"


def test_a_model_is_an_async_context():
    events = []

    class Tracked(Awaited):
        async def initialize(self):
            events.append("initialize")

        async def cleanup(self):
            events.append("cleanup")

    async def go():
        async with Tracked() as model:
            await model.ainvoke("x")

    in_own_loop(go())
    assert events == ["initialize", "cleanup"]


KEY = "sk-proj-" + "a1B2c3D4" * 6


@pytest.mark.parametrize("copied", [pickle.dumps, lambda model: pickle.dumps([model.invoke], 0), copy.deepcopy])
@pytest.mark.parametrize(
    "made",
    [Awaited, MockChatModel, lambda: create_chat_model("openai", api_key=KEY), lambda: create_chat_model("mock")],
)
def test_a_model_belongs_to_its_process(made, copied):
    model = made()
    with pytest.raises(ConfigurationError, match="cannot be pickled") as caught:
        copied(model)
    assert "create_chat_model(...) in the worker" in caught.value.hint
    assert type(model).__name__ in caught.value.message
    assert KEY not in f"{caught.value!r} {caught.value}"


def test_a_copy_has_the_same_parts():
    class Slotted(Awaited):
        __slots__ = ("name",)

    model = Slotted()
    model.name, model.other = "n", ["o"]
    twin = copy.copy(model)
    assert (type(twin), twin.name) == (Slotted, "n")
    assert twin.other is model.other
    twin.other = []
    assert model.other == ["o"]


def test_a_model_without_connections_may_say_its_state():
    model = Portable("x")
    assert pickle.loads(pickle.dumps(model)).text == "x"
    assert copy.deepcopy(model).invoke("?").content == "x"


class Portable(ChatModel):
    def __init__(self, text):
        self.text = text

    def __getstate__(self):
        return self.__dict__

    def complete(self, request):
        return answer(request, self.text)


class TestTheDefaultModelOfAClass:
    """A bare instance fills in what its class declares."""

    @staticmethod
    def answer(request):
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model=request.model, provider="corp")
        return ChatResponse(content=request.model, model=request.model, usage=usage)

    def kinds(self):
        answer = self.answer

        class Blocking(ChatModel):
            chat_model_metadata: ClassVar = {"default_model": "corp-1"}

            def complete(self, request):
                return answer(request)

        class Awaited(ChatModel):
            chat_model_metadata: ClassVar = {"default_model": "corp-1"}

            async def complete_async(self, request):
                return answer(request)

            async def stream_async(self, request):
                yield ChatChunk(text=request.model)
                usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model=request.model, provider="corp")
                yield ChatChunk(text="", finish_reason="stop", usage=usage)

        class Undeclared(ChatModel):
            def complete(self, request):
                return answer(request)

        class Declared(Undeclared):
            chat_model_metadata: ClassVar = {"default_model": "corp-1"}

        class Renamed(Awaited):
            chat_model_metadata: ClassVar = {"default_model": "corp-2"}

        return Undeclared, {Blocking: "corp-1", Awaited: "corp-1", Declared: "corp-1", Renamed: "corp-2"}

    def ways(self, model, request):
        yield model.invoke(request).content
        yield model.complete(ChatRequest(prompt="x") if request == "x" else request).content
        yield run_sync(model.ainvoke(request)).content
        yield model.batch([request])[0].content
        yield "".join(chunk.text for chunk in model.stream(request))

    def test_it_is_filled_in(self):
        undeclared, kinds = self.kinds()
        for kind, name in kinds.items():
            assert {*self.ways(kind(), "x")} == {name}
            assert {*self.ways(kind(), ChatRequest(prompt="x", model="mine"))} == {"mine"}
        assert {*self.ways(undeclared(), "x")} == {"gpt-4o-mini"}

    def test_methods_keep_what_they_are(self):
        _, kinds = self.kinds()
        for kind in kinds:
            assert inspect.iscoroutinefunction(kind.complete_async)
            assert kind.complete.__name__ == "complete"

    def test_the_name_that_create_chat_model_was_given_counts_more(self):
        _, kinds = self.kinds()
        for number, kind in enumerate(kinds):
            register_chat_model(f"corp{number}", kind)
            try:
                assert create_chat_model(f"corp{number}", model="mine").invoke("x").content == "mine"
            finally:
                unregister_chat_model(f"corp{number}")
