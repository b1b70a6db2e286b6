"""What reads the input of a run: documents and their chunks or rows, or groups of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmf.artefacts.folder import RunFolder
from fmf.chains.groups import GroupIntake, GroupWishes
from fmf.chains.intake import Feed, Input, Intake
from fmf.chains.position import BEGINNING, Position
from fmf.chains.readahead import Wishes
from fmf.chains.references import IMAGES
from fmf.chains.sampling import Sample
from fmf.chains.stop import Stop

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Reading:
    """From where to where a run reads."""

    limit: int | None = None
    """How many items to hand out; reading stops with the last of them."""
    start: Position = BEGINNING
    """Where an earlier part of the run stood."""
    all_first: bool = False
    """Whether everything is read before the first item is handed out."""
    sample: Sample | None = None
    """Which items to hand out of all; everything is read before the first of them."""


def feed_of(prepared: Prepared, source: Input, folder: RunFolder, reading: Reading, stop: Stop) -> Feed:
    """What reads `source` for a chain.

    Args:
        prepared: the chain.
        source: what to read, and how.
        folder: where what is read is written.
        reading: from where to where.
        stop: when it is requested, nothing further is begun.
    """
    plan = prepared.plan
    if plan.mode == IMAGES:
        from fmf.processing.pictures import PictureReader

        reader = PictureReader(prepared.connector, prepared.loaded.value.processing)
        size = prepared.chain.spec.inputs.group_size
        groups = GroupWishes(size, reading.limit, reading.all_first, reading.start, reading.sample)
        return GroupIntake(reader, source.refs, folder, groups, stop)
    wishes = Wishes(
        whole=plan.mode == "documents",
        text=plan.wants_text,
        limit=reading.limit,
        table=plan.table,
        all_first=reading.all_first,
        start=reading.start,
        sample=reading.sample,
    )
    return Intake(source, folder, wishes, stop)
