from __future__ import annotations

import pytest

from chatmodels.config import ChatModelConfig
from chatmodels.factory import create_chat_model
from fmf.inference.client import identity_of

BASE = {"provider": "openai", "model": "m-1", "api_key": "sk-0123456789abcdef0123", "base_url": "http://127.0.0.1:9/v1"}


def identity(**more):
    settings = ChatModelConfig(**{**BASE, **more})
    return identity_of(create_chat_model(settings), settings)


def test_a_key_is_no_part_of_what_decides_answers():
    assert identity() == identity(api_key="sk-fedcba9876543210fedc") == identity(timeout_s=3, retry={"max_attempts": 9})


@pytest.mark.parametrize(
    "more",
    [{"base_url": "http://127.0.0.1:8/v1"}, {"model": "m-2"}, {"temperature": 0.5}, {"seed": 4}, {"max_tokens": 5}],
)
def test_whatever_decides_answers_is_told_apart(more):
    assert identity(**more) != identity()


def test_the_address_of_the_environment_is_told_apart(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:7/v1")
    assert identity(base_url=None) != identity()


def test_lists_in_options_are_told_apart():
    mock = {"provider": "mock", "model": None, "base_url": None, "api_key": None}
    one, two = (identity(**mock, options={"responses": [text]}) for text in ("a", "b"))
    assert one != two
