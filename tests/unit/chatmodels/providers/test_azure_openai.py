from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from chatmodels import ChatModelError, ProviderAuthError, create_chat_model
from chatmodels.iface import ChatModel
from chatmodels.providers.azure_openai import AzureOpenAIChatModel
from chatmodels.testing import ChatModelExam, allow_model_requests
from fmf_core.errors import Code, ConfigurationError
from fmf_core.redact import redact
from peers.azure_server import AzureServer
from peers.scripted_server import Reply, ScriptedServer

KEY = "azure-key-of-nobody"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def azure() -> Iterator[AzureServer]:
    with AzureServer(key=KEY) as server:
        yield server


def model_of(server: ScriptedServer, **settings: object) -> AzureOpenAIChatModel:
    return AzureOpenAIChatModel(**{"endpoint": server.url, "api_key": KEY, "model": "my deployment", **settings})


def test_a_deployment_has_a_dated_path_and_the_key_a_header_of_its_own(scripted_server: ScriptedServer) -> None:
    response = model_of(scripted_server).invoke("x", temperature=0.0)
    [request] = scripted_server.requests
    assert request.path == "/openai/deployments/my%20deployment/chat/completions"
    assert request.query == "api-version=2024-10-21"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert request.body["temperature"] == 0.0
    assert response.usage.provider == "azure_openai"


@pytest.mark.parametrize(
    ("version", "path", "query"),
    [
        ("2025-01-01-preview", "/openai/deployments/d/chat/completions", "api-version=2025-01-01-preview"),
        ("v1", "/openai/v1/chat/completions", ""),
        ("preview", "/openai/v1/chat/completions", "api-version=preview"),
    ],
)
@pytest.mark.parametrize("behind", ["", "/", "/openai", "/openai/v1/"])
def test_versions(scripted_server: ScriptedServer, version: str, path: str, query: str, behind: str) -> None:
    model_of(scripted_server, endpoint=scripted_server.url + behind, api_version=version).invoke("x", model="d")
    [request] = scripted_server.requests
    assert (request.path, request.query, request.body["model"]) == (path, query, "d")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(scripted_server: ScriptedServer, name: str) -> None:
    with pytest.raises(ChatModelError, match="no name of a deployment") as caught:
        model_of(scripted_server).invoke("x", model=name)
    assert caught.value.code is Code.INVALID
    assert not scripted_server.requests


@pytest.mark.parametrize(
    ("behind", "told"),
    [
        ("/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21", "model to my dep"),
        ("/openai/v1/chat/completions", "endpoint"),
        ("?api-version=2024-10-21", "api_version"),
    ],
)
def test_the_address_of_one_interface_is_taken_apart_in_the_hint(
    scripted_server: ScriptedServer, behind: str, told: str
) -> None:
    with pytest.raises(ChatModelError, match="address of one interface") as caught:
        model_of(scripted_server, endpoint=scripted_server.url + behind).invoke("x")
    assert caught.value.code is Code.INVALID
    assert told in caught.value.hint
    assert f"{scripted_server.url}," in caught.value.hint
    assert not scripted_server.requests


def test_parameters_of_the_address_are_kept(scripted_server: ScriptedServer) -> None:
    model_of(scripted_server, endpoint=f"{scripted_server.url}/?code=Pa55-word").invoke("x", model="d")
    [request] = scripted_server.requests
    assert request.path == "/openai/deployments/d/chat/completions"
    assert request.query == "code=Pa55-word&api-version=2024-10-21"


@pytest.mark.parametrize("version", ["2024-13-45", "v2", "2024", "2024-10-21 "])
def test_a_version_that_is_none_is_refused(scripted_server: ScriptedServer, version: str) -> None:
    with pytest.raises(ChatModelError, match="no version") as caught:
        model_of(scripted_server, api_version=version).invoke("x")
    assert (caught.value.code, "2024-10-21" in caught.value.hint) == (Code.INVALID, True)


def test_an_address_without_its_scheme_names_the_setting(scripted_server: ScriptedServer) -> None:
    with pytest.raises(ChatModelError, match="begin with http") as caught:
        model_of(scripted_server, endpoint="name.openai.azure.com").invoke("x")
    assert "AZURE_OPENAI_ENDPOINT" in caught.value.hint


def test_its_address_has_another_name() -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        create_chat_model("azure_openai", base_url="http://127.0.0.1:9", endpoint="http://127.0.0.1:9", api_key=KEY)
    assert caught.value.hint.endswith("endpoint")


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="first_byte_timeout_s"):
        AzureOpenAIChatModel(first_byte_timeout_s=float("nan"))


def test_the_address_is_shown_without_its_secrets() -> None:
    model = AzureOpenAIChatModel(endpoint="https://user:Pa55-word@host/?code=Pa55-word", model="d", api_key=KEY)
    assert "Pa55" not in repr(model)
    assert "https://host/" in repr(model)


def test_a_token_takes_the_place_of_the_key(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model_of(scripted_server, api_key=None, token="token-of-nobody").invoke("x")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "token-of-somebody")
    model_of(scripted_server, api_key=None).invoke("x")
    model_of(scripted_server).invoke("x")  # a key that was given counts more than a variable
    told = [request.headers.get("authorization", request.headers.get("api-key")) for request in scripted_server.chats]
    assert told == ["Bearer token-of-nobody", "Bearer token-of-somebody", KEY]


