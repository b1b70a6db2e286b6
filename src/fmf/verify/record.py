"""`run.yaml` against the files: every number that it tells, and every file that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from fmf.artefacts.files import RECORD
from fmf.artefacts.folder import file_facts
from fmf.verify.answers import STATES, Asked
from fmf.verify.books import CENT_OF_A_CENT
from fmf.verify.check import Check
from fmf.verify.desk import Desk
from fmf.verify.documents import Read


def look_at_counts(desk: Desk, record: Mapping[str, Any], read: Read, asked: Asked, codes: Counter[str]) -> Check:
    """The sections `inputs`, `counts` and `errors`, stage by stage."""
    check, counts = Check("counts"), record["counts"]
    found = {"documents": sum(read.documents.values()), "chunks": read.pieces}
    if desk.broken_off:
        check.told = "no more than the files have: the run ended on the spot, and they may be ahead"
        for name, number in found.items():
            if counts[name] > number:
                check.fault(f"counts.{name}: {counts[name]} is said, {number} found", RECORD)
        return check
    for name, number in found.items():
        check.equal(f"counts.{name}", counts[name], number, RECORD)
    check.equal("counts.documents_by_status", counts["documents_by_status"], read.documents, RECORD)
    check.equal("inputs.documents", record["inputs"]["documents"], found["documents"], RECORD)
    check.equal("inputs.bytes", record["inputs"]["bytes"], read.bytes, RECORD)
    check.equal("errors.count", record["errors"]["count"], codes.total(), RECORD)
    check.equal("errors.by_code", record["errors"]["by_code"], dict(codes), RECORD)
    if asked.steps or counts["steps"]:
        _items(check, counts, asked)
        _steps(check, counts["steps"], asked)
    check.told = "documents, chunks, items, steps and failures are those of the files"
    return check


def _items(check: Check, counts: Mapping[str, Any], asked: Asked) -> None:
    items, deferred = counts["items"], counts["deferred"]
    check.equal("counts.items.total", items["total"], sum(items[state] for state in STATES), RECORD)
    if not asked.items_steps():
        return
    check.equal("counts.items.failed", items["failed"], asked.failed_items, RECORD)
    # An item that was begun and not finished is deferred and has records.
    if not items["total"] <= asked.with_records <= items["total"] + deferred:
        check.fault(
            f"{items['total']} items have an end and {deferred} are deferred, {asked.with_records} have records", RECORD
        )


def _steps(check: Check, steps: Mapping[str, Mapping[str, int]], asked: Asked) -> None:
    for step in sorted({*steps, *asked.steps}):
        said, found = steps.get(step, {}), asked.steps.get(step, Counter())
        for state in (*STATES, "cached"):
            check.equal(f"counts.steps.{step}.{state}", said.get(state), found[state], RECORD)
        for least in ("calls", "retried"):
            if said.get(least, 0) < found[least]:
                check.fault(f"counts.steps.{step}.{least}: {said.get(least)} is said, {found[least]} found", RECORD)


def look_at_metrics(record: Mapping[str, Any], asked: Asked) -> Check:
    """The section `metrics`: tokens, cost, answers that were cut."""
    check, metrics = Check("metrics"), record["metrics"]
    check.equal("metrics.tokens_prompt", metrics["tokens_prompt"], asked.tokens_prompt, RECORD)
    check.equal("metrics.tokens_completion", metrics["tokens_completion"], asked.tokens_completion, RECORD)
    check.equal("metrics.answers_cut", metrics["answers_cut"], asked.cut, RECORD)
    cost = metrics["cost_estimate_usd"]
    if cost is not None and abs(cost - asked.cost) > CENT_OF_A_CENT * (
        1 + sum(map(Counter.total, asked.steps.values()))
    ):
        check.fault(f"metrics.cost_estimate_usd: {cost} is said, {asked.cost} found", RECORD)
    shown = "an unknown cost" if cost is None else f"{cost:.6f} USD"
    check.told = f"{asked.tokens_prompt} and {asked.tokens_completion} tokens, {shown}"
    return check


def look_at_artefacts(desk: Desk, record: Mapping[str, Any]) -> Check:
    """Every file that `run.yaml` names is there, as long as it says, with the hash that it says."""
    check, changed = Check("artefacts"), 0
    for entry in record["artefacts"]:
        name = entry["path"]
        path = desk.folder / name
        own = not Path(name).is_absolute()
        if own and (".." in PurePosixPath(name).parts or not path.resolve().is_relative_to(desk.folder.resolve())):
            check.fault(f"{name} lies outside the folder of the run", RECORD)
            continue
        try:
            size, digest = file_facts(path)
        except OSError as error:
            found = error.strerror or type(error).__name__
        else:
            found = "" if (size, digest) == (entry["bytes"], entry["sha256"].removeprefix("sha256:")) else "changed"
        if found and own:
            check.fault(f"{found}: it is not what the run left", name)
        changed += bool(found) and not own
    check.told = f"{len(record['artefacts'])} files with their bytes and sha256"
    if changed:
        check.told += f"; {changed} outside of the folder of the run changed since"
    return check
