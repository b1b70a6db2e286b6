from __future__ import annotations

import gc
from dataclasses import dataclass

import pytest

from chatmodels import (
    ChatModel,
    ChatModelConfig,
    MockChatModel,
    create_chat_model,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels import vendor as vendors
from chatmodels.vendor import made, made_of
from fmf_core.errors import ConfigurationError


def bare(config):
    """The model that is made of `config`, and the configuration that it is really made of."""
    used = []

    def keep(model, settled):
        used.append(settled)
        return model

    return made(config, keep), used[0]


@pytest.fixture
def plugged():
    def plug(make):
        register_chat_model("plugged", make)

    yield plug
    unregister_chat_model("plugged")


class TestWhatAModelWasMadeOf:
    def test_it_is_known_for_the_very_configuration(self, plugged):
        plugged(MockChatModel)
        model, config = bare(ChatModelConfig(provider="plugged", seed=4))
        assert made_of(model, config)["seed"] == 4
        assert made_of(model, config.model_copy()) is None
        assert made_of(MockChatModel(), config) is None

    def test_a_model_that_was_handed_out_again_is_made_of_the_last_one(self, plugged):
        model = MockChatModel()
        plugged(lambda: model)
        _, first = bare(ChatModelConfig(provider="plugged"))
        _, second = bare(ChatModelConfig(provider="plugged", model="m"))
        assert made_of(model, first) is None
        assert made_of(model, second)["model"] == "m"

    def test_a_model_need_not_be_hashable(self, plugged):
        @dataclass
        class Plain(ChatModel):
            seed: int = 0

            async def complete_async(self, request): ...

        plugged(Plain)
        assert made_of(*bare(ChatModelConfig(provider="plugged", seed=4)))["seed"] == 4

    def test_it_keeps_nothing_alive_and_is_forgotten_with_the_model(self, plugged):
        plugged(lambda: MockChatModel())
        model, _ = bare(ChatModelConfig(provider="plugged"))
        key = id(model)
        assert key in vendors._built
        del model
        gc.collect()
        assert key not in vendors._built


class TestSettingsOfAnotherType:
    @pytest.mark.parametrize(
        ("provider", "settings", "told"),
        [
            ("azure_openai", {"endpoint": 5}, "endpoint is of type int"),
            ("openai", {"organization": 5}, "organization is of type int"),
            ("openai", {"default_headers": ["x"]}, "default_headers is of type list"),
            ("openai", {"default_headers": {"x": 5}}, "default_headers is a mapping with an entry of type int"),
            ("openai", {"connect_timeout_s": True}, "connect_timeout_s is of type bool"),
            ("aws_bedrock", {"region": 5}, "region is of type int"),
        ],
    )
    def test_they_are_refused_and_told_without_their_value(self, provider, settings, told):
        with pytest.raises(ConfigurationError) as caught:
            create_chat_model(provider, model="m", api_key="key-of-nobody", **settings)
        assert told in caught.value.message
        [name] = settings
        assert f"{name} takes " in caught.value.hint

    def test_what_the_annotation_takes_passes(self, tmp_path):
        more = {"connect_timeout_s": 5, "default_headers": {"x": "y"}, "ca_bundle": tmp_path / "none.pem"}
        assert create_chat_model("openai", api_key="key-of-nobody", project=None, **more)

    def test_an_annotation_that_is_not_plain_is_the_providers_own_matter(self, plugged):
        def make(*, items: list[str] | None = None, size: int = 1) -> ChatModel:
            assert items == ("a",)
            return MockChatModel()

        plugged(make)
        assert create_chat_model("plugged", items=("a",))
        with pytest.raises(ConfigurationError, match="size is of type str"):
            create_chat_model("plugged", size="1")

    def test_where_the_address_has_another_name_base_url_is_not_among_the_allowed(self):
        with pytest.raises(ConfigurationError) as caught:
            create_chat_model("azure_openai", endpont="https://x.example")
        assert "endpoint" in caught.value.hint
        assert "base_url" not in caught.value.hint
