"""`fmf run` from files to records: beside what people write by hand, over more and more rows, and resumed."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure, page
from benchmarks.peers import environments
from benchmarks.peers.many_files import ASK, AT_ONCE, MODEL
from benchmarks.peers.process import QUIET as CALLS_NOBODY
from benchmarks.peers.process import ROOT, FailedError
from benchmarks.server import TEXT, Server

PAGE = ROOT / "docs" / "run-benchmarks.md"
LATENCY_MS = 50
WORDS = "The new brake pads passed every test of the workshop, and the saddle did not. "
CONFIG = """
connectors: [{{name: many, type: local, root: many}}, {{name: one, type: local, root: one}}]
inference: {{provider: openai, openai: {{base_url: {url}, model: {model}}}}}
processing: {{text: {{chunking: {{max_tokens: 4000, overlap: 0}}}}}}
"""
CHAIN = """
name: bench
inputs: {{connector: {connector}, mode: {mode}}}
concurrency: {at_once}
steps: [{{id: ask, prompt: {ask}, inputs: {{text: '{text}'}}, output: answer}}]
"""
TEXTS = {"documents": "${document.text}", "chunks": "${chunk.text}", "table_rows": "${row.text}"}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    files: int = 2000
    rounds: int = 3
    items: tuple[int, ...] = (2000, 20_000)
    killed_at: float = 0.9


QUICK = Size(files=150, rounds=1, items=(500, 1000), killed_at=0.2)


@dataclass(frozen=True)
class Contender:
    """One way to have many files answered."""

    name: str
    mode: str = ""
    """How ours takes the files; empty for others."""
    environment: str = ""
    distribution: str = ""

    def title(self) -> str:
        """Its name in the table, with its version."""
        if self.mode:
            return f"**{self.name}**"
        return f"{self.name} {environments.version(self.environment, self.distribution)}"


CONTENDERS = (
    Contender("fmf run", mode="documents"),
    Contender("fmf run, in chunks", mode="chunks"),
    Contender("script with AsyncOpenAI", environment="openai", distribution="openai"),
    Contender("script with aiohttp", environment="aiohttp", distribution="aiohttp"),
    Contender("LangChain `abatch`", environment="langchain", distribution="langchain-openai"),
    Contender("Haystack pipeline", environment="haystack", distribution="haystack-ai"),
)


@dataclass(frozen=True)
class Taken:
    """What one command took, all its processes together."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    status: int
    told: str


class Watch(threading.Thread):
    """Looks at the memory of a process and of all that it started, until it has ended."""

    def __init__(self, pid: int, also: Callable[[], None] | None = None) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._also = also
        self._over = threading.Event()
        self.peak_mb = 0.0
        self.start()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._over.wait(0.1):
            self.peak_mb = max(self.peak_mb, sum(map(_resident_mb, _family(self._pid))))
            if self._also is not None:
                self._also()

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def _family(pid: int) -> list[int]:
    """A process and all that it started, where the system tells."""
    try:
        told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        threads = [Path(thread) / "children" for thread in Path(f"/proc/{pid}/task").iterdir()]
        told = " ".join(thread.read_text() for thread in threads)
    except OSError:
        return [pid]
    return [pid, *(one for child in told.split() for one in _family(int(child)))]


