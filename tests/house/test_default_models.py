"""Who is asked where nobody names a model is written down once."""

from __future__ import annotations

import pytest

from chatmodels import get_chat_model_metadata
from chatmodels.families import DEFAULT_MODELS
from chatmodels.registry import BUILTIN, models
from chatmodels.types import DEFAULT_MODEL, ChatRequest
from chatmodels.weights import known_models
from fmf.config.providers import MODEL_KEYS, SECTIONS


def test_every_provider_has_one() -> None:
    assert set(DEFAULT_MODELS) == set(BUILTIN)
    assert set(SECTIONS) < set(DEFAULT_MODELS)


@pytest.mark.parametrize("provider", DEFAULT_MODELS)
def test_all_who_know_it_agree(provider: str) -> None:
    default = DEFAULT_MODELS[provider]
    assert get_chat_model_metadata(provider)["default_model"] == default
    make = models.get(provider)
    assert isinstance(make, type)
    assert make().get_model_info().name == default


@pytest.mark.parametrize("provider", SECTIONS)
def test_the_settings_of_a_program_agree(provider: str) -> None:
    # That of Bedrock must be named: what is offered there differs from region to region.
    assert getattr(SECTIONS[provider](), MODEL_KEYS[provider]) in (DEFAULT_MODELS[provider], None)


def test_that_of_a_request_and_of_the_weights() -> None:
    assert ChatRequest(prompt="x").model == DEFAULT_MODEL == DEFAULT_MODELS["openai"]
    assert DEFAULT_MODELS["local"] in [weights.name for weights in known_models()]
