"""Run `fmf process` over folders and check what it wrote: every file in one state, every chunk where it says it is.

    python tools/census.py FOLDER...
    python tools/census.py --ocr --sample 200 --select '**/*.pdf' FOLDER
    python tools/census.py --one-line 1000          # one file that is one line of 1,000 MB, and the memory it takes

For each folder: the states of its files, the reasons of those that were skipped or failed with how often each occurs,
and what is wrong. Exit status 1 when anything is: a file that is in no state or in two, a chunk whose text is not that
between its offsets when its source is read again, a replacement character that the source has not, or a reason that is
no single line or that tells of a fault in the program.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from fmf.config.loader import load_config
from fmf.connectors.local import LocalConnector
from fmf.processing.isolation.reader import IsolatedReader
from fmf.types import Document

REPLACEMENTS = ("\ufffd".encode(), b"\xfd\xff", b"\xff\xfd", b"&#65533", b"&#xfffd", b"&#xFFFD", b"\\ufffd", b"\\uFFFD")
UNFORESEEN = re.compile(r"cannot be read: \w+(Error|Exception|Warning)\b")
CONFIGURATION = """\
project: census
artefacts_dir: artefacts
connectors:
  - {{name: folder, type: local, root: {root}}}
processing:
  images: {{ocr: {{enabled: {ocr}}}}}
  limits: {{max_file_mb: {most}, max_seconds_per_file: 600}}
"""
MOST_MB = 512
WORDS = b"plums and pears "


@dataclass
class Census:
    """What was found of one folder."""

    folder: Path
    took_s: float = 0.0
    files: int = 0
    megabytes: float = 0.0
    chunks: int = 0
    states: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    checked: int = 0
    """Chunks that were compared with their sources."""
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    """Take the census of each folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--one-line", type=int, default=0, metavar="MB", help="a file that is one line, instead")
    parser.add_argument("--sample", type=int, default=50, help="how many chunks are compared with their sources")
    parser.add_argument("--seed", type=int, default=0, help="which chunks")
    parser.add_argument("--select", action="append", default=[], metavar="GLOB", help="only these files")
    parser.add_argument("--ocr", action="store_true", help="read pictures, too")
    options = parser.parse_args()
    if options.one_line:
        return one_line(options.one_line)
    found = [taken(folder.resolve(), options) for folder in options.folders]
    for census in found:
        tell(census)
    return int(any(census.wrong for census in found))


def taken(folder: Path, options: argparse.Namespace) -> Census:
    """The census of one folder."""
    census = Census(folder)
    with tempfile.TemporaryDirectory(prefix="census-") as place:
        config = _config(Path(place), folder, ocr=options.ocr)
        selected = [part for pattern in options.select for part in ("--select", pattern)]
        listed = _lines(_fmf(config, "connect", "ls", "folder", *selected))
        began = time.monotonic()
        told = dict(line.split("=", 1) for line in _lines(_fmf(config, "process", "--connector", "folder", *selected)))
        census.took_s = time.monotonic() - began
        run = (config.parent / told["run_dir"]) if "run_dir" in told else None
        if run is None:
            census.wrong.append("fmf process wrote no run")
            return census
        documents = _documents(run, census)
        _count(census, documents, [line.split("\t")[0] for line in listed], told)
        _check_chunks(census, run, documents, _Again(folder, config, options.seed), options.sample)
    return census


