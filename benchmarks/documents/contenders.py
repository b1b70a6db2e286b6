"""Who reads the corpus: by what command, in which environment, and how its output is read back and checked."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.documents.corpus import FORMATS, Corpus, File
from benchmarks.documents.measuring import FailedError
from benchmarks.documents.prose import words_of
from benchmarks.peers import environments
from benchmarks.peers.process import QUIET, ROOT

ALL = frozenset(FORMATS)
LEAST = 0.95
"""The share of a file's words that must be found in what was made of it."""
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Contender:
    """Someone who turns files into chunks.

    Args:
        name: what the tables call it.
        formats: what it says it reads.
        environment: whose packages it needs; `None` is the environment of the project itself.
        distribution: the package of another project that it shows; the tables tell its version.
        words: its script here, and what follows its name.
        pace: about how many MB it reads a second; only to tell how long the tables will take.
    """

    name: str
    formats: frozenset[str] = ALL
    environment: str | None = None
    distribution: str = ""
    words: tuple[str, ...] = ()
    pace: float = 8.0

    @property
    def others(self) -> bool:
        """Whether it is of another project."""
        return bool(self.distribution)

    @property
    def ours(self) -> bool:
        """Whether it is of this project."""
        return False

    def title(self) -> str:
        """The first cell of its lines."""
        if self.environment and self.distribution:
            return f"{self.name} {environments.version(self.environment, self.distribution)}"
        return f"**{self.name}**" if self.ours else self.name

    def variables(self) -> dict[str, str]:
        """Variables of its environment; nothing here calls out."""
        return {**QUIET, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT) if self.environment else ""}

    def command(self, root: Path, files: list[str], out: Path) -> list[str]:
        """What to run; `files` are paths below `root`, `out` is an empty folder.

        Raises:
            FailedError: its environment cannot be made.
        """
        listing = out / "listing.json"
        listing.write_text(json.dumps(files))
        # By its path, so that nothing of the project is imported.
        script, *words = self.words
        by_path = [self.python(), "-P", str(HERE / f"{script}.py")]
        return [*by_path, *words, str(listing), str(root), str(out / "out.jsonl")]

    def python(self) -> str:
        """The interpreter of its environment, which is made when it is not there.

        Raises:
            FailedError: it cannot be made.
        """
        try:
            return environments.python_of(self.environment) if self.environment else sys.executable
        except environments.UnusableError as error:
            raise FailedError(str(error)) from error

    def texts(self, root: Path, out: Path) -> Iterator[tuple[str, str]]:
        """The path and the text of each chunk; a file that failed gives nothing."""
        with (out / "out.jsonl").open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                if "text" in row:
                    yield row["source"], row["text"]

    @staticmethod
    def seconds(out: Path) -> Counter[str]:
        """By format, how long its files took; nothing where the output does not say so."""
        found: Counter[str] = Counter()
        with (out / "out.jsonl").open("rb") as lines:
            for line in lines:
                if b'"took_s":' in line[:400] and "took_s" in (row := json.loads(line)):
                    found[row["source"].rpartition(".")[2]] += row["took_s"]
        return found


@dataclass(frozen=True)
class Floor(Contender):
    """Reads every byte and makes nothing of it."""

    def texts(self, root: Path, out: Path) -> Iterator[tuple[str, str]]:
        return iter(())


