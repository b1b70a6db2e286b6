from __future__ import annotations

import asyncio

import pytest

from fmf.errors import ConfigError
from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.run_ledger import RunLedger
from fmf.ledger.tables import Sums, UnknownRequest
from fmf.ledger.view import LedgerView
from fmf_core.errors import Code
from fmf_core.portal import in_thread
from unit.fmf.ledger.asked import COST, answer, ask_id, content_key, in_a_child, new_folder, pay_all, run, status_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def folder(tmp_path):
    return new_folder(tmp_path)


def test_a_ledger_is_looked_at_while_another_process_writes_to_it(folder):
    def look():
        view = LedgerView(folder)
        assert (view.facts, view.checkpoint) == ({"x": 1}, Checkpoint(tally={"n": 2}))
        assert view.sums() == Sums(requests=30, answers=30, spent=30 * COST)
        assert [one.answer for one in view.answers()] == [answer(number) for number in range(30)]
        assert run(view.find_ask(ask_id(29))).answer == answer(29)
        view.check()
        view.close()

    async def main():
        ledger = RunLedger.begin(folder, {"x": 1})
        await pay_all(ledger, range(30))
        await ledger.keep(Checkpoint(tally={"n": 2}))
        assert status_of(in_a_child(look)) == 0
        await pay_all(ledger, range(30, 60))
        await ledger.close()

    run(main())


def test_what_comes_later_is_summed_up_and_found_by_whoever_opens_it_later(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay_all(ledger, range(3))
        view = RunLedger.read(folder)
        assert (await view.find_ask(ask_id(2))).cost == COST
        await pay_all(ledger, range(3, 6))
        assert await view.find_ask(ask_id(5)) is None
        assert (await in_thread(view.sums)).answers == 6
        await in_thread(view.close)
        assert (await view.find_ask(ask_id(2))).answer == answer(2)
        await in_thread(view.close)
        later = RunLedger.read(folder)
        assert (await later.find_ask(ask_id(5))).answer == answer(5)
        await in_thread(later.close)
        await ledger.close()

    run(main())


def test_what_many_tasks_look_for_at_once_is_found_for_each(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay_all(ledger, range(300))
        await ledger.close()
        view = RunLedger.read(folder)
        lookups = [view.find_content(content_key(number)) for number in range(400)]
        found = await asyncio.gather(*lookups)
        assert [one and one.answer for one in found] == [answer(n) for n in range(300)] + [None] * 100
        task = asyncio.ensure_future(view.find_ask(ask_id(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await view.find_ask(ask_id(1))).answer == answer(1)
        await in_thread(view.close)

    run(main())


def test_unknown_requests_and_answers_are_read_as_they_are_needed(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        numbers = await asyncio.gather(*(ledger.request(f"a{number}", number) for number in range(2500)))
        for number in numbers:
            ledger.settle(number, spent=None, unknown=number % 2 == 0)
        await pay_all(ledger, range(250))
        await ledger.close()

    run(main())
    view = RunLedger.read(folder)
    assert list(view.unknown_requests()) == [UnknownRequest(f"a{number}", number) for number in range(1, 2500, 2)]
    assert len(list(view.answers())) == 250
    assert view.sums().unpriced == 1250
    view.close()


def test_without_a_ledger_there_is_nothing_to_look_at(folder):
    for act in (RunLedger.read, RunLedger.resume):
        with pytest.raises(ConfigError, match="cannot be used: it is not there") as told:
            act(folder)
        assert told.value.code is Code.NOT_FOUND
        assert list(folder.iterdir()) == []
