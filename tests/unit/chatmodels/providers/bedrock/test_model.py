from __future__ import annotations

import asyncio
import json
import logging
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import ClassVar

import pytest

from chatmodels import ChatModelError, ChatRequest, Message, ProviderAuthError, create_chat_model
from chatmodels.iface import ChatModel
from chatmodels.providers.bedrock.client import client_of, session_of
from chatmodels.providers.bedrock.line import Line, using
from chatmodels.providers.bedrock.model import BedrockChatModel
from chatmodels.testing import ChatModelExam, allow_model_requests, forbid_model_requests
from fmf_core.errors import Code, ConfigurationError, PluginError
from fmf_core.portal import run_sync
from peers.bedrock_server import BedrockServer, Reply, Request, frame

SECRET = "secret/of+nobody/at/all"
TOKEN = "session-token-of-nobody"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
MODELS = (CLAUDE, "amazon.nova-pro-v1:0", "meta.llama3-1-8b-instruct-v1:0", "mistral.mistral-7b-instruct-v0:2")


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def server() -> Iterator[BedrockServer]:
    with BedrockServer() as server:
        yield server


def settings_of(server: BedrockServer, **more: object) -> dict:
    keys = {"aws_access_key_id": "AKIDOFNOBODY", "aws_secret_access_key": SECRET, "aws_session_token": TOKEN}
    return {"endpoint_url": server.url, "region": "us-east-1", "model": CLAUDE, **keys, **more}


def model_of(server: BedrockServer, **more: object) -> BedrockChatModel:
    return BedrockChatModel(**settings_of(server, **more))


def wrapped(server: BedrockServer, **more: object) -> ChatModel:
    # What adapts to a failing server takes its time.
    quick = {"retry": {"first_wait_s": 0.01}, "concurrency": {"adaptive": False}}
    return create_chat_model("aws_bedrock", **settings_of(server, **{**quick, **more}))


def failure(call: Callable[[], object]) -> ChatModelError:
    with pytest.raises(ChatModelError) as caught:
        call()
    assert caught.value.fields["provider"] == "aws_bedrock"
    return caught.value


# The exam, by every way and with all wrappers around


def obedient(request: Request) -> Reply:
    """Calls a tool that must be called, keeps to a schema that must be kept, and else says a few words."""
    body = request.body
    config = body.get("toolConfig", {})
    if "any" in str(config.get("toolChoice") or body.get("tool_choice")):
        [tool] = config.get("tools") or body["tools"]
        name = tool.get("name") or next(iter(tool.values()))["name"] if "type" not in tool else tool["function"]["name"]
        return Reply(stop="tool_use", tools=({"toolUseId": "t1", "name": name, "input": {"city": "Ulm"}},))
    return Reply(text='{"colour": "red"}' if "outputConfig" in body or "output_config" in body else "Scripted reply")


class BedrockExam(ChatModelExam):
    model = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    secrets = (SECRET, TOKEN)
    settings: ClassVar[dict] = {}
    wrapping = staticmethod(model_of)

    @pytest.fixture(autouse=True)
    def _servers(self):
        with ExitStack() as stack:
            self.open = lambda *script, **more: stack.enter_context(BedrockServer(*script, **more))
            yield

    def made(self, server, **more):
        return self.wrapping(server, **{"model": self.model, **self.settings, **more})

    def make_model(self):
        return self.made(self.open(obedient))

    def make_failing_model(self):
        return self.made(self.open(default=Reply(status=403, error="AccessDeniedException", message=f"not {SECRET}")))

    def make_models_failing_with(self):
        refusals = {
            Code.RATE_LIMIT: Reply(status=429, error="ThrottlingException"),
            Code.UNAVAILABLE: Reply(status=503, error="ServiceUnavailableException"),
            Code.AUTH: Reply(status=403, error="UnrecognizedClientException"),
            Code.NOT_FOUND: Reply(status=404, error="ResourceNotFoundException"),
            Code.INVALID: Reply(status=400, error="ValidationException"),
            Code.TIMEOUT: Reply(status=408, error="ModelTimeoutException"),
            Code.BAD_REPLY: Reply(text=""),
            Code.REFUSED: Reply(stop="guardrail_intervened"),
        }
        if self.settings.get("api") == "invoke_model":
            del refusals[Code.REFUSED]  # some families have no such reason
        return {code: self.made(self.open(default=reply)) for code, reply in refusals.items()}

    def make_slow_model(self):
        return self.made(self.open(default=Reply(hang=True)), timeout_s=0.5)

    def make_hanging_model(self):
        return self.made(self.open(default=Reply(hang=True)))


