"""Runs that have not come to their end: found by their ledgers, and compared with what they were begun with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmf.artefacts.files import LEDGER
from fmf.artefacts.history import find_run, read_record
from fmf.errors import ConfigError
from fmf.ledger.view import LedgerView
from fmf.types import Row
from fmf_core.errors import Code

_MAY_DIFFER: Final = frozenset({"started_at", "chain_path", "limit"})
_NAMES: Final = {
    "chain_hash": "the chain file",
    "prompts": "a prompt",
    "processing_hash": "the section 'processing' of fmf.yaml",
    "connector": "the connector",
    "select": "the selection",
    "provider": "the provider",
    "model": "the model",
    "identity": "the settings of the model",
    "changed_since": "the earlier run that this one goes on from",
}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that has not come to its end, as its ledger tells.

    Args:
        root: the folder of all runs.
        run_id: the run.
        facts: what it was begun with; see `facts_of`.
    """

    root: Path
    run_id: str
    facts: Mapping[str, Any]

    @classmethod
    def find(cls, root: Path, reference: str) -> Unfinished:
        """The run that `reference` means: its id, the beginning of it, or `last`, the latest that can be resumed.

        Raises:
            ConfigError: there is none, or it is complete.
        """
        found = find_run(root, reference, lambda entry: _can_go_on(root, entry["run_id"]), "run that can be resumed")
        run_id = str(found["run_id"])
        if not (root / run_id / LEDGER).exists():
            raise ConfigError(
                f"run {run_id} cannot be resumed: it has no ledger, since it asked no model",
                op="run.resume",
                code=Code.UNSUPPORTED,
                hint="only runs of chains can; start it anew",
            )
        if _status(root, run_id) == "completed":
            raise ConfigError(
                f"run {run_id} is complete: there is nothing to resume",
                op="run.resume",
                code=Code.CONFLICT,
                hint="start a new run; --reuse takes the answers that are the same from this one",
            )
        return cls(root, run_id, LedgerView(root / run_id).facts)

    @property
    def chain_path(self) -> str | None:
        """The chain file that it was begun with; `None` where there was none."""
        return self.facts.get("chain_path")

    @property
    def limit(self) -> int | None:
        """How many items it was to take."""
        return self.facts.get("limit")

    @property
    def sample(self) -> tuple[int, int] | None:
        """How many items it was to take of all, and the seed of the choice; `None` where it takes all."""
        told = self.facts.get("sample")
        return (told[0], told[1]) if told else None

    def check(self, facts: Row) -> None:
        """Refuse to go on with anything else than the run was begun with.

        Raises:
            ConfigError: something has changed since; says what.
        """
        changed = [name for name in facts if name not in _MAY_DIFFER and facts[name] != self.facts.get(name)]
        if changed:
            told = ", ".join(dict.fromkeys(_NAMES.get(name, name) for name in changed))
            raise ConfigError(
                f"run {self.run_id} cannot be resumed: since it was begun, {told} has changed",
                op="run.resume",
                code=Code.CONFLICT,
                hint=f"change it back, or start a new run with --reuse {self.run_id}: it asks only what is new",
            )


def _can_go_on(root: Path, run_id: str) -> bool:
    return (root / run_id / LEDGER).exists() and _status(root, run_id) != "completed"


def _status(root: Path, run_id: str) -> str | None:
    record = read_record(root, run_id)
    return str(record["status"]) if record else None
