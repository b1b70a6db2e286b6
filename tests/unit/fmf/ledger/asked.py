"""Questions, answers and ledgers for the tests of this folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import traceback
from pathlib import Path

from fmf.ledger.run_ledger import RunLedger

COST = 7
RUN = "20261128T210000000Z-0a1b2c"


def ask_id(number):
    return hashlib.sha256(b"ask %d" % number).hexdigest()[:32]


def content_key(number):
    return hashlib.sha256(b"content %d" % number).digest()


def answer(number):
    return hashlib.sha256(b"answer %d" % number).hexdigest().encode() * (1 + number % 40)


def new_folder(parent, name=RUN):
    folder = Path(parent) / name
    folder.mkdir()
    return folder


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


async def pay(ledger, number):
    """Ask a question and get its answer."""
    request = await ledger.request(ask_id(number), 2 * COST)
    ledger.settle(request, spent=COST)
    await ledger.answer(ask_id(number), content_key(number), answer(number), cost=COST)


async def pay_all(ledger, numbers):
    await asyncio.gather(*(pay(ledger, number) for number in numbers))


async def found(ledger, numbers):
    return await asyncio.gather(*(ledger.find(ask_id(number)) for number in numbers))


def resumed(folder, work):
    """What `work` returns of the ledger that is resumed, and closed again."""

    async def main():
        ledger = RunLedger.resume(folder)
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    return run(main())


def in_a_child(work):
    """A forked process that does `work`; status 0 when it went well."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def status_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