class TestConverse(BedrockExam):
    pass


class TestWrapped(BedrockExam):
    wrapping = staticmethod(wrapped)


class TestOneThread(BedrockExam):
    settings: ClassVar[dict] = {"max_threads": 1}


class TestInvokeClaude(BedrockExam):
    settings: ClassVar[dict] = {"api": "invoke_model"}


class TestInvokeNova(BedrockExam):
    model = "us.amazon.nova-pro-v1:0"
    settings: ClassVar[dict] = {"api": "invoke_model"}


class TestInvokeLlama(BedrockExam):
    model = "us.meta.llama3-1-8b-instruct-v1:0"
    settings: ClassVar[dict] = {"api": "invoke_model"}
    roles = ("system", "user", "assistant")
    capabilities = ("chat", "stream")

    def ask(self, prompt="Say hello.", **settings):
        if "messages" in settings:
            settings["messages"] = tuple(turn for turn in settings["messages"] if not turn.tool_calls)
        return super().ask(prompt, **settings)


class TestInvokeMistral(TestInvokeLlama):
    model = "mistral.mistral-7b-instruct-v0:2"


class TestInvokeMistralChat(BedrockExam):
    model = "us.mistral.pixtral-large-2502-v1:0"
    settings: ClassVar[dict] = {"api": "invoke_model"}


# Requests


def test_a_request_is_signed_and_names_the_model_in_its_path(server):
    answer = model_of(server).invoke("hello", temperature=0.0)
    [request] = server.requests
    assert request.path == "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDOFNOBODY/")
    assert "/us-east-1/bedrock/aws4_request" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == TOKEN
    assert request.body["inferenceConfig"]["temperature"] == 0.0
    assert (answer.response_id, answer.usage.total_tokens) == ("request-1", 18)
    assert answer.latency_ms > 0


@pytest.mark.parametrize(
    "model",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
    ],
)
def test_profiles_and_arns_are_asked_as_they_are(server, model):
    assert model_of(server, model=model).invoke("hello").model == model
    assert server.chats[0].model == model


@pytest.mark.parametrize(
    ("settings", "operation"),
    [
        ({}, "converse"),
        ({"api": "converse", "shape": "mistral"}, "converse"),
        ({"api": "invoke_model"}, "invoke"),
        ({"shape": "anthropic"}, "invoke"),
    ],
)
def test_which_interface_is_used(server, settings, operation):
    model = model_of(server, **settings)
    model.invoke("hello")
    list(model.stream("hello"))
    whole, stream = [request.operation for request in server.chats]
    assert whole == operation
    assert stream == {"converse": "converse-stream", "invoke": "invoke-with-response-stream"}[operation]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_an_answer_is_the_same_whole_and_in_pieces(server, model, api):
    made = model_of(server, model=model, api=api)
    whole, pieces = made.invoke("hello"), list(made.stream("hello"))
    assert "".join(chunk.text for chunk in pieces) == whole.content == "Scripted reply"
    assert len(pieces) == 3
    assert pieces[-1].usage == whole.usage
    assert pieces[-1].finish_reason == whole.finish_reason == "stop"


def test_tool_calls_come_back_whole_and_in_pieces(server):
    tool = {"toolUseId": "t1", "name": "clock", "input": {"zone": "UTC", "hours": [1, 2]}}
    for api in ("converse", "invoke_model"):
        server.add(*[Reply(stop="tool_use", tools=(tool,))] * 2)
        model = model_of(server, api=api)
        whole, last = model.invoke("time?"), list(model.stream("time?"))[-1]
        assert whole.tool_calls == last.tool_calls
        assert whole.tool_calls[0].arguments == tool["input"]
        assert whole.finish_reason == last.finish_reason == "tool_calls"