def one_line(megabytes: int) -> int:
    """Process one line of so many megabytes; every chunk must be what stands in the file at its place."""
    block = WORDS * (1_000_000 // len(WORDS))
    with tempfile.TemporaryDirectory(prefix="census-") as place:
        folder = Path(place) / "in"
        folder.mkdir()
        with (folder / "line.txt").open("wb") as out:
            out.writelines([block] * megabytes)
        config = _config(Path(place), folder, most=max(MOST_MB, megabytes + 1))
        began = time.monotonic()
        told = dict(line.split("=", 1) for line in _lines(_fmf(config, "process", "--connector", "folder")))
        took = time.monotonic() - began
        wrong = chunks = 0
        with (folder / "line.txt").open("rb") as line:
            for row in _rows(Path(told["run_dir"]) / "chunks.jsonl"):
                line.seek(row["start"])
                chunks += 1
                wrong += line.read(row["end"] - row["start"]) != row["text"].encode()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{megabytes:,} MB in one line: {told}, {took:,.0f} s, at most {peak:,.0f} MB in one process")
    print(f"{chunks:,} chunks, {wrong:,} of them wrong")
    return int(bool(wrong) or told["docs"] != "1")


def _config(place: Path, folder: Path, *, ocr: bool = False, most: int = MOST_MB) -> Path:
    config = place / "fmf.yaml"
    text = CONFIGURATION.format(root=json.dumps(str(folder)), ocr=str(ocr).lower(), most=most)
    config.write_text(text, encoding="utf-8")
    return config


def _fmf(config: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "fmf", "--quiet", "-c", str(config), *arguments]
    done = subprocess.run(command, capture_output=True, cwd=config.parent, check=False)
    if done.returncode not in {0, 5, 10, 11}:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)


def _documents(run: Path, census: Census) -> dict[str, dict[str, Any]]:
    """The documents by the ids of their resources, without their texts."""
    documents: dict[str, dict[str, Any]] = {}
    for row in _rows(run / "docs.jsonl"):
        if row["resource_id"] in documents:
            census.wrong.append(f"{row['resource_id']} stands in docs.jsonl twice")
        text = row.pop("text") or ""
        told = row["metadata"].get("unknown_characters")  # those of a PDF whose fonts do not name them
        if "\ufffd" in text and not told and not _has_replacement(row):
            census.wrong.append(f"{row['resource_id']}: a replacement character that its source has not")
        documents[row["resource_id"]] = row
    return documents


def _has_replacement(row: dict[str, Any]) -> bool:
    """Whether the source has a replacement character itself, in whatever way it may be written."""
    data = path_of(row["source_uri"]).read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    if any(mark in data for mark in REPLACEMENTS):
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            return any(mark in parts.read(name) for name in parts.namelist() for mark in REPLACEMENTS)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return False


def path_of(uri: str) -> Path:
    """The path of a `file://` address."""
    return Path(unquote_to_bytes(uri.removeprefix("file://")).decode("utf-8", "surrogateescape"))


def _count(census: Census, documents: dict[str, dict[str, Any]], listed: list[str], told: dict[str, str]) -> None:
    census.files = len(listed)
    for missing in sorted(set(listed) - set(documents))[:20]:
        census.wrong.append(f"{missing} was listed and is in no state")
    for extra in sorted(set(documents) - set(listed))[:20]:
        census.wrong.append(f"{extra} is in a state and was not listed")
    for name, row in documents.items():
        census.states[row["status"]] += 1
        census.megabytes += (row["bytes"] or 0) / 1e6
        ending = name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else "(none)"
        census.endings[ending, row["status"]] += 1
        if row["status"] not in {"ok", "skipped", "failed"}:
            census.wrong.append(f"{name} is in the state {row['status']!r}")
        if row["status"] != "ok":
            _reason(census, name, row)
    for state, said in (("ok", "docs"), ("skipped", "skipped"), ("failed", "failed")):
        if census.states[state] != int(told.get(said, -1)):
            census.wrong.append(f"{census.states[state]} documents are {state}, fmf process told {told.get(said)}")


def _reason(census: Census, name: str, row: dict[str, Any]) -> None:
    reason = row["reason"] or ""
    key = (row["status"], grouped(reason))
    census.reasons[key] += 1
    census.examples.setdefault(key, name)
    if not reason or not reason.isprintable():
        census.wrong.append(f"{name}: its reason is no line: {reason[:100]!r}")
    if UNFORESEEN.search(reason):
        census.wrong.append(f"{name}: nobody foresaw it: {reason[:300]}")