@dataclass(frozen=True)
class Ours(Contender):
    """`fmf process` as its users run it.

    Args:
        workers: how many of them; `None` leaves that to the program.
    """

    workers: int | None = None

    @property
    def ours(self) -> bool:
        return True

    def variables(self) -> dict[str, str]:
        return {}

    def command(self, root: Path, files: list[str], out: Path) -> list[str]:
        formats = sorted({name.rpartition(".")[2] for name in files})
        settings: dict[str, Any] = {
            "connectors": [
                {"name": "corpus", "type": "local", "root": str(root), "include": [f"**/*.{name}" for name in formats]}
            ],
            "artefacts_dir": str(out / "artefacts"),
        }
        if self.workers is not None:
            settings["processing"] = {"workers": self.workers}
        config = out / "fmf.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        fmf = Path(sys.executable).with_name("fmf")
        return [str(fmf), "-c", str(config), "--json", "process", "--connector", "corpus"]

    def texts(self, root: Path, out: Path) -> Iterator[tuple[str, str]]:
        (run,) = (path for path in (out / "artefacts").iterdir() if path.is_dir())
        failed = []
        names = {}
        with (run / "docs.jsonl").open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                names[row["doc_id"]] = row["resource_id"]
                if row["status"] != "ok":
                    failed.append(f"{row['resource_id']}: {row['status']}: {row['reason']}")
        if failed:
            raise FailedError(f"{len(failed)} documents are not ok, among them {failed[0]}")
        with (run / "chunks.jsonl").open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                yield names[row["doc_id"]], row["text"]


def has_workers() -> bool:
    """Whether the number of workers can be set."""
    from fmf.config.models import ProcessingConfig

    return "workers" in ProcessingConfig.model_fields


def ours() -> list[Ours]:
    """Our rows: one worker, then as many as there are cores."""
    if not has_workers():
        return [Ours("fmf process")]
    cores = os.cpu_count() or 1
    return [Ours(f"fmf process, {n} worker{'s' if n > 1 else ''}", workers=n) for n in sorted({1, cores})]


FLOOR = Floor("read every byte", words=("floor",), pace=1000)
BY_HAND = Contender("by hand, fastest libraries", words=("by_hand",), pace=7)
BY_HAND_MARKDOWN = Contender("by hand, fastest libraries, HTML as Markdown", words=("by_hand", "--markdown"), pace=5.5)
BY_HAND_USUAL = Contender(
    "by hand, usual libraries", environment="documents_by_hand", words=("by_hand_usual",), pace=3.5
)
_TEXT = frozenset({"txt", "md", "json", "jsonl"})
PEERS = (
    Contender(
        "LangChain",
        _TEXT | {"html", "csv", "pdf", "docx"},
        "documents_langchain",
        "langchain-community",
        ("peer", "langchain"),
        pace=1.8,
    ),
    Contender("LlamaIndex", ALL, "documents_llama_index", "llama-index-core", ("peer", "llama_index"), 1),
    Contender("Haystack", ALL - {"parquet", "eml"}, "documents_haystack", "haystack-ai", ("peer", "haystack"), 3),
    Contender("markitdown", ALL - {"parquet"}, "documents_markitdown", "markitdown", ("peer", "markitdown"), 0.5),
    Contender("kreuzberg", ALL - {"parquet"}, "documents_kreuzberg", "kreuzberg", ("peer", "kreuzberg"), 5),
    Contender(
        "unstructured, base",
        frozenset({"txt", "md", "html", "eml"}),
        "documents_unstructured",
        "unstructured",
        ("peer", "unstructured"),
        pace=0.5,
    ),
)


def faults(who: Contender, corpus: Corpus, files: tuple[File, ...], out: Path) -> dict[str, str]:
    """By format, what is wrong with what `who` made of `files`: a file without text, or too few of its words."""
    wanted = {file.draft.path: file.draft.expected() for file in corpus.sample() if file in files}
    seen: set[str] = set()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, text in who.texts(corpus.root, out):
        seen.add(path)
        if path in wanted:
            found[path].update(words_of(text))
    wrong: dict[str, str] = {}
    for file in files:
        if file.draft.path not in seen:
            wrong.setdefault(file.draft.format, f"nothing of {file.draft.path}")
    for path, words in wanted.items():
        share = (words & found[path]).total() / words.total()
        if share < LEAST:
            wrong.setdefault(path.rpartition(".")[2], f"{share:.0%} of the words of {path}")
    return wrong
