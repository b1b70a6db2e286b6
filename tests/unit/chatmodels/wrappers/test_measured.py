from __future__ import annotations

import pytest

from chatmodels import ChatChunk, ChatModelError, ChatRequest, ErrorCode, MockChatModel, TokenUsage
from chatmodels.testing import ModelBudget
from chatmodels.wrappers.budgeted import BudgetedModel
from chatmodels.wrappers.measured import MeasuredModel
from unit.chatmodels.wrappers.scripts import REQUEST, Streaming, failure


class TestMeasuredModel:
    def test_the_answer_knows_time_and_price(self):
        model = MeasuredModel(MockChatModel("a", latency_s=0.02))
        response = model.complete(ChatRequest(prompt="x", model="gpt-4o-mini"))
        assert response.latency_ms >= 20
        assert response.cost_usd == pytest.approx((1 * 0.15 + 1 * 0.6) / 1e6)

    def test_an_unknown_price_is_none(self):
        assert MeasuredModel(MockChatModel()).complete(REQUEST).cost_usd is None


class TestAnswersThatCannotBeUsed:
    USAGE = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")

    @pytest.mark.parametrize("streamed", [False, True])
    def test_they_are_paid_all_the_same(self, streamed):
        error = failure(ErrorCode.REFUSED, fields={"usage": self.USAGE})
        model = MeasuredModel(BudgetedModel(MockChatModel(fail_with=error)))
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST)) if streamed else model.complete(REQUEST)
        assert caught.value.fields["cost_usd"] == pytest.approx(0.15)
        assert (budget.calls, budget.spent_usd) == (1, pytest.approx(0.15))

    def test_what_a_stream_told_before_it_broke_off_is_paid(self):
        told = ChatChunk(text="", usage=self.USAGE)
        model = MeasuredModel(BudgetedModel(Streaming(["half", told, failure()])))
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST))
        assert (caught.value.fields["usage"], caught.value.fields["cost_usd"]) == (self.USAGE, pytest.approx(0.15))
        assert (budget.calls, budget.spent_usd) == (1, pytest.approx(0.15))

    def test_a_replayed_stream_that_breaks_off_costs_nothing(self):
        told = ChatChunk(text="", usage=self.USAGE, cached=True)
        with ModelBudget() as budget, pytest.raises(ChatModelError):
            list(MeasuredModel(Streaming(["half", told, failure()])).stream(REQUEST))
        assert (budget.calls, budget.spent_usd) == (0, 0)

    def test_what_nobody_counted_is_charged_to_nobody(self):
        model = MeasuredModel(MockChatModel(fail_with=failure(ErrorCode.REFUSED)))
        with ModelBudget() as budget, pytest.raises(ChatModelError) as caught:
            model.complete(REQUEST)
        assert "cost_usd" not in caught.value.fields
        assert (budget.calls, budget.spent_usd) == (0, 0)
