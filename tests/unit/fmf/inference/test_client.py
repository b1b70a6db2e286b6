from __future__ import annotations

import os

import pytest
from pydantic import SecretStr

import chatmodels
from chatmodels import ChatRequest, MockChatModel, register_chat_model, unregister_chat_model
from fmf.auth.base import Secrets
from fmf.auth.env import EnvSecrets
from fmf.config.models import FmfConfig
from fmf.errors import AuthError, exit_status
from fmf.inference import client


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in tuple(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "AWS_")):
            monkeypatch.delenv(name)


def secrets(tmp_path, **values):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return Secrets(lambda: EnvSecrets(tmp_path / ".env"))


def config(**inference):
    return FmfConfig.model_validate({"inference": inference})


def test_the_doors_are_the_things_themselves():
    assert client.LLMClient is chatmodels.ChatModel
    assert client.Completion is chatmodels.ChatResponse
    assert client.InferenceError is chatmodels.ChatModelError
    assert client.Message is chatmodels.Message


def test_openai_settings_reach_the_chat_model(tmp_path):
    made = client.chat_model_config(
        config(
            provider="openai",
            openai={"base_url": "http://localhost:1/v1", "model": "m", "temperature": 0.0, "max_tokens": None},
            timeout_s=7,
            retry={"max_attempts": 5},
            rate_limit={"requests_per_minute": 60},
            prices={"m": {"input_per_1m": 1, "output_per_1m": 2}},
        ),
        secrets(tmp_path, OPENAI_API_KEY="key-of-mine"),
    )
    assert (made.provider, made.model, made.temperature, made.max_tokens) == ("openai", "m", 0.0, None)
    assert made.base_url == "http://localhost:1/v1"
    assert made.api_key == SecretStr("key-of-mine")
    assert made.timeout_s == 7
    assert made.retry.max_attempts == 5
    assert made.rate_limit.requests_per_minute == 60
    assert made.prices["m"].output_per_1m == 2


def test_the_public_endpoint_needs_a_key_and_says_so_at_once(tmp_path):
    with pytest.raises(AuthError, match="OPENAI_API_KEY") as caught:
        client.build_client(config(provider="openai"), secrets(tmp_path))
    assert exit_status(caught.value) == 3


def test_a_server_of_ones_own_needs_no_key(tmp_path):
    made = client.chat_model_config(config(openai={"base_url": "http://localhost:1/v1"}), secrets(tmp_path))
    assert made.api_key is None


def test_the_endpoint_may_stand_in_the_environment_or_beside_the_secrets(tmp_path, monkeypatch):
    beside = secrets(tmp_path, OPENAI_BASE_URL="http://beside/v1")
    assert client.chat_model_config(config(), beside).base_url == "http://beside/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment/v1")
    assert client.chat_model_config(config(), beside).base_url == "http://environment/v1"
    given = config(openai={"base_url": "http://file/v1"})
    assert client.chat_model_config(given, beside).base_url == "http://file/v1"


def test_local_settings_reach_the_engine_and_a_weight_file_is_found_beside_the_configuration(tmp_path):
    named = client.chat_model_config(config(provider="local", local={"context": 512, "threads": 2}), secrets(tmp_path))
    assert named.model == "smollm2-135m-instruct"
    assert named.options == {"context": 512, "threads": 2}
    for model in ("weights/my.gguf", "weights/MY.GGUF", "weights/blob"):
        given = config(provider="local", local={"model": model})
        assert client.chat_model_config(given, secrets(tmp_path), root=tmp_path).model == str(tmp_path / model)
    absolute = config(provider="local", local={"model": "/weights/my.gguf"})
    assert client.chat_model_config(absolute, secrets(tmp_path), root=tmp_path).model == "/weights/my.gguf"


