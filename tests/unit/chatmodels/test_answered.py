from __future__ import annotations

import pytest

from chatmodels import ChatModel, ChatModelError, ErrorCode
from fmf_core.portal import run_sync


class Says(ChatModel):
    def complete(self, request):
        return "hello"


class Forgets(ChatModel):
    async def answer(self):
        return "hello"

    def complete(self, request):
        return self.answer()


@pytest.mark.parametrize(
    ("kind", "said", "hint"),
    [
        (Says, "Says answered with str instead of ChatResponse", "return ChatResponse("),
        (Forgets, "coroutine", "await it"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.invoke("x"),
        lambda model: run_sync(model.ainvoke("x")),
        lambda model: list(model.stream("x")),
        lambda model: model.batch(["x"]),
        lambda model: model.parse("x", int),
    ],
)
def test_an_answer_that_is_none_is_one_clear_error(kind, said, hint, ask):
    with pytest.raises(ChatModelError, match=said) as caught:
        ask(kind())
    assert caught.value.code is ErrorCode.BAD_REPLY
    assert hint in caught.value.hint


def test_methods_of_the_wrong_kind_are_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match=r"Mixed\.complete is async: call it complete_async"):

        class Mixed(ChatModel):
            async def complete(self, request):
                return None

    with pytest.raises(TypeError, match=r"Empty\.stream_async gives no pieces"):

        class Empty(ChatModel):
            def complete(self, request):
                return None

            async def stream_async(self, request):
                return None
