from __future__ import annotations

import asyncio

import pytest

from chatmodels import ChatModelError, ErrorCode, MockChatModel, RetryBudget, RetryPolicy, create_chat_model
from chatmodels.wrappers.retry_budget import RetryBucket
from chatmodels.wrappers.retrying import RetryingModel
from peers.scripted_server import Reply, ScriptedServer
from unit.chatmodels.wrappers.scripts import REQUEST, Streaming, end, failure, in_own_loop


def spend(model, calls):
    """How many attempts `calls` calls made in all, and their last error."""
    attempts, last = 0, None
    for _ in range(calls):
        with pytest.raises(ChatModelError) as caught:
            model.complete(REQUEST)
        last = caught.value
        attempts += last.fields["attempts"]
    return attempts, last


def retrying(inner, reserve=10, share=0.1):
    policy = RetryPolicy(max_attempts=5, first_wait_s=0.0)
    return RetryingModel(inner, policy, RetryBudget(reserve=reserve, share=share))


def test_a_bucket_is_emptied_and_filled():
    bucket = RetryBucket(RetryBudget(reserve=2, share=0.5))
    assert [bucket.draw() for _ in range(3)] == [True, True, False]
    bucket.pay()
    assert not bucket.draw()
    bucket.pay()
    assert bucket.draw()
    for _ in range(100):
        bucket.pay()
    assert bucket.left == 2


@pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT])
def test_a_failing_server_is_tried_again_as_long_as_the_budget_lasts(code):
    attempts, error = spend(retrying(MockChatModel(fail_with=failure(code))), 20)
    assert attempts == 20 + 10
    assert error.fields["retry_budget"] == "spent"
    assert "retry_budget" in error.hint
    assert error.fields["attempts"] == 1


def test_who_only_has_to_slow_down_costs_nothing():
    attempts, error = spend(retrying(MockChatModel(fail_with=failure(ErrorCode.RATE_LIMIT))), 20)
    assert attempts == 100
    assert "retry_budget" not in error.fields


def test_the_last_attempt_of_a_call_costs_nothing():
    attempts, error = spend(retrying(MockChatModel(fail_with=failure()), reserve=8), 2)
    assert attempts == 10
    assert "retry_budget" not in error.fields


def test_successes_pay_for_retries():
    script = [*[failure() if number % 5 == 0 else "fine" for number in range(400)], "fine"]
    model = retrying(MockChatModel(script), reserve=3, share=0.3)
    assert all(model.complete(REQUEST).content == "fine" for _ in range(300))


def test_a_stream_that_cannot_begin_is_charged():
    model = retrying(Streaming([failure()]), reserve=2)
    for _ in range(3):
        with pytest.raises(ChatModelError):
            list(model.stream(REQUEST))
    assert model.opened == 3 + 2


def test_a_stream_that_begins_pays():
    model = retrying(Streaming([failure()], ["a", end()], [failure()], ["a", end()]), reserve=1, share=1)
    for _ in range(2):
        assert "".join(chunk.text for chunk in model.stream(REQUEST)) == "a"


@pytest.mark.peer
def test_a_thousand_calls_to_a_dying_server_do_not_storm_it():
    with ScriptedServer(lambda _: Reply(status=500, body={"error": {"message": "down"}})) as server:
        settings = {"base_url": server.base_url, "api_key": "key-of-nobody", "model": "m"}
        models = [
            create_chat_model("openai", **settings, retry={"max_attempts": 5, "first_wait_s": 0.001}) for _ in range(2)
        ]

        async def ask(number):
            with pytest.raises(ChatModelError) as caught:
                await models[number % 2].ainvoke("x")
            return caught.value.fields["attempts"]

        async def go():
            return await asyncio.gather(*(ask(number) for number in range(1000)))

        attempts = in_own_loop(go())
        assert server.count == sum(attempts) == 1100


@pytest.mark.peer
def test_without_a_budget_every_call_has_all_its_attempts():
    with ScriptedServer(lambda _: Reply(status=500, body={"error": {"message": "down"}})) as server:
        model = create_chat_model(
            "openai",
            base_url=server.base_url,
            api_key="key-of-nobody",
            model="m",
            retry={"max_attempts": 5, "first_wait_s": 0.0},
            retry_budget=None,
        )
        for _ in range(30):
            with pytest.raises(ChatModelError):
                model.invoke("x")
        assert server.count == 150
