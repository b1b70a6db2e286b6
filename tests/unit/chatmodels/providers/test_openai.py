from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from functools import partial
from typing import Any, ClassVar

import openai
import pytest

from chatmodels import create_chat_model
from chatmodels.errors import ChatModelError, ProviderAuthError, server_is_well
from chatmodels.iface import ChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.testing import ChatModelExam, allow_model_requests, forbid_model_requests
from chatmodels.types import ChatRequest, ResponseFormat
from chatmodels.wrappers.retrying import RetryingModel
from fmf_core.errors import Code, ConfigurationError
from fmf_core.portal import run_sync
from fmf_core.retry import RetryPolicy
from peers.embedded_server import API_KEY, EmbeddedServer
from peers.raw_server import Peer, RawServer, ok
from peers.scripted_server import Reply, Request, ScriptedServer

Server = ScriptedServer


@pytest.fixture
def server(scripted_server: Server) -> Server:
    return scripted_server


def model_of(server: Server, **settings: Any) -> OpenAIChatModel:
    return OpenAIChatModel(**{"base_url": server.base_url, "timeout_s": 5.0, "model": "m", **settings})


def in_own_loop(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def failure(model: ChatModel, prompt: str = "x") -> ChatModelError:
    with pytest.raises(ChatModelError) as caught:
        model.invoke(prompt)
    return caught.value


# --------------------------------------------------------------------------------------------- keys and addresses


def test_without_key_and_server_the_error_names_the_variable() -> None:
    with allow_model_requests(), pytest.raises(ProviderAuthError, match="OPENAI_API_KEY") as caught:
        OpenAIChatModel().invoke("x")
    assert caught.value.code is Code.AUTH


def test_a_server_of_ones_own_needs_no_key(server: Server) -> None:
    model_of(server).invoke("x")
    assert server.chats[0].headers["authorization"] == "Bearer none"


def test_the_environment_counts_when_it_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OpenAIChatModel(model="m")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "first-key-of-the-environment")
    model.invoke("x")
    monkeypatch.setenv("OPENAI_API_KEY", "second-key-of-the-environment")
    model.invoke("x")
    sent = [chat.headers["authorization"] for chat in server.chats]
    assert sent == ["Bearer first-key-of-the-environment", "Bearer second-key-of-the-environment"]


def test_arguments_beat_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    model_of(server, api_key="key-of-the-argument", organization="org-1", default_headers={"X-Team": "t"}).invoke("x")
    headers = server.chats[0].headers
    assert headers["authorization"] == "Bearer key-of-the-argument"
    assert (headers["openai-organization"], headers["x-team"]) == ("org-1", "t")


def test_secrets_of_address_and_headers_are_in_no_text(server: Server) -> None:
    settings = {
        "base_url": f"{server.base_url}?code=Pa55-of-address",
        "default_headers": {"Cookie": "sid=Pa55-of-mine"},
    }
    server.add(Reply(status=400, body={"error": {"message": "POST /?code=Pa55-of-address with sid=Pa55-of-mine"}}))
    model = model_of(server, **settings)
    error = failure(model)
    assert "Pa55" not in repr(model) + str(error) + repr(error.fields)
    assert "POST /?code=" in str(error)
    assert "user" not in repr(model_of(server, base_url="http://user:Pa55-word@host/v1"))


