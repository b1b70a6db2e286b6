from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.providers import local_engine
from chatmodels.providers.local import LocalChatModel
from chatmodels.providers.local_engine import EngineBusyError, EngineKey, engine_for, release
from chatmodels.testing import ChatModelExam
from chatmodels.types import ChatRequest, ImagePart, Message, ResponseFormat
from fmf_core.errors import Code
from fmf_core.portal import run_sync
from fmf_core.threads import available_cpus

LONG = "Write a very long story about a ship and its crew. " * 40
TURNS = (
    Message(role="user", content="Classify the sentiment as positive or negative.\nText: I love this phone."),
    Message(role="assistant", content="positive"),
    Message(role="user", content="Text: The screen broke after two days."),
)


def in_own_loop(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def asked(prompt: str = "Say hello.", **settings: Any) -> ChatRequest:
    return ChatRequest(**{"prompt": prompt, "max_tokens": 16, "temperature": 0.0, **settings})


# ------------------------------------------------------------------------------------------- without a loaded model


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMF_MODEL_DIR", str(tmp_path))
    model = LocalChatModel()
    assert model.check_health().status == "unhealthy"
    with pytest.raises(ChatModelError, match="fmf models pull smollm2-135m-instruct") as caught:
        allowed(model)
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.fields == {"provider": "local", "model": "smollm2-135m-instruct"}


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_text("hello")
    with pytest.raises(ChatModelError, match="cannot load") as caught:
        allowed(LocalChatModel(model=str(path)))
    assert caught.value.code is Code.INVALID
    assert str(path) in str(caught.value)


def test_a_path_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(ChatModelError, match="no weight file") as caught:
        allowed(LocalChatModel(model=str(tmp_path / "none.gguf")))
    assert caught.value.code is Code.NOT_FOUND


def test_images_are_refused() -> None:
    request = ChatRequest(messages=(Message(role="user", content=(ImagePart(data=b"x", media_type="image/png"),)),))
    with pytest.raises(ChatModelError, match="no images") as caught:
        allowed(LocalChatModel(), request)
    assert caught.value.code is Code.UNSUPPORTED


def allowed(model: ChatModel, request: ChatRequest | None = None) -> None:
    from chatmodels.testing import allow_model_requests

    with allow_model_requests():
        model.complete(request or asked())


def test_it_describes_itself_without_loading() -> None:
    info = LocalChatModel(context=1000).get_model_info()
    assert (info.name, info.context_tokens) == ("smollm2-135m-instruct", 1000)
    assert "json_schema" in info.capabilities


def test_it_leaves_a_processor_to_others() -> None:
    assert LocalChatModel().threads == max(1, available_cpus() - 1)
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)
    assert LocalChatModel(threads=3).threads == 3


# -------------------------------------------------------------------------------------------------------- taking turns


def test_turns_are_taken_in_order_and_across_loops() -> None:
    turns = local_engine.Turns()
    order: list[int] = []

    async def one(number: int) -> None:
        await turns.take()
        order.append(number)
        await asyncio.sleep(0)
        turns.pass_on()

    async def many(first: int) -> None:
        await asyncio.gather(*(one(first + number) for number in range(5)))

    in_own_loop(many(0))
    assert order == [0, 1, 2, 3, 4]
    run_sync(many(5))
    assert order[5:] == [5, 6, 7, 8, 9]


