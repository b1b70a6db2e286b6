from __future__ import annotations

import pytest

from fmf.chains.stop import StopReason
from fmf.chains.tally import StateCount, Tally
from fmf.chains.verdict import verdict
from fmf.errors import ConnectorError


def tally(ok=0, failed=0, documents=(0, 0), statuses=()):
    made = Tally(items=StateCount(ok=ok, failed=failed))
    made.documents.ok, made.documents.failed = documents
    for status in statuses:
        row = {"code": f"c{status}", "op": "", "source_uri": "u", "step_id": None, "message": "m", "hint": ""}
        made.count_problem(row, status)
    return made


@pytest.mark.parametrize(
    ("numbers", "reason", "expected"),
    [
        ({}, None, ("completed", 0)),
        ({"ok": 3}, None, ("completed", 0)),
        ({"ok": 2, "failed": 1, "statuses": (6,)}, None, ("partial", 10)),
        ({"failed": 3, "statuses": (6, 6, 3)}, None, ("failed", 6)),
        ({"documents": (1, 1), "statuses": (5,)}, None, ("partial", 10)),
        ({"documents": (0, 2), "statuses": (4, 4)}, None, ("failed", 4)),
        ({"ok": 5, "failed": 1, "statuses": (6,)}, StopReason.FAILED, ("failed", 6)),
        ({"ok": 5}, StopReason.INTERRUPTED, ("interrupted", 130)),
        ({"ok": 5, "failed": 1, "statuses": (6,)}, StopReason.INTERRUPTED, ("interrupted", 130)),
        ({"ok": 5}, StopReason.CANCELLED, ("cancelled", 130)),
    ],
)
def test_how_it_ended(numbers, reason, expected):
    assert verdict(tally(**numbers), reason) == expected


def test_what_ended_it_decides():
    assert verdict(tally(ok=5), StopReason.FAILED, ConnectorError("gone")) == ("failed", 4)


def test_where_items_were_asked_about_the_asking_decides():
    made = tally(failed=2, documents=(2, 3), statuses=(5, 5, 5, 6, 6))
    made.asking_kinds[6] = 2
    assert verdict(made, None) == ("failed", 6)
