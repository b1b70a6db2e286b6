"""A ledger against plain dictionaries: all that a run does, in any order, closed, killed and resumed anywhere."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.run_ledger import RunLedger
from fmf.ledger.tables import UnknownRequest
from unit.fmf.ledger.asked import new_folder

ASKS = st.sampled_from(["a", "b", "c", "d/ü"])
KEYS = st.sampled_from([b"", b"k1", b"k2" * 16])
AMOUNTS = st.none() | st.integers(0, 10**18)
TEXTS = st.binary(max_size=6000)


class Books(RuleBasedStateMachine):
    """What must be in the ledger: in `known` the answers that were there when it was opened, in `answers` all."""

    def __init__(self):
        super().__init__()
        self.parent = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.folder = new_folder(self.parent)
        self.ledger = RunLedger.begin(self.folder, {"n": 1})
        self.under_way = {}
        self.unknown = []
        self.spent = self.assumed = self.unpriced = self.requests = 0
        self.answers = []
        self.known = []
        self.checkpoint = None

    def run(self, work):
        return self.runner.run(work)

    @rule(asked=st.lists(st.tuples(ASKS, AMOUNTS), min_size=1, max_size=5))
    def request(self, asked):
        async def together():
            return await asyncio.gather(*(self.ledger.request(*one) for one in asked))

        numbers = self.run(together())
        self.requests += len(asked)
        assert numbers == list(range(self.requests - len(asked) + 1, self.requests + 1))
        self.under_way.update(zip(numbers, asked, strict=True))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), spent=AMOUNTS, assumed=st.integers(0, 10**18), unknown=st.booleans())
    def settle(self, data, spent, assumed, unknown):
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        self.ledger.settle(number, spent=spent, assumed=assumed, unknown=unknown)
        request = self.under_way.pop(number)
        self.spent += spent or 0
        self.assumed += assumed
        self.unpriced += spent is None and not unknown
        if unknown:
            self.unknown.append((number, UnknownRequest(*request)))

    @rule(ask=ASKS, key=KEYS, text=TEXTS, cost=AMOUNTS)
    def answer(self, ask, key, text, cost):
        self.run(self.ledger.answer(ask, key, text, cost=cost))
        self.answers.append((ask, key, cost, text))

    @rule(ask=ASKS, key=KEYS)
    def find(self, ask, key):
        by_ask = [row for row in self.known if row[0] == ask]
        by_key = [row for row in self.known if row[1] == key]
        assert self.run(self.ledger.find(ask)) == (by_ask[-1][3] if by_ask else None)
        assert self.run(self.ledger.view.find_content(key)) == (by_key[-1] if by_key else None)

    @rule(size=st.integers(0, 10**12))
    def keep(self, size):
        self.checkpoint = Checkpoint({"outputs.jsonl": size}, {"docs": size}, {"x": [size]})
        self.run(self.ledger.keep(self.checkpoint))

    @rule()
    def close_and_resume(self):
        self.run(self.ledger.close())
        self.resume()

    @rule()
    def copy_while_it_is_open_and_resume_the_copy(self):
        """As after a kill: what is settled and was not committed is not there, so it is committed first."""
        self.run(self.ledger.keep(self.checkpoint or Checkpoint()))
        self.checkpoint = self.checkpoint or Checkpoint()
        self.parent = self.parent / "next"
        self.parent.mkdir()
        old, self.folder = self.folder, self.parent / self.folder.name
        shutil.copytree(old, self.folder)
        self.run(self.ledger.close())
        self.resume()

    def resume(self):
        self.ledger = RunLedger.resume(self.folder)
        self.unknown += [(number, UnknownRequest(*request)) for number, request in self.under_way.items()]
        self.assumed += sum(reserved or 0 for _, reserved in self.under_way.values())
        self.under_way = {}
        self.known = list(self.answers)

    @invariant()
    def the_sums_are_right(self):
        sums = self.ledger.sums
        assert (sums.requests, sums.answers) == (self.requests, len(self.answers))
        assert (sums.spent, sums.assumed) == (self.spent, self.assumed)
        assert (sums.under_way, sums.unknown) == (len(self.under_way), len(self.unknown))
        assert sums.unpriced == self.unpriced
        assert self.ledger.checkpoint == self.checkpoint
        assert self.ledger.facts == {"n": 1}

    def teardown(self):
        sums = self.ledger.sums
        self.run(self.ledger.close())
        self.runner.close()
        view = RunLedger.read(self.folder)
        view.check()
        assert view.sums() == sums
        assert list(view.answers()) == self.answers
        assert list(view.unknown_requests()) == [request for _, request in sorted(self.unknown)]
        view.close()
        del self.ledger
        gc.collect()
        shutil.rmtree(self.parent, ignore_errors=True)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=8, stateful_step_count=25)