def test_who_is_cancelled_while_waiting_holds_up_nobody() -> None:
    turns = local_engine.Turns()

    async def go() -> None:
        await turns.take()
        first, second = (asyncio.ensure_future(turns.take()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        turns.pass_on()
        await asyncio.wait_for(second, 2)
        # Cancelled in the moment in which the turn came: it goes on to the next.
        third, fourth = (asyncio.ensure_future(turns.take()) for _ in range(2))
        await asyncio.sleep(0)
        turns.pass_on()
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        await asyncio.wait_for(fourth, 2)

    in_own_loop(go())


def test_a_loop_that_ended_while_waiting_is_passed_over() -> None:
    turns = local_engine.Turns()

    async def go() -> None:
        await turns.take()

    gone = asyncio.new_event_loop()
    gone.run_until_complete(go())
    waiting = gone.create_task(go())
    gone.run_until_complete(asyncio.sleep(0))
    gone.close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    turns.pass_on()
    in_own_loop(asyncio.wait_for(go(), 2))
    waiting.get_coro().close()


def test_more_than_enough_waiting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "MOST_WAITING", 1)
    turns = local_engine.Turns()

    async def go() -> None:
        await turns.take()
        waiting = asyncio.ensure_future(turns.take())
        await asyncio.sleep(0)
        with pytest.raises(EngineBusyError):
            await turns.take()
        turns.pass_on()
        await waiting

    in_own_loop(go())


# ---------------------------------------------------------------------------------------------------- the real model


@pytest.mark.model
class TestExam(ChatModelExam):
    threads = 3

    @pytest.fixture(autouse=True)
    def _weights(self, embedded_weights: Path) -> None:
        self.weights = embedded_weights

    def make_model(self) -> ChatModel:
        return LocalChatModel(context=2048)

    def make_failing_model(self) -> ChatModel:
        return LocalChatModel(model="/nowhere/none.gguf")


@pytest.fixture
def model(embedded_weights: Path) -> LocalChatModel:
    return LocalChatModel(model=str(embedded_weights), context=2048)


@pytest.mark.model
def test_few_shot_turns_guide_the_answer(model: LocalChatModel) -> None:
    response = model.complete(ChatRequest(messages=TURNS, temperature=0.0, max_tokens=8))
    assert response.content == "negative"
    assert response.finish_reason == "stop"
    assert response.usage.provider == "local"
    assert response.model == str(model.model)
    assert response.usage.prompt_tokens > 50


@pytest.mark.model
def test_a_schema_holds(model: LocalChatModel) -> None:
    schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
    wanted = ResponseFormat(type="json_schema", json_schema={**schema, "additionalProperties": False})
    response = model.complete(asked("The food was cold.", response_format=wanted, max_tokens=30))
    assert "".join(response.content.split()) in ('{"mood":"good"}', '{"mood":"bad"}')
    nonsense = ResponseFormat(type="json_schema", json_schema={"type": "nonsense"})
    with pytest.raises(ChatModelError, match="schema") as caught:
        model.complete(asked(response_format=nonsense))
    assert caught.value.code is Code.INVALID


@pytest.mark.model
def test_the_same_request_has_the_same_answer_whatever_came_before(model: LocalChatModel) -> None:
    requests = [asked(f"{'You are careful. ' * 10}Describe {thing}.") for thing in ("a ship", "the sea", "a cook")]
    first = [model.complete(request).content for request in requests]
    again = {number: model.complete(requests[number]).content for number in (2, 0, 0, 1, 2)}
    assert [again[number] for number in range(3)] == first
    streamed = "".join(chunk.text for chunk in model.stream(requests[1]))
    assert streamed == first[1]


@pytest.mark.model
def test_seed_stop_and_limit(model: LocalChatModel) -> None:
    warm = {"prompt": "Tell a story.", "temperature": 1.5}
    one, same, other = (model.complete(asked(**warm, seed=seed)).content for seed in (1, 1, 2))
    assert one == same != other
    cut = model.complete(asked("Count: one, two, three.", max_tokens=3))
    assert (cut.finish_reason, cut.usage.completion_tokens) == ("length", 3)
    whole = model.complete(asked("Tell a story.")).content
    assert whole[5] not in model.complete(asked("Tell a story.", stop=whole[5])).content


@pytest.mark.model
def test_a_prompt_longer_than_the_context_names_both_numbers(model: LocalChatModel) -> None:
    with pytest.raises(ChatModelError, match="2048") as caught:
        model.complete(asked("word " * 2500))
    assert caught.value.code is Code.INVALID
    assert caught.value.fields["context_tokens"] == 2048
    assert caught.value.fields["prompt_tokens"] > 2500
    for setting in ("inference.local.context", "inputs.mode: chunks", "processing.text.chunking.max_tokens"):
        assert setting in str(caught.value.hint)


@pytest.mark.model
def test_time_is_limited_while_reading_and_while_writing(model: LocalChatModel) -> None:
    model.complete(asked())
    hurried = LocalChatModel(model=model.model, context=2048, timeout_s=0.3)
    for prompt in (LONG, "Write a very long story."):
        started = time.monotonic()
        with pytest.raises(ChatModelError, match=r"0\.3 s") as caught:
            hurried.complete(asked(prompt, max_tokens=1500))
        assert caught.value.code is Code.TIMEOUT
        assert time.monotonic() - started < 2
    assert_free_soon(model)


@pytest.mark.model
def test_a_cancelled_call_stops_the_engine(model: LocalChatModel) -> None:
    async def go() -> None:
        for prompt in (LONG, "Write a very long story."):
            call = asyncio.create_task(model.complete_async(asked(prompt, max_tokens=1500)))
            await asyncio.sleep(0.3)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    model.complete(asked())
    in_own_loop(go())
    assert_free_soon(model)


@pytest.mark.model
def test_a_stream_left_early_stops_the_engine(model: LocalChatModel) -> None:
    stream = model.stream(asked("Write a very long story.", max_tokens=1500))
    assert next(stream).text
    stream.close()  # type: ignore[attr-defined]
    assert_free_soon(model)


def assert_free_soon(model: LocalChatModel) -> None:
    started = time.monotonic()
    model.complete(asked(max_tokens=1))
    # 1500 tokens would take ten times as long.
    assert time.monotonic() - started < 4


@pytest.mark.model
def test_waiting_does_not_count_as_time(model: LocalChatModel) -> None:
    story = asked("Write a story.", max_tokens=60)
    began = time.monotonic()
    alone = model.complete(story).content
    # Five of them take longer than the limit, and each of them takes less, however busy the machine is.
    limit_s = max(3.0, 4 * (time.monotonic() - began))
    patient = LocalChatModel(model=model.model, context=2048, timeout_s=limit_s)

    async def go() -> list[str]:
        answers = await asyncio.gather(*(patient.complete_async(story) for _ in range(5)))
        return [answer.content for answer in answers]

    assert set(in_own_loop(go())) == {alone}


@pytest.mark.model
def test_models_share_an_engine_until_the_last_one_lets_go(embedded_weights: Path) -> None:
    key = EngineKey(embedded_weights.resolve(), 512, 1)
    first, second = object.__new__(LocalChatModel), object.__new__(LocalChatModel)
    engine = engine_for(key, first)
    assert engine_for(key, second) is engine
    release(first)
    assert engine_for(key, second) is engine
    release(second)
    assert engine_for(key, first) is not engine
    release(first)


@pytest.mark.model
def test_the_door_of_the_engine_is_closed(embedded_weights: Path) -> None:
    user = object.__new__(LocalChatModel)
    engine = engine_for(EngineKey(embedded_weights.resolve(), 512, 1), user)
    address = engine._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    for path in ("/v1/chat/completions", "/completion", "/props", "/slots", "/v1/models"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + path)
        assert caught.value.code in {401, 404}
        caught.value.close()
    release(user)


# ------------------------------------------------------------------------------------------------- whole processes


def program(weights: Path, body: str) -> list[str]:
    head = f"from chatmodels.providers.local import LocalChatModel\nmodel = LocalChatModel(model={str(weights)!r})\n"
    return [sys.executable, "-W", "error", "-c", head + textwrap.dedent(body)]


@pytest.mark.model
def test_nothing_is_printed_and_the_process_ends(embedded_weights: Path) -> None:
    ran = subprocess.run(
        program(embedded_weights, "model.invoke('hi', max_tokens=3)"), capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


@pytest.mark.model
def test_the_process_ends_while_the_engine_works(embedded_weights: Path) -> None:
    body = """
        import threading, time
        story = lambda: model.invoke("Write a very long story.", max_tokens=3000)
        threading.Thread(target=story, daemon=True).start()
        time.sleep(1.5)
        """
    started = time.monotonic()
    ran = subprocess.run(program(embedded_weights, body), capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert time.monotonic() - started < 15


@pytest.mark.model
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_generation(embedded_weights: Path) -> None:
    body = """
        model.invoke("hi", max_tokens=1)
        print("ready", flush=True)
        try:
            model.invoke("Write a very long story. " * 60, max_tokens=3000)
        except KeyboardInterrupt:
            print("stopped", flush=True)
        """
    with subprocess.Popen(
        program(embedded_weights, body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)
    assert time.monotonic() - started < 5


CLEANED_UP_AND_INTERRUPTED = """
    import asyncio, sys, time
    from chatmodels.providers import local_engine
    from chatmodels.types import ChatRequest
    from fmf_core.portal import run_sync

    if len(sys.argv) > 1:
        local_engine.EXIT_WAIT_S = float(sys.argv[1])
    request = ChatRequest(prompt="Write a very long story. " * 300, max_tokens=2000)

    class LateEnd:
        # The interpreter takes its time with its end, so that a thread that is still in the engine comes out meanwhile.
        def __del__(self, sleep=time.sleep):
            sleep(1.5)

    async def ask():
        try:
            await asyncio.gather(model.complete_async(request), model.complete_async(request))
        finally:
            await model.cleanup()

    model.invoke("hi", max_tokens=1)
    late_end = LateEnd()
    print("ready", flush=True)
    try:
        run_sync(ask())
    except KeyboardInterrupt:
        print("stopped", flush=True)
        sys.exit(130)
    """
"""Argument: `EXIT_WAIT_S`."""


def interrupted(arguments: list[str], after_s: float) -> tuple[str, str, int]:
    """What a program prints to stdout and stderr, and its status, if Ctrl-C comes so long after it is ready."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    return out, err, process.returncode


@pytest.mark.model
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("after_s", [0.4, 0.5, 0.6, 0.7, 0.8])
def test_a_busy_engine_that_was_released_does_not_abort_the_end(embedded_weights: Path, after_s: float) -> None:
    arguments = program(embedded_weights, CLEANED_UP_AND_INTERRUPTED)
    assert interrupted(arguments, after_s) == ("stopped\n", "", 130)


@pytest.mark.model
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_engine_that_does_not_stop_in_time_keeps_the_exit_status(embedded_weights: Path) -> None:
    arguments = [*program(embedded_weights, CLEANED_UP_AND_INTERRUPTED), "0"]
    assert interrupted(arguments, 0.5) == ("stopped\n", "", 130)


@pytest.mark.model
def test_what_is_said_after_the_engine_was_waited_for_is_heard(embedded_weights: Path) -> None:
    body = """
        import os, sys, threading, time

        class Last:
            def __del__(self, write=os.write):
                write(2, b"last words")

        sys.last_words = Last()
        story = lambda: model.invoke("Write a very long story. " * 300, max_tokens=2000)
        model.invoke("hi", max_tokens=1)
        threading.Thread(target=story, daemon=True).start()
        time.sleep(0.5)
        """
    ran = subprocess.run(program(embedded_weights, body), capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"last words")


@pytest.mark.model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_loads_an_engine_of_its_own(embedded_weights: Path) -> None:
    body = """
        import os, sys
        ask = lambda: model.invoke("hi", max_tokens=3, temperature=0.0).content
        before = ask()
        child = os.fork()
        if child == 0:
            sys.exit(0 if ask() == before else 3)
        _, status = os.waitpid(child, 0)
        assert ask() == before
        sys.exit(os.waitstatus_to_exitcode(status))
        """
    ran = subprocess.run(program(embedded_weights, body), capture_output=True, timeout=90, check=False, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
