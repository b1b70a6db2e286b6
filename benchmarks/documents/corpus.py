"""A corpus of any size in all formats: many small files and a few large ones, made once into a cache folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from benchmarks.documents.drafts import Draft
from benchmarks.documents.formats import WRITERS
from benchmarks.peers import environments

HERE = Path(__file__).resolve().parent
MB = 1_000_000


@dataclass(frozen=True)
class Format:
    """How much of the corpus is of one format, and how its files are."""

    share: float
    """Of the bytes of the mixed corpus."""
    chars: int
    """Characters of text of a middling file."""
    weight: float = 1.0
    """Bytes of a file for a character of its text, without pictures; only to aim at sizes."""
    picture: int = 0
    """Bytes of pictures for 1,000 characters of text."""
    most: int = 0
    """Bytes of the largest file."""


FORMATS: Mapping[str, Format] = {
    "txt": Format(0.12, 5_000, most=40 * MB),
    "md": Format(0.11, 5_000, most=4 * MB),
    "html": Format(0.15, 9_000, 1.15, most=8 * MB),
    "csv": Format(0.16, 15_000, most=80 * MB),
    "json": Format(0.07, 6_000, 1.8, most=30 * MB),
    "jsonl": Format(0.06, 15_000, 1.8, most=60 * MB),
    "xlsx": Format(0.06, 40_000, 0.6, most=6 * MB),
    "parquet": Format(0.03, 150_000, 0.35, most=20 * MB),
    "pdf": Format(0.12, 12_000, 0.6, picture=5_000, most=12 * MB),
    "docx": Format(0.07, 9_000, 0.3, picture=3_000, most=3 * MB),
    "pptx": Format(0.03, 6_000, 2.0, picture=12_000, most=6 * MB),
    "eml": Format(0.02, 3_000, 2.3, picture=1_000, most=1 * MB),
}
"""By the ending of the name."""
LARGE = 0.4
"""The part of a format's bytes that its large files hold, at most; one file up to its `most`."""
_FEW = 36
"""Files of one format at least: fewer may be read in another way than many."""
_ROOMS = ("finance", "legal", "purchasing", "quality", "sales", "support")
_KINDS = ("minutes", "note", "offer", "order", "plan", "report", "review", "statement")


@dataclass(frozen=True)
class File:
    """A file of a corpus."""

    draft: Draft
    bytes: int


@dataclass(frozen=True)
class Corpus:
    """Files under one folder."""

    root: Path
    files: tuple[File, ...]

    def of(self, formats: frozenset[str]) -> tuple[File, ...]:
        """Those of some formats."""
        return tuple(file for file in self.files if file.draft.format in formats)

    def sample(self) -> list[File]:
        """A middling file of every format, and the largest of no more than 3 MB."""
        found = []
        for name in FORMATS:
            files = sorted(self.of(frozenset({name})), key=lambda file: file.bytes)
            fitting = [file for file in files if file.bytes <= 3 * MB] or files[:1]
            found += [fitting[len(fitting) // 2], fitting[-1]] if fitting else []
        return found


def folder() -> Path:
    """Where corpora are kept: `BENCH_CORPORA`, else beside the environments of the peers."""
    chosen = os.environ.get("BENCH_CORPORA")
    return Path(chosen).expanduser() if chosen else environments.folder() / "corpora"


def corpus(megabytes: float, only: str | None = None) -> Corpus:
    """The corpus of about that size, all formats mixed or one of them; it is made when it is not there.

    A generator that was changed makes a new one; the old one stays until somebody removes it.
    """
    name = f"{only or 'mixed'}-{megabytes:g}"
    where = folder() / _version() / name
    listing = where.with_name(f"{name}.json")
    root = where / "files"
    if not listing.exists():
        print(f"making the corpus {name} in {where} ...", file=sys.stderr)
        shutil.rmtree(where, ignore_errors=True)
        files = list(make(root, round(megabytes * MB), only, least=_FEW if only else 3))
        listing.write_text(json.dumps([{**asdict(file.draft), "bytes": file.bytes} for file in files]))
    found = json.loads(listing.read_text())
    return Corpus(
        root, tuple(File(Draft(each["path"], each["chars"], each["picture"]), each["bytes"]) for each in found)
    )


def to_begin(only: str | None = None) -> Corpus:
    """A few dozen small files of all formats, or of one: what it takes to begin."""
    return corpus(0, only)


def make(root: Path, size: int, only: str | None = None, *, least: int = 3) -> Iterator[File]:
    """Write a corpus of about `size` bytes under `root`; gives its files.

    Args:
        root: the folder.
        size: in bytes.
        only: the format of all files; otherwise all formats are mixed.
        least: so many files of each format are written at least.
    """
    for name, about in FORMATS.items():
        if only is None or name == only:
            yield from _of_format(root, name, about, size * (1 if only else about.share), least)


def _of_format(root: Path, name: str, about: Format, quota: float, least: int) -> Iterator[File]:
    random = Random(f"{name} {quota:.0f}")
    written = number = 0
    left_for_large = quota * LARGE
    while number < least or written < quota:
        size = min(about.most, left_for_large)
        if size > 4 * about.chars and size > 300_000:
            left_for_large -= size
            chars = round(size / (about.weight + about.picture / 1000))
        else:
            left_for_large = 0
            chars = round(about.chars * min(8.0, math.exp(random.gauss(0, 0.9))))
        room, kind = _ROOMS[number % len(_ROOMS)], _KINDS[number // 5 % len(_KINDS)]
        path = f"{room}/{2019 + number // 97 % 7}/{kind}-{number:05d}.{name}"
        # Not every file has pictures, but those that have, have several.
        picture = about.picture * chars // 1000 * 2 if number % 2 else 0
        draft = Draft(path, chars, picture)
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[name](draft, target)
        got = target.stat().st_size
        written += got
        number += 1
        yield File(draft, got)


def _version() -> str:
    """Changes with the generator."""
    digest = hashlib.sha256()
    for module in ("prose", "drafts", "formats", "pdf", "corpus"):
        digest.update((HERE / f"{module}.py").read_bytes())
    return digest.hexdigest()[:12]