def _resident_mb(pid: int) -> float:
    """Its share of the memory: pages that several processes have in common count once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def command(words: Sequence[str], folder: Path, also: Callable[[int], None] | None = None) -> Taken:
    """Run a command to its end.

    Args:
        words: the command.
        folder: where it runs.
        also: is called ten times a second with the id of its process.
    """
    variables: Mapping[str, str] = {**os.environ, **CALLS_NOBODY, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "none"}
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        child = subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder, env=variables)
        watch = Watch(child.pid, None if also is None else lambda: also(child.pid))
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - started
        watch.end()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told = out.read().decode(errors="replace")
    return Taken(wall_s, usage.ru_utime + usage.ru_stime, watch.peak_mb, child.returncode, told)


class Bench:
    """The folder of one run of the benchmark, and the model that is asked.

    Args:
        folder: where everything lies.
        url: of the model.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        (folder / "fmf.yaml").write_text(CONFIG.format(url=url, model=MODEL))

    def files(self, count: int) -> None:
        """Make the folders `many` and `one`: Markdown files of 3,500 characters."""
        for where, number in (("many", count), ("one", 1)):
            for each in range(number):
                path = self.folder / where / f"{each // 200:02}" / f"{each:05}.md"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"# Report {each}\n\n" + "\n\n".join(f"{each}.{part} {WORDS * 5}" for part in range(9)))

    def rows(self, count: int) -> None:
        """Make the folders `many` and `one`: a table of short texts."""
        for where, number in (("many", count), ("one", 1)):
            (self.folder / where).mkdir(exist_ok=True)
            with (self.folder / where / "rows.csv").open("w") as out:
                out.write("id,text\n")
                out.writelines(f"{each},Report {each}: {WORDS * 3}\n" for each in range(number))

    def chain(self, mode: str, where: str) -> list[str]:
        """The command that runs ours over the folder `where`."""
        file = self.folder / f"{mode}_{where}.yaml"
        ask = json.dumps(f"inline: {ASK}{{{{ text }}}}")
        file.write_text(CHAIN.format(connector=where, mode=mode, at_once=AT_ONCE, ask=ask, text=TEXTS[mode]))
        return [str(Path(sys.executable).with_name("fmf")), "--json", "run", "--chain", file.name]

    def take(self, contender: Contender, where: str, count: int) -> Taken:
        """What `contender` takes for the folder `where`, which has `count` files; all answers are looked at."""
        if contender.mode:
            taken = command(self.chain(contender.mode, where), self.folder)
            answers = self.answers() if not taken.status else 0
        else:
            out = self.folder / "out.jsonl"
            python = environments.python_of(contender.environment)
            script = [python, "-m", "benchmarks.peers.many_files", contender.environment, self.url, where, str(out)]
            taken = command(script, self.folder)
            answers = _answers(out, "answer") if not taken.status else 0
        if answers != count:
            print(taken.told[-2000:], file=sys.stderr)
            raise FailedError(f"{answers} of {count} answers, exit status {taken.status}")
        return taken

    def last_run(self) -> Path:
        """The folder of the latest run of ours."""
        return max(path.parent for path in self.folder.glob("artefacts/*/ledger.sqlite"))

    def answers(self) -> int:
        """How many answers the latest run has."""
        return _answers(self.last_run() / "outputs.jsonl", "output")

    def requests(self) -> int:
        """How many requests the model has had."""
        with urllib.request.urlopen(f"{self.url}/requests", timeout=10) as reply:
            return int(reply.read())


def _answers(path: Path, key: str) -> int:
    with path.open(encoding="utf-8") as lines:
        return sum(json.loads(line)[key] == TEXT for line in lines)


@dataclass
class Row:
    """What was measured of one contender, or of ours at one size."""

    title: str
    items: int
    whole: list[Taken] = field(default_factory=list)
    start: list[Taken] = field(default_factory=list)
    why_not: str = ""

    def per_s(self) -> float:
        """Items per second, without its start."""
        return statistics.median(
            self.items / (whole.wall_s - start.wall_s + LATENCY_MS / 1000)
            for whole, start in zip(self.whole, self.start, strict=True)
        )

    def cpu_us(self) -> float:
        """CPU of one item, without its start."""
        return statistics.median(
            1e6 * (whole.cpu_s - start.cpu_s) / (self.items - 1)
            for whole, start in zip(self.whole, self.start, strict=True)
        )

    def cells(self) -> list[str]:
        """Its line of the table."""
        if self.why_not:
            return [f"{self.title} (**not measured**: {self.why_not.replace('|', '/')})", *("-" for _ in HEAD)]
        ideal = AT_ONCE * 1000 / LATENCY_MS
        start = statistics.median(taken.wall_s for taken in self.start)
        peak = statistics.median(taken.peak_mb for taken in self.whole)
        share = f"{self.per_s() / ideal:.0%}"
        return [self.title, f"{self.per_s():,.0f}", share, f"{self.cpu_us():,.0f}", f"{peak:,.0f}", f"{start:.2f}"]


HEAD = ["items a second", "of the ideal", "us CPU an item", "peak MB", "s to start, and one item"]