def test_the_environment_says_what_arguments_do_not(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", scripted_server.url)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "first-key-of-nobody")
    monkeypatch.setenv("OPENAI_API_VERSION", "2030-01-01")
    model = AzureOpenAIChatModel(model="d")
    model.invoke("x")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "second-key-of-nobody")
    model.invoke("x")
    first, second = scripted_server.chats
    assert first.query == "api-version=2030-01-01"
    assert [first.headers["api-key"], second.headers["api-key"]] == ["first-key-of-nobody", "second-key-of-nobody"]


def test_what_is_missing_is_named() -> None:
    with allow_model_requests():
        with pytest.raises(ChatModelError, match="no address") as caught:
            AzureOpenAIChatModel(api_key=KEY).invoke("x")
        assert (caught.value.code, "AZURE_OPENAI_ENDPOINT" in caught.value.hint) == (Code.INVALID, True)
        with pytest.raises(ProviderAuthError, match="neither a key nor a token") as caught:
            AzureOpenAIChatModel(endpoint="http://127.0.0.1:9").invoke("x")
        assert "AZURE_OPENAI_API_KEY" in caught.value.hint


@pytest.mark.parametrize(
    ("reply", "code", "hint"),
    [
        (Reply(status=401, body={"error": {"code": "401", "message": "wrong key"}}), Code.AUTH, "AZURE_OPENAI_API_KEY"),
        (Reply(status=404, body={"error": {"code": "DeploymentNotFound"}}), Code.NOT_FOUND, "deployment"),
        (Reply(status=400, body={"error": {"code": "content_filter", "message": "no"}}), Code.REFUSED, ""),
    ],
)
def test_refusals(scripted_server: ScriptedServer, reply: Reply, code: Code, hint: str) -> None:
    scripted_server.add(reply)
    with pytest.raises(ChatModelError) as caught:
        model_of(scripted_server).invoke("x")
    assert caught.value.code is code
    assert hint in caught.value.hint
    assert caught.value.fields["provider"] == "azure_openai"


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [("my-resource.openai.azure.com", Code.INVALID), ("https://my resource", Code.INVALID), (None, Code.INVALID)],
)
def test_hints_name_the_setting_that_holds_the_address(
    scripted_server: ScriptedServer, endpoint: str | None, code: Code
) -> None:
    scripted_server.add(Reply(status=307, headers={"location": "https://elsewhere.example"}))
    with pytest.raises(ChatModelError) as caught:
        model_of(scripted_server, endpoint=endpoint or scripted_server.url).invoke("x")
    assert caught.value.code is code
    assert "endpoint (AZURE_OPENAI_ENDPOINT)" in caught.value.hint
    assert "base_url" not in caught.value.hint


def test_it_is_in_the_table(scripted_server: ScriptedServer) -> None:
    model = create_chat_model("azure_openai", endpoint=scripted_server.url, api_key=KEY, model="d", api_version="v1")
    assert model.invoke("x").content == "Scripted reply"


@pytest.mark.parametrize(
    ("version", "path", "query"),
    [
        (None, "/openai/v1/responses", ""),
        ("v1", "/openai/v1/responses", ""),
        ("preview", "/openai/v1/responses", "api-version=preview"),
        ("2025-03-01-preview", "/openai/responses", "api-version=2025-03-01-preview"),
    ],
)
def test_responses_have_paths_of_their_own(azure: AzureServer, version: str | None, path: str, query: str) -> None:
    response = model_of(azure, api="responses", api_version=version).invoke("x")
    [request] = azure.requests
    assert (request.path, request.query) == (path, query)
    assert (request.body["model"], request.body["store"]) == ("my deployment", False)
    assert response.usage.provider == "azure_openai"


def test_a_version_without_responses_is_named(azure: AzureServer) -> None:
    with pytest.raises(ChatModelError, match="'2024-10-21'") as caught:
        model_of(azure, api="responses", api_version="2024-10-21").invoke("x")
    assert (caught.value.code, "v1" in caught.value.hint) == (Code.INVALID, True)
    assert azure.requests == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"api_key": "wrong-key-of-nobody"}, Code.AUTH),
        ({"api_key": None, "token": "wrong-token-of-nobody"}, Code.AUTH),
        ({"model": "other"}, Code.NOT_FOUND),
        ({"api_version": "2019-01-01"}, Code.NOT_FOUND),
    ],
)
def test_the_resource_refuses_what_it_does_not_know(
    azure: AzureServer, settings: dict[str, object], code: Code
) -> None:
    with pytest.raises(ChatModelError) as caught:
        model_of(azure, **settings).invoke("x")
    assert (caught.value.code, azure.count) == (code, 1)


class TestExam(ChatModelExam):
    model = "my deployment"
    capabilities = ("chat", "stream")  # the peer says always the same
    settings: ClassVar[dict[str, object]] = {}

    @pytest.fixture(autouse=True)
    def _server(self, azure: AzureServer) -> None:
        self.server = azure

    def make_model(self) -> ChatModel:
        return model_of(self.server, **self.settings)

    def make_failing_model(self) -> ChatModel:
        return model_of(self.server, **{**self.settings, "api_key": "wrong-key-of-nobody"})


class TestExamUndated(TestExam):
    settings: ClassVar[dict[str, object]] = {"api_version": "v1"}


class TestExamOfResponses(TestExam):
    settings: ClassVar[dict[str, object]] = {"api": "responses"}


def test_the_hint_of_a_missing_key_comes_through_redaction_whole(monkeypatch):
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with allow_model_requests(), pytest.raises(ProviderAuthError) as caught:
        create_chat_model("azure_openai", endpoint="https://x.example", model="d").invoke("x")
    assert "set credential to 'default'" in redact(caught.value.hint)
