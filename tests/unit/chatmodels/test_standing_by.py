from __future__ import annotations

import ast
import json
import re

import pytest

from chatmodels import (
    ChatModel,
    ChatModelError,
    ErrorCode,
    MockChatModel,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.testing import allow_model_requests
from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, reset_logging


def failure() -> ChatModelError:
    return ChatModelError("overloaded", op="vendor.complete", code=ErrorCode.UNAVAILABLE, hint="have patience")


@pytest.mark.parametrize("slip", ["azure-openai", "AzureOpenAI", "opanai", "aws_bedrok"])
def test_a_misspelt_provider_is_no_name_of_a_model(slip):
    with pytest.raises(ConfigurationError, match=f"fallbacks: there is no provider '{slip}'") as caught:
        create_chat_model("mock", fallbacks=[slip])
    assert "did you mean" in caught.value.hint
    create_chat_model("mock", fallbacks=[{"model": slip}])


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-oss-20b", "mock-2", "b", "locale-fr", "my-deployment"])
def test_a_model_is_no_misspelt_provider(name):
    model = create_chat_model("mock", fail_with=failure(), retry=None, fallbacks=[name])
    with pytest.raises(ChatModelError, match=f"mock/{name}: unavailable"):
        model.invoke("x")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("bedrock", "aws_bedrock"), ("azure", "azure_openai"), ("gemini", "generativelanguage"), ("Ollama", ":11434")],
)
def test_somebody_elses_word_for_a_provider_is_no_name_of_a_model(name, meant):
    with pytest.raises(ConfigurationError, match=f"fallbacks: there is no provider '{name}'") as caught:
        create_chat_model("mock", fallbacks=[name])
    assert meant in caught.value.hint
    # What the hint says works.
    for mapping in re.findall(r"\{.*?\}", caught.value.hint):
        create_chat_model("mock", fallbacks=[ast.literal_eval(mapping)])
    assert f"A model of that name is {{'model': '{name}'}}" in caught.value.hint


@pytest.mark.parametrize(
    ("fallback", "missing"),
    [
        ({"provider": "openai"}, "OPENAI_API_KEY"),
        ({"provider": "aws_bedrock", "profile": "nobody"}, "profile"),
        ({"provider": "local", "model": "/nowhere/x.gguf"}, "gguf"),
    ],
)
def test_every_provider_says_what_it_lacks(fallback, missing, capsys, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    configure_logging("WARNING")
    try:
        create_chat_model("mock", fallbacks=[fallback])
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        reset_logging()
    assert (line["event"], line["status"]) == ("llm.fallback", "not_ready")
    assert missing in f"{line['error']} {line['hint']}"


def test_a_model_of_ones_own_says_what_it_lacks(capsys):
    class Own(MockChatModel):
        def check_ready(self):
            raise ChatModelError("no file", op="own.connect", hint="fetch it")

    register_chat_model("own", Own)
    configure_logging("WARNING")
    try:
        create_chat_model("mock", fallbacks=["own"])
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        reset_logging()
        unregister_chat_model("own")
    assert (line["to"], line["hint"]) == ("mock/mock", "fetch it")


def test_one_that_could_not_be_asked_is_told_before_it_is_needed(capsys, monkeypatch):
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    configure_logging("WARNING")
    try:
        model = create_chat_model("mock", fail_with=failure(), retry=None, fallbacks=["azure_openai"])
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        reset_logging()
    assert (line["event"], line["status"], line["to"]) == ("llm.fallback", "not_ready", "azure_openai/gpt-4o-mini")
    assert "AZURE_OPENAI_ENDPOINT" in line["hint"]
    with allow_model_requests(), pytest.raises(ChatModelError, match="no address") as caught:
        model.invoke("x")
    assert caught.value.fields["attempts"] == 1  # nothing was sent to the second one


def test_one_without_a_name_goes_by_its_own():
    class Own(ChatModel):
        def complete(self, request):
            return MockChatModel(f"I am {request.model}").complete(request)

    for other, name in ((MockChatModel("hi"), "mock"), (MockChatModel("hi", model="own"), "own"), (Own(), "Own")):
        model = create_chat_model("mock", model="a", fail_with=failure(), retry=None, fallbacks=[other])
        answer = model.invoke("x")
        assert (answer.model, answer.cost_usd) == (name, None)
        assert answer.content in ("hi", "I am Own")
