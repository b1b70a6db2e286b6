"""Questions in the ledger of a run: what was answered before is not asked again, and nothing is asked unrecorded."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chatmodels.ledger import units_of
from chatmodels.pieces import joined, pieces_of
from chatmodels.request_facts import request_key
from chatmodels.spending import OverBudgetError
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf.artefacts.lines import blanked_lines
from fmf.chains.gate import RunStoppingError
from fmf.chains.stop import Stop, StopReason
from fmf_core.errors import FrameworkError

if TYPE_CHECKING:
    from chatmodels.iface import ChatModel
    from fmf.ledger.run_ledger import RunLedger
    from fmf.ledger.view import LedgerView

_KEY_CHARS: Final = 24


@dataclass
class _Subject:
    """What the running task asks about, and how often it has asked the same about it."""

    name: str
    asked: Counter[str] = field(default_factory=Counter)

    def ask_id(self, key: str) -> str:
        """The id of a question: the same in every process that runs this run."""
        self.asked[key] += 1
        return f"{self.name}/{key[:_KEY_CHARS]}/{self.asked[key]}"


_subject: ContextVar[_Subject] = ContextVar("fmf_subject")
_question: ContextVar[str] = ContextVar("fmf_question")


@contextmanager
def asking_about(level: str, item_id: str) -> Iterator[None]:
    """Let the questions that are asked within the block be about one item, document, or run."""
    token = _subject.set(_Subject(f"{level}/{item_id}"))
    try:
        yield
    finally:
        _subject.reset(token)


def question_of(request: ChatRequest, identity: str) -> tuple[str, str]:
    """The id of what the running task asks, and the hash of all that decides the answer.

    Args:
        request: what is asked.
        identity: what decides the answers besides: provider, address, settings.
    """
    key = request_key(request, model=identity)
    return _subject.get().ask_id(key), key


def own_answer(answer: bytes) -> ChatResponse:
    """An answer that this run has paid, as it was."""
    return ChatResponse.model_validate_json(answer)


def shared_answer(answer: bytes) -> ChatResponse | None:
    """An answer that another run has paid, `cached` and free; `None` where a model gave it that stood by."""
    response = ChatResponse.model_validate_json(answer)
    if response.fell_back_from:
        return None
    told: dict[str, Any] = {"cached": True, "cost_usd": 0.0, "attempts": 0, "failed_usage": ()}
    return response.model_copy(update=told)


@contextmanager
def ending_the_run(stop: Stop) -> Iterator[None]:
    """End the run when its ledger cannot be written within the block: what is asked then is paid in vain."""
    try:
        yield
    except FrameworkError:
        stop.request(StopReason.FAILED)
        raise


class RunBook:
    """Writes every request of a run into its ledger before it leaves, and holds it back until it has a place.

    Args:
        ledger: the run's.
        places: how many requests may be under way at once; a place is not held while the disk is waited for.
        stop: once it is requested, no request leaves.
    """

    def __init__(self, ledger: RunLedger, places: int, stop: Stop) -> None:
        self._ledger = ledger
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stop = stop
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._send_home)

        stop.listen(wake)

    async def open(self, model: str, most: int | None) -> int:  # noqa: ARG002 - the question says which model
        """Write a request down, and wait for its place; see `chatmodels.spending.RequestBook`."""
        with ending_the_run(self._stop):
            number = await self._ledger.request(_question.get(), most)
        try:
            await self._place()
        except BaseException:
            self._ledger.settle(number, spent=0)
            raise
        return number

    def close(self, entry: int, spent: int | None, assumed: int, *, lost: bool = False) -> None:
        """The request has ended; see `chatmodels.spending.RequestBook`."""
        self._ledger.settle(entry, spent=spent, assumed=assumed, unknown=lost)
        self._release()

    async def _place(self) -> None:
        self._check()
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()
            raise
        try:
            self._check()
        except BaseException:
            self._release()
            raise

    def _check(self) -> None:
        if self._stop.requested:
            raise RunStoppingError

    def _release(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _send_home(self) -> None:
        """Let those go who wait for a place: the run is to stop."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(RunStoppingError())


class BookedModel(WrappedModel):
    """Answers from the ledger what was answered before, asks the model anything else, and keeps what it says.

    An answer of this run counts as it did when it was paid. One from another run is `cached` and costs nothing.

    Args:
        inner: the model that is asked.
        ledger: the run's.
        identity: what decides the answers besides the request: provider, address, settings.
        others: ledgers of other runs, looked at in this order.
        stop: is requested when the budget has no room for a request.
    """

    def __init__(
        self, inner: ChatModel, ledger: RunLedger, identity: str, *, others: Sequence[LedgerView] = (), stop: Stop
    ) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._identity = identity
        self._others = others
        self._stop = stop

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`; the answer is on the disk when this returns."""
        ask_id, key = question_of(request, self._identity)
        known = await self._known(ask_id, key)
        if known is not None:
            return known
        with self._as_question(ask_id):
            response = await self.inner.complete_async(request)
        await self._keep(ask_id, key, response)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; the answer is on the disk when the last piece has been taken."""
        ask_id, key = question_of(request, self._identity)
        known = await self._known(ask_id, key)
        if known is not None:
            for chunk in pieces_of(known):
                yield chunk
            return
        chunks: list[ChatChunk] = []
        with self._as_question(ask_id):
            stream = self.inner.stream_async(request)
            try:
                async for chunk in stream:
                    chunks.append(chunk)
                    yield chunk
            finally:
                await close_stream(stream)
        with suppress(ValueError):  # an answer without anything in it
            if (response := joined(chunks)) is not None:
                await self._keep(ask_id, key, response)

    async def _known(self, ask_id: str, key: str) -> ChatResponse | None:
        found = await self._ledger.find(ask_id)
        if found is not None:
            return own_answer(found)
        content = bytes.fromhex(key)
        for view in self._others:
            answer = await view.find_content(content)
            if answer is not None and (response := shared_answer(answer.answer)) is not None:
                await self._keep(ask_id, key, response)
                return response
        return None

    @contextmanager
    def _as_question(self, ask_id: str) -> Iterator[None]:
        token = _question.set(ask_id)
        try:
            yield
        except OverBudgetError:
            self._stop.request(StopReason.BUDGET)
            raise
        finally:
            _question.reset(token)

    async def _keep(self, ask_id: str, key: str, response: ChatResponse) -> None:
        cost = None if response.cost_usd is None else units_of(response.cost_usd)
        line = blanked_lines(response.model_dump_json(exclude_defaults=True).encode())
        with ending_the_run(self._stop):
            await self._ledger.answer(ask_id, bytes.fromhex(key), line, cost=cost)