def grouped(reason: str) -> str:
    """A reason without what belongs to one file alone."""
    return re.sub(r"\d[\d,.]*", "N", re.sub(r"file://\S+", "FILE", reason))[:180]


def _check_chunks(census: Census, run: Path, documents: dict[str, dict[str, Any]], again: _Again, sample: int) -> None:
    """Compare some chunks with their sources, which are read again."""
    chosen: list[dict[str, Any]] = []
    by_id = {row["doc_id"]: row for row in documents.values() if row["status"] == "ok"}
    for number, chunk in enumerate(_rows(run / "chunks.jsonl")):
        census.chunks += 1
        if chunk["doc_id"] not in by_id:
            census.wrong.append(f"chunk {chunk['chunk_id']} belongs to no document that is ok")
        if len(chosen) < sample:
            chosen.append(chunk)
        elif (place := again.dice.randrange(number + 1)) < sample:
            chosen[place] = chunk
    for chunk in chosen:
        row = by_id[chunk["doc_id"]]
        document = again.read(row["resource_id"])
        where = f"chunk {chunk['index']} of {row['resource_id']}"
        census.checked += 1
        if document.text is None:
            census.wrong.append(f"{where}: its source is {document.status} now: {document.reason}")
        elif document.text[chunk["start"] : chunk["end"]] != chunk["text"]:
            census.wrong.append(f"{where} is not the text between its offsets")
        elif not _stands_in(chunk["text"], row):
            census.wrong.append(f"{where} does not stand in its source")


class _Again:
    """Reads sources a second time, without a run."""

    def __init__(self, folder: Path, config: Path, seed: int) -> None:
        connector = LocalConnector("folder", folder)
        self.dice = random.Random(seed)  # noqa: S311 - which chunks are looked at is no secret
        self._reader = IsolatedReader(connector, load_config(config).value.processing)
        self._refs = {ref.id: ref for ref in connector.list()}

    def read(self, resource_id: str) -> Document:
        """The document with all of its text."""
        *_, document = self._reader.lines(self._refs[resource_id], want_text=True, chunked=False)
        return cast("Document", document)


def _stands_in(text: str, row: dict[str, Any]) -> bool:
    """Whether the letters of a text stand in its source in the same order, whatever the blanks between them."""
    if row["media_type"] not in {"text/plain", "text/markdown", "text/x-rst", "text/x-python"}:
        return True
    source = path_of(row["source_uri"]).read_bytes().decode(row["metadata"].get("encoding", "utf-8"))
    return "".join(text.split()) in "".join(source.split())


def tell(census: Census) -> None:
    """Print what was found."""
    states = ", ".join(f"{count:,} {state}" for state, count in census.states.most_common())
    rate = census.megabytes / max(census.took_s, 0.001)
    print(f"\n## {census.folder}\n")
    print(f"{census.files:,} files of {census.megabytes:,.1f} MB in {census.took_s:,.1f} s ({rate:.1f} MB/s): {states}")
    print(f"{census.chunks:,} chunks, {census.checked} of them compared with their sources\n")
    print("| ending | ok | failed | skipped |\n| --- | ---: | ---: | ---: |")
    totals = Counter({ending: 0 for ending, _ in census.endings})
    for (ending, _), count in census.endings.items():
        totals[ending] += count
    for ending, _ in totals.most_common(40):
        print(
            f"| {ending} | " + " | ".join(f"{census.endings[ending, s]:,}" for s in ("ok", "failed", "skipped")) + " |"
        )
    print("\n| files | state | reason | for example |\n| ---: | --- | --- | --- |")
    for key, count in census.reasons.most_common():
        state, reason = key
        print(f"| {count:,} | {state} | {reason.replace('|', '/')} | {census.examples[key]} |")
    print(f"\n{len(census.wrong)} things are wrong")
    for line in census.wrong[:100]:
        print(f"* {line}")


if __name__ == "__main__":
    sys.exit(main())
