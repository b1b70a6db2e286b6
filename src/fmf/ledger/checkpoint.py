"""Checkpoints: how far a run's files are final, and where it goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to where everything is final; whoever makes one has brought those bytes to the disk before."""

    bytes_of: Mapping[str, int] = field(default_factory=dict)
    """File of lines, as `outputs.jsonl`, to how many of its bytes are final."""
    position: Mapping[str, int] = field(default_factory=dict)
    """Where in its input the run goes on, by names of its own."""
    tally: Mapping[str, Any] = field(default_factory=dict)
    """What was counted up to there, as plain JSON values."""

    def dump(self) -> bytes:
        """As JSON.

        Raises:
            TypeError: the tally holds something that JSON does not know.
        """
        import orjson

        return orjson.dumps({"bytes_of": self.bytes_of, "position": self.position, "tally": self.tally})

    @classmethod
    def load(cls, text: bytes) -> Checkpoint:
        """The one that was dumped.

        Raises:
            ValueError: it is none.
        """
        import orjson

        facts = orjson.loads(text)
        if not isinstance(facts, dict) or set(facts) != {"bytes_of", "position", "tally"}:
            raise ValueError("it is no checkpoint")
        return cls(**facts)