@pytest.mark.parametrize("name", ["timeout_s", "connect_timeout_s", "first_byte_timeout_s", "between_bytes_timeout_s"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0, -1, "1"])
def test_a_time_that_is_none_is_refused(name: str, seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        OpenAIChatModel(**{name: seconds})


def test_an_empty_address_is_not_openais() -> None:
    for create in (OpenAIChatModel, partial(create_chat_model, "openai")):
        with pytest.raises(ConfigurationError, match="base_url"):
            create(base_url="")


def test_a_blocking_client_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAIChatModel(client=openai.OpenAI(api_key="key-of-nobody"))  # type: ignore[arg-type]
    assert "AsyncOpenAI" in caught.value.hint


def test_half_a_character_is_named(server: Server) -> None:
    error = failure(model_of(server), "a\ud800b")
    assert (error.code, "half of a character" in error.hint) == (Code.INVALID, True)


@pytest.mark.parametrize(
    "body", [b"[" * 1000 + b"]" * 1000, b'{"error": {"message": ' + b"[" * 900 + b"]" * 900 + b"}}", b"\xff"]
)
def test_a_refusal_with_a_strange_body(body: bytes) -> None:
    with allow_model_requests(), RawServer(ok(body, "retry-after: 7", status="503 Busy")) as raw:
        error = failure(OpenAIChatModel(model="m", base_url=raw.url))
    assert (error.code, error.retry_after) == (Code.UNAVAILABLE, 7)


def test_of_a_long_refusal_only_the_beginning_is_searched_for_secrets() -> None:
    text = "Pa55-word " + "a-" * 500_000 + " secret"
    body = json.dumps({"error": {"message": text}}).encode()
    with allow_model_requests(), RawServer(ok(body, status="500 Broken")) as raw:
        error = failure(OpenAIChatModel(model="m", base_url=raw.url, api_key="Pa55-word"))
    assert "[REDACTED] a-a-" in error.message
    assert len(str(error)) < 2000


def test_where_a_redirect_leads_is_told_in_short_and_without_its_signature(server: Server) -> None:
    server.add(Reply(status=302, headers={"location": f"https://u:Pa55@x/{'a' * 9000}?X-Signature=Pa55"}))
    error = failure(model_of(server))
    assert "redirects to https://x/aaa" in error.message
    assert "Pa55" not in str(error)
    assert len(str(error)) < 600


def test_the_key_is_in_no_text(server: Server) -> None:
    key = "very-private-key-4711"
    model = model_of(server, api_key=key)
    server.add(Reply(status=401, body={"error": {"message": f"Incorrect API key provided: {key}"}}))
    error = failure(model)
    assert key not in repr(model) + str(error) + repr(error.fields)
    assert "Incorrect API key" in str(error)


def test_a_client_of_ones_own_is_used_without_its_retries(server: Server) -> None:
    server.add(Reply(status=500))
    client = openai.AsyncOpenAI(api_key="own-client-key", base_url=server.base_url, max_retries=5)

    async def go() -> None:
        model = OpenAIChatModel(model="m", client=client)
        with pytest.raises(ChatModelError):
            await model.ainvoke("x")
        assert (await model.ainvoke("x")).content == "Scripted reply"
        await model.cleanup()
        assert not client.is_closed()
        await client.close()

    in_own_loop(go())
    assert server.count == 2


def test_forbidden_requests_are_not_made(server: Server) -> None:
    with forbid_model_requests(), pytest.raises(ChatModelError, match="forbidden") as caught:
        model_of(server).invoke("x", model="other")
    assert "'other'" in caught.value.message
    with forbid_model_requests(), pytest.raises(ChatModelError, match="'other'"):
        list(model_of(server).stream("x", model="other"))
    assert server.count == 0


# ------------------------------------------------------------------------------------------------------- one call


def test_the_model_and_the_sampling_of_the_request_reach_the_server(server: Server) -> None:
    model_of(server).invoke("x")
    model_of(server).invoke("x", model="other", temperature=0.0, max_tokens=7, seed=3, stop=("END",))
    first, second = server.bodies
    assert first == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0.7,
        "max_tokens": 1024,
    }
    assert second == {
        "model": "other",
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0.0,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["END"],
    }


def test_unknown_parameters_reach_the_server(server: Server) -> None:
    model_of(server).invoke("x", extra_params={"top_k": 5, "chat_template_kwargs": {"a": True}})
    body = server.bodies[0]
    assert (body["top_k"], body["chat_template_kwargs"]) == (5, {"a": True})


def test_the_response_tells_model_usage_and_latency(server: Server) -> None:
    server.add(Reply(text="Hi", model="m-2026-11", latency_s=0.05))
    response = model_of(server).invoke("x")
    assert (response.content, response.model, response.usage.total_tokens) == ("Hi", "m-2026-11", 18)
    assert 40 < response.latency_ms < 4000


def test_a_compressed_reply(server: Server) -> None:
    server.add(Reply(text="Hi", gzip=True))
    assert model_of(server).invoke("x").content == "Hi"


