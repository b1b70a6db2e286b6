"""What `${...}` may say in each step of a chain, and how often a step that says it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from fmf.types import PLACES
from fmf_core.nearest import known_hint

RUN_NAMES = ("run_id", "chain_id", "now", "date")
CHUNK_NAMES = ("text", "source_uri", "id", "index", "start", "end", "tokens", *PLACES)
DOCUMENT_NAMES = ("text", "id", "source_uri", "title", "metadata")
GROUP_NAMES = ("index", "size", "ids", "names", "source_uris")

Mode = Literal["chunks", "documents", "table_rows", "images_group"]
EACH: Final = "each"
IMAGES: Final = "images_group"
ROWS: Final = "table_rows"


class Level(IntEnum):
    """How often a step runs."""

    ITEM = 0
    """For every item."""
    DOCUMENT = 1
    """For every document, after its items."""
    ONCE = 2
    """After everything."""


_WHEN = {
    Level.ITEM: "runs once per item",
    Level.DOCUMENT: "runs once per document, after its items",
    Level.ONCE: "runs once, after all items",
}


_ITEMS: Final[Mapping[Mode, str]] = {
    "chunks": "chunks of documents",
    "documents": "whole documents",
    "table_rows": "rows of tables",
    "images_group": "groups of pictures",
}
_ABSENT: Final[Mapping[Mode, frozenset[str]]] = {
    "chunks": frozenset({"group", "row"}),
    "documents": frozenset({"chunk", "group", "row"}),
    "table_rows": frozenset({"chunk", "group"}),
    "images_group": frozenset({"chunk", "document", "row"}),
}
"""Where a path may begin in some mode, but not in this one."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One `${...}` and where it stands."""

    where: str
    """The key path in the chain, such as `steps[0].inputs.text`."""
    names: tuple[str, ...]
    """The parts of the path between the braces."""

    @property
    def path(self) -> str:
        """The path with dots."""
        return ".".join(self.names)

    @property
    def root(self) -> str:
        """The first name of the path."""
        return self.names[0]

    @property
    def output(self) -> str | None:
        """The output of a step that it names, if it names one."""
        if self.root in ("steps", "all"):
            return self.names[1] if len(self.names) > 1 else None
        return self.names[2] if self.over is Level.DOCUMENT and len(self.names) > 2 else None

    @property
    def over(self) -> Level | None:
        """The level that collects what it names: `ONCE` for `all.X`, `DOCUMENT` for `document.all.X`."""
        if self.root == "all":
            return Level.ONCE
        return Level.DOCUMENT if self.names[:2] == ("document", "all") else None


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What the check needs to know of a step."""

    id: str
    output: str
    mentions: tuple[Mention, ...]
    keyed: bool = False
    """Whether its output may have keys of its own, so that `steps.X.key` makes sense."""
    each: bool = False
    """Whether it runs for every element of a list."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A reference that can never exist."""

    where: str
    message: str
    hint: str


def levels_of(steps: Sequence[StepFacts]) -> dict[str, Level]:
    """How often each step runs, by its id.

    A step that mentions `all.X` runs once, one that mentions `document.all.X` once per document. One that mentions
    only outputs of such a step runs with it. Any other runs once per item.
    """
    levels: dict[str, Level] = {}
    by_output: dict[str, Level] = {}
    for step in steps:
        levels[step.id] = level = _level(step, by_output)
        by_output.setdefault(step.output, level)
    return levels


def faults_of(steps: Sequence[StepFacts], mode: Mode) -> list[Fault]:
    """Every reference that can never exist, in the order of the file."""
    return list(_faults(steps, levels_of(steps), mode))


def _level(step: StepFacts, by_output: Mapping[str, Level]) -> Level:
    collected = [mention.over for mention in step.mentions if mention.over is not None]
    if collected:
        return max(collected)
    if any(mention.root in ("chunk", "group", "row") for mention in step.mentions):
        return Level.ITEM
    named = [by_output.get(mention.output or "", Level.ITEM) for mention in step.mentions if mention.root == "steps"]
    level = min(named, default=Level.ITEM)
    if level is Level.ONCE and any(mention.root == "document" for mention in step.mentions):
        return Level.ITEM
    return level


def _faults(steps: Sequence[StepFacts], levels: Mapping[str, Level], mode: Mode) -> Iterator[Fault]:
    for number, step in enumerate(steps):
        before = {earlier.output: earlier for earlier in steps[:number]}
        later = {following.output for following in steps[number:]}
        # No step runs once per document where the items are no parts of documents.
        level = Level.ITEM if mode == IMAGES and levels[step.id] is Level.DOCUMENT else levels[step.id]
        for mention in step.mentions:
            if mention.root == EACH:
                if found := _each_fault(mention, step):
                    yield Fault(mention.where, f"${{{mention.path}}} in step {step.id!r} {found[0]}", found[1])
                continue
            fault = (
                _output_fault(mention, level, before, later, levels)
                if mention.output is not None and not (mode == IMAGES and mention.root == "document")
                else _name_fault(mention, level, mode, before, levels)
            )
            if fault:
                message, hint = fault
                yield Fault(mention.where, f"${{{mention.path}}} in step {step.id!r} {message}", hint)


