"""Words of other libraries, and what is written here in their place."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from fmf_core.nearest import nearest

_SETTINGS: Mapping[str, str] = {
    "timeout": "timeout_s",
    "request_timeout": "timeout_s",
    "default_request_timeout": "timeout_s",
    "connect_timeout": "connect_timeout_s",
    "api_base": "base_url",
    "openai_api_base": "base_url",
    "openai_base_url": "base_url",
    "host": "base_url",
    "openai_api_key": "api_key",
    "deployment": "model",
    "azure_deployment": "model",
    "deployment_name": "model",
    "deployment_id": "model",
    "engine": "model",
    "model_name": "model",
    "model_id": "model",
    "azure_endpoint": "endpoint",
    "azure_ad_token_provider": "credential",
    "azure_ad_token": "token",
    "openai_api_version": "api_version",
    "openai_organization": "organization",
    "region_name": "region",
    "aws_region": "region",
    "credentials_profile_name": "profile",
    "headers": "default_headers",
    "rate_limiter": "rate_limit",
    "requests_per_minute": "rate_limit",
    "rpm": "rate_limit",
    "max_output_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "num_predict": "max_tokens",
    "n_ctx": "context",
    "num_ctx": "context",
    "fallback_models": "fallbacks",
}
"""Settings of models to our names."""
_OPTIONS: Mapping[str, str] = {
    "system": "system_prompt",
    "history": "messages",
    "input": "prompt",
    "max_output_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "num_predict": "max_tokens",
    "functions": "tools",
    "function_call": "tool_choice",
    "stop_sequences": "stop",
    "model_name": "model",
    "extra_body": "extra_params",
    "model_kwargs": "extra_params",
}
"""Options of calls to our names."""
_OF_PROVIDERS = (
    "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs",
    "parallel_tool_calls", "reasoning", "reasoning_effort", "service_tier", "user", "verbosity",
)  # fmt: skip
"""What providers take with a call, and the house passes on as it is."""
_RETRIES = ("max_retries", "num_retries", "retries")
_STREAMS = ("stream", "streaming")
_SEVERAL = ("n", "best_of", "num_return_sequences")
_MAPPINGS: Mapping[str, str] = {
    "retry": '{{"max_attempts": {}}}',
    "retry_budget": '{{"reserve": {}}}',
    "rate_limit": '{{"requests_per_minute": {}}}',
    "concurrency": '{{"start": {0}, "max": {0}}}',
    "breaker": '{{"failures": {}}}',
}
"""Settings that are mappings, and what a number alone probably meant."""

_CAPABILITIES: Mapping[str, str] = {
    "vision": "images",
    "image": "images",
    "multimodal": "images",
    "function_calling": "tools",
    "tool_calling": "tools",
    "functions": "tools",
    "streaming": "stream",
    "structured_output": "json_schema",
    "json_mode": "json",
    "system_prompt": "system",
}
"""Words for what a model can do to ours."""

_SERVERS: Mapping[str, str] = {
    "ollama": "http://localhost:11434/v1",
    "vllm": "http://localhost:8000/v1",
    "llamacpp": "http://localhost:8080/v1",
    "lmstudio": "http://localhost:1234/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
"""Names of others' providers to where they speak chat completions."""
_NAMES: Mapping[str, str] = {
    "azure": "azure_openai",
    "azureopenai": "azure_openai",
    "azurechatopenai": "azure_openai",
    "chatopenai": "openai",
    "openaicompatible": "openai",
    "bedrock": "aws_bedrock",
    "bedrockconverse": "aws_bedrock",
    "amazonbedrock": "aws_bedrock",
    "aws": "aws_bedrock",
    "gemini": "google",
    "googlegenai": "google",
    "claude": "anthropic",
    "chatanthropic": "anthropic",
    "chatollama": "ollama",
    "mistralai": "mistral",
    "llamacppserver": "llamacpp",
    "fake": "mock",
}
"""Names that others use for a provider to ours, or to a server above."""
_MODELS = (
    (r"(chat)?gpt-|o\d(-|$)|text-davinci", "openai"),
    (r"claude-", "anthropic"),
    (r"gemini-", "google"),
    (r"(anthropic|amazon|meta|mistral|cohere)\.", "aws_bedrock"),
    (r"(llama|mistral|qwen|gemma|phi|deepseek)[\d.:-]", "ollama"),
)
"""How names of models begin, and where they are to be had."""
_SLIP: Final = 0.83
"""How alike a word and the name of a provider are that was probably meant."""
_SHORTEST_SLIP: Final = 5
"""Shorter words are alike by chance."""


