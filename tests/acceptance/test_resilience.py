from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from acceptance.outside import Project, chain_yaml, fmf_yaml
from chatmodels import ChatModel, ChatModelError, ChatRequest, create_chat_model
from fmf_core.portal import run_sync
from peers.raw_server import Peer, RawServer, chunked
from peers.scripted_server import Reply, ScriptedServer

BUSY = Reply(status=429, headers={"Retry-After": "0.2"})
RETRY = {"max_attempts": 3, "first_wait_s": 0.01}
ASK = ChatRequest(prompt="hello")


def chained(project: Project, server: ScriptedServer, **inference: Any) -> None:
    step = {"id": "ask", "prompt": "inline: Read ${chunk.text}", "output": "answer"}
    project.write({"fmf.yaml": fmf_yaml(server.base_url, inference={"retry": RETRY, **inference})})
    project.write({"chain.yaml": chain_yaml(step), "data/a.md": "a"})


@pytest.fixture(params=["lean", "sdk"])
def model_of(request: pytest.FixtureRequest, scripted_server: ScriptedServer) -> Iterator[Callable[..., ChatModel]]:
    """Makes models over the transport of the house, or over a client of the caller's own, whose retries are on."""
    with ExitStack() as stack:

        def make(**settings: Any) -> ChatModel:
            filling: dict[str, Any] = {"base_url": scripted_server.base_url}
            if request.param == "sdk":
                client = openai.AsyncOpenAI(base_url=scripted_server.base_url, api_key="none", max_retries=5)
                stack.callback(lambda: run_sync(client.close()))
                filling = {"client": client}
            return create_chat_model("openai", model="m", **{"timeout_s": 20.0, **filling, **settings})

        yield make


# ------------------------------------------------------------------------------------------------- through a chain


@pytest.mark.behaviour(28)
def test_a_busy_server_is_asked_again_when_it_says(project, scripted_server):
    """Behaviour 28: 429 with Retry-After twice, then 200: one output, waited, two retries in run.yaml."""
    chained(project, scripted_server)
    scripted_server.add(BUSY, BUSY, "done")
    run = project.fmf("run", "--chain", "chain.yaml").well().run
    [output] = run.outputs
    assert (output["output"], output["attempts"]) == ("done", 3)
    assert run.record["metrics"]["retries"] == 2
    first, second, third = scripted_server.starts
    assert second - first >= 0.2
    assert third - second >= 0.2


@pytest.mark.behaviour(28)
def test_a_refused_request_is_not_repeated(project, scripted_server):
    """Behaviour 28: 400 is not retried and ends with the exit status of inference."""
    chained(project, scripted_server)
    scripted_server.add(Reply(status=400))
    said = project.fmf("run", "--chain", "chain.yaml")
    assert said.exit_code == 6
    assert scripted_server.count == 1


@pytest.mark.behaviour(28)
def test_a_server_that_never_answers(project, scripted_server):
    """Behaviour 28: each request times out within the configured time, is repeated, and the end is clear."""
    chained(project, scripted_server, timeout_s=0.3)
    scripted_server.add(*[Reply(hang=True)] * 3)
    said = project.fmf("run", "--chain", "chain.yaml")
    assert said.exit_code == 6
    assert scripted_server.count == 3
    starts = scripted_server.starts
    assert all(0.3 <= later - earlier < 10 for earlier, later in itertools.pairwise(starts))
    [error] = said.run.errors
    assert (error["code"], error["attempts"]) == ("timeout", 3)
    assert "0.3 s" in error["message"]
    assert error["hint"]


# --------------------------------------------------------------------------------------------------- one chat model


@pytest.mark.behaviour(61)
@pytest.mark.parametrize("budget", [1, 2, 5])
def test_a_budget_of_attempts_is_that_many_requests(
    scripted_server: ScriptedServer, model_of: Callable[..., ChatModel], budget: int
) -> None:
    """Behaviour 61: N attempts are exactly N requests, and the error says how many, and who, where and why."""
    scripted_server.add(*[Reply(status=503)] * 20)
    model = model_of(retry={"max_attempts": budget, "first_wait_s": 0.01})
    with pytest.raises(ChatModelError) as caught:
        model.invoke("hello")
    error = caught.value
    assert scripted_server.count == budget
    assert (error.op, error.code, error.fields["attempts"]) == ("openai.complete", "unavailable", budget)
    assert (error.fields["provider"], error.fields["model"]) == ("openai", "m")
    assert (f"after {budget} attempts" in str(error)) == (budget > 1)
    assert error.__cause__ is not None


