from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.capabilities import (
    capabilities_of,
    check_lacking,
    expected_capabilities,
    is_openai,
    lacking_by_table,
    listed,
    provider_capabilities,
)
from chatmodels.errors import ChatModelError
from chatmodels.families import ALL, TABLE, WORDS
from chatmodels.pricing import table as prices
from chatmodels.registry import BUILTIN
from chatmodels.types import ChatRequest, ImagePart, Message, ResponseFormat, TextPart, Tool
from fmf_core.errors import Code

PICTURE = Message(role="user", content=(TextPart(text="What is it?"), ImagePart(url="https://x.example/y.png")))
ASKS: dict[str, dict[str, Any]] = {
    "tools": {"prompt": "x", "tools": (Tool(name="clock"),)},
    "json": {"prompt": "x", "response_format": ResponseFormat(type="json_object")},
    "json_schema": {"prompt": "x", "response_format": ResponseFormat(type="json_schema", json_schema={})},
    "images": {"messages": (PICTURE,)},
    "seed": {"prompt": "x", "seed": 0},
    "temperature": {"prompt": "x", "temperature": 0.0},
    "stop": {"prompt": "x", "stop": "END"},
    "system": {"prompt": "x", "system_prompt": "Be brief."},
}
"""Requests that ask for one capability each, besides an answer."""


def refusal(provider: str, model: str, *, stream: bool = False, **asked: Any) -> ChatModelError | None:
    try:
        check_lacking(provider, model, ChatRequest(**asked), lacking_by_table(provider, model), stream=stream)
    except ChatModelError as error:
        return error
    return None


# ---------------------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize(
    ("provider", "model", "has", "lacks"),
    [
        ("openai", "gpt-3.5-turbo", "tools json", "images json_schema"),
        ("openai", "gpt-3.5-turbo-0125", "tools", "images"),
        ("openai", "gpt-4", "tools", "images json json_schema"),
        ("openai", "gpt-4-0613", "tools", "images json"),
        ("openai", "gpt-4-turbo-2024-04-09", "images json", "json_schema"),
        ("openai", "gpt-4-1106-preview", "json", "images"),
        ("openai", "gpt-4o-mini", " ".join(WORDS), ""),
        ("openai", "gpt-4o-2024-08-06", "json_schema images", ""),
        ("openai", "gpt-4o-2024-05-13", "images json", "json_schema"),
        ("openai", "gpt-4.1-nano", "json_schema images", ""),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", "tools", ""),
        ("openai", "gpt-5-mini-2025-08-07", "json_schema images tools system", "temperature stop"),
        ("openai", "o1", "images tools", "temperature"),
        ("openai", "o1-mini", "chat stream", "tools system images temperature"),
        ("openai", "o3-mini", "tools json_schema", "images temperature"),
        ("openai", "o4-mini", "images", "stop"),
        ("openai", "text-embedding-3-large", "", "chat"),
        ("aws_bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "tools images system", "seed json_schema"),
        ("aws_bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "json_schema images", "seed"),
        ("aws_bedrock", "anthropic.claude-v2:1", "stream system", "tools images"),
        ("aws_bedrock", "eu.amazon.nova-micro-v1:0", "tools", "images"),
        ("aws_bedrock", "amazon.nova-lite-v1:0", "tools images", "seed"),
        ("aws_bedrock", "amazon.titan-text-express-v1", "stream", "tools system"),
        ("aws_bedrock", "amazon.titan-embed-text-v2:0", "", "chat"),
        ("aws_bedrock", "meta.llama3-1-70b-instruct-v1:0", "tools", "images"),
        ("aws_bedrock", "meta.llama3-2-90b-instruct-v1:0", "tools images", ""),
        ("aws_bedrock", "meta.llama3-8b-instruct-v1:0", "system", "tools images"),
        ("aws_bedrock", "mistral.mistral-7b-instruct-v0:2", "stream", "tools system"),
        ("aws_bedrock", "mistral.mistral-large-2402-v1:0", "tools", "images"),
        ("aws_bedrock", "cohere.command-text-v14", "chat", "stream tools"),
        ("aws_bedrock", "deepseek.r1-v1:0", "system", "tools images"),
        ("aws_bedrock", "arn:aws:bedrock:eu-west-1::foundation-model/amazon.titan-text-lite-v1", "chat", "tools"),
        ("local", "smollm2-135m-instruct", "stream json_schema seed", "images tools"),
        ("local", "/models/any.gguf", "chat", "images"),
        ("mock", "whatever", " ".join(WORDS), ""),
    ],
)
def test_what_is_known(provider: str, model: str, has: str, lacks: str) -> None:
    known = capabilities_of(provider, model)
    assert known is not None
    assert set(has.split()) <= known <= ALL
    assert known.isdisjoint(lacks.split())


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-6"),
        ("openai", "gpt-5.2"),
        ("openai", "gpt-5-pro"),
        ("openai", "o1-pro"),
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "llama3.2"),
        ("openai", "my-gpt-4"),
        ("azure_openai", "gpt-4"),
        ("azure_openai", "my deployment"),
        ("aws_bedrock", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc"),
        ("aws_bedrock", "anthropic.claude-opus-9"),
        ("aws_bedrock", "notanthropic.claude-v2"),
        ("shout", "gpt-4"),
    ],
)
def test_what_is_unknown_is_never_refused(provider: str, model: str) -> None:
    assert capabilities_of(provider, model) is None
    for asked in ASKS.values():
        assert refusal(provider, model, stream=True, **asked) is None


