from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from chatmodels import ChatModel, ChatModelError, ChatResponse, ErrorCode, MockChatModel, create_chat_model
from chatmodels.asked import BREATHE_EVERY, MOST_TOLD
from fmf_core.errors import ConfigurationError
from unit.chatmodels.wrappers.scripts import in_own_loop


class Invoice(BaseModel):
    total: int


def failing_at(prompt, error):
    return MockChatModel(lambda request: error if request.prompt == prompt else f"<{request.prompt}>")


class TestWrongRequests:
    def test_nothing_is_asked_and_the_error_names_them(self):
        model = MockChatModel()
        with pytest.raises(ConfigurationError, match=r": requests\[40\]: wrong request: a request needs") as caught:
            model.batch([*map(str, range(40)), ""])
        assert model.call_count == 0
        assert caught.value.fields["requests"] == [40]
        assert "nothing was asked yet" in caught.value.hint
        assert "return_exceptions=True" in caught.value.hint

    def test_several_are_told_at_once_and_not_too_many(self):
        with pytest.raises(ConfigurationError) as caught:
            MockChatModel().batch(["x", *[""] * (MOST_TOLD + 2)])
        lines = caught.value.message.splitlines()
        assert lines[0].startswith("requests[1]: ")
        assert lines[MOST_TOLD:] == ["and 2 more"]
        assert caught.value.fields["requests"] == list(range(1, MOST_TOLD + 3))

    def test_a_wrong_option_is_wrong_for_all(self):
        model = MockChatModel()
        with pytest.raises(ConfigurationError, match="request: wrong request: temprature"):
            model.batch(["a", "b"], temprature=1)
        assert model.call_count == 0

    def test_they_may_stand_in_their_place(self):
        good, wrong, other = MockChatModel().batch(["a", "", "b"], return_exceptions=True)
        assert isinstance(wrong, ConfigurationError)
        assert isinstance(good, ChatResponse)
        assert isinstance(other, ChatResponse)

    def test_many_are_checked(self):
        assert len(MockChatModel().batch(map(str, range(2 * BREATHE_EVERY + 1)))) == 2 * BREATHE_EVERY + 1


class TestFailures:
    def test_the_error_says_which_request_it_was_and_keeps_the_answers(self):
        error = ChatModelError("broken", op="vendor.complete", code=ErrorCode.INVALID)
        with pytest.raises(ChatModelError) as caught:
            failing_at("c", error).batch(["a", "b", "c", "d"], max_concurrency=1)
        assert caught.value is error
        assert {number: answer.content for number, answer in error.fields["answers"].items()} == {0: "<a>", 1: "<b>"}
        which, kept = error.__notes__
        assert which == "it was requests[2] of the batch"
        assert kept.startswith("2 of 4 requests were answered before: fields['answers']")
        assert "return_exceptions=True" in kept

    def test_an_error_of_no_house_has_the_notes_as_well(self):
        class Own(ChatModel):
            async def complete_async(self, request):
                raise KeyError("odd")

        with pytest.raises(KeyError) as caught:
            Own().batch(["a"])
        assert caught.value.__notes__[0] == "it was requests[0] of the batch"

    def test_one_error_raised_again_and_again_is_told_once(self):
        model = failing_at("a", ChatModelError("broken", op="vendor.complete", code=ErrorCode.INVALID))
        for _ in range(3):
            with pytest.raises(ChatModelError) as caught:
                model.batch(["a"])
        assert len(caught.value.__notes__) == 2


class TestParsing:
    def test_values_in_order(self):
        model = create_chat_model("mock", responses=lambda request: {"total": int(request.prompt.split()[0])})
        parsed = model.batch_parse([f"{number} pens" for number in range(5)], Invoice, max_concurrency=2)
        assert [each.value for each in parsed] == [Invoice(total=number) for number in range(5)]

    def test_what_fits_not_stands_in_its_place(self):
        model = create_chat_model("mock", responses=lambda request: request.prompt)
        good, bad = model.batch_parse(['{"total": 1}', "none"], Invoice, parse_retries=0, return_exceptions=True)
        assert good.value == Invoice(total=1)
        assert isinstance(bad, ChatModelError)
        assert bad.code is ErrorCode.BAD_REPLY

    def test_settings_reach_every_request(self):
        model = create_chat_model("mock", responses='{"total": 1}')
        model.batch_parse(["a", "b"], {"type": "object"}, temperature=0.3)
        assert [asked.temperature for asked in model.call_log] == [0.3, 0.3]

    def test_a_wrong_shape_or_request_is_told_before_anything_is_asked(self):
        model = create_chat_model("mock")
        for requests, shape in ((["a", ""], Invoice), (["a", "b"], "no shape")):
            with pytest.raises(ConfigurationError):
                model.batch_parse(requests, shape)
        assert model.call_count == 0


class GivesUp(ChatModel):
    """Cancels its own work for one prompt."""

    async def complete_async(self, request):
        if request.prompt == "3":
            raise asyncio.CancelledError
        return await MockChatModel(f"<{request.prompt}>").complete_async(request)


class TestCallsThatGiveUpThemselves:
    def test_they_stand_in_their_place(self):
        answers = GivesUp().batch(map(str, range(6)), return_exceptions=True)
        assert [getattr(answer, "content", None) for answer in answers] == ["<0>", "<1>", "<2>", None, "<4>", "<5>"]
        assert answers[3].code is ErrorCode.CANCELLED

    def test_they_stop_the_rest_with_an_error_of_the_house(self):
        with pytest.raises(ChatModelError) as caught:
            GivesUp().batch(map(str, range(6)), max_concurrency=1)
        assert caught.value.code is ErrorCode.CANCELLED
        assert sorted(caught.value.fields["answers"]) == [0, 1, 2]

    def test_a_batch_that_is_cancelled_is_cancelled(self):
        async def go():
            task = asyncio.create_task(MockChatModel(latency_s=5).abatch(["a", "b"], return_exceptions=True))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        in_own_loop(go())