@pytest.mark.behaviour(61)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_waiting_cannot_mend_is_asked_once(
    scripted_server: ScriptedServer, model_of: Callable[..., ChatModel], status: int
) -> None:
    """Behaviour 61: 400, 401 and 403 are tried once."""
    scripted_server.add(*[Reply(status=status)] * 5)
    with pytest.raises(ChatModelError) as caught:
        model_of(retry=RETRY).invoke("hello")
    assert (scripted_server.count, caught.value.fields["attempts"]) == (1, 1)


@pytest.mark.behaviour(61)
def test_the_wait_is_the_one_that_was_asked_for(
    scripted_server: ScriptedServer, model_of: Callable[..., ChatModel]
) -> None:
    """Behaviour 61: Retry-After is honoured."""
    scripted_server.add(Reply(status=429, headers={"Retry-After": "1"}))
    assert model_of(retry=RETRY).invoke("hello").attempts == 2
    first, second = scripted_server.starts
    assert second - first >= 1.0


# ---------------------------------------------------------------------------------------------------------- streams


@pytest.mark.behaviour(74)
def test_a_stream_begins_before_it_ends_and_ends_with_its_usage(
    scripted_server: ScriptedServer, model_of: Callable[..., ChatModel]
) -> None:
    """Behaviour 74: the first chunk comes before the reply ends; the last one has the usage."""
    scripted_server.add(Reply(text="one two three", pace_s=0.1))

    async def go() -> None:
        model = model_of(retry=RETRY)
        chunks = []
        async for chunk in model.stream_async(ASK):
            if not chunks:
                assert scripted_server.chats[0].ended is None
            chunks.append(chunk)
        assert "".join(chunk.text for chunk in chunks) == "one two three"
        assert [chunk.usage is not None for chunk in chunks] == [False, False, False, True]
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (11, 7)
        await model.cleanup()

    run_sync(go())


@pytest.mark.behaviour(74)
def test_a_stream_that_is_left_early_gives_its_connection_up(
    scripted_server: ScriptedServer, model_of: Callable[..., ChatModel]
) -> None:
    """Behaviour 74: closing the iterator ends the request at the server."""
    scripted_server.add(Reply(text="word " * 1000, pace_s=0.05))

    async def go() -> None:
        stream = model_of(retry=RETRY).stream_async(ASK)
        assert (await anext(stream)).text == "word "
        await stream.aclose()
        for _ in range(1000):
            if scripted_server.chats[0].closed_early:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the request is still under way")

    run_sync(go())


@pytest.mark.behaviour(74)
def test_text_that_was_handed_out_is_never_asked_for_again() -> None:
    """Behaviour 74: a stream that breaks after its first text is an error, not another request."""
    event = b'data: {"choices": [{"delta": {"content": "one "}}]}\n\n'
    requests: list[bytes] = []

    def serve(peer: Peer) -> None:
        requests.append(peer.request())
        peer.send(chunked(event, headers="content-type: text/event-stream\r\n")[:-5])
        time.sleep(0.1)

    async def go(url: str) -> list[str]:
        model, texts = create_chat_model("openai", base_url=url, model="m", retry=RETRY), []
        stream = model.stream_async(ASK)
        texts.append((await anext(stream)).text)
        with pytest.raises(ChatModelError, match="closed the connection") as caught:
            await anext(stream)
        assert (caught.value.code, caught.value.fields["attempts"]) == ("unavailable", 1)
        return texts

    with RawServer(serve) as server, ScriptedServer():  # the latter lifts the ban on requests
        assert run_sync(go(f"{server.url}/v1")) == ["one "]
    assert len(requests) == 1


def test_another_server_stands_by_with_a_key_of_its_own(project, scripted_server):
    """Fallbacks of fmf.yaml: what the first server cannot answer the second does, and neither sees the other's key."""
    scripted_server.add(Reply(status=503), Reply(status=503))
    with ScriptedServer([Reply(text="from the second")] * 2) as second:
        standing_by = {"base_url": second.base_url, "model": "scripted-2", "api_key_secret": "SECOND_KEY"}
        chained(project, scripted_server, fallbacks=[standing_by], breaker={"failures": 9}, retry={"max_attempts": 1})
        keys = {"OPENAI_API_KEY": "first-key-12345678", "SECOND_KEY": "second-key-1234567"}
        said = project.fmf("run", "--chain", "chain.yaml", env=keys).well()
        assert said.run.outputs[0]["output"] == "from the second"
        assert project.fmf("infer", "Say hello", env=keys).well().stdout == "from the second\n"
        asked = {
            server: {request.headers["authorization"] for request in server.requests}
            for server in (scripted_server, second)
        }
    assert asked == {scripted_server: {"Bearer first-key-12345678"}, second: {"Bearer second-key-1234567"}}
    assert {body["model"] for body in second.bodies} == {"scripted-2"}
    assert "second-key" not in said.stdout + said.stderr + project.fmf("config", "show", env=keys).stdout