def test_a_model_that_cannot_stream_yields_its_whole_answer(server):
    text, end = model_of(server, model="us.meta.llama4-scout-17b-instruct-v1:0").stream("hello")
    assert (text.text, end.text, end.finish_reason) == ("Scripted reply", "", "stop")
    assert server.chats[0].operation == "converse"


# Credentials


def test_credentials_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDFROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    model = BedrockChatModel(endpoint_url=server.url)
    model.invoke("hello")
    assert "Credential=AKIDFROMENV/" in server.chats[0].headers["authorization"]
    assert "/eu-west-1/" in server.chats[0].headers["authorization"]


def test_credentials_come_from_a_profile(server, monkeypatch, tmp_path):
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(
        f"[mine]\naws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = {SECRET}\n"
    )
    (tmp_path / "AWS_CONFIG_FILE").write_text("[profile mine]\nregion = ap-south-1\n")
    BedrockChatModel(endpoint_url=server.url, profile="mine").invoke("hello")
    told = server.chats[0].headers["authorization"]
    assert "Credential=AKIDOFPROFILE/" in told
    assert "/ap-south-1/" in told
    error = failure(lambda: BedrockChatModel(endpoint_url=server.url, profile="other").invoke("hello"))
    assert error.code is Code.AUTH
    assert "other" in str(error)


def test_a_key_is_not_sent_in_the_clear(server):
    error = failure(lambda: BedrockChatModel(endpoint_url=server.url, region="r", api_key="key-of-nobody").invoke("x"))
    assert (error.code, server.requests) == (Code.INVALID, [])
    assert "HTTPS" in str(error)


def test_without_credentials_nothing_is_sent(server):
    model = BedrockChatModel(endpoint_url=server.url, region="us-east-1")
    for call in (
        lambda: model.invoke("hello"),
        lambda: list(model.stream("hello")),
        lambda: run_sync(model.initialize()),
    ):
        error = failure(call)
        assert isinstance(error, ProviderAuthError)
        assert "AWS_PROFILE" in error.hint
        assert not error.was_asked
    assert server.requests == []


def test_without_a_region_the_hint_names_it():
    error = failure(
        lambda: BedrockChatModel(aws_access_key_id="x", aws_secret_access_key=SECRET).invoke("x", model="m")
    )
    assert error.code is Code.UNSUPPORTED  # no request may be made in this test
    with pytest.raises(ChatModelError, match="region") as caught:
        run_sync(BedrockChatModel(aws_access_key_id="x", aws_secret_access_key=SECRET).initialize())
    assert caught.value.code is Code.INVALID
    assert "AWS_REGION" in caught.value.hint
    with pytest.raises(ChatModelError, match="region"):
        BedrockChatModel(aws_access_key_id="x", aws_secret_access_key=SECRET).check_ready()


def test_secrets_are_never_shown(server, caplog):
    caplog.set_level(logging.DEBUG, logger="fmf")
    said = f"the key {SECRET} and the token {TOKEN} are not known"
    server.add(Reply(status=403, error="UnrecognizedClientException", message=said))
    model = wrapped(server)
    error = failure(lambda: model.invoke("hello"))
    assert error.code is Code.AUTH
    shown = (
        str(error),
        repr(error),
        repr(model.unwrapped),
        str(pickle.dumps(error)),
        caplog.text,
        repr(vars(model.unwrapped)),
    )
    for text in shown:
        assert SECRET not in text
        assert TOKEN not in text
    assert "not known" in str(error)


# Failures


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (429, "ThrottlingException", Code.RATE_LIMIT),
        (429, "TooManyRequestsException", Code.RATE_LIMIT),
        (400, "ServiceQuotaExceededException", Code.RATE_LIMIT),
        (503, "ServiceUnavailableException", Code.UNAVAILABLE),
        (500, "InternalServerException", Code.UNAVAILABLE),
        (424, "ModelErrorException", Code.UNAVAILABLE),
        (429, "ModelNotReadyException", Code.UNAVAILABLE),
        (408, "ModelTimeoutException", Code.TIMEOUT),
        (403, "AccessDeniedException", Code.AUTH),
        (403, "UnrecognizedClientException", Code.AUTH),
        (403, "ExpiredTokenException", Code.AUTH),
        (403, "InvalidSignatureException", Code.AUTH),
        (404, "ResourceNotFoundException", Code.NOT_FOUND),
        (400, "ValidationException", Code.INVALID),
        (502, "SomethingNew", Code.UNAVAILABLE),
        (418, "SomethingNew", Code.INVALID),
    ],
)
@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_what_bedrock_refuses(server, status, name, code, api):
    server.add(*[Reply(status=status, error=name, headers={"retry-after": "7"})] * 2)
    model = model_of(server, api=api)
    for call in (lambda: model.invoke("x"), lambda: list(model.stream("x"))):
        error = failure(call)
        assert (error.code, error.retry_after, error.fields["aws_code"]) == (code, 7.0, name)
        assert name in str(error)
    assert server.count == 2


