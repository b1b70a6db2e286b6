"""A run that is killed at any moment, thirty times: what was confirmed is there, and nothing else is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from time import sleep

import pytest

from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.run_ledger import RunLedger
from unit.fmf.ledger.asked import COST, answer, ask_id, found, in_a_child, new_folder, pay, resumed, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TASKS, KILLS = 16, 30


def work(folder, first, out):
    """Pay for questions from `first` on until it is killed; say on `out` what was confirmed."""

    async def main():
        ledger = RunLedger.resume(folder)
        numbers = iter(range(first, 10**9))
        os.write(out, b"ready 0\n")

        async def one():
            for number in numbers:
                await pay(ledger, number)
                os.write(out, b"paid %d\n" % number)
                if number % 10 == 0:
                    await ledger.keep(Checkpoint(position={"docs": number}))
                    os.write(out, b"kept %d\n" % number)

        await asyncio.gather(*(one() for _ in range(TASKS)))

    run(main())


def killed(folder, first, after_s):
    """What a process said that was killed some time after it had begun."""
    into, out = os.pipe()
    child = in_a_child(lambda: work(folder, first, out))
    os.close(out)
    with os.fdopen(into, "rb") as said:
        assert said.readline() == b"ready 0\n"
        sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return [(what, int(number)) for what, number in (line.split() for line in said)]


def test_what_was_confirmed_outlives_every_kill_and_nothing_is_torn(tmp_path):
    folder = new_folder(tmp_path)
    run(RunLedger.begin(folder, {"x": 1}).close())
    chance = random.Random(6)
    paid, first = [], 0
    for kill in range(KILLS):
        said = killed(folder, first, chance.uniform(0, 0.05))
        new = [number for what, number in said if what == b"paid"]
        kept = [number for what, number in said if what == b"kept"]
        view = RunLedger.read(folder)
        sums = view.sums()
        there = Counter(row.ask_id for row in view.answers())
        paid += new
        assert {ask_id(number) for number in paid} <= set(there)
        assert set(there.values()) <= {1}
        assert len(paid) <= sums.answers <= len(paid) + TASKS * (kill + 1)
        assert sums.spent >= COST * len(paid)
        assert sums.requests - sums.answers <= TASKS * (kill + 1)
        if kept:
            assert view.checkpoint is not None
            assert view.checkpoint.position["docs"] in range(0, 10**9, 10)
        view.close()
        first += 10_000
    assert len(paid) > KILLS

    async def look(ledger):
        assert ledger.sums.unknown == len(list(ledger.view.unknown_requests())) <= KILLS * TASKS
        assert ledger.sums.assumed == 2 * COST * ledger.sums.unknown
        assert ledger.facts == {"x": 1}
        return await found(ledger, paid)

    assert resumed(folder, look) == [answer(number) for number in paid]
    RunLedger.read(folder).check()
