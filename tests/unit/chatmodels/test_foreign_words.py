from __future__ import annotations

import ast
import re

import pytest

from chatmodels import ChatModel, ConfigurationError, MockChatModel, PluginNotFoundError, create_chat_model


def hint_of(kind, call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return caught.value.hint


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("max_retries", 3, 'retry={"max_attempts": 4}'),
        ("max_retries", None, 'retry={"max_attempts": ...}'),
        ("request_timeout", 3, "did you mean 'timeout_s' instead of 'request_timeout'?"),
        ("timeout", 3, "'timeout_s'"),
        ("api_base", "x", "'base_url'"),
        ("openai_api_base", "x", "'base_url'"),
        ("deployment", "x", "'model'"),
        ("azure_deployment", "x", "'model'"),
        ("model_name", "x", "'model'"),
        ("azure_endpoint", "x", "'endpoint', of another provider, instead of"),
        ("streaming", True, "model.stream(...)"),
        ("n", 2, "leave out n: a call has one answer, and model.batch("),
        ("top_p", 0.1, "extra_params={'top_p': ...}"),
        ("model_kwargs", {}, "model.invoke(..., extra_params=...)"),
        ("tools", [], "model.invoke(..., tools=...)"),
        ("temprature", 0, "did you mean 'temperature' instead of 'temprature'?"),
    ],
)
def test_a_setting_of_another_library(setting, value, advice):
    hint = hint_of(ConfigurationError, lambda: create_chat_model("openai", **{setting: value}))
    assert advice in hint
    assert "; allowed: " in hint or "? allowed: " in hint


def test_azure_has_its_own_words():
    settings = {"azure_endpoint": "https://x", "azure_ad_token_provider": lambda: "x", "azure_deployment": "x"}
    hint = hint_of(ConfigurationError, lambda: create_chat_model("azure_openai", **settings))
    for name, ours in {"azure_endpoint": "endpoint", "azure_ad_token_provider": "credential"}.items():
        assert f"did you mean {ours!r} instead of {name!r}?" in hint


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"retry": 3}, 'write retry={"max_attempts": 3}'),
        ({"rate_limit": 100}, 'write rate_limit={"requests_per_minute": 100}'),
        ({"concurrency": 5}, 'write concurrency={"start": 5, "max": 5}'),
        ({"retry": 3, "breaker": 2}, 'write retry={"max_attempts": 3}; write breaker={"failures": 2}'),
        ({"temperature": 9}, ""),
        ({"retry": True}, ""),
    ],
)
def test_a_number_where_a_mapping_is_wanted(settings, advice):
    assert hint_of(ConfigurationError, lambda: create_chat_model("mock", **settings)) == advice


@pytest.mark.parametrize("setting", ["retry", "retry_budget", "rate_limit", "concurrency", "breaker", "max_retries"])
def test_a_setting_as_a_hint_writes_it_works(setting):
    hint = hint_of(ConfigurationError, lambda: create_chat_model("mock", **{setting: 5}))
    name, mapping = re.search(r"(\w+)=(\{.*?\})", hint).groups()
    made = create_chat_model("mock", **{name: ast.literal_eval(mapping)})
    assert isinstance(made, ChatModel)


@pytest.mark.parametrize(
    "provider", ["ollama", "gpt-4o-mini", "azure", "bedrock", "anthropic", "gemini", "vllm/x", "fake"]
)
def test_a_call_as_a_hint_writes_it_works(provider):
    hint = hint_of(PluginNotFoundError, lambda: create_chat_model(provider))
    call = ast.parse(re.search(r"create_chat_model\(.*?\)", hint).group(), mode="eval").body
    settings = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    made = create_chat_model(ast.literal_eval(call.args[0]), **settings)
    assert made.get_model_info().name == settings["model"]


LOCAL = 'write create_chat_model("openai", base_url="http://localhost:11434/v1", model="{}")'


@pytest.mark.parametrize(
    ("provider", "advice"),
    [
        ("ollama", LOCAL.format("...")),
        ("ChatOllama", LOCAL.format("...")),
        ("ollama/llama3.2", LOCAL.format("llama3.2")),
        ("llama3.2", f"that is a model's name: {LOCAL.format('llama3.2')}"),
        ("gpt-4o-mini", 'that is a model\'s name: write create_chat_model("openai", model="gpt-4o-mini")'),
        ("o3", 'that is a model\'s name: write create_chat_model("openai", model="o3")'),
        ("openai:gpt-4o-mini", 'write create_chat_model("openai", model="gpt-4o-mini")'),
        ("azure", 'write create_chat_model("azure_openai", model="...")'),
        ("bedrock:amazon.nova-lite-v1:0", 'write create_chat_model("aws_bedrock", model="amazon.nova-lite-v1:0")'),
        ("anthropic", '"https://api.anthropic.com/v1", model="..."), or its models on AWS through "aws_bedrock"'),
        ("opena", "did you mean 'openai'?"),
        ("nobody", "known: aws_bedrock"),
        ("nobody:x", "known: aws_bedrock"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"model": "x"}])
def test_a_provider_of_another_library(provider, advice, more):
    hint = hint_of(PluginNotFoundError, lambda: create_chat_model(provider, **more))
    assert advice in hint
    assert "known: aws_bedrock, azure_openai, local, mock, openai" in hint


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("max_retries", 2, 'create_chat_model(..., retry={"max_attempts": 3})'),
        ("request_timeout", 2, "create_chat_model(..., timeout_s=...)"),
        ("stream", True, "model.stream(...)"),
        ("stop_sequences", [], "did you mean 'stop'"),
        ("functions", [], "did you mean 'tools'"),
        ("model_name", "x", "did you mean 'model'"),
        ("reasoning_effort", "low", "extra_params={'reasoning_effort': ...}"),
    ],
)
def test_an_option_of_another_library(option, value, advice):
    assert advice in hint_of(ConfigurationError, lambda: MockChatModel().invoke("x", **{option: value}))