def _each_fault(mention: Mention, step: StepFacts) -> tuple[str, str] | None:
    if not step.each:
        return "has no value: only a step with for_each runs for elements", "write for_each: '${steps.X}' in the step"
    if mention.where.endswith(".for_each"):
        return "is what for_each is to give", "name a list that is there before"
    if mention.names[1:2] == ("value",) or mention.names[1:] == ("index",):
        return None
    return "can never exist", "write ${each.value}, a part of it such as ${each.value.title}, or ${each.index}"


def _output_fault(
    mention: Mention,
    level: Level,
    before: Mapping[str, StepFacts],
    later: Iterable[str],
    levels: Mapping[str, Level],
) -> tuple[str, str] | None:
    output = mention.output or ""
    if output not in before:
        if output in later:
            return (
                "names an output that is not there yet",
                "a step can use outputs of the steps before it: reorder them",
            )
        by_id = next((step.output for step in before.values() if step.id == output), None)
        if by_id:
            return f"names a step, but its output is called {by_id!r}", f"write ${{{mention.root}.{by_id}}}"
        return "names no step's output", _guess(output, list(before), "outputs of earlier steps")
    producer = before[output]
    made = levels[producer.id]
    if mention.over is None:
        return _same_item_fault(mention, level, producer, made)
    return _collected_fault(mention, level, made)


def _same_item_fault(mention: Mention, level: Level, producer: StepFacts, made: Level) -> tuple[str, str] | None:
    output = producer.output
    if made is not level:
        return f"is made by a step that {_WHEN[made]}; this one {_WHEN[level]}", _collect_hint(output, made, level)
    return _keyless(output) if len(mention.names) > 2 and not producer.keyed else None


def _collected_fault(mention: Mention, level: Level, made: Level) -> tuple[str, str] | None:
    output = mention.output or ""
    if mention.over is not level:
        return f"stands beside ${{all...}}: this step {_WHEN[level]}", f"write ${{all.{output}}}"
    if made >= level:
        return f"is made by a step that {_WHEN[made]}", f"write ${{steps.{output}}}"
    depth = 2 if mention.over is Level.ONCE else 3
    return _keyless(output) if len(mention.names) > depth else None


def _keyless(output: str) -> tuple[str, str]:
    return "goes below an output that has no keys", f"end the reference at {output!r}, or let that step expect json"


def _collect_hint(output: str, made: Level, level: Level) -> str:
    if level is Level.ONCE:
        return f"write ${{all.{output}}}"
    if level is Level.DOCUMENT and made is Level.ITEM:
        return f"write ${{document.all.{output}}}"
    return "that output does not exist yet when this step runs"


def _name_fault(
    mention: Mention, level: Level, mode: Mode, before: Mapping[str, StepFacts], levels: Mapping[str, Level]
) -> tuple[str, str] | None:
    known = known_paths(level, mode, [step for step in before.values() if _usable(levels[step.id], level)], levels)
    if mention.path in known or _metadata(mention, known):
        return None
    if mention.root == "row" and len(mention.names) > 1 and mode == ROWS and level is Level.ITEM:
        return None  # which columns there are is known once a table is read
    if mention.root in _ABSENT[mode]:
        return f"has no value: the items of inputs.mode {mode} are {_ITEMS[mode]}", f"known here: {_listed(known)}"
    elsewhere = known_paths(Level.ITEM, mode, [], {})
    if mention.path in elsewhere or _metadata(mention, elsewhere):
        return f"has no value: this step {_WHEN[level]}", f"known here: {_listed(known)}"
    return "can never exist", _guess(mention.path, known, "known here")


def known_paths(level: Level, mode: Mode, usable: Sequence[StepFacts], levels: Mapping[str, Level]) -> list[str]:
    """Every path that a step of `level` may mention; `usable` are the earlier steps whose outputs it can see."""
    known: list[str] = []
    if level is Level.ITEM and mode == "chunks":
        known += [f"chunk.{name}" for name in CHUNK_NAMES]
    if level is Level.ITEM and mode == IMAGES:
        known += [f"group.{name}" for name in GROUP_NAMES]
    if level is Level.ITEM and mode == ROWS:
        known += ["row.text", "row.COLUMN"]
    if level is not Level.ONCE and mode != IMAGES:
        absent = {"metadata", "text"} if mode == ROWS else {"metadata"}
        known += [f"document.{name}" for name in DOCUMENT_NAMES if name not in absent] + ["document.metadata.KEY"]
    for step in usable:
        over = {Level.ONCE: "all", Level.DOCUMENT: "document.all"}.get(level, "steps")
        known.append(f"{'steps' if levels[step.id] is level else over}.{step.output}")
    return [*known, *RUN_NAMES]


def _usable(made: Level, level: Level) -> bool:
    return made <= level


def _metadata(mention: Mention, known: Sequence[str]) -> bool:
    return mention.names[:2] == ("document", "metadata") and "document.metadata.KEY" in known


def _guess(name: str, known: Sequence[str], what: str) -> str:
    return known_hint(name, known, what=what)


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known) or "none"
