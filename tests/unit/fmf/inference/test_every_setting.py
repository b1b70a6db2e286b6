"""Every setting of a chat model can be said in fmf.yaml, and reaches the model that the commands build."""

from __future__ import annotations

import os

import pytest
import yaml
from pydantic import SecretStr

from chatmodels.config import Breaker, ChatModelConfig, Concurrency, Price, RateLimit, RetryBudget
from fmf.auth.base import Secrets
from fmf.auth.env import EnvSecrets
from fmf.config.loader import load_config
from fmf.inference.client import build_client, chat_model_config
from fmf_core.errors import Code
from fmf_core.retry import RetryPolicy

KEY = "key-of-nobody-1234"
SERVER = "http://localhost:1/v1"
SAMPLES = {
    "provider": ({"provider": "mock"}, "mock"),
    "model": ({"openai": {"model": "m"}}, "m"),
    "temperature": ({"openai": {"temperature": 0.4}}, 0.4),
    "max_tokens": ({"openai": {"max_tokens": 7}}, 7),
    "seed": ({"openai": {"seed": 11}}, 11),
    "base_url": ({"openai": {"base_url": SERVER}}, SERVER),
    "api_key": ({}, SecretStr(KEY)),
    "timeout_s": ({"timeout_s": 3}, 3.0),
    "retry": ({"retry": {"max_attempts": 9}}, RetryPolicy(max_attempts=9)),
    "retry_budget": ({"retry_budget": {"reserve": 3, "share": 0.5}}, RetryBudget(reserve=3, share=0.5)),
    "rate_limit": ({"rate_limit": {"tokens_per_minute": 5}}, RateLimit(tokens_per_minute=5)),
    "concurrency": (
        {"concurrency": {"start": 2, "max": 4, "max_wait_s": 1}},
        Concurrency(start=2, max=4, max_wait_s=1),
    ),
    "fallbacks": (
        {"fallbacks": [{"base_url": SERVER, "api_key": "${FMF_TEST_KEY}", "temperature": 0.1, "hedge_share": 0.3}]},
        (
            {
                "base_url": SERVER,
                "api_key": SecretStr("other-key-1234567"),
                "temperature": 0.1,
                "hedge_share": 0.3,
                "max_tokens": 1024,
                "seed": None,
                "options": {"api": "chat"},
            },
        ),
    ),
    "fallback_on": ({"fallback_on": ["refused", "timeout"]}, frozenset({Code.REFUSED, Code.TIMEOUT})),
    "breaker": ({"breaker": {"failures": 2, "fail_fast": True}}, Breaker(failures=2, fail_fast=True)),
    "hedge_after_s": ({"hedge_after_s": 0.5}, 0.5),
    "hedge_share": ({"hedge_share": 0.2}, 0.2),
    "cache": ({"cache": {"enabled": True, "path": "kept"}}, "kept"),
    "prices": (
        {"prices": {"m": {"input_per_1m": 1, "output_per_1m": 2}}},
        {"m": Price(input_per_1m=1, output_per_1m=2)},
    ),
    "capabilities": ({"capabilities": ["chat", "stream"]}, ("chat", "stream")),
    "capture_content": ({"capture_content": True}, True),
    "options": ({"options": {"organization": "acme"}}, {"api": "chat", "organization": "acme"}),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in tuple(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "AWS_", "FMF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FMF_TEST_KEY", "other-key-1234567")


@pytest.fixture
def secrets(tmp_path):
    lines = {"OPENAI_API_KEY": KEY, "SECOND_KEY": "second-key-123456", "AZURE_OPENAI_API_KEY": "azure-key-1234567"}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return Secrets(lambda: EnvSecrets(tmp_path / ".env"))


@pytest.fixture
def load(tmp_path):
    def write_and_load(inference, **more):
        inference, observability = dict(inference), {}
        if "capture_content" in inference:
            observability["capture_content"] = inference.pop("capture_content")
        (tmp_path / "fmf.yaml").write_text(yaml.safe_dump({"inference": inference, "observability": observability}))
        return load_config(tmp_path / "fmf.yaml", **more)

    return write_and_load


@pytest.fixture
def made(load, secrets, tmp_path):
    def build(inference, **more):
        return chat_model_config(load(inference, **more).value, secrets, root=tmp_path)

    return build


def test_no_setting_of_a_chat_model_is_left_out():
    assert set(SAMPLES) == set(ChatModelConfig.model_fields)


@pytest.mark.parametrize("name", SAMPLES)
def test_it_arrives(made, load, secrets, tmp_path, name):
    given, expected = SAMPLES[name]
    found = getattr(made(given), name)
    assert found == (tmp_path / expected if name == "cache" else expected)
    assert found != ChatModelConfig.model_fields[name].get_default(call_default_factory=True)
    build_client(load(given).value, secrets, root=tmp_path)


def test_nothing_is_changed_by_saying_nothing(made):
    silent, plain = made({}), ChatModelConfig()
    said = ("provider", "model", "temperature", "max_tokens", "api_key", "timeout_s", "options")
    others = [name for name in ChatModelConfig.model_fields if name not in said]
    assert {name: getattr(silent, name) for name in others} == {name: getattr(plain, name) for name in others}


def test_the_environment_and_set_reach_what_lies_deep(made, monkeypatch):
    monkeypatch.setenv("FMF_INFERENCE__CONCURRENCY__MAX", "3")
    monkeypatch.setenv("FMF_INFERENCE__FALLBACKS__0", "gpt-4o")
    found = made({}, environ=os.environ, sets=["inference.breaker.failures=2", "inference.hedge_after_s=1.5"])
    assert (found.concurrency.max, found.breaker.failures, found.hedge_after_s) == (3, 2, 1.5)
    assert found.fallbacks[0]["model"] == "gpt-4o"


class TestFallbacks:
    def test_one_needs_no_list(self, made):
        (one,) = made({"fallbacks": "gpt-4o"}).fallbacks
        assert one["model"] == "gpt-4o"

    def test_the_name_of_a_provider_means_its_section_and_its_secret(self, made):
        azure = {"endpoint": "https://x", "deployment": "d", "temperature": 0.1}
        (one,) = made({"fallbacks": ["azure_openai"], "azure_openai": azure}).fallbacks
        assert (one["provider"], one["model"], one["temperature"]) == ("azure_openai", "d", 0.1)
        assert one["api_key"].get_secret_value() == "azure-key-1234567"
        assert one["options"]["endpoint"] == "https://x"

    def test_a_mapping_changes_the_section_in_its_words_or_in_those_of_a_chat_model(self, made):
        azure = {"endpoint": "https://x", "deployment": "d"}
        given = [
            {"provider": "azure_openai", "deployment": "e", "timeout_s": 2, "api_key": "mine-12345678"},
            {"provider": "azure_openai", "model": "f", "options": {"ca_bundle": "c.pem"}},
        ]
        first, second = made({"fallbacks": given, "azure_openai": azure}).fallbacks
        assert (first["model"], first["timeout_s"], second["model"]) == ("e", 2, "f")
        assert first["api_key"].get_secret_value() == "mine-12345678"
        assert (second["options"]["endpoint"], second["options"]["ca_bundle"]) == ("https://x", "c.pem")

    def test_a_secret_can_be_named(self, made):
        (one,) = made({"fallbacks": [{"base_url": SERVER, "api_key_secret": "SECOND_KEY"}]}).fallbacks
        assert one["api_key"].get_secret_value() == "second-key-123456"

    def test_a_key_of_its_own_is_the_only_one(self, made):
        bedrock = {"model_id": "amazon.nova-lite-v1:0", "region": "eu-west-1"}
        given = [{"provider": "aws_bedrock", "api_key_secret": "SECOND_KEY"}]
        (one,) = made({"fallbacks": given, "aws_bedrock": bedrock}).fallbacks
        assert one["api_key"].get_secret_value() == "second-key-123456"
        assert not any(name.startswith("aws_") for name in one["options"])

    def test_a_weight_file_is_found_beside_the_configuration(self, made, tmp_path):
        given = [{"provider": "local", "model": "w.gguf"}, {"provider": "local", "context": 256}]
        first, second = made({"fallbacks": given}).fallbacks
        assert first["model"] == str(tmp_path / "w.gguf")
        assert (second["model"], second["options"]["context"]) == ("smollm2-135m-instruct", 256)

    def test_what_is_said_of_the_first_models_abilities_holds_for_it_alone(self, made):
        same, other = made({"fallbacks": [{"temperature": 0.0}, "gpt-4o"], "capabilities": ["chat"]}).fallbacks
        assert "model" not in same
        assert other["model"] == "gpt-4o"

    def test_a_provider_without_a_section(self, made):
        given = [{"provider": "mock", "responses": "other", "api_key_secret": "SECOND_KEY"}]
        (one,) = made({"provider": "mock", "options": {"fail_with": "unavailable"}, "fallbacks": given}).fallbacks
        assert (one["provider"], one["responses"]) == ("mock", "other")
        assert one["api_key"].get_secret_value() == "second-key-123456"

    def test_keys_are_not_in_what_the_configuration_says_of_itself(self, load):
        loaded = load({"fallbacks": [{"base_url": SERVER, "api_key": "${FMF_TEST_KEY}"}]}, environ=os.environ)
        assert "other-key" not in repr(loaded.value)


def test_the_hash_of_a_configuration_does_not_depend_on_the_order_of_a_set(load):
    first = load({"fallback_on": ["timeout", "refused", "unavailable", "bad_reply"]}).config_hash
    assert load({"fallback_on": ["bad_reply", "unavailable", "refused", "timeout"]}).config_hash == first