def test_bedrock(tmp_path):
    section = {"model_id": "us.anthropic.claude", "region": "eu-west-1", "endpoint_url": "http://x"}
    given = config(provider="aws_bedrock", aws_bedrock={**section, "temperature": None})
    by_role = client.chat_model_config(given, secrets(tmp_path))
    assert (by_role.model, by_role.temperature, by_role.max_tokens) == ("us.anthropic.claude", None, 1024)
    where = {"region": "eu-west-1", "endpoint_url": "http://x", "profile": None}
    assert by_role.options == {**where, "api": "auto", "shape": None}
    imported = config(provider="aws_bedrock", aws_bedrock={**section, "api": "invoke_model", "shape": "llama3"})
    options = client.chat_model_config(imported, secrets(tmp_path)).options
    assert (options["api"], options["shape"]) == ("invoke_model", "llama3")
    keys = {"AWS_ACCESS_KEY_ID": "id-of-nobody", "AWS_SECRET_ACCESS_KEY": "secret-of-nobody"}
    signed = client.chat_model_config(given, secrets(tmp_path, **keys, AWS_PROFILE="p"))
    told = {name: value for name, value in signed.options.items() if name.startswith("aws_") and value}
    assert {name: value.get_secret_value() for name, value in told.items()} == {
        "aws_access_key_id": "id-of-nobody",
        "aws_secret_access_key": "secret-of-nobody",
    }
    assert signed.options["profile"] == "p"
    assert "secret-of-nobody" not in repr(signed)
    with pytest.raises(AuthError, match="AWS_SECRET_ACCESS_KEY"):
        client.chat_model_config(given, secrets(tmp_path, AWS_ACCESS_KEY_ID="id-of-nobody"))
    with_key = client.chat_model_config(given, secrets(tmp_path, AWS_BEARER_TOKEN_BEDROCK="key-of-nobody"))
    assert with_key.api_key.get_secret_value() == "key-of-nobody"


def test_bedrock_finds_its_region_beside_the_secrets(tmp_path):
    given = config(provider="aws_bedrock", aws_bedrock={"model_id": "m"})
    assert client.chat_model_config(given, secrets(tmp_path)).options["region"] is None
    assert client.chat_model_config(given, secrets(tmp_path, AWS_REGION="r")).options["region"] == "r"
    assert client.chat_model_config(given, secrets(tmp_path, AWS_DEFAULT_REGION="d")).options["region"] == "d"


def test_azure(tmp_path):
    given = config(provider="azure_openai", azure_openai={"endpoint": "https://x", "deployment": "d"})
    with pytest.raises(AuthError, match="AZURE_OPENAI_API_KEY"):
        client.chat_model_config(given, secrets(tmp_path))
    made = client.chat_model_config(given, secrets(tmp_path, AZURE_OPENAI_API_KEY="key-of-nobody"))
    assert (made.model, made.temperature, made.api_key.get_secret_value()) == ("d", 0.2, "key-of-nobody")
    assert made.options == {"endpoint": "https://x", "api": "chat", "token": None}
    signed_in = client.chat_model_config(given, secrets(tmp_path, AZURE_OPENAI_AD_TOKEN="token-of-nobody"))
    assert signed_in.api_key is None
    assert signed_in.options["token"].get_secret_value() == "token-of-nobody"
    dated = {"endpoint": "https://x", "api_version": "2024-06-01", "credential": "default", "scope": "https://s"}
    by_entra = client.chat_model_config(config(provider="azure_openai", azure_openai=dated), secrets(tmp_path))
    assert (by_entra.api_key, by_entra.options["token"]) == (None, None)
    assert {name: by_entra.options[name] for name in dated} == dated


def test_what_the_model_can_do_and_the_interface_are_handed_on(tmp_path):
    section = {"base_url": "http://x/v1", "api": "responses"}
    given = config(provider="openai", openai=section, capabilities=["chat", "stream"])
    made = client.chat_model_config(given, secrets(tmp_path))
    assert (made.options["api"], made.capabilities) == ("responses", ("chat", "stream"))
    assert client.build_client(given, secrets(tmp_path)).get_model_info().capabilities == ("chat", "stream")


def test_the_mock_answers(tmp_path):
    model = client.build_client(config(provider="mock"), secrets(tmp_path))
    assert model.complete(ChatRequest(prompt="hello")).content


def test_a_plugin_gets_its_own_settings(tmp_path):
    made = []

    class Mine(MockChatModel):
        def __init__(self, *, model=None, colour="grey", timeout_s=None):
            super().__init__(responses="mine")
            made.append((model, colour, timeout_s))

    register_chat_model("mine", Mine)
    try:
        given = config(provider="mine", options={"model": "m", "colour": "blue", "temperature": 0.1}, timeout_s=9)
        assert client.chat_model_config(given, secrets(tmp_path)).temperature == 0.1
        assert client.build_client(given, secrets(tmp_path)).complete(ChatRequest(prompt="x")).content == "mine"
    finally:
        unregister_chat_model("mine")
    assert made == [("m", "blue", 9)]
