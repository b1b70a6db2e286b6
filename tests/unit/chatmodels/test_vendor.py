from __future__ import annotations

import gc
from dataclasses import dataclass

import pytest

from chatmodels import ChatModel, ChatModelConfig, MockChatModel, register_chat_model, unregister_chat_model
from chatmodels import vendor as vendors
from chatmodels.vendor import made, made_of


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