@pytest.mark.parametrize(
    ("said", "code", "hint"),
    [
        ("The provided model identifier is invalid.", Code.NOT_FOUND, "list-foundation-models"),
        ("Invocation of model ID x with on-demand throughput isn't supported.", Code.INVALID, "inference profile"),
        ("This action doesn't support the model that you provided.", Code.UNSUPPORTED, "invoke_model"),
        ("Input is too long for requested model.", Code.INVALID, "shorten"),
    ],
)
def test_what_a_validation_exception_says(server, said, code, hint):
    server.add(Reply(status=400, error="ValidationException", message=said))
    error = failure(lambda: model_of(server).invoke("x"))
    assert (error.code, hint in error.hint) == (code, True)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(drop=True), Code.UNAVAILABLE),
        (Reply(cut_after=20), Code.UNAVAILABLE),
        (Reply(body="<html>"), Code.BAD_REPLY),
        (Reply(body=""), Code.BAD_REPLY),
        (Reply(body='{"output": '), Code.BAD_REPLY),
        (Reply(body={"output": []}), Code.BAD_REPLY),
        (Reply(body={"output": {"message": {"content": "x"}}}), Code.BAD_REPLY),
        (Reply(body={"output": {"message": {"content": [5]}}}), Code.BAD_REPLY),
        (Reply(body=[1]), Code.BAD_REPLY),
        (Reply(body=b" " * 65 * 2**20), Code.BAD_REPLY),
        (Reply(usage=None), Code.BAD_REPLY),
        (Reply(text=""), Code.BAD_REPLY),
        (Reply(stop="guardrail_intervened"), Code.REFUSED),
    ],
)
@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_replies_that_are_no_answers(server, reply, code, api):
    if api == "invoke_model" and (reply.cut_after or reply.body == '{"output": '):
        code = Code.UNAVAILABLE if reply.cut_after else Code.BAD_REPLY
    server.add(reply)
    assert failure(lambda: model_of(server, api=api).invoke("x")).code is code
    assert server.count == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(cut_after=2), Code.UNAVAILABLE),
        (Reply(usage=None), Code.UNAVAILABLE),
        (Reply(events=()), Code.UNAVAILABLE),
        (Reply(events=(("messageStart", {"role": "assistant"}), frame("messageStop", {})[:-9])), Code.UNAVAILABLE),
        (Reply(events=(frame("messageStart", {"role": "assistant"}, damaged=True),)), Code.UNAVAILABLE),
        (Reply(events=(b"\xff" * 64,)), Code.UNAVAILABLE),
        (Reply(events=(("contentBlockDelta", b"no JSON"),)), Code.BAD_REPLY),
        (Reply(events=(("contentBlockDelta", [1]),)), Code.BAD_REPLY),
        (Reply(fault=(2, "throttlingException")), Code.RATE_LIMIT),
        (Reply(fault=(2, "modelStreamErrorException")), Code.UNAVAILABLE),
        (Reply(fault=(2, "internalServerException")), Code.UNAVAILABLE),
        (Reply(fault=(2, "serviceUnavailableException")), Code.UNAVAILABLE),
        (Reply(fault=(2, "validationException")), Code.INVALID),
        (Reply(drop=True), Code.UNAVAILABLE),
    ],
)
def test_streams_that_are_no_answers(server, reply, code):
    server.add(reply)
    error = failure(lambda: list(model_of(server).stream("x")))
    assert error.code is code
    assert error.op == "aws_bedrock.stream"
    assert server.count == 1


