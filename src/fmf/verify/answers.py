"""Records of steps: each item with one record for each step, each id what it must be, each failure told."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.artefacts.files import CHUNKS, DOCS, ERRORS, OUTPUTS, ROWS
from fmf.chains.conservation import OP as SUMS
from fmf.chains.items import record_id
from fmf.chains.table import RowItem, RowWishes
from fmf.types import Row
from fmf.verify.check import Check
from fmf.verify.desk import Desk

STATES: Final = ("ok", "failed", "skipped")
ITEM, DOCUMENT, ONCE = "item", "document", "once"
_COUNT: Final = """
INSERT INTO subjects VALUES (?, ?, ?, ?) ON CONFLICT (subject) DO UPDATE SET
steps = steps + excluded.steps, failed = failed + excluded.failed, answers = answers + excluded.answers
"""


@dataclass
class Asked:
    """What the files say was asked."""

    steps: dict[str, Counter[str]] = field(default_factory=dict)
    """Step to how many executions ended in which state, and to `cached`, `calls` and `retried` at least."""
    levels: dict[str, str] = field(default_factory=dict)
    """Step to what it is asked about."""
    tokens_prompt: int = 0
    tokens_completion: int = 0
    cut: int = 0
    costs: list[float] = field(default_factory=list)
    """Sums of money, no more than a few."""
    with_records: int = 0
    """Items that have a record."""
    failed_items: int = 0
    content: str = ""
    """The identity of all items that have records, in their order."""
    last: str | None = None
    """The item of the record before."""
    element: tuple[str, int, int] | None = None
    """The step and its subject, number and count of the element that must come next, within a list."""
    unchecked: int = 0
    """Records whose id cannot be recomputed: the text of their document is not kept."""

    @property
    def cost(self) -> float:
        """US dollars, as far as they are known."""
        return math.fsum(self.costs)

    def items_steps(self) -> list[str]:
        """The steps that run once per item."""
        return [step for step, level in self.levels.items() if level == ITEM]


def look_at_outputs(desk: Desk, asked: Asked) -> Check:
    """Every record belongs to something that was read, stands once, and has the id that follows from its work."""
    check = Check("outputs")
    count = 0
    for where, _, row in desk.rows(OUTPUTS):
        count += 1
        with check.record(where):
            check.equal("run_id", row["run_id"], desk.folder.name, where)
            if row["status"] not in STATES:
                check.fault(f"the state {row['status']!r} is none", where)
                continue
            _count(asked, row)
            level, subject = _whose(desk, check, asked, row, where)
            asked.levels.setdefault(row["step_id"], level)
            if level == ITEM and subject != asked.last:
                asked.last = subject
                asked.content = hashlib.sha256(f"{asked.content}\n{subject}".encode()).hexdigest()
            if not desk.add("records", row["record_id"]):
                check.fault(f"record {row['record_id']} stands twice", where)
            element = _element(check, asked, row, where, f"{row['step_id']} {level}/{subject}")
            answered = row["status"] == "ok" and row["finish_reason"] is not None
            facts = (f"{level}/{subject}", element == 0, row["status"] == "failed", answered)
            desk.tables.execute(_COUNT, facts)
    left = f", {asked.unchecked} of them about texts that are not kept" if asked.unchecked else ""
    check.told = f"{count} records of {len(asked.steps)} steps{left}"
    return check


def look_at_items(desk: Desk, asked: Asked) -> Check:
    """Every item that was begun has one record for each step that runs once per item."""
    check = Check("items")
    wanted = len(asked.items_steps())
    items = desk.tables.execute("SELECT subject, steps, failed FROM subjects WHERE subject GLOB 'item/*'")
    for subject, steps, failed in items:
        asked.with_records += 1
        asked.failed_items += failed > 0
        if steps != wanted:
            check.fault(f"{subject.partition('/')[2]} has {steps} records of {wanted} steps", OUTPUTS)
    check.told = f"{asked.with_records} items with {wanted} steps each, {asked.failed_items} of them failed"
    return check


def look_at_errors(desk: Desk, asked: Asked, failed_documents: int) -> tuple[Check, Counter[str]]:
    """Every failure of a step or a document has its line, and no line is about anything else."""
    check, codes = Check("errors"), Counter[str]()
    steps, documents = Counter[str](), 0
    for where, _, row in desk.rows(ERRORS):
        with check.record(where):
            check.equal("run_id", row["run_id"], desk.folder.name, where)
            codes[row["code"]] += 1
            if row["step_id"] is not None:
                steps[row["step_id"]] += 1
            elif row["doc_id"] is not None:
                documents += 1
            else:
                desk.broken_off = desk.broken_off or row["op"] != SUMS
    for step in sorted({*asked.steps, *steps}):
        failed = asked.steps.get(step, Counter())["failed"]
        check.equal(f"failures of step {step!r}: in {OUTPUTS} and {ERRORS}", failed, steps[step], ERRORS)
    if desk.record is not None and desk.record["errors"]["count"] > codes.total():
        desk.broken_off = desk.broken_off or desk.record["status"] == "failed"  # a full disk takes no line
    if not desk.broken_off:
        check.equal("documents that failed", failed_documents, documents, ERRORS)
    check.told = f"{codes.total()} failures"
    return check, codes


def _count(asked: Asked, row: Row) -> None:
    state, attempts = row["status"], row["attempts"]
    told = asked.steps.setdefault(row["step_id"], Counter())
    told[state] += 1
    if state == "skipped":
        return
    told["cached"] += bool(row["cached"])
    told["calls"] += attempts > 0
    told["retried"] += attempts > 1
    asked.tokens_prompt += row["tokens_prompt"] or 0
    asked.tokens_completion += row["tokens_completion"] or 0
    asked.cut += state == "ok" and row["finish_reason"] == "length"
    asked.costs.append(row["cost_usd"] or 0.0)
    if len(asked.costs) > 10_000:
        asked.costs = [math.fsum(asked.costs)]


def _element(check: Check, asked: Asked, row: Row, where: str, whose: str) -> int:
    """Which element of a list a record is about, 0 where there is no list; a fault where one before it is missing."""
    each = row.get("each") or {"index": 0, "count": 1}
    index, expected = each["index"], asked.element
    if index if expected is None else (whose, index, each["count"]) != expected:
        check.fault("an element of the list is missing before it", where)
    asked.element = (whose, index + 1, each["count"]) if index + 1 < each["count"] else None
    return int(index)


def _whose(desk: Desk, check: Check, asked: Asked, row: Row, where: str) -> tuple[str, str]:
    """What a record is about; a fault where its id does not follow from that."""
    *_, last = ways = list(_ways(desk, asked, row))
    for level, item_id, content in ways:
        if content is None:
            asked.unchecked += 1
            return level, item_id
        own = f"{item_id}[{row['each']['index']}]" if row.get("each") else item_id
        if record_id(row["chain_id"], row["step_id"], own, content) == row["record_id"]:
            return level, item_id
    check.fault(f"record_id {row['record_id']} does not follow from what the record is about", where)
    return last[0], last[1]


def _ways(desk: Desk, asked: Asked, row: Row) -> Iterator[tuple[str, str, str | None]]:
    """What a record may be about: level, id and content; the content is `None` where it is not kept.

    Raises:
        ValueError: it is about nothing that was read.
    """
    if row["chunk_id"] is not None:
        yield ITEM, row["chunk_id"], _piece(desk, CHUNKS, row["chunk_id"])["text"]
    elif "group" in row:
        ids = row["group"]["ids"]
        hashes = [_document(desk, doc_id)[1] or "" for doc_id in ids]
        content = "\n".join(found.removeprefix("sha256:") for found in hashes)
        yield ITEM, hashlib.sha256("\n".join(ids).encode()).hexdigest()[:24], content
    elif row["doc_id"] is None:
        yield ONCE, "all", asked.content or None
    elif "row" in row.get("place", {}):
        place = row["place"]
        line = _piece(desk, ROWS, f"{row['doc_id']}\n{place.get('sheet')}\n{place['row']}")
        nothing: Any = None
        item = RowItem(nothing, line, RowWishes())
        yield ITEM, item.item_id, item.content
    else:
        yield DOCUMENT, row["doc_id"], ""
        begin, _ = _document(desk, row["doc_id"])
        yield ITEM, row["doc_id"], desk.row_at(DOCS, begin)["text"]


def _piece(desk: Desk, name: str, key: str) -> Row:
    found = desk.one("SELECT begin FROM pieces WHERE key = ?", key)
    if found is None:
        raise ValueError(f"it is about {key!r}, which does not stand in {name}")
    return desk.row_at(name, found[0])


def _document(desk: Desk, doc_id: str) -> tuple[int, str | None]:
    found = desk.one("SELECT begin, hash FROM docs WHERE doc_id = ?", doc_id)
    if found is None:
        raise ValueError(f"it is about document {doc_id!r}, which does not stand in {DOCS}")
    return int(found[0]), found[1]
