from __future__ import annotations

import pytest

from chatmodels import ChatModel, ChatModelError, ErrorCode, MockChatModel
from chatmodels.providers.foreign_errors import reading_of
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.translating import TranslatingModel
from unit.chatmodels.wrappers.scripts import FAST, REQUEST, Streaming


class TestTranslatingModel:
    @pytest.mark.parametrize(
        ("raised", "code", "calls"),
        [
            (ValueError("bad"), ErrorCode.INTERNAL, 1),
            (SystemExit(3), ErrorCode.INTERNAL, 1),
            (TimeoutError("slow"), ErrorCode.TIMEOUT, 3),
            (ConnectionResetError("gone"), ErrorCode.UNAVAILABLE, 3),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    def test_foreign_exceptions_become_ours(self, raised, code, calls, streamed):
        inner = MockChatModel(fail_with=raised)
        model = RetryingModel(TranslatingModel(inner, reading_of), FAST)
        with pytest.raises(ChatModelError) as caught:
            list(model.stream(REQUEST)) if streamed else model.complete(REQUEST)
        error = caught.value
        assert (error.code, inner.call_count, error.fields["attempts"]) == (code, calls, calls)
        assert error.__cause__ is raised
        assert error.op
        assert "MockChatModel" in str(error)
        assert "raise ProviderError with a code" in error.hint

    def test_an_answer_of_another_kind_is_refused(self):
        class Wrong(ChatModel):
            async def complete_async(self, request):
                return "text"

        with pytest.raises(ChatModelError, match="Wrong answered with str") as caught:
            TranslatingModel(Wrong(), reading_of).complete(REQUEST)
        assert caught.value.code is ErrorCode.BAD_REPLY

    def test_a_foreign_failure_amid_a_stream_becomes_ours(self):
        with pytest.raises(ChatModelError) as caught:
            list(TranslatingModel(Streaming(["a", OSError("cut")]), reading_of).stream(REQUEST))
        assert isinstance(caught.value.__cause__, OSError)