@pytest.mark.parametrize("name", ["modelTimeoutException", "throttlingException"])
def test_faults_in_mid_stream_of_invoke_model(server, name):
    server.add(Reply(fault=(3, name)))
    error = failure(lambda: list(model_of(server, api="invoke_model").stream("x")))
    assert error.code is {"m": Code.TIMEOUT, "t": Code.RATE_LIMIT}[name[0]]
    assert "in mid stream" in str(error)


def test_a_redirect_is_not_followed(server):
    with BedrockServer() as elsewhere:
        there = {"location": f"{elsewhere.url}/model/x/converse"}
        server.add(*[Reply(status=307, body="", headers=there)] * 2)
        for api in ("converse", "invoke_model"):
            assert failure(lambda api=api: model_of(server, api=api).invoke("x")).code is Code.BAD_REPLY
        assert (server.count, elsewhere.requests) == (2, [])


def test_an_error_in_mid_stream_that_nobody_knows(server):
    server.add(Reply(fault=(2, "somethingNewException")))
    assert failure(lambda: list(model_of(server).stream("x"))).code is Code.UNAVAILABLE


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with BedrockServer() as other:  # requests may be made
        error = failure(lambda: model_of(other, endpoint_url=f"http://127.0.0.1:{port}").invoke("x"))
    assert error.code is Code.UNAVAILABLE
    assert "endpoint_url" in error.hint


# Retries and time limits


def test_one_attempt_is_one_request(server, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    for reply in (Reply(status=503, error="ServiceUnavailableException"), Reply(drop=True)):
        before = server.count
        server.add(reply)
        failure(lambda: model_of(server).invoke("x"))
        assert server.count == before + 1


@pytest.mark.parametrize(
    "body", [b"[" * 1000 + b"]" * 1000, b"\x1b\x83 no text", b'{"message": "' + b"x" * 100_000 + b'"}']
)
def test_a_refusal_is_one_whatever_is_wrong_with_its_body(server, body):
    server.add(Reply(status=503, body=body, headers={"retry-after": "7"}))
    error = failure(lambda: model_of(server).invoke("x"))
    assert (error.code, error.retry_after) == (Code.UNAVAILABLE, 7)


@pytest.mark.parametrize("name", ["timeout_s", "connect_timeout_s"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0, -1])
def test_a_time_that_is_none_is_refused(name, seconds):
    with pytest.raises(ConfigurationError, match=name):
        BedrockChatModel(region="us-east-1", **{name: seconds})


def test_its_address_has_another_name():
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        create_chat_model("aws_bedrock", region="us-east-1", base_url="http://127.0.0.1:9")
    assert "endpoint_url" in caught.value.hint


def test_what_the_service_repeats_of_a_secret_stands_in_no_traceback(server):
    server.add(Reply(status=400, error="ValidationException", message=f"signed with {SECRET}"))
    error = failure(lambda: model_of(server).invoke("x"))
    shown = "".join(traceback.format_exception(error))
    assert "signed with" in shown.partition("Traceback")[2]
    assert SECRET not in shown + str(error)
    assert "user" not in repr(model_of(server, endpoint_url="http://user:Pa55-word@host?code=Pa55-word"))


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(server, name):
    for api in ("converse", "invoke_model"):
        error = failure(lambda api=api: model_of(server, api=api, shape="nova").invoke("x", model=name))
        assert (error.code, server.count) == (Code.INVALID, 0)


def test_the_house_retries(server):
    server.add(*[Reply(status=429, error="ThrottlingException")] * 2)
    answer = wrapped(server, retry={"max_attempts": 3, "first_wait_s": 0.01}).invoke("x")
    assert (answer.content, answer.attempts, server.count) == ("Scripted reply", 3, 3)
    server.add(*[Reply(status=429, error="ThrottlingException")] * 3)
    failure(lambda: wrapped(server, retry={"max_attempts": 3, "first_wait_s": 0.01}).invoke("x"))
    assert server.count == 6
    server.add(Reply(status=400, error="ValidationException"))
    failure(lambda: wrapped(server).invoke("x"))
    assert server.count == 7


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(drip=True, pace_s=0.1), Reply(latency_s=30)])
@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_a_late_answer_is_an_error_and_its_thread_is_free_again(server, reply, api):
    server.add(reply)
    model = model_of(server, timeout_s=1.0, max_threads=1, api=api)
    model.invoke("x") if server.requests else None
    error = failure(lambda: model.invoke("x"))
    assert error.code is Code.TIMEOUT
    assert "timeout_s" in error.hint
    answers = [failure_or_answer(model) for _ in range(3)]
    assert "Scripted reply" in answers


