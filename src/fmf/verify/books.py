"""The ledger of a run: whole, with an answer for each that counts, and with the money that the records tell of."""

from __future__ import annotations

from typing import Final

from chatmodels.ledger import UNITS_PER_USD
from fmf.artefacts.files import LEDGER, OUTPUTS, RECORD
from fmf.errors import ConfigError
from fmf.ledger.tables import Sums
from fmf.ledger.view import LedgerView
from fmf.verify.answers import Asked
from fmf.verify.check import Check
from fmf.verify.desk import Desk

CENT_OF_A_CENT: Final = 1e-9
"""Sums of fractions are compared up to so many US dollars for each 1,000 of them."""

_STOPPED: Final = frozenset({"interrupted", "cancelled"})


def look_at_ledger(desk: Desk, asked: Asked) -> list[Check]:
    """Every byte of it, then what it says of answers and money; none where the run asked no model."""
    if not desk.has(LEDGER):
        return []
    ledger, answers, money = Check("ledger"), Check("answers"), Check("money")
    try:
        view = LedgerView(desk.folder)
    except ConfigError as error:
        ledger.fault(error.message, LEDGER)
        return [ledger]
    try:
        view.check()
        sums = view.sums()
        _answers(desk, view, answers)
    except ConfigError as error:
        ledger.fault(error.message, LEDGER)
        return [ledger]
    finally:
        view.close()
    ledger.told = f"{sums.requests} requests, {sums.answers} answers, {sums.unknown} of unknown outcome"
    _said(desk, sums, ledger)
    _money(desk, asked, sums, money)
    return [ledger, answers, money]


def _answers(desk: Desk, view: LedgerView, check: Check) -> None:
    for answer in view.answers():
        subject = answer.ask_id.rsplit("/", 2)[0]
        desk.tables.execute("UPDATE subjects SET answers = answers - 1 WHERE subject = ?", (subject,))
    missing = desk.tables.execute("SELECT subject, answers FROM subjects WHERE answers > 0")
    for subject, count in missing:
        check.fault(f"{count} answers of {subject} stand in {OUTPUTS}, and not in the ledger", LEDGER)
    check.told = "all that count are in the ledger"


def _said(desk: Desk, sums: Sums, check: Check) -> None:
    record = desk.record or {}
    said = record.get("ledger")
    if said is None or desk.broken_off:
        return
    found = {
        "requests": sums.requests,
        "answers": sums.answers,
        "unknown": sums.unknown,
        "spent_usd": sums.spent / UNITS_PER_USD,
        "at_risk_usd": sums.assumed / UNITS_PER_USD,
    }
    if record["status"] == "completed" or not (record["counts"]["deferred"] or record["status"] in _STOPPED):
        for name, value in found.items():
            check.equal(f"ledger.{name}", said[name], value, RECORD)
        return
    # Of a run that was stopped, the last answers may have reached the ledger when the record was being written.
    for name in ("requests", "answers", "spent_usd"):
        if said[name] > found[name]:
            check.fault(f"ledger.{name}: {said[name]} is said, {found[name]} found", RECORD)


def _money(desk: Desk, asked: Asked, sums: Sums, check: Check) -> None:
    """What the records cost must have been paid; what was paid beyond that was for asks without a record."""
    spent = sums.spent / UNITS_PER_USD
    beyond, drift = spent - asked.cost, CENT_OF_A_CENT * (1 + sums.requests / 1000)
    check.told = f"{spent:.6f} USD spent"
    failed = any(counts["failed"] for counts in asked.steps.values())
    record = desk.record or {}
    undisturbed = record.get("status") == "completed" and not record.get("resumed") and not failed
    if beyond < -drift:
        check.fault(f"the records cost {asked.cost:.6f} USD, and {spent:.6f} USD were spent", OUTPUTS)
    elif beyond > drift and undisturbed and not sums.unknown:
        check.fault(f"{spent:.6f} USD were spent, and the records cost {asked.cost:.6f} USD", OUTPUTS)
    elif beyond > drift:
        check.told += f", {beyond:.6f} of them for what failed, was stopped, or was asked again"
    if sums.assumed:
        check.told += f", at most {sums.assumed / UNITS_PER_USD:.6f} USD besides"
