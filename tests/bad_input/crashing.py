"""What loaders of third parties may do to the process in which they run, and how their file ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bad_input.case import Case, Expected, case, fails, ok
from fmf.processing.isolation.pool import nursery

PLUGINS = Path(__file__).parent / "plugins"
PREFIX = "bad"
QUICK = {"limits": {"max_seconds_per_file": 0.5}}
SMALL = {"limits": {"max_memory_mb": 200, "max_seconds_per_file": 20}}


def _case(name: str, loader: str, expected: Expected, **more: object) -> Case:
    return case(name, f"a.{PREFIX}{loader}", b"some bytes", expected, isolated=True, **more)


CASES = (
    _case("a loader that reads address 0", "segfault", fails("SIGSEGV")),
    _case("a loader that crashes half-way", "segfaultlate", fails("SIGSEGV")),
    _case("a loader that aborts", "abort", fails("SIGABRT")),
    _case("a loader that ends its process as if all were well", "exits", fails("ended")),
    _case("a loader that ends its process with an error", "exitsthree", fails("ended")),
    _case("a loader that leaves", "systemexit", fails()),
    _case("a loader that acts as if somebody had pressed a key", "interrupt", fails()),
    _case("a loader that kills its process", "killed", fails("memory")),
    _case("a loader that sleeps", "sleeps", fails("took more than 0.5 s"), settings=QUICK),
    _case("a loader that never stops computing", "spins", fails("took more than 0.5 s"), settings=QUICK),
    _case("a loader that hears no signal", "deaf", fails("took more than 0.5 s"), settings=QUICK),
    _case("a loader that takes all memory", "eats", fails("memory"), settings=SMALL),
    _case("a loader that takes all memory behind Python's back", "eatsoutside", fails("memory"), settings=SMALL),
    _case("text without end", "endless", fails("took more than 0.5 s"), settings=QUICK),
    _case("a loader that calls itself", "recursion", fails("nested")),
    _case("a loader that runs out of stack", "overflows", fails()),
    _case("a loader that prints", "prints", ok("plum")),
    _case("a loader that leaves a child behind", "forks", ok("plum")),
    _case("a loader that answers twice", "forkreturns", ok("plum")),
    _case("a loader that leaves a program running", "starts", ok("plum")),
    _case("a loader that leaves a thread running", "threads", ok("plum")),
    _case("a loader that closes all files", "closes", fails("ended")),
    _case("a loader that empties its environment", "moves", ok("plum")),
    _case("a loader that gives nothing", "nothing", fails()),
    _case("a loader that gives numbers", "number", fails()),
    _case("a loader that gives half a character", "surrogate", fails()),
    _case("a loader whose error is a megabyte of lines", "shouts", fails("ValueError: one two")),
    _case("a loader whose error has no words", "unspeakable", fails(": Unspeakable:")),
    _case("a loader that stops its own iteration", "stops", fails()),
    _case("a loader that breaks off half-way", "breaks", fails("the disk is gone")),
    _case("metadata that is no JSON", "metadata", fails()),
    _case("metadata of 20 MB", "large", ok("plum")),
    _case("a loader that speaks to its parent", "lies", fails(), settings=QUICK),
)
"""Each read by the loader of its ending."""


def loaders() -> list[str]:
    """The names of the hostile loaders."""
    return re.findall(r"^def ([a-z]+)\(", (PLUGINS / "hostile_loaders.py").read_text(encoding="utf-8"), re.MULTILINE)


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """The hostile loaders as a distribution that is installed, for this process and for those that it starts."""
    facts = folder / "hostile_loaders-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-loaders\nVersion: 1.0\n", encoding="utf-8")
    rows = "".join(f"{PREFIX}{name} = hostile_loaders:{name}\n" for name in loaders())
    (facts / "entry_points.txt").write_text(f"[fmf.loaders]\n{rows}", encoding="utf-8")
    nursery.close()
    sys.path[:0] = [str(folder), str(PLUGINS)]
    try:
        yield
    finally:
        del sys.path[:2]
        nursery.close()