def failure_or_answer(model: ChatModel) -> str:
    # On a busy machine one more of them may be late.
    try:
        return model.invoke("x").content
    except ChatModelError as error:
        return str(error.code)


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(text="a " * 100, pace_s=0.1)])
def test_a_late_stream_is_an_error(server, reply):
    server.add(reply)
    error = failure(lambda: list(model_of(server, timeout_s=1.0).stream("x")))
    assert error.code is Code.TIMEOUT
    server.wait_for(lambda seen: seen.in_flight == 0)


def test_waiting_for_a_thread_is_no_part_of_the_time(server):
    server.add(*[Reply(latency_s=0.4)] * 6)
    model = model_of(server, timeout_s=2.0, max_threads=1)
    model.invoke("x")
    assert len(model.batch(["x"] * 5, max_concurrency=5)) == 5
    assert server.most_in_flight == 1


def test_requests_under_way_are_bounded_and_share_connections(server):
    model = model_of(server, max_threads=4)
    server.add(*[Reply(latency_s=0.05)] * 40)
    assert len(model.batch(["x"] * 40, max_concurrency=40)) == 40
    assert server.most_in_flight <= 4
    assert server.connections <= 4


# Leaving early


def long_stream() -> Reply:
    return Reply(text="word " * 1000, pace_s=0.05)


@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_closing_a_stream_early_frees_connection_and_thread(server, api):
    model = model_of(server, max_threads=1, api=api)
    server.add(long_stream())
    stream = model.stream("x")
    assert next(stream).text == "word "
    stream.close()
    server.wait_for(lambda seen: seen.in_flight == 0)
    assert server.chats[0].closed_early
    assert model.invoke("x").content == "Scripted reply"


def test_a_consumer_that_is_slow_or_never_comes_back_holds_nothing_up(server):
    model = model_of(server, max_threads=1)
    server.add(Reply(text="word " * 2000))
    stream = model.stream("x")
    next(stream)
    time.sleep(0.2)
    del stream
    assert model.invoke("x").content == "Scripted reply"
    server.add(Reply(text="word " * 2000))
    assert len(list(model.stream("x"))) == 2001


@pytest.mark.parametrize("streamed", [True, False])
def test_a_cancelled_call_frees_connection_and_thread(server, streamed):
    server.add(long_stream() if streamed else Reply(hang=True))
    model = model_of(server, max_threads=1)

    async def consume() -> None:
        if streamed:
            async for _ in model.astream("x"):
                pass
        else:
            await model.ainvoke("x")

    async def main() -> None:
        task = asyncio.create_task(consume())
        while not server.in_flight:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await model.ainvoke("y")).content == "Scripted reply"

    run_sync(main())
    server.wait_for(lambda seen: seen.in_flight == 0)


def test_a_call_that_is_over_cannot_cut_the_connection_that_another_one_has_now(server):
    access = model_of(server)._access  # the moment between the two cannot be met from outside
    client, first, second = client_of(session_of(access), access), Line(), Line()
    asked = {"modelId": CLAUDE, "messages": [{"role": "user", "content": [{"text": "x"}]}]}
    with using(first):
        client.converse(**asked)
        first.cut()
    with using(second):
        client.converse(**asked)
    assert server.connections == 1
    client.close()


def test_no_connection_is_waited_for_longer_than_for_the_answer(server):
    access = model_of(server, timeout_s=2.0)._access
    assert client_of(session_of(access), access).meta.config.connect_timeout == 2.0


def test_the_loop_is_never_held_up(server):
    server.add(*[Reply(latency_s=2.0)] * 3)
    model = model_of(server)
    longest = 0.0

    async def main() -> None:
        nonlocal longest
        done = asyncio.gather(*[model.ainvoke("x") for _ in range(3)])
        before = time.perf_counter()
        while not done.done():
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
        await done

    run_sync(main())
    assert longest < 1.5  # a call that blocks takes longer than that