FAULTS = [
    (Reply(status=400, body={"error": {"message": "bad temperature"}}), Code.INVALID, "bad temperature"),
    (Reply(status=401), Code.AUTH, "OPENAI_API_KEY"),
    (Reply(status=403), Code.AUTH, "403"),
    (Reply(status=404, body={"error": {"message": "no model m"}}), Code.NOT_FOUND, "base_url"),
    (Reply(status=404, body="<html>nginx</html>", content_type="text/html"), Code.NOT_FOUND, "nginx"),
    (Reply(status=408), Code.TIMEOUT, "408"),
    (Reply(status=409), Code.UNAVAILABLE, "409"),
    (Reply(status=422), Code.INVALID, "422"),
    (Reply(status=429), Code.RATE_LIMIT, "429"),
    (
        Reply(status=429, body={"error": {"message": "no money", "code": "insufficient_quota"}}),
        Code.BUDGET,
        "billing",
    ),
    (Reply(status=400, body={"error": {"message": "policy", "code": "content_filter"}}), Code.REFUSED, "policy"),
    (Reply(status=500), Code.UNAVAILABLE, "500"),
    (Reply(status=502, body="Bad Gateway", content_type="text/plain"), Code.UNAVAILABLE, "Bad Gateway"),
    (Reply(status=503, body=""), Code.UNAVAILABLE, "503"),
    (Reply(status=529), Code.UNAVAILABLE, "529"),
    (Reply(body="<html>Sign in</html>", content_type="text/html"), Code.BAD_REPLY, "Sign in"),
    (Reply(body="<html>Sign in</html>"), Code.BAD_REPLY, "Sign in"),
    (Reply(body="pong", content_type="text/plain"), Code.BAD_REPLY, "pong"),
    (Reply(body=""), Code.BAD_REPLY, "empty"),
    (Reply(body="[" * 100_000), Code.BAD_REPLY, "JSON"),
    (Reply(body={"choices": []}), Code.BAD_REPLY, "choices"),
    (Reply(body={"error": {"message": "overloaded", "code": 503}}), Code.UNAVAILABLE, "overloaded"),
    (Reply(text=""), Code.BAD_REPLY, "empty"),
    (Reply(text=None), Code.BAD_REPLY, "empty"),
    (Reply(text="half", finish_reason="content_filter"), Code.REFUSED, "half"),
    (Reply(body=b"no gzip", headers={"content-encoding": "gzip"}), Code.BAD_REPLY, "decompress"),
    (Reply(drop=True), Code.UNAVAILABLE, "without an answer"),
    (Reply(cut_after=20), Code.UNAVAILABLE, "closed"),
]


@pytest.mark.parametrize(("reply", "code", "said"), FAULTS, ids=lambda value: str(value)[:40])
def test_faults(server: Server, reply: Reply, code: Code, said: str) -> None:
    server.add(reply)
    error = failure(model_of(server))
    assert (error.code, server.count) == (code, 1)
    assert said in str(error)
    assert error.fields["provider"] == "openai"
    assert error.fields["model"] == "m"
    assert error.op == "openai.complete"


@pytest.mark.parametrize(("reply", "code", "said"), FAULTS, ids=lambda value: str(value)[:40])
def test_faults_of_streams(server: Server, reply: Reply, code: Code, said: str) -> None:
    if reply.status == 200 and reply.body is None and reply.cut_after:
        reply = Reply(cut_after=1)
    server.add(reply)
    with pytest.raises(ChatModelError) as caught:
        list(model_of(server).stream("x"))
    assert (caught.value.code, server.count) == (code, 1)
    assert caught.value.op == "openai.stream"


def test_nobody_listens() -> None:
    with ScriptedServer() as gone:
        pass
    with allow_model_requests():
        error = failure(OpenAIChatModel(base_url=gone.base_url, model="m"))
    assert error.code is Code.UNAVAILABLE
    assert "is the server up" in error.hint


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://127.0.0.1/v1"])
def test_an_address_that_is_none(address: str) -> None:
    with allow_model_requests():
        error = failure(OpenAIChatModel(base_url=address, model="m"))
    assert error.code is Code.INVALID
    assert not error.retryable


def test_how_long_to_wait_is_read_from_the_reply(server: Server) -> None:
    for headers, least, most in (
        ({"Retry-After": "3"}, 3, 3),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25, 0.25),
        ({"Retry-After": formatdate(time.time() + 60, usegmt=True)}, 55, 61),
        ({"Retry-After": formatdate(time.time() - 60, usegmt=True)}, 0, 0),
    ):
        server.add(Reply(status=429, headers=headers))
        waiting = failure(model_of(server)).retry_after
        assert waiting is not None
        assert least <= waiting <= most


