"""A budget for tests that call real models."""

from __future__ import annotations

from chatmodels.cassette import ReplayModel
from chatmodels.config import ChatModelConfig
from chatmodels.factory import budget, measure
from chatmodels.iface import ChatModel
from chatmodels.spending import Budget
from chatmodels.wrappers.measured import measured_in
from chatmodels.wrappers.preset import PresetModel


class ModelBudget(Budget):
    """A `Budget` that can also watch models of one's own making.

    The calls of every model of `create_chat_model`, and of every workflow, count by themselves.
    """

    def watch(self, model: ChatModel) -> ChatModel:
        """`model` so that its calls count; itself when they do already."""
        if measured_in(model) is not None:
            return model
        # A request that names no model says the default of all requests, whose price is not this model's.
        config = ChatModelConfig()
        kept = model if isinstance(model, ReplayModel) else budget(model, config)  # a replay costs nothing
        return PresetModel(measure(kept, config), {}, model.get_model_info().name)
