from __future__ import annotations

import pytest

from chatmodels import ChatRequest, MockChatModel
from chatmodels.wrappers.measured import MeasuredModel
from unit.chatmodels.wrappers.scripts import REQUEST


class TestMeasuredModel:
    def test_the_answer_knows_time_and_price(self):
        model = MeasuredModel(MockChatModel("a", latency_s=0.02))
        response = model.complete(ChatRequest(prompt="x", model="gpt-4o-mini"))
        assert response.latency_ms >= 20
        assert response.cost_usd == pytest.approx((1 * 0.15 + 1 * 0.6) / 1e6)

    def test_an_unknown_price_is_none(self):
        assert MeasuredModel(MockChatModel()).complete(REQUEST).cost_usd is None