@pytest.mark.parametrize("model", sorted(prices()["openai"].models))
def test_models_whose_price_is_known_can_chat(model: str) -> None:
    known = capabilities_of("openai", model)
    assert known is None or "chat" in known


def test_the_table_is_in_order() -> None:
    assert set(TABLE) == set(BUILTIN)
    for provider, families in TABLE.items():
        for family in families:
            re.compile(family.pattern)
            if family.example:
                assert capabilities_of(provider, family.example) == family.capabilities, family.example


def test_a_provider_has_what_any_of_its_models_has() -> None:
    assert provider_capabilities("openai") == WORDS
    assert provider_capabilities("azure_openai") == WORDS
    assert "images" in provider_capabilities("aws_bedrock")
    assert "seed" not in provider_capabilities("aws_bedrock")
    assert provider_capabilities("local") == tuple(word for word in WORDS if word not in ("tools", "images"))


def test_of_an_unknown_model_the_expected_is_told() -> None:
    assert expected_capabilities("openai", "gpt-9") == WORDS
    assert expected_capabilities("openai", "gpt-4") == listed(ALL - {"images", "json", "json_schema"})
    assert {"tools", "images"} <= set(expected_capabilities("aws_bedrock", "arn:any"))
    assert "json_schema" not in expected_capabilities("aws_bedrock", "arn:any")
    assert expected_capabilities("openai", "gpt-5.2-pro") == listed(ALL - {"temperature"})
    assert expected_capabilities("openai", "gpt-5-chat-latest") == WORDS


@pytest.mark.parametrize(
    ("address", "openai"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com.evil.example/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("", False),
        (None, False),
    ],
)
def test_whose_server_it_is(address: str | None, openai: bool) -> None:
    assert is_openai(address) is openai


# ---------------------------------------------------------------------------------------------------- the check


def test_a_refusal_says_what_was_asked_what_there_is_and_what_to_do() -> None:
    error = refusal("openai", "gpt-4", **ASKS["images"])
    assert error is not None
    assert (error.code, error.op) == (Code.UNSUPPORTED, "openai.complete")
    assert error.fields == {"provider": "openai", "model": "gpt-4", "missing": ["images"]}
    assert error.message == (
        "model 'gpt-4' has no images, which the request asks for; "
        "it has: chat, stream, tools, seed, temperature, stop, system"
    )
    assert error.hint == (
        "use another model, such as gpt-4-turbo, gpt-4o-mini, gpt-4o; or set capabilities, if you know better than "
        "the table"
    )


@pytest.mark.parametrize("word", ASKS)
def test_each_capability_is_asked_for_by_its_own_setting(word: str) -> None:
    for family in TABLE["openai"]:
        model = family.example
        if not model:
            continue
        error = refusal("openai", model, **ASKS[word])
        assert (error is None) == (word in (family.capabilities or ALL)), (model, word)
        if error is not None:
            assert error.fields["missing"] == [word]
            assert error.hint


def test_several_faults_are_one_error() -> None:
    error = refusal("openai", "o1-mini", **{**ASKS["tools"], **ASKS["system"]})
    assert error is not None
    assert "no tools and no system" in error.message
    assert error.fields["missing"] == ["tools", "system"]


def test_what_is_no_chat_model_is_refused_whatever_is_asked() -> None:
    error = refusal("openai", "text-embedding-3-small", prompt="x")
    assert error is not None
    assert "no chat" in error.message


@pytest.mark.parametrize("asked", [{}, {"temperature": None}, {"temperature": 1.0}])
def test_a_temperature_that_nobody_chose_or_that_changes_nothing_is_no_fault(asked: dict[str, Any]) -> None:
    assert refusal("openai", "o3-mini", prompt="x", **asked) is None


def test_what_the_file_of_bedrock_makes_up_for_is_not_refused() -> None:
    titan = "amazon.titan-text-express-v1"
    for word in ("json", "json_schema", "system"):
        assert refusal("aws_bedrock", titan, stream=True, **ASKS[word]) is None
    assert refusal("aws_bedrock", titan, **ASKS["tools"]) is not None


words = st.sets(st.sampled_from(sorted(ASKS)))


@given(st.sampled_from(sorted(TABLE)), st.text(max_size=20), words)
def test_any_name_of_a_model_is_checked_without_a_surprise(provider: str, model: str, wanted: set[str]) -> None:
    asked: dict[str, Any] = {}
    for word in wanted - {"images"}:
        asked.update(ASKS[word])
    error = refusal(provider, model, **{"prompt": "x", **asked})
    known = capabilities_of(provider, model)
    assert error is None or (known is not None and not set(error.fields["missing"]) & known)
