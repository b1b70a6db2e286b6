"""Answers of other runs: whose ledgers are looked at before a model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fmf.artefacts.files import LEDGER
from fmf.artefacts.history import find_run, list_runs
from fmf.errors import ConfigError
from fmf.ledger.view import LedgerView
from fmf_core.errors import Code
from fmf_core.logs import get_logger

ALL: Final = "all"
MOST: Final = 64
"""So many runs are looked at where all are meant, the latest ones."""

log = get_logger("fmf.chains")


def ledgers_of(root: Path, reference: str | None, but: str = "") -> Sequence[LedgerView]:
    """The ledgers that `reference` means; blocks.

    Args:
        root: the folder of all runs.
        reference: a run, `last` (the latest that asked a model), or `all`; `None` means none.
        but: the run that is looking, which is not meant.

    Raises:
        ConfigError: there is no such run, or its ledger cannot be read; among all, such a one is left out with a word.
    """
    if reference is None:
        return ()
    if reference != ALL:
        found = find_run(
            root, reference, lambda entry: entry["run_id"] != but and _asked(root, entry), "run that asked a model"
        )
        run_id = str(found["run_id"])
        if not (root / run_id / LEDGER).exists():
            raise ConfigError(
                f"run {run_id} has no answers to use again: it asked no model",
                op="run.reuse",
                code=Code.NOT_FOUND,
                hint="name a run of a chain: fmf runs ls",
            )
        return (LedgerView(root / run_id),)
    asked = [str(entry["run_id"]) for entry in list_runs(root) if entry["run_id"] != but and _asked(root, entry)]
    if len(asked) > MOST:
        log.warning("reuse.limited", looked_at=MOST, left_out=len(asked) - MOST, hint="name a run to look at that one")
    views = []
    for run_id in asked[:MOST]:
        try:
            views.append(LedgerView(root / run_id))
        except ConfigError as error:
            log.warning("reuse.unreadable", run=run_id, error=str(error))
    return views


def _asked(root: Path, entry: dict[str, object]) -> bool:
    return (root / str(entry["run_id"]) / LEDGER).exists()
