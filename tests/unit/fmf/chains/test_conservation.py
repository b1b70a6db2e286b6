from __future__ import annotations

import pytest

from fmf.artefacts.lines import read_lines
from fmf.chains.tally import Tally


class Forgetful(Tally):
    """Does not count one document, one item, or one execution of a step."""

    def __init__(self, loses):
        super().__init__()
        self.loses = loses

    def _is_lost(self, what):
        lost = self.loses == what
        if lost:
            self.loses = None
        return lost

    def count_document(self, document):
        if not self._is_lost("document"):
            super().count_document(document)

    def count_outcome(self, outcome, *, item_id=None):
        if not (item_id and self._is_lost("item")):
            super().count_outcome(outcome, item_id=item_id)

    def _count_step(self, step):
        if not self._is_lost("step"):
            super()._count_step(step)


@pytest.mark.parametrize(
    ("loses", "told"),
    [
        ("document", "docs.jsonl has 10 lines, and 9 documents were counted"),
        ("item", "10 items were handed out, 9 are ok, 0 failed, 0 skipped, 0 deferred"),
        ("step", "outputs.jsonl has 10 lines, and 9 executions of steps were counted"),
    ],
)
def test_a_run_that_lost_something_fails_and_says_what(project, chain, loses, told):
    started = project().start(chain())
    started.tally = Forgetful(loses)
    report = started.execute()
    assert (report.status, report.exit_status) == ("failed", 1)
    assert told in report.error.message
    assert report.run_id in report.error.hint
    (row,) = read_lines(report.run_dir / "errors.jsonl")
    assert (row["op"], row["code"]) == ("run.sums", "internal")
    assert report.record["status"] == "failed"
