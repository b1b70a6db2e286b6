from __future__ import annotations

import pytest

from chatmodels import ChatModelError, ErrorCode, MockChatModel, RetryPolicy
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.timed import TimedModel
from unit.chatmodels.wrappers.scripts import REQUEST


class TestTimedModel:
    def test_an_answer_in_time(self):
        assert TimedModel(MockChatModel("a"), 5).complete(REQUEST).content == "a"
        assert "".join(c.text for c in TimedModel(MockChatModel("a b"), 5).stream(REQUEST)) == "a b"

    @pytest.mark.parametrize("slow", [{"latency_s": 5}, {"chunk_delay_s": 5}])
    def test_a_late_stream_is_closed(self, slow):
        model = RetryingModel(
            TimedModel(MockChatModel("a b", **slow), 0.02), RetryPolicy(max_attempts=2, first_wait_s=0)
        )
        with pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST))
        assert caught.value.code is ErrorCode.TIMEOUT
        assert model.call_count == (2 if "latency_s" in slow else 1)

    def test_a_time_out_of_the_models_own_is_no_other(self):
        with pytest.raises(TimeoutError, match="own"):
            TimedModel(MockChatModel(fail_with=TimeoutError("own")), 5).complete(REQUEST)