# ------------------------------------------------------------------------------------------------------ time-outs


@pytest.mark.parametrize(
    "reply", [Reply(hang=True), Reply(drip=True, pace_s=0.02), Reply(latency_s=10)], ids=["hangs", "drips", "late"]
)
def test_time_is_counted_to_the_last_byte(server: Server, reply: Reply) -> None:
    server.add(reply)
    started = time.monotonic()
    error = failure(model_of(server, timeout_s=0.3))
    assert error.code is Code.TIMEOUT
    assert "0.3 s" in str(error)
    assert time.monotonic() - started < 2
    server.wait_for(lambda s: s.requests[0].closed_early)


def test_a_slow_stream_times_out_after_its_first_pieces(server: Server) -> None:
    server.add(Reply(deltas=("a", "b", "c", "d", "e"), pace_s=0.15))
    stream = model_of(server, timeout_s=0.5).stream("x")
    assert next(stream).text == "a"
    with pytest.raises(ChatModelError) as caught:
        list(stream)
    assert caught.value.code is Code.TIMEOUT
    server.wait_for(lambda s: s.requests[0].closed_early)


def test_a_cancelled_call_leaves_its_connection(server: Server) -> None:
    server.add(Reply(hang=True))

    async def go() -> None:
        task = asyncio.create_task(model_of(server).ainvoke("x"))
        await asyncio.get_running_loop().run_in_executor(None, server.wait_for, lambda s: s.count == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_own_loop(go())
    server.wait_for(lambda s: s.requests[0].closed_early)


# -------------------------------------------------------------------------------------------------------- streams


def test_pieces_arrive_before_the_end(server: Server) -> None:
    server.add(Reply(deltas=("one ", "two ", "three"), pace_s=0.1))
    arrivals = []
    chunks = []
    for chunk in model_of(server).stream("x"):
        arrivals.append(time.monotonic())
        chunks.append(chunk)
    assert [chunk.text for chunk in chunks] == ["one ", "two ", "three", ""]
    assert arrivals[-1] - arrivals[0] > 0.15
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 18
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("after", ["silence", "end", "reset", "more"])
def test_a_stream_whose_answer_is_whole_does_not_wait_for_its_end(after: str) -> None:
    pieces = [{"choices": [{"delta": {"content": "a"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    events = b"".join(b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces) + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    def serve(peer: Peer) -> None:
        while peer.request():
            peer.send(head + b"%x\r\n%b\r\n" % (len(events), events))
            if after == "reset":
                peer.reset()
                return
            peer.send({"end": b"0\r\n\r\n", "more": b"5\r\nmore\n\r\n"}.get(after, b""))

    with allow_model_requests(), RawServer(serve) as raw:
        model = OpenAIChatModel(model="m", base_url=raw.url, timeout_s=60.0)
        started = time.monotonic()
        for _ in range(2):
            assert "".join(chunk.text for chunk in model.stream("x")) == "a"
        assert time.monotonic() - started < 30
    assert raw.connections == (1 if after == "end" else 2)


def test_a_stream_without_counts_is_estimated(server: Server) -> None:
    server.add(Reply(text="eight characters and more", usage=None))
    last = list(model_of(server).stream("x"))[-1]
    assert last.usage is not None
    assert last.usage.completion_tokens == 7


def test_a_stream_left_early_releases_its_connection(server: Server) -> None:
    server.add(Reply(deltas=("a",) * 100, pace_s=0.05))
    stream = model_of(server).stream("x")
    assert next(stream).text == "a"
    stream.close()  # type: ignore[attr-defined]
    server.wait_for(lambda s: s.requests[0].closed_early)


def test_a_server_that_does_not_stream_answers_in_one_piece(server: Server) -> None:
    whole = {"choices": [{"message": {"content": "Hi there"}, "finish_reason": "stop"}]}
    server.add(Reply(body=whole))
    assert [chunk.text for chunk in model_of(server).stream("x")] == ["Hi there", ""]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (("{}",), Code.BAD_REPLY),
        (("not json",), Code.BAD_REPLY),
        (("[1]",), Code.BAD_REPLY),
        (({"error": {"message": "out of memory"}},), Code.BAD_REPLY),
        (({"error": {"message": "slow down", "code": 429}},), Code.RATE_LIMIT),
        ((b'event: error\ndata: {"message": "x"}\n\n',), Code.BAD_REPLY),
        (({"choices": [{"delta": {"content": "a"}}]}, "[DONE]"), Code.UNAVAILABLE),
        (({"choices": [{"delta": {}, "finish_reason": "stop"}]}, "[DONE]"), Code.BAD_REPLY),
        ((), Code.UNAVAILABLE),
    ],
)
def test_broken_streams(server: Server, events: tuple[Any, ...], code: Code) -> None:
    server.add(Reply(events=events))
    with pytest.raises(ChatModelError) as caught:
        list(model_of(server).stream("x"))
    assert caught.value.code is code


# ------------------------------------------------------------------------------------------------- loops, threads


def test_one_model_serves_many_loops_one_after_the_other(server: Server) -> None:
    model = model_of(server)
    for _ in range(3):
        assert in_own_loop(model.ainvoke("x")).content == "Scripted reply"
    server.wait_for(lambda s: s.open_connections == 0)
    model.invoke("x")
    run_sync(model.cleanup())
    server.wait_for(lambda s: s.open_connections == 0)


def test_cleanup_from_another_loop_closes_the_connections(server: Server) -> None:
    model = model_of(server)
    model.invoke("x")
    server.wait_for(lambda s: s.open_connections == 1)
    in_own_loop(model.cleanup())
    server.wait_for(lambda s: s.open_connections == 0)
    assert model.invoke("x").content == "Scripted reply"


def test_blocking_calls_keep_their_connection(server: Server) -> None:
    model = model_of(server)
    for _ in range(5):
        model.invoke("x")
    assert server.connections == 1


def test_many_threads_share_one_model(server: Server) -> None:
    model = model_of(server)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(model.invoke("x").content)) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Scripted reply"] * 64


# --------------------------------------------------------------------------------------------------------- health


def test_what_was_not_sent_is_no_attempt_and_a_server_that_is_gone_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedServer() as gone:
        pass
    for settings, extra, attempts in (
        ({"api_key": ""}, {}, 0),
        ({"base_url": "nowhere"}, {}, 0),
        ({"base_url": gone.base_url, "api_key": "k"}, {"x": object()}, 0),
        ({"base_url": gone.base_url, "api_key": "k"}, {}, 2),
    ):
        model = RetryingModel(OpenAIChatModel(**settings), RetryPolicy(max_attempts=2, first_wait_s=0))
        with allow_model_requests(), pytest.raises(ChatModelError) as caught:
            model.invoke("x", extra_params=extra)
        error = caught.value
        assert (error.fields["attempts"], error.was_asked, server_is_well(error)) == (
            attempts, attempts > 0, False if attempts else None,
        )  # fmt: skip


def test_health_is_no_way_around_a_ban_of_requests(server: Server) -> None:
    with forbid_model_requests():
        health = model_of(server).check_health()
    assert (health.status, "forbidden" in health.detail) == ("unhealthy", True)
    assert not server.requests


def test_health(server: Server) -> None:
    model = model_of(server)
    assert model.check_health().status == "healthy"
    assert server.count == 0
    with ScriptedServer() as gone:
        pass
    assert model_of(gone).check_health().status == "unhealthy"
    info = model.get_model_info()
    assert (info.name, info.provider) == ("m", "openai")


# ------------------------------------------------------------------------------------------------------- the exam


def obliging(request: Request) -> Reply:
    """What a server of a model that can everything says."""
    body = request.body
    if body.get("tool_choice") == "required":
        function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Ulm"}'}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        return Reply(text=None, tool_calls=(call,), finish_reason="tool_calls")
    return Reply('{"colour": "red"}' if "response_format" in body else "Hello to you.")


class TestScriptedExam(ChatModelExam):
    model = "m"
    secrets = ("sk-exam-of-nobody-4711",)
    statuses: ClassVar = {
        Code.INVALID: 400,
        Code.AUTH: 401,
        Code.NOT_FOUND: 404,
        Code.RATE_LIMIT: 429,
        Code.UNAVAILABLE: 503,
    }

    @pytest.fixture(autouse=True)
    def _servers(self) -> Iterator[None]:
        with ExitStack() as self.servers:
            yield

    def make(self, script: Callable[[Request], Reply], **settings: Any) -> ChatModel:
        server = self.servers.enter_context(ScriptedServer(script))
        return model_of(server, api_key=self.secrets[0], **settings)

    def make_model(self) -> ChatModel:
        return self.make(obliging)

    def make_failing_model(self) -> ChatModel:
        told = {"error": {"message": f"Incorrect API key provided: {self.secrets[0]}"}}
        return self.make(lambda _: Reply(status=401, body=told))

    def make_models_failing_with(self) -> dict[Code, ChatModel]:
        by_status = {
            code: self.make(lambda _, status=status: Reply(status=status)) for code, status in self.statuses.items()
        }
        return {**by_status, Code.BAD_REPLY: self.make(lambda _: Reply(body="<html>"))}

    def make_slow_model(self) -> ChatModel:
        return self.make(lambda _: Reply(hang=True), timeout_s=0.3)

    def make_hanging_model(self) -> ChatModel:
        return self.make(lambda _: Reply(hang=True), timeout_s=None)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error_and_not_followed(status: int) -> None:
    with ScriptedServer() as other, ScriptedServer() as server:
        server.add(*[Reply(status=status, headers={"Location": f"{other.base_url}/chat/completions"}, body="")] * 3)
        with pytest.raises(ChatModelError, match="redirects to") as caught:
            OpenAIChatModel(base_url=server.base_url, api_key="k", model="m").complete(ChatRequest(prompt="private"))
        assert caught.value.code is Code.INVALID
        assert "base_url" in caught.value.hint
        assert (server.count, other.count) == (1, 0)


@pytest.mark.parametrize("key", ["sk-caf\u00e9-12345678", "sk-two\nlines-12345678"])
def test_a_key_that_no_header_can_hold_is_told_before_any_request(key: str) -> None:
    with allow_model_requests(), pytest.raises(ProviderAuthError, match="line break or a character") as caught:
        OpenAIChatModel(base_url="http://127.0.0.1:9/v1", api_key=key, model="m").complete(ChatRequest(prompt="x"))
    assert key not in str(caught.value)


@pytest.mark.peer
@pytest.mark.model
class TestEmbeddedExam(ChatModelExam):
    model = "smollm2-135m-instruct"
    threads = 3
    capabilities = ("chat", "stream", "json", "json_schema")  # so small a model calls no tools and sees nothing
    secrets = (API_KEY,)

    @pytest.fixture(autouse=True)
    def _server(self, embedded_server: EmbeddedServer) -> None:
        self.server = embedded_server

    def make_model(self) -> ChatModel:
        # With retries, as everybody uses it: a server that is short of processors may drop a connection.
        vendor = OpenAIChatModel(base_url=self.server.base_url, api_key=self.server.api_key, model=self.model)
        return RetryingModel(vendor, RetryPolicy(first_wait_s=0.2))

    def make_failing_model(self) -> ChatModel:
        return OpenAIChatModel(base_url=self.server.base_url, api_key="wrong", model=self.model)

    def test_a_schema_holds(self) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        wanted = ResponseFormat(type="json_schema", json_schema={**schema, "additionalProperties": False})
        answer = self.make_model().complete(self.ask("Give a number.", response_format=wanted))
        assert "".join(answer.content.split()).startswith('{"n":')

    def test_its_own_errors_are_understood(self) -> None:
        too_long = ChatRequest(prompt="word " * 3000, model=self.model)
        with pytest.raises(ChatModelError, match="context") as caught:
            self.make_model().complete(too_long)
        assert caught.value.code is Code.INVALID
        with pytest.raises(ProviderAuthError):
            self.make_failing_model().invoke("x")

    def test_a_stream_and_an_answer_are_the_same_text(self) -> None:
        model = self.make_model()
        # Without its cache the engine reads the prompt in the same way both times, and answers to the letter alike.
        request = self.ask("Name three colours.", extra_params={"cache_prompt": False})
        assert "".join(chunk.text for chunk in model.stream(request)) == model.complete(request).content


@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_an_answer_that_cannot_be_used_tells_what_it_cost(finish):
    body = {
        "choices": [{"message": {"content": ""}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    with ScriptedServer([Reply(body=body), Reply(body={"choices": body["choices"]})]) as server:
        model = OpenAIChatModel(base_url=server.base_url, api_key="key-of-nobody")
        with pytest.raises(ChatModelError) as counted:
            model.invoke("x")
        with pytest.raises(ChatModelError) as uncounted:
            model.invoke("x")
    assert counted.value.fields["usage"].total_tokens == 10
    assert "usage" not in uncounted.value.fields