def test_threads_do_not_grow_with_calls(server):
    model = model_of(server, max_threads=3)
    model.batch(["x"] * 12)
    for _ in range(20):
        model.invoke("x")
        list(model.stream("x"))
    run_sync(model.cleanup())
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("bedrock-")]
    before = len(mine)
    model.batch(["x"] * 12)
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("bedrock-")]
    assert len(mine) <= max(before, 3)


def test_cleanup_closes_the_connections(server):
    model = model_of(server)
    model.batch(["x"] * 8)
    assert server.open_connections > 0
    run_sync(model.cleanup())
    server.wait_for(lambda seen: seen.open_connections == 0)
    assert model.invoke("x").content == "Scripted reply"


def test_a_forked_child_asks_over_connections_of_its_own(server):
    code = f"""
import os, sys
from chatmodels.providers.bedrock.model import BedrockChatModel
model = BedrockChatModel(endpoint_url={server.url!r}, region="r", aws_access_key_id="x", aws_secret_access_key="y")
model.invoke("parent")
child = os.fork()
answer = model.invoke("child" if child == 0 else "parent again").content
if child == 0:
    os._exit(0 if answer == "Scripted reply" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert server.count == 3
    assert server.connections == 2


def test_a_forked_child_does_not_wait_for_the_client_that_the_parent_makes(server):
    code = f"""
import os, sys, threading
from chatmodels.providers.bedrock import client as bedrock_client
from chatmodels.providers.bedrock.model import BedrockChatModel
parent, began, over, real = os.getpid(), threading.Event(), threading.Event(), bedrock_client.session_of
def slow(access):
    if os.getpid() == parent:
        began.set()
        over.wait(30)
    return real(access)
bedrock_client.session_of = slow
model = BedrockChatModel(
    endpoint_url={server.url!r}, region="r", aws_access_key_id="x", aws_secret_access_key="y", timeout_s=20
)
asking = threading.Thread(target=model.invoke, args=("parent",))
asking.start()
began.wait(30)
child = os.fork()
if child == 0:
    try:
        os._exit(0 if model.invoke("child").content == "Scripted reply" else 1)
    finally:
        os._exit(2)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
over.set()
asking.join()
sys.exit(status)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert server.count == 2


# What else it says


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (None, "healthy"),
        (Reply(status=403, error="AccessDeniedException"), "healthy"),
        (Reply(status=403, error="UnrecognizedClientException"), "unhealthy"),
        (Reply(status=503, error="ServiceUnavailableException"), "unhealthy"),
        (Reply(drop=True), "unhealthy"),
    ],
)
def test_health_costs_no_tokens(server, reply, status):
    if reply is not None:
        server.add(reply)
    assert model_of(server).check_health().status == status
    assert server.count == 0
    assert [request.path for request in server.requests] == ["/async-invoke"]


def test_where_requests_go(monkeypatch):
    model = BedrockChatModel()
    assert model.endpoint is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert model.endpoint == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert BedrockChatModel(region="us-east-1").endpoint == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert BedrockChatModel(endpoint_url="http://x").endpoint == "http://x"


def test_what_it_can_do():
    capabilities = BedrockChatModel(model="us.anthropic.claude-sonnet-4-5-20250929-v1:0").get_model_info().capabilities
    assert "json_schema" in capabilities
    assert "json_schema" not in BedrockChatModel(model=CLAUDE).get_model_info().capabilities
    assert "json_schema" in BedrockChatModel(model="qwen.qwen3", native_json=True).get_model_info().capabilities


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"api": "convers"}, "invoke_model"),
        ({"shape": "gpt"}, "mistral_chat"),
        ({"max_threads": 0}, "1 or more"),
        ({"aws_access_key_id": "x"}, "aws_secret_access_key"),
    ],
)
def test_wrong_settings_are_refused_when_it_is_made(settings, named):
    with pytest.raises(ConfigurationError) as caught:
        create_chat_model("aws_bedrock", **settings)
    assert named in str(caught.value)


