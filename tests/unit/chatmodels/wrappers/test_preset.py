from __future__ import annotations

from chatmodels import MockChatModel
from chatmodels.wrappers.preset import PresetModel


class TestPresetModel:
    def test_presets_fill_what_is_open(self):
        inner = MockChatModel()
        PresetModel(inner, {"temperature": 0.0, "max_tokens": None}).invoke("x")
        assert (inner.call_log[0].temperature, inner.call_log[0].max_tokens) == (0.0, None)

    def test_what_was_given_wins_in_streams_too(self):
        inner = MockChatModel()
        list(PresetModel(inner, {"temperature": 0.0}).stream("x", temperature=0.4))
        assert inner.call_log[0].temperature == 0.4
