from __future__ import annotations

from typing import Any

import pytest

from chatmodels import MockChatModel, create_chat_model, list_chat_models, register_chat_model, unregister_chat_model
from chatmodels.config import ChatModelConfig
from chatmodels.errors import ChatModelError
from chatmodels.factory import wrap
from chatmodels.iface import ChatModel
from chatmodels.types import ChatRequest, ChatResponse, ImagePart, Message, TokenUsage, Tool
from chatmodels.wrappers.checked import CheckedModel
from fmf_core.errors import Code, ConfigurationError
from peers.scripted_server import ScriptedServer

TOOLS = (Tool(name="clock"),)
PICTURE = (Message(role="user", content=(ImagePart(url="https://x.example/y.png"),)),)


class Known(MockChatModel):
    """A mock that calls itself a provider of the table."""

    def __init__(self, provider: str, endpoint: str | None = None, model: str = "gpt-4") -> None:
        super().__init__("yes", model=model)
        self.provider_name = provider
        self._endpoint = endpoint

    @property
    def endpoint(self) -> str | None:
        return self._endpoint


OPENAI = "https://api.openai.com/v1"


def failure(asking: ChatModel, request: Any = "x", /, **asked: Any) -> ChatModelError:
    with pytest.raises(ChatModelError) as caught:
        asking.invoke(request, **asked)
    return caught.value


def test_what_the_table_excludes_is_never_asked() -> None:
    vendor = Known("openai", OPENAI)
    model = wrap(vendor, ChatModelConfig())
    assert failure(model, PICTURE, model="gpt-4").code is Code.UNSUPPORTED
    with pytest.raises(ChatModelError, match="images"):
        list(model.stream(PICTURE, model="gpt-4"))
    assert vendor.call_count == 0
    assert model.invoke("x", model="gpt-4").content == "yes"
    assert model.invoke(PICTURE, model="gpt-4o").content == "yes"
    assert model.invoke(PICTURE, model="gpt-9").content == "yes"


def test_a_request_that_names_no_model_means_the_one_inside() -> None:
    model = CheckedModel(Known("openai", OPENAI))
    assert "'gpt-4'" in failure(model, PICTURE).message


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8000/v1", "https://openrouter.ai/api/v1", None])
def test_models_of_other_servers_are_unknown(endpoint: str | None) -> None:
    assert CheckedModel(Known("openai", endpoint)).invoke(PICTURE, model="gpt-4").content == "yes"


def test_a_server_of_ones_own_is_asked_whatever_the_name(scripted_server: ScriptedServer) -> None:
    model = create_chat_model("openai", base_url=scripted_server.base_url, model="gpt-3.5-turbo")
    assert "images" in model.get_model_info().capabilities
    assert model.invoke(PICTURE).content == "Scripted reply"


@pytest.mark.parametrize(("name", "sees"), [("gpt-4o", True), ("gpt-3.5-turbo", False)])
def test_the_model_tells_what_the_table_says(name: str, sees: bool) -> None:
    model = create_chat_model("openai", model=name, api_key="key-of-nobody")
    assert ("images" in model.get_model_info().capabilities) is sees


def test_responses_take_no_seed() -> None:
    model = create_chat_model("openai", model="gpt-4o", api_key="key-of-nobody", api="responses")
    assert {"seed", "stop"}.isdisjoint(model.get_model_info().capabilities)


# ------------------------------------------------------------------------------------------------ of one's own


def test_given_capabilities_take_the_place_of_the_table() -> None:
    model = create_chat_model("mock", model="m", capabilities=["chat", "images"])
    assert model.get_model_info().capabilities == ("chat", "images")
    assert model.invoke(PICTURE).content
    error = failure(model, tools=TOOLS)
    assert error.fields["missing"] == ["tools"]
    assert "it has: chat, images" in error.message
    with pytest.raises(ChatModelError, match="no stream"):
        list(model.stream("x"))


def test_they_speak_of_their_model_only() -> None:
    model = create_chat_model("mock", model="m", capabilities=["chat"])
    assert failure(model, tools=TOOLS).code is Code.UNSUPPORTED
    assert model.invoke("x", tools=TOOLS, model="other").content


def test_they_hold_behind_a_server_of_ones_own(scripted_server: ScriptedServer) -> None:
    model = create_chat_model("openai", base_url=scripted_server.base_url, model="m", capabilities=["chat", "system"])
    assert failure(model, tools=TOOLS).fields["missing"] == ["tools"]
    assert scripted_server.count == 0


def test_more_than_the_table_says_may_be_given() -> None:
    vendor = Known("openai", OPENAI)
    model = wrap(vendor, ChatModelConfig(model="gpt-4", capabilities=("chat", "images", "system")))
    assert model.invoke(PICTURE, model="gpt-4").content == "yes"


def test_words_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'telepathy'") as caught:
        create_chat_model("mock", capabilities=["telepathy"])
    assert "json_schema" in str(caught.value)


# --------------------------------------------------------------------------------------------------- fallbacks


@pytest.mark.parametrize(("name", "sees"), [("gpt-4o", True), ("gpt-4", False)])
def test_a_fallback_is_checked_by_its_own_name(name: str, sees: bool) -> None:
    standing_by = Known("openai", OPENAI, name)
    model = create_chat_model("mock", fail_with=Code.UNAVAILABLE, retry=None, fallbacks=[standing_by])
    assert model.invoke("x").content == "yes"
    if sees:
        assert model.invoke(PICTURE).content == "yes"
    else:
        assert "no images" in failure(model, PICTURE).message
    assert standing_by.call_count == 1 + sees


def test_a_fallback_to_another_model_does_not_inherit_what_is_said_of_the_first() -> None:
    model = create_chat_model("mock", capabilities=["chat"], model="m", fallbacks=["mock-2", {"model": "mock-3"}])
    checks = [fallback.model.inner for fallback in model.fallbacks]
    assert failure(model, tools=TOOLS).fields["missing"] == ["tools"]
    assert all(len(check.get_model_info().capabilities) > 1 for check in checks)


# --------------------------------------------------------------------------------------------------- discovery


class Plain(ChatModel):
    """Answers."""

    def complete(self, request: ChatRequest) -> ChatResponse:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="plain", provider="plain")
        return ChatResponse(content="yes", model="plain", usage=usage)


def test_providers_are_found_by_what_they_can() -> None:
    register_chat_model("plain", Plain, metadata={"capabilities": ["chat", "seed"]})
    try:
        assert {"openai", "azure_openai", "mock"} <= set(list_chat_models(capability="images"))
        assert {"plain", "local"}.isdisjoint(list_chat_models(capability="images"))
        assert "plain" in list_chat_models(capability="chat")
        assert "plain" in list_chat_models(capability=("chat", "seed"))
        assert "plain" not in list_chat_models(capability=("chat", "tools"))
        assert "local" in list_chat_models(capability=("seed", "json_schema"))
        assert create_chat_model("plain").invoke("x", tools=TOOLS).content == "yes"
    finally:
        unregister_chat_model("plain")