def test_requests_can_be_forbidden(server):
    model = model_of(server)
    with forbid_model_requests():
        for call in (lambda: model.invoke("x"), lambda: list(model.stream("x"))):
            assert failure(call).code is Code.UNSUPPORTED
        assert model.check_health().status == "unhealthy"
    assert server.requests == []


def test_what_cannot_be_asked_is_not_sent(server):
    assert failure(lambda: model_of(server).invoke("x", seed=1)).code is Code.UNSUPPORTED
    messages = (Message(role="user", content=" "),)
    assert failure(lambda: model_of(server).complete(ChatRequest(messages=messages))).code is Code.INVALID
    assert server.requests == []


def test_without_boto3_the_error_names_the_extra():
    code = """
import sys
sys.modules["boto3"] = None
from chatmodels import create_chat_model, get_chat_model_metadata
from fmf_core.errors import PluginError
assert get_chat_model_metadata("aws_bedrock")["extra"] == "aws"
try:
    create_chat_model("aws_bedrock")
except PluginError as error:
    assert "boto3" in str(error) and "[aws]" in error.hint, error
else:
    sys.exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert issubclass(PluginError, Exception)


# Who asks


def test_other_keys_and_profiles_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)

    def who(**more: object) -> int | None:
        return BedrockChatModel(region="us-east-1", **more).credentials_id

    def pair(name: str) -> dict:
        return {"aws_access_key_id": name, "aws_secret_access_key": SECRET}

    assert who() is None
    assert who(**pair("AKIDONE")) == who(**pair("AKIDONE"))
    ways = [who(**pair("AKIDONE")), who(**pair("AKIDTWO")), who(api_key="key-one"), who(api_key="key-two")]
    ways += [who(profile="one"), who(profile="two")]
    for name in ("AWS_ROLE_ARN", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, f"of the environment: {name}")
        ways.append(who())
    assert None not in ways
    assert len(set(ways)) == len(ways)
    # What was given counts more than what the environment says.
    assert (who(api_key="key-one"), who(**pair("AKIDONE"))) == (ways[2], ways[0])


def test_two_accounts_share_no_limits(server: BedrockServer) -> None:
    one, two = (wrapped(server, aws_access_key_id=name) for name in ("AKIDONE", "AKIDTWO"))
    assert one.credentials_id != two.credentials_id


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"endpoint_url": "localhost:4"}, "endpoint_url 'localhost:4' is no address"),
        ({"endpoint_url": "http://localhost:port"}, "is no address"),
        ({"aws_session_token": TOKEN}, "without the keys"),
    ],
)
def test_mistakes_in_settings_are_told_when_the_model_is_made(settings, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        create_chat_model("aws_bedrock", **{"region": "us-east-1", **settings})
    assert caught.value.hint
    assert TOKEN not in str(caught.value)


def test_settings_that_boto3_can_make_no_client_of_are_no_reply(monkeypatch):
    keys = {"aws_access_key_id": "AKIDOFNOBODY", "aws_secret_access_key": SECRET}
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "localhost:4")
    with allow_model_requests(), pytest.raises(ChatModelError, match="localhost:4") as caught:
        create_chat_model("aws_bedrock", region="us-east-1", **keys).invoke("x")
    assert caught.value.code is Code.INVALID
    assert not caught.value.was_asked


FEW_FILES = """
    import asyncio, json, resource, sys
    from chatmodels.providers.bedrock.model import BedrockChatModel

    model = BedrockChatModel(**json.loads(sys.argv[1]))

    async def whole(number):
        return (await model.ainvoke(f"n{number}")).content

    async def in_pieces(number):
        return "".join([piece.text async for piece in model.astream(f"n{number}")])

    async def main():
        await model.ainvoke("first")
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        calls = [(whole, in_pieces)[number % 2](number) for number in range(150)]
        print(sum(text == f"n{number}" for number, text in enumerate(await asyncio.gather(*calls))))

    with asyncio.Runner() as runner:
        runner.run(main())
"""


def test_more_threads_than_file_descriptors_mean_that_calls_wait() -> None:
    with BedrockServer(lambda request: Reply(text=request.prompt, latency_s=0.05)) as server:
        settings = json.dumps(settings_of(server, max_threads=60))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FEW_FILES), settings],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "150\n"), done.stderr
