from __future__ import annotations

import pytest

from chatmodels import MockChatModel
from chatmodels.wrappers.base import WrappedModel
from unit.chatmodels.wrappers.scripts import REQUEST, in_own_loop


class TestWrappedModel:
    def test_it_passes_everything_on(self):
        events = []

        class Tracked(MockChatModel):
            async def initialize(self):
                events.append("initialize")

            async def cleanup(self):
                events.append("cleanup")

        model = WrappedModel(WrappedModel(Tracked("a")))
        assert model.complete(REQUEST).content == "a"
        assert "".join(c.text for c in model.stream("x")) == "a"
        assert model.get_model_info().provider == "mock"
        assert model.check_health().status == "healthy"
        assert (model.provider_name, model.in_process, model.call_count) == ("mock", True, 2)
        assert isinstance(model.unwrapped, Tracked)
        in_own_loop(model.initialize())
        in_own_loop(model.cleanup())
        assert events == ["initialize", "cleanup"]

    def test_what_nobody_knows_is_an_attribute_error(self):
        with pytest.raises(AttributeError):
            _ = WrappedModel(MockChatModel()).nothing
        assert not hasattr(WrappedModel(MockChatModel()), "_private")
