from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from chatmodels import ChatModel, ChatModelError, ErrorCode, MockChatModel
from chatmodels.guard import check_allowed
from chatmodels.testing import allow_model_requests, forbid_model_requests


class Remote(ChatModel):
    """A provider that asks before it makes a request, as all of them do."""

    async def complete_async(self, request):
        check_allowed("remote", request.model)
        return await MockChatModel().complete_async(request)


class TestForbidModelRequests:
    def test_a_providers_request_fails(self):
        with forbid_model_requests(), pytest.raises(ChatModelError, match="'remote'") as caught:
            Remote().invoke("x")
        assert caught.value.code is ErrorCode.UNSUPPORTED
        assert not caught.value.retryable
        assert "MockChatModel" in caught.value.hint

    def test_the_mock_goes_on(self):
        with forbid_model_requests():
            assert MockChatModel().invoke("x").content

    def test_it_ends_with_the_block(self):
        with pytest.raises(KeyError), forbid_model_requests():
            raise KeyError
        with allow_model_requests():
            assert Remote().invoke("x").content

    def test_it_holds_in_other_threads(self):
        caught = []

        def work():
            try:
                check_allowed("remote")
            except ChatModelError as error:
                caught.append(error)

        with forbid_model_requests():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert caught

    def test_the_innermost_block_decides(self):
        with forbid_model_requests():
            with allow_model_requests():
                assert requests_allowed()
                with forbid_model_requests():
                    assert not requests_allowed()
            assert not requests_allowed()


def requests_allowed():
    try:
        check_allowed("remote")
    except ChatModelError:
        return False
    return True


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


@pytest.fixture
def allowed():
    with allow_model_requests():
        yield


@pytest.mark.usefixtures("allowed")
class TestAsDecorator:
    @pytest.mark.parametrize("decorate", [forbid_model_requests, forbid_model_requests()])
    def test_of_every_kind_of_function(self, decorate):
        @decorate
        def plain():
            return requests_allowed()

        @decorate
        async def awaited():
            await asyncio.sleep(0)
            return requests_allowed()

        @decorate
        def pieces():
            got = yield requests_allowed()
            yield got
            return requests_allowed()

        @decorate
        async def awaited_pieces():
            await asyncio.sleep(0)
            yield requests_allowed()

        def whole():
            stream = pieces()
            yield next(stream)
            assert stream.send("sent") == "sent"
            with pytest.raises(StopIteration) as stopped:
                next(stream)
            yield stopped.value.value

        async def collect():
            return [piece async for piece in awaited_pieces()]

        assert [plain(), in_own_loop(awaited()), *whole(), *in_own_loop(collect())] == [False] * 5
        assert requests_allowed()
        assert inspect.iscoroutinefunction(awaited)
        assert inspect.isasyncgenfunction(awaited_pieces)
        assert plain.__name__ == "plain"

    def test_again_and_inside_itself(self):
        @forbid_model_requests
        def dive(depth):
            assert not requests_allowed()
            if depth:
                dive(depth - 1)

        dive(3)
        dive(0)
        assert requests_allowed()

    def test_a_generator_that_is_closed_ends_inside(self):
        seen = []

        @forbid_model_requests
        async def pieces():
            try:
                yield 1
                yield 2
            finally:
                seen.append(requests_allowed())

        async def leave_early():
            stream = pieces()
            await anext(stream)
            await stream.aclose()
            return list(seen)

        with asyncio.Runner() as runner:
            assert runner.run(leave_early()) == [False]

    def test_an_error_ends_it(self):
        @forbid_model_requests
        def fail():
            raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert requests_allowed()

    def test_allowing_inside_of_forbidding(self):
        @allow_model_requests
        def ask():
            return Remote().invoke("x").content

        with forbid_model_requests():
            assert ask()
            assert not requests_allowed()

    def test_something_else_is_refused(self):
        with pytest.raises(TypeError, match="only functions"):
            forbid_model_requests(7)


def test_one_switch_may_be_entered_twice():
    switch = forbid_model_requests()
    with allow_model_requests():
        with switch, switch:
            assert not requests_allowed()
        assert requests_allowed()