def contenders(size: Size) -> str:
    """The table of all contenders, which take turns."""
    rows = [(contender, Row(contender.title(), size.files)) for contender in CONTENDERS]
    with tempfile.TemporaryDirectory() as folder, Server(LATENCY_MS) as url:
        bench = Bench(Path(folder), url)
        bench.files(size.files)
        for number in range(size.rounds):
            for contender, row in rows:
                print(f"round {number + 1}: {contender.name} ...", file=sys.stderr)
                if row.why_not:
                    continue
                try:
                    row.start.append(bench.take(contender, "one", 1))
                    row.whole.append(bench.take(contender, "many", size.files))
                except (FailedError, environments.UnusableError) as failed:
                    row.why_not = str(failed)
    ideal = AT_ONCE * 1000 // LATENCY_MS
    reach = ["*to be reached by ours*", "1,150", "90%", "250", "", ""]
    title = f"{size.files:,} Markdown files, a model of {LATENCY_MS} ms, {AT_ONCE} at once: at best {ideal:,} a second"
    return measure.text(title, ["contender", *HEAD], [*(row.cells() for _, row in rows), reach])


def sizes(size: Size) -> str:
    """The tables of ours over more and more rows, and of the largest of these runs, killed and resumed."""
    rows, resumed = [], []
    for items in size.items:
        with tempfile.TemporaryDirectory() as folder, Server(LATENCY_MS) as url:
            bench = Bench(Path(folder), url)
            bench.rows(items)
            ours = Contender(f"{items:,} rows of one CSV", mode="table_rows")
            row = Row(ours.title(), items)
            print(f"{ours.name} ...", file=sys.stderr)
            row.start.append(bench.take(ours, "one", 1))
            row.whole.append(bench.take(ours, "many", items))
            rows.append(row.cells())
            resumed.append(_resumed(bench, items, size.killed_at))
    grown = measure.text("More and more items", ["`fmf run`", *HEAD], rows)
    head = ["items", "answered when it was killed", "s until the next question", "asked twice", "peak MB"]
    return grown + measure.text("Killed with `kill -9`, and resumed", head, resumed)


def _resumed(bench: Bench, items: int, killed_at: float) -> list[str]:
    began = bench.requests()
    print(f"{items:,} rows, killed and resumed ...", file=sys.stderr)

    def kill(pid: int) -> None:
        if bench.requests() - began >= items * killed_at:
            os.kill(pid, signal.SIGKILL)

    if not command(bench.chain("table_rows", "many"), bench.folder, kill).status:
        return [f"{items:,}", "**it ended before it was killed**", "-", "-", "-"]
    before = bench.requests()
    started = time.perf_counter()
    first: list[float] = []

    def look(_: int) -> None:
        if not first and bench.requests() > before:
            first.append(time.perf_counter() - started)

    taken = command([*bench.chain("table_rows", "many"), "--resume", "last"], bench.folder, look)
    if taken.status or bench.answers() != items:
        raise SystemExit(f"resumed: {bench.answers()} of {items} answers\n{taken.told[-2000:]}")
    twice = bench.requests() - began - items
    told = f"{first[0]:.1f}" if first else "-"
    return [f"{items:,}", f"{before - began:,}", told, str(twice), f"{taken.peak_mb:,.0f}"]


def main(options: Sequence[str] = ()) -> None:
    """Print the tables.

    `--write` puts them into docs/run-benchmarks.md as well, `--quick` only tries whether everything runs, `--items=N`
    adds a run over N rows (200000 takes about ten minutes), `--only=files` and `--only=items` leave out the other half.
    """
    told = dict(option.removeprefix("--").partition("=")[::2] for option in options)
    size = QUICK if "quick" in told else Size()
    if "items" in told:
        size = Size(size.files, size.rounds, (*size.items, int(told["items"])), size.killed_at)
    halves = {"files": contenders, "items": sizes}
    text = "".join(make(size) for name, make in halves.items() if told.get("only", name) == name)
    print(text)
    if "write" in told:
        how = (
            f"{page.machine()}. Medians of {size.rounds} rounds in which the contenders take turns, each time a whole "
            "process with all that it starts. What is taken off for its start is what it takes for one file."
        )
        page.write(PAGE, "runs", how + "\n" + text)


if __name__ == "__main__":
    main(sys.argv[1:])
