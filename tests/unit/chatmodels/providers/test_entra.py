from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.identity import ClientSecretCredential

from chatmodels import create_chat_model
from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.iface import ChatModel
from chatmodels.providers.azure_openai import AzureOpenAIChatModel
from chatmodels.providers.call import Call
from chatmodels.providers.entra import SCOPE, EntraSignIn
from chatmodels.testing import ChatModelExam, allow_model_requests
from chatmodels.types import ChatRequest
from fmf_core.errors import Code, ConfigurationError, PluginError
from fmf_core.portal import run_sync
from fmf_core.redact import redact
from peers.azure_server import AzureServer
from peers.certificates import Certificates
from peers.entra_server import CLIENT, SECRET, TENANT, EntraServer
from peers.scripted_server import Reply

CALL = Call("azure_openai", "azure_openai.complete", ChatRequest(prompt="x", model="d"))


class Clock:
    """A clock that is told the time."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Signer:
    """A credential that counts, waits and fails as it is told; its tokens hold for an hour of `clock`."""

    clock: Callable[[], float] = time.time
    failures: list[BaseException] = field(default_factory=list)
    gate: threading.Event | None = None
    scopes: list[str] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def get_token(self, *scopes: str) -> AccessToken:
        self.scopes.extend(scopes)
        self.threads.add(threading.current_thread().name)
        number = len(self.scopes)
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        return AccessToken(f"signed-token-{number}-of-nobody", int(self.clock() + 3600))


def sign_in_of(signer: Signer | Any, clock: Clock | None = None) -> EntraSignIn:
    return EntraSignIn(signer, clock=clock) if clock is not None else EntraSignIn(signer)


def ready(sign_in: EntraSignIn, timeout_s: float | None = 5.0) -> str:
    run_sync(sign_in.ready(CALL, timeout_s))
    return sign_in.token


def in_own_loop(work: Coroutine[Any, Any, Any]) -> None:
    with asyncio.Runner() as runner:
        runner.run(work)


def failure(sign_in: EntraSignIn, timeout_s: float | None = 5.0) -> ChatModelError:
    with pytest.raises(ChatModelError) as caught:
        ready(sign_in, timeout_s)
    return caught.value


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -------------------------------------------------------------------------------------------------- keeping tokens


def test_a_token_is_fetched_once_and_blanked_everywhere() -> None:
    signer = Signer()
    sign_in = sign_in_of(signer)
    assert sign_in.token == ""
    assert {ready(sign_in) for _ in range(3)} == {"signed-token-1-of-nobody"}
    assert signer.scopes == [SCOPE]
    assert "signed-token-1" not in redact("Bearer signed-token-1-of-nobody")


def test_all_who_wait_share_one_fetching_off_the_event_loop() -> None:
    signer = Signer(gate=threading.Event())
    sign_in = sign_in_of(signer)

    waiting: list[asyncio.Task[None]] = []

    async def many() -> None:
        tasks = [asyncio.ensure_future(sign_in.ready(CALL, 10.0)) for _ in range(50)]
        await asyncio.sleep(0)  # the loop turns although the credential blocks
        waiting.extend(tasks)
        await asyncio.gather(*tasks)

    threads = [threading.Thread(target=lambda: in_own_loop(many())) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(waiting) == 150)
    assert not any(task.done() for task in waiting)
    signer.gate.set()
    for thread in threads:
        thread.join()
    assert len(signer.scopes) == 1
    assert threading.current_thread().name not in signer.threads


def test_shortly_before_its_end_a_token_is_renewed_beside_the_requests() -> None:
    clock = Clock()
    signer = Signer(clock)
    sign_in = sign_in_of(signer, clock)
    ready(sign_in)
    clock.now += 3600 - 301
    assert (ready(sign_in), len(signer.scopes)) == ("signed-token-1-of-nobody", 1)
    signer.gate = threading.Event()
    clock.now += 2
    assert ready(sign_in) == "signed-token-1-of-nobody"  # nobody waits for the new one
    assert ready(sign_in) == "signed-token-1-of-nobody"
    signer.gate.set()
    until(lambda: sign_in.token == "signed-token-2-of-nobody")
    assert len(signer.scopes) == 2


def test_a_failed_renewal_disturbs_nobody_and_rests() -> None:
    clock = Clock()
    signer = Signer(clock)
    sign_in = sign_in_of(signer, clock)
    ready(sign_in)
    clock.now += 3600 - 200
    signer.failures = [RuntimeError("no luck")]
    ready(sign_in)
    until(lambda: sign_in._rest_until > 0)
    assert ready(sign_in) == "signed-token-1-of-nobody"
    assert len(signer.scopes) == 2
    clock.now += 31
    ready(sign_in)
    until(lambda: sign_in.token == "signed-token-3-of-nobody")


def test_an_ended_token_is_waited_for() -> None:
    clock = Clock()
    signer = Signer(clock)
    sign_in = sign_in_of(signer, clock)
    ready(sign_in)
    clock.now += 3600 - 29
    assert ready(sign_in) == "signed-token-2-of-nobody"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_fetches_by_itself_what_the_parent_is_fetching() -> None:
    parent, began, over = os.getpid(), threading.Event(), threading.Event()

    def credential() -> str:
        if os.getpid() == parent:
            began.set()
            assert over.wait(30)
        return "signed-token-of-nobody"

    sign_in = sign_in_of(credential)
    fetching = threading.Thread(target=ready, args=(sign_in, 60.0))
    fetching.start()
    assert began.wait(30)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if ready(sign_in, 20.0) else 1)
        finally:
            os._exit(2)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        over.set()
        fetching.join(30)


def test_who_gives_up_takes_nobody_along() -> None:
    signer = Signer(gate=threading.Event())
    sign_in = sign_in_of(signer)

    async def give_up() -> None:
        begun = asyncio.ensure_future(sign_in.ready(CALL, 5.0))
        while not signer.scopes:
            await asyncio.sleep(0.001)
        begun.cancel()
        await asyncio.gather(begun, return_exceptions=True)
        assert begun.cancelled()

    in_own_loop(give_up())
    signer.gate.set()
    assert (ready(sign_in), len(signer.scopes)) == ("signed-token-1-of-nobody", 1)


def test_waiting_has_an_end() -> None:
    signer = Signer(gate=threading.Event())
    sign_in = sign_in_of(signer)
    error = failure(sign_in, 0.05)
    assert (error.code, "0.05 s" in error.message) == (Code.TIMEOUT, True)
    signer.gate.set()
    assert ready(sign_in) == "signed-token-1-of-nobody"


# ------------------------------------------------------------------------------------------------ kinds of credential


def test_async_credentials_are_always_asked_on_one_loop() -> None:
    loops = []

    class Async:
        async def get_token(self, *scopes: str) -> AccessToken:
            loops.append(asyncio.get_running_loop())
            return AccessToken("async-token-of-nobody", 0)  # ended already

    sign_in = sign_in_of(Async())
    in_own_loop(sign_in.ready(CALL, 5.0))
    run_sync(sign_in.ready(CALL, 5.0))
    assert sign_in.token == "async-token-of-nobody"
    assert len(loops) == 2
    assert len(set(loops)) == 1


@pytest.mark.parametrize("awaited", [False, True])
def test_functions_give_tokens_that_are_asked_for_anew_after_a_while(awaited: bool) -> None:
    clock, count = Clock(), iter(range(1, 9))

    def blocking() -> str:
        return f"function-token-{next(count)}-of-nobody"

    async def awaiting() -> str:
        return blocking()

    sign_in = sign_in_of(awaiting if awaited else blocking, clock)
    assert {ready(sign_in), ready(sign_in)} == {"function-token-1-of-nobody"}
    clock.now += 61
    ready(sign_in)
    until(lambda: sign_in.token == "function-token-2-of-nobody")
    clock.now += 121
    assert ready(sign_in) == "function-token-3-of-nobody"


@pytest.mark.parametrize("credential", ["defualt", "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.secret", 7, object()])
def test_what_is_no_credential_is_refused_without_showing_it(credential: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot sign in") as caught:
        AzureOpenAIChatModel(credential=credential)
    assert "'default'" in caught.value.hint
    assert "eyJ0" not in str(caught.value)


@pytest.mark.parametrize("other", ["api_key", "token"])
def test_one_way_to_sign_in_is_enough(other: str) -> None:
    with pytest.raises(ConfigurationError, match=other):
        AzureOpenAIChatModel(credential="default", **{other: "value-of-nobody"})


def test_default_is_made_when_it_is_first_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Default(Signer):
        closed = 0

        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def close(self) -> None:
            self.closed += 1

    fake = ModuleType("azure.identity")
    fake.DefaultAzureCredential = Default
    monkeypatch.setitem(sys.modules, "azure.identity", fake)
    fake.__spec__ = object()  # what find_spec looks at
    sign_in = EntraSignIn("default", "https://ai.azure.com/.default")
    assert made == []
    assert ready(sign_in) == "signed-token-1-of-nobody"
    assert made[0].scopes == ["https://ai.azure.com/.default"]
    model = AzureOpenAIChatModel(credential="default", endpoint="https://x.example")
    run_sync(model.cleanup())
    with allow_model_requests():
        run_sync(model.initialize())
    run_sync(model.cleanup())
    run_sync(model.cleanup())
    assert [credential.closed for credential in made] == [0, 1]


@pytest.mark.parametrize("missing", ["azure", "azure.identity"])
def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find_spec(name: str) -> None:
        if missing == "azure":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    with pytest.raises(PluginError, match=r"azure\.identity") as caught:
        create_chat_model("azure_openai", credential="default", endpoint="https://x.example")
    assert caught.value.hint == "pip install -e '.[azure]' in a clone of frontier-model-framework"


# ------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("problem", "code", "hint"),
    [
        (ValueError("AADSTS7000215: wrong secret\nTrace ID: 1"), Code.AUTH, "Cognitive Services OpenAI User"),
        (SystemExit(1), Code.AUTH, "az login"),
        (ServiceRequestError("name not known"), Code.UNAVAILABLE, "reachable"),
        (ConnectionRefusedError("no"), Code.UNAVAILABLE, "reachable"),
    ],
)
def test_a_failed_sign_in_says_so_and_is_tried_again_by_the_next(problem: BaseException, code: Code, hint: str) -> None:
    sign_in = sign_in_of(Signer(failures=[problem]))
    error = failure(sign_in)
    assert isinstance(error, ProviderAuthError) is (code is Code.AUTH)
    assert (error.code, error.op, error.__cause__) == (code, "azure_openai.complete", problem)
    assert hint in error.hint
    assert "Trace" not in error.message
    assert ready(sign_in) == "signed-token-2-of-nobody"


@pytest.mark.parametrize("nothing", ["", None, AccessToken("", 0), 7])
def test_nothing_is_no_token(nothing: object) -> None:
    error = failure(sign_in_of(lambda: nothing))
    assert (error.code, "instead of a token" in error.message) == (Code.AUTH, True)


# -------------------------------------------------------------------------------------------- against the resource


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def azure() -> Iterator[AzureServer]:
    with AzureServer(tokens=[f"signed-token-{number}-of-nobody" for number in range(1, 9)]) as server:
        yield server


def model_of(server: AzureServer, credential: Any, **settings: Any) -> AzureOpenAIChatModel:
    given = {"endpoint": server.url, "model": "my deployment", "credential": credential, "timeout_s": 5.0}
    return AzureOpenAIChatModel(**{**given, **settings})


def test_requests_carry_the_token(azure: AzureServer, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key-of-nobody")
    model = model_of(azure, signer)
    assert model.endpoint == azure.url
    run_sync(model.initialize())
    assert model.invoke("x").content == "Scripted reply"
    assert "".join(chunk.text for chunk in model.stream("x")) == "Scripted reply"
    assert model.check_health().status == "healthy"
    assert {request.headers["authorization"] for request in azure.requests} == {"Bearer signed-token-1-of-nobody"}
    assert not any("api-key" in request.headers for request in azure.requests)
    assert len(signer.scopes) == 1


def test_a_refused_token_is_dropped_and_the_request_not_repeated(azure: AzureServer, signer: Signer) -> None:
    azure.tokens = ["signed-token-2-of-nobody"]
    model = create_chat_model("azure_openai", endpoint=azure.url, model="my deployment", credential=signer)
    with pytest.raises(ProviderAuthError) as caught:
        model.invoke("x")
    assert (caught.value.code, caught.value.fields["token"]) == (Code.AUTH, "dropped")
    assert "signs in anew" in caught.value.hint
    assert azure.count == 1
    assert model.invoke("x").content == "Scripted reply"
    assert azure.count == 2


def test_a_failed_sign_in_asks_the_resource_nothing(azure: AzureServer) -> None:
    model = model_of(azure, Signer(failures=[ValueError("no")] * 3))
    for ask in (lambda: model.invoke("x"), lambda: list(model.stream("x")), lambda: run_sync(model.initialize())):
        with pytest.raises(ProviderAuthError, match="sign-in"):
            ask()
    assert azure.requests == []


def test_the_sign_in_that_cannot_be_reached_is_tried_again(azure: AzureServer) -> None:
    signer = Signer(failures=[ServiceRequestError("no way")])
    model = create_chat_model(
        "azure_openai",
        endpoint=azure.url,
        model="my deployment",
        credential=signer,
        retry={"max_attempts": 2, "first_wait_s": 0.01},
    )
    assert model.invoke("x").attempts == 2


class TestExamWithACredential(ChatModelExam):
    model = "my deployment"
    capabilities = ("chat", "stream")  # the peer says always the same

    @pytest.fixture(autouse=True)
    def _server(self, azure: AzureServer) -> None:
        self.server = azure

    def make_model(self) -> ChatModel:
        return model_of(self.server, Signer())

    def make_failing_model(self) -> ChatModel:
        return model_of(self.server, Signer(failures=[ValueError("no")] * 9))


# ------------------------------------------------------------------------------- with the real library over the wire


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def entra(certificates: Certificates) -> Iterator[EntraServer]:
    with EntraServer(certificates.context("good")) as server:
        yield server


def client_secret(entra: EntraServer, authority: Path, secret: str = SECRET) -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT,
        CLIENT,
        secret,
        authority=entra.url,
        disable_instance_discovery=True,
        connection_verify=str(authority),
        retry_total=0,
    )


def test_a_client_secret_signs_in_over_tls(entra: EntraServer, certificates: Certificates) -> None:
    with (
        AzureServer([Reply(text=str(number)) for number in range(3)], tokens=entra.tokens) as azure,
        client_secret(entra, certificates.authority) as credential,
    ):
        model = model_of(azure, credential, api_version="v1")
        assert [model.invoke("x").content for _ in range(3)] == ["0", "1", "2"]
        [form] = entra.asked
        assert (form["scope"], form["grant_type"]) == (SCOPE, "client_credentials")
        assert {chat.headers["authorization"] for chat in azure.chats} == {f"Bearer {entra.tokens[0]}"}


def test_a_token_that_ends_soon_is_fetched_anew(entra: EntraServer, certificates: Certificates) -> None:
    entra.expires_in_s = 20
    with (
        AzureServer(tokens=entra.tokens) as azure,
        client_secret(entra, certificates.authority) as credential,
    ):
        model = model_of(azure, credential)
        model.invoke("x")
        model.invoke("x")
        assert len(entra.tokens) == 2


def test_a_wrong_secret_is_a_failed_sign_in(entra: EntraServer, certificates: Certificates) -> None:
    wrong = "wrong-secret-of-nobody"
    with AzureServer() as azure, client_secret(entra, certificates.authority, wrong) as credential:
        with pytest.raises(ProviderAuthError, match="AADSTS7000215") as caught:
            model_of(azure, credential).invoke("x")
        assert caught.value.code is Code.AUTH
        assert wrong not in str(caught.value)
        assert azure.requests == []
