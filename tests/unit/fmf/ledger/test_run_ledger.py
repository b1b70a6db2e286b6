from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sqlite3
import stat
import time
from contextlib import closing

import pytest

from fmf.errors import ConfigError
from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.hold import LOCK_NAME, Hold, is_alive
from fmf.ledger.run_ledger import MOST_UNITS, RunLedger
from fmf.ledger.tables import Sums, UnknownRequest
from fmf_core.errors import Code, FrameworkError
from unit.fmf.ledger.asked import (
    COST,
    RUN,
    answer,
    ask_id,
    content_key,
    found,
    in_a_child,
    new_folder,
    pay,
    pay_all,
    resumed,
    run,
    status_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
CHECKPOINT = Checkpoint({"outputs.jsonl": 12}, {"docs": 3}, {"done": 2})


@pytest.fixture
def folder(tmp_path):
    return new_folder(tmp_path)


def test_what_was_asked_answered_and_paid_is_there_when_the_run_is_resumed(folder):
    async def first():
        ledger = RunLedger.begin(folder, {"chain": "c", "n": [1, None]})
        assert ledger.facts == {"chain": "c", "n": [1, None]}
        assert ledger.checkpoint is None
        await pay_all(ledger, range(100))
        await ledger.keep(Checkpoint())
        await ledger.keep(CHECKPOINT)
        assert ledger.checkpoint == CHECKPOINT
        assert await found(ledger, [1, 1000]) == [None, None]
        assert ledger.sums == Sums(requests=100, answers=100, spent=100 * COST)
        await ledger.close()
        await ledger.close()

    async def second(ledger):
        assert (ledger.facts, ledger.checkpoint) == ({"chain": "c", "n": [1, None]}, CHECKPOINT)
        assert ledger.sums == Sums(requests=100, answers=100, spent=100 * COST)
        assert await found(ledger, range(100)) == [answer(number) for number in range(100)]
        assert await found(ledger, [100, 101]) == [None, None]
        await pay(ledger, 100)
        return ledger.sums

    run(first())
    assert sorted(path.name for path in folder.iterdir()) == [LOCK_NAME, "ledger.sqlite"]
    assert resumed(folder, second) == Sums(requests=101, answers=101, spent=101 * COST)
    assert stat.S_IMODE((folder / "ledger.sqlite").stat().st_mode) == 0o600


def test_what_many_tasks_keep_at_once_waits_for_the_disk_together(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        numbers = await asyncio.gather(*(ledger.request(ask_id(number), None) for number in range(500)))
        assert sorted(numbers) == list(range(1, 501))
        assert ledger.sums.under_way == 500
        await ledger.close()

    run(main())


def test_of_two_answers_to_one_question_the_last_one_counts(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        for text in (b"first", b"second"):
            await ledger.answer("a", b"k", text, cost=None)
        await ledger.close()

    run(main())
    assert resumed(folder, lambda ledger: ledger.find("a")) == b"second"


def test_requests_under_way_are_unknown_to_whoever_resumes_and_assumed_to_be_spent(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await ledger.request("priced", 50)
        await ledger.request("unpriced", None)
        lost = await ledger.request("cancelled", 30)
        done = await ledger.request("done", 9)
        ledger.settle(lost, spent=None, assumed=30, unknown=True)
        ledger.settle(done, spent=None)
        assert ledger.sums == Sums(requests=4, assumed=30, under_way=2, unknown=1, unpriced=1)
        await ledger.close()

    async def look(ledger):
        assert list(ledger.view.unknown_requests()) == unknown
        return ledger.sums

    unknown = [UnknownRequest("priced", 50), UnknownRequest("unpriced", None), UnknownRequest("cancelled", 30)]
    run(main())
    assert resumed(folder, look) == resumed(folder, look) == Sums(requests=4, assumed=80, unknown=3, unpriced=1)


def test_a_request_is_settled_once_and_amounts_are_amounts(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        request = await ledger.request("a", MOST_UNITS)
        with pytest.raises(FrameworkError, match="-1 is no amount"):
            ledger.settle(request, spent=-1)
        with pytest.raises(FrameworkError, match="is no amount"):
            ledger.settle(request, spent=0, assumed=MOST_UNITS + 1)
        ledger.settle(request, spent=MOST_UNITS)
        for number in (request, 2, 0):
            with pytest.raises(FrameworkError, match=f"request {number} is not under way"):
                ledger.settle(number, spent=0)
        with pytest.raises(FrameworkError, match="is no amount"):
            await ledger.request("a", 2**70)
        with pytest.raises(FrameworkError, match="holds half a character"):
            await ledger.request("\ud800", None)
        with pytest.raises(TypeError):
            await ledger.keep(Checkpoint(tally={"x": object()}))
        await ledger.close()

    run(main())
    with pytest.raises(TypeError):
        RunLedger.begin(folder, {"x": object()})


async def cancelled(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_request_that_is_given_up_costs_nothing_whenever_that_is(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        for number in range(60):
            task = asyncio.ensure_future(ledger.request(ask_id(number), 100))
            await asyncio.sleep(number * 0.0002)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                ledger.settle(task.result(), spent=0)
        await pay(ledger, 1000)
        sums = ledger.sums
        assert (sums.under_way, sums.spent, sums.unpriced, sums.unknown) == (0, COST, 0, 0)
        await ledger.close()

    run(main())
    assert resumed(folder, look_at_sums).unknown == 0


async def look_at_sums(ledger):
    return ledger.sums


def test_an_answer_is_kept_though_its_task_is_cancelled(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await cancelled(ledger.answer("a", b"k", b"paid", cost=1))
        await ledger.close()

    run(main())
    assert resumed(folder, lambda ledger: ledger.find("a")) == b"paid"


def test_a_closed_ledger_keeps_nothing_and_says_so(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await ledger.close()
        with pytest.raises(FrameworkError, match="is closed") as told:
            await ledger.request("a", 1)
        assert told.value.code is Code.CONFLICT

    run(main())


def test_a_run_has_one_ledger(folder):
    ledger = RunLedger.begin(folder, {})
    for act in (lambda: RunLedger.begin(folder, {}), lambda: RunLedger.resume(folder)):
        with pytest.raises(ConfigError, match=f"run '{RUN}' is being run by process {os.getpid()}, this very one"):
            act()
    run(ledger.close())
    with pytest.raises(ConfigError, match="has a ledger already") as told:
        RunLedger.begin(folder, {})
    assert told.value.code is Code.CONFLICT
    assert not is_alive(folder)


def test_a_ledger_that_is_being_made_is_in_use_and_not_damaged(folder):
    hold = Hold.take(folder)
    (folder / "ledger.sqlite").touch()
    with pytest.raises(ConfigError) as told:
        RunLedger.resume(folder)
    assert told.value.code is Code.CONFLICT
    hold.release()
    with pytest.raises(ConfigError, match="is damaged: it is empty"):
        RunLedger.resume(folder)


def test_a_ledger_that_is_forgotten_lets_the_run_go(folder):
    RunLedger.begin(folder, {})
    gc.collect()
    run(RunLedger.resume(folder).close())


def test_two_processes_never_run_one_run(folder):
    def refused():
        with pytest.raises(ConfigError, match=f"being run by process {os.getppid()} on"):
            RunLedger.resume(folder)
        assert is_alive(folder)

    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay(ledger, 1)
        assert status_of(in_a_child(refused)) == 0
        await pay(ledger, 2)
        await ledger.close()

    run(main())
    assert status_of(in_a_child(lambda: run(RunLedger.resume(folder).close()))) == 0


def test_of_many_processes_that_resume_at_once_one_gets_the_run(folder):
    def take():
        os.close(go)
        os.read(ready, 1)
        try:
            ledger = RunLedger.resume(folder)
        except ConfigError as error:
            os._exit(3 if error.code is Code.CONFLICT else 1)
        os.close(end)
        os.read(leave, 1)
        os._exit(0 if ledger.facts == {} else 1)

    run(RunLedger.begin(folder, {}).close())
    (ready, go), (leave, end) = os.pipe(), os.pipe()
    children = [in_a_child(take) for _ in range(6)]
    os.close(go)
    first = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(5)]
    os.close(end)
    assert [*first, os.waitstatus_to_exitcode(os.wait()[1])] == [3] * 5 + [0], children
    os.close(ready)
    os.close(leave)


def test_a_forked_child_has_no_ledger_and_takes_none_away(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay(ledger, 1)

        def child():
            async def use():
                with pytest.raises(FrameworkError, match="a forked child has none of its parent's ledgers"):
                    await ledger.request("a", 1)
                await ledger.close()

            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                asyncio._set_running_loop(None)
                runner.run(use())
            with pytest.raises(ConfigError, match="being run by process"):
                RunLedger.resume(folder)

        assert status_of(in_a_child(child)) == 0
        await pay(ledger, 2)
        assert is_alive(folder)
        await ledger.close()

    run(main())
    assert resumed(folder, lambda ledger: found(ledger, [1, 2])) == [answer(1), answer(2)]


def test_a_clock_that_is_set_back_changes_nothing(folder, monkeypatch):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay(ledger, 1)
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await pay(ledger, 2)
        await ledger.keep(CHECKPOINT)
        await ledger.close()
        os.utime(folder / "ledger.sqlite", (0, 0))

    async def second(ledger):
        await pay(ledger, 3)
        return ledger.checkpoint

    run(main())
    assert resumed(folder, second) == CHECKPOINT
    assert resumed(folder, lambda ledger: found(ledger, [1, 2, 3])) == [answer(1), answer(2), answer(3)]


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(folder):
    """In a process of its own: a limit for the size of files is no disk, but is met at the same place."""

    def child():
        async def main():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            ledger = RunLedger.begin(folder, {})
            await pay(ledger, 0)
            request = await ledger.request("open", 100)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            kept, failures = [0], []
            ledger.settle(request, spent=60)
            for number in range(1, 400):
                try:
                    await pay(ledger, number)
                    kept.append(number)
                except FrameworkError as error:
                    failures.append(error)
                    if len(failures) > 3:
                        break
            assert len(failures) > 3
            assert all("could not be written" in error.message and error.hint for error in failures)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await pay_all(ledger, range(1000, 1040))
            os.write(out, b" ".join(b"%d" % number for number in (*kept, *range(1000, 1040))) + b"\n")
            assert ledger.sums.spent >= 60 + COST * (len(kept) + 40)
            os._exit(0)  # killed, in effect

        run(main())

    into, out = os.pipe()
    assert status_of(in_a_child(child)) == 0
    kept = [int(number) for number in os.read(into, 65536).split()]
    os.close(into)
    os.close(out)
    assert resumed(folder, lambda ledger: found(ledger, kept)) == [answer(number) for number in kept]
    assert len(kept) > 41


def test_a_ledger_that_is_deleted_or_replaced_under_way_stops_the_run(folder, tmp_path):
    other = new_folder(tmp_path, "other")
    run(RunLedger.begin(other, {}).close())

    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay(ledger, 1)
        path = folder / "ledger.sqlite"
        path.rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(FrameworkError, match="deleted or replaced"):
                await ledger.request("a", 1)
            assert not path.exists()
        (other / "ledger.sqlite").rename(path)
        with pytest.raises(FrameworkError, match="deleted or replaced"):
            await ledger.answer("a", b"k", b"x", cost=1)
        await ledger.close()

    run(main())


def test_a_run_that_lost_its_lock_to_another_process_keeps_nothing_more(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay(ledger, 1)
        (folder / LOCK_NAME).unlink()
        assert status_of(in_a_child(lambda: RunLedger.resume(folder))) == 0
        for _ in range(2):
            with pytest.raises(FrameworkError, match="another process has taken the run up") as told:
                await ledger.request("a", 1)
            assert told.value.code is Code.CONFLICT
        await ledger.close()

    run(main())


def test_another_program_that_locks_the_file_is_waited_for(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(pay(ledger, 1))
            await asyncio.sleep(0.05)
            assert not task.done()
            other.execute("COMMIT")
            await task
        await ledger.close()

    run(main())
    assert resumed(folder, lambda ledger: found(ledger, [1])) == [answer(1)]


def test_what_is_settled_last_is_kept_by_closing(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        ledger.settle(await ledger.request("a", 9), spent=4, assumed=1)
        await ledger.close()

    run(main())
    assert resumed(folder, look_at_sums) == Sums(requests=1, spent=4, assumed=1)


def test_an_answer_is_addressed_by_its_content_too(folder):
    async def main():
        ledger = RunLedger.begin(folder, {})
        await pay_all(ledger, range(10))
        await ledger.close()

    async def look(ledger):
        hit, miss = await asyncio.gather(*(ledger.view.find_content(content_key(number)) for number in (3, 77)))
        assert (hit.ask_id, hit.answer, hit.cost, miss) == (ask_id(3), answer(3), COST, None)

    run(main())
    resumed(folder, look)
