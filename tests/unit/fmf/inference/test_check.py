from __future__ import annotations

import pytest

from chatmodels import MockChatModel, register_chat_model, unregister_chat_model
from chatmodels.registry import models
from fmf.config.models import FmfConfig
from fmf.errors import ConfigError, exit_status
from fmf.inference.check import check_inference
from fmf_core.errors import Code, PluginError


def check(root, **inference):
    return check_inference(FmfConfig.model_validate({"inference": inference}), root=root)


@pytest.mark.parametrize("provider", ["openai", "mock", "local"])
def test_providers_that_are_shipped_take_what_their_sections_say(tmp_path, provider):
    assert check(tmp_path, provider=provider) == []


def test_azure_and_bedrock_take_what_their_sections_say(tmp_path):
    azure, bedrock = {"endpoint": "https://x"}, {"model_id": "amazon.nova-lite-v1:0"}
    assert check(tmp_path, provider="azure_openai", azure_openai=azure, fallbacks=["openai"]) == []
    assert check(tmp_path, fallbacks=["aws_bedrock"], aws_bedrock=bedrock) == []


@pytest.mark.parametrize(
    ("inference", "told"),
    [
        ({"options": {"organisation": "x"}}, ["inference: ", "'organisation'", "'organization'"]),
        (
            {"options": {"default_headers": ["x"]}},
            ["inference: ", "default_headers is of type list"],
        ),
        ({"provider": "mock", "options": {"respones": "x"}}, ["'respones'", "did you mean 'responses'"]),
        ({"fallbacks": [{"tempature": 1}]}, ["inference.fallbacks[0]: ", "'tempature'", "'temperature'"]),
        ({"fallbacks": [{"provider": "mock", "cache": "x"}]}, ["fallbacks", "cache"]),
        ({"provider": "local", "local": {"model": "w/none.gguf"}}, ["w/none.gguf", "relative paths"]),
        ({"fallbacks": [{"provider": "local", "model": "none.gguf"}]}, ["inference.fallbacks[0]", "none.gguf"]),
    ],
)
def test_what_a_provider_does_not_take_is_refused_with_the_place(tmp_path, inference, told):
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, **inference)
    shown = f"{caught.value.message} {caught.value.hint}"
    assert all(word in shown for word in told), shown
    assert exit_status(caught.value) == 2


def test_a_weight_file_that_is_there_is_fine(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"x")
    assert check(tmp_path, provider="local", local={"model": "mine.gguf"}) == []


def test_the_signature_of_a_plugin_counts(tmp_path):
    class Mine(MockChatModel):
        def __init__(self, *, colour="grey"):
            super().__init__()

    register_chat_model("mine", Mine)
    try:
        assert check(tmp_path, provider="mine", options={"colour": "blue"}) == []
        with pytest.raises(ConfigError, match="color"):
            check(tmp_path, provider="mine", options={"color": "blue"})
    finally:
        unregister_chat_model("mine")


def test_what_cannot_be_looked_at_is_told(tmp_path, monkeypatch):
    def missing(name):
        raise PluginError(f"chat model {name!r} needs 'boto3', which cannot be imported", code=Code.UNSUPPORTED)

    monkeypatch.setattr(models, "get", missing)
    (line,) = check(tmp_path, provider="mock", options={"whatever": 1})
    assert "not checked" in line
    assert "boto3" in line