def setting_hint(name: str, value: Any, allowed: Collection[str]) -> str:
    """What to write instead of a setting that `create_chat_model` does not know; empty where nobody knows.

    Args:
        name: the setting.
        value: what it was given.
        allowed: the settings that the provider takes.
    """
    if name in _RETRIES:
        return _retries(value)
    if told := _left_out(name):
        return told
    if name in _OF_PROVIDERS:
        return f"{name} goes with each call: model.invoke(..., extra_params={{{name!r}: ...}})"
    known = _SETTINGS.get(name)
    if known is not None:
        other = "" if known in allowed else ", of another provider,"
        return f"did you mean {known!r}{other} instead of {name!r}?"
    if name in ("tools", "tool_choice", "response_format", "stop", "system_prompt", "messages", "prompt"):
        return f"{name} goes with each call: model.invoke(..., {name}=...)"
    known = _OPTIONS.get(name)
    return f"{known} goes with each call: model.invoke(..., {known}=...)" if known is not None else ""


def option_hint(name: str, value: Any, settings: Collection[str]) -> str:
    """What to write instead of an option that a call does not know; empty where nobody knows.

    Args:
        name: the option.
        value: what it was given.
        settings: what a model may be made with.
    """
    if name in _RETRIES:
        return f"retry is a setting of the model: create_chat_model(..., {_retries(value).partition(',')[0]})"
    if told := _left_out(name):
        return told
    if name in _OF_PROVIDERS:
        return f"{name} is the provider's own setting: extra_params={{{name!r}: ...}}"
    if known := _OPTIONS.get(name):
        return f"did you mean {known!r} instead of {name!r}?"
    known = _SETTINGS.get(name, name)
    return f"{known} is a setting of the model: create_chat_model(..., {known}=...)" if known in settings else ""


def mapping_hint(name: str, value: Any) -> str:
    """How a setting is written that is a mapping, where a number was given; else empty."""
    if name not in _MAPPINGS or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"write {name}={_MAPPINGS[name].format(f'{value:g}')}"


def capability_word(name: str) -> str | None:
    """Our word for what others call `name`; `None` where nobody knows."""
    return _CAPABILITIES.get(name.lower())


def provider_hint(given: str, known: Collection[str]) -> str:
    """What to write instead of a provider that nobody registered; empty where nobody knows.

    Args:
        given: the name: that of somebody else's provider, of a model, or both with a colon or a stroke between them.
        known: the names that are registered.
    """
    first, _, rest = given.partition(":" if ":" in given else "/")
    provider = _provider(first, known) if rest else None
    if provider is not None:
        return _written(provider, rest)
    provider = _provider(given, known)
    if provider is not None:
        return _written(provider, "...")
    found = next((where for start, where in _MODELS if re.match(start, given)), None)
    return f"that is a model's name: {_written(found, given)}" if found else ""


def fallback_hint(given: str, known: Collection[str]) -> str:
    """What to write instead of a fallback that is a provider's name, but not as it is registered.

    Args:
        given: a name; where it is that of a model, or may be, the hint is empty.
        known: the names that are registered.
    """
    provider = _provider(given, known) or _misspelt(given, known)
    if provider is None:
        return ""
    guess = f"did you mean {provider!r}?"
    if provider in _SERVERS:
        guess = f'write {{"provider": "openai", "base_url": "{_SERVERS[provider]}", "model": "..."}}.'
    return f"{guess} A model of that name is {{'model': {given!r}}}"


def _provider(name: str, known: Collection[str]) -> str | None:
    if name in known:
        return name
    ours, plain = {_plain(other): other for other in known}, _plain(name)
    plain = _NAMES.get(plain, plain)
    if plain in known:
        return plain
    return plain if plain in _SERVERS else ours.get(plain)


def _misspelt(name: str, known: Collection[str]) -> str | None:
    """The provider that was meant where letters of its name are wrong; a name that is less like it may be a model's."""
    ours, plain = {_plain(other): other for other in known}, _plain(name)
    if len(plain) < _SHORTEST_SLIP or not plain.isalpha():
        return None
    return ours.get(nearest(plain, ours, cutoff=_SLIP) or "")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _written(provider: str, model: str) -> str:
    if provider not in _SERVERS:
        return f'write create_chat_model("{provider}", model="{model}")'
    also = ', or its models on AWS through "aws_bedrock"' if provider == "anthropic" else ""
    return f'write create_chat_model("openai", base_url="{_SERVERS[provider]}", model="{model}"){also}'


def _retries(value: Any) -> str:
    number = value + 1 if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "..."
    return f'retry={{"max_attempts": {number}}}, which counts the first attempt as well'


def _left_out(name: str) -> str:
    if name in _STREAMS:
        return f"leave out {name}: model.stream(...) and model.astream(...) answer in pieces"
    several = "a call has one answer, and model.batch([request] * 3) asks three times"
    return f"leave out {name}: {several}" if name in _SEVERAL else ""
