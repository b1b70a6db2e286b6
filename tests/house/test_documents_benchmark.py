"""The benchmark of documents works: its corpus is always the same and read as it should be, wrong outputs are seen."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fmf.config.models import ProcessingConfig
from fmf.connectors.local import LocalConnector
from fmf.processing.reader import Reader

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.documents.{name}")


@pytest.fixture
def small(bench: Any, tmp_path: Path) -> Any:
    """A corpus of one small file of each format."""
    module = bench("corpus")
    return module.Corpus(tmp_path / "files", tuple(module.make(tmp_path / "files", 0, least=1)))


def hashes(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_corpus_is_the_same_each_time_and_knows_no_clock(bench: Any, small: Any, tmp_path: Path) -> None:
    again = tuple(bench("corpus").make(tmp_path / "again", 0, least=1))
    assert again == small.files
    assert hashes(tmp_path / "again") == hashes(small.root)
    assert {file.draft.format for file in again} == set(bench("corpus").FORMATS)
    for path in small.root.rglob("*"):
        if path.suffix in {".docx", ".pptx", ".xlsx"}:
            dates = {member.date_time for member in zipfile.ZipFile(path).infolist()}
            assert dates <= {(2024, 5, 6, 7, 8, 8), (2024, 5, 6, 7, 8, 9), (1980, 1, 31, 0, 0, 0)}


def test_a_corpus_has_about_the_size_that_is_asked_for_and_is_made_once(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CORPORA", str(tmp_path))
    made = bench("corpus").corpus(0.3, "md")
    assert 0.9 < sum(file.bytes for file in made.files) / 300_000 < 1.5
    assert len(made.files) > 30
    assert sorted(path.stat().st_size for path in made.root.rglob("*.md")) == sorted(file.bytes for file in made.files)
    next(made.root.rglob("*.md")).unlink()
    assert bench("corpus").corpus(0.3, "md") == made


def test_every_file_of_the_corpus_is_read_with_all_its_words(bench: Any, small: Any) -> None:
    words_of = bench("prose").words_of
    connector = LocalConnector("corpus", small.root)
    reader = Reader(connector, ProcessingConfig())
    for file in small.files:
        (ref,) = connector.list([file.draft.path])
        document = reader.read_whole(ref)
        assert document.status == "ok", (file.draft.path, document.reason)
        wanted, found = file.draft.expected(), Counter(words_of(document.text))
        assert (wanted & found).total() >= 0.95 * wanted.total(), (file.draft.path, list((wanted - found).items())[:9])


def test_an_output_without_a_file_or_with_too_few_of_its_words_is_wrong(bench: Any, small: Any, tmp_path: Path) -> None:
    contenders, measuring = bench("contenders"), bench("measuring")
    by_hand, out = contenders.BY_HAND, tmp_path / "out"
    out.mkdir()
    names = [file.draft.path for file in small.files]
    measuring.run(by_hand.command(small.root, names, out), folder=out, limit_s=60, environment=by_hand.variables())
    assert contenders.faults(by_hand, small, small.files, out) == {}
    rows = [json.loads(line) for line in (out / "out.jsonl").read_text().splitlines()]
    fewer = [row for row in rows if not row["source"].endswith(".csv")]
    for row in fewer:
        if row["source"].endswith(".md"):
            row["text"] = row["text"][: len(row["text"]) * 8 // 10]
    (out / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fewer))
    wrong = contenders.faults(by_hand, small, small.files, out)
    assert set(wrong) == {"csv", "md"}
    assert "of the words of" in wrong["md"]


def test_memory_and_time_of_a_process_and_its_children_are_seen(bench: Any, tmp_path: Path) -> None:
    child = "import time; held = bytearray(60_000_000); time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    taken = bench("measuring").run([sys.executable, "-c", parent], folder=tmp_path, limit_s=60, memory=True)
    assert taken.wall_s > 0.5
    assert taken.peak_mb > 60
    busy = "import time; until = time.process_time() + 0.4\nwhile time.process_time() < until: pass"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}], start_new_session=True)"
    assert bench("measuring").run([sys.executable, "-c", parent], folder=tmp_path, limit_s=60).cpu_s > 0.4
    with pytest.raises(bench("measuring").FailedError, match="exit status 3: no more"):
        bench("measuring").run(
            [sys.executable, "-c", "import sys; print('no more'); sys.exit(3)"], folder=tmp_path, limit_s=60
        )
    with pytest.raises(bench("measuring").FailedError, match="not done within"):
        bench("measuring").run([sys.executable, "-c", "import time; time.sleep(60)"], folder=tmp_path, limit_s=0.2)


def test_tables_are_made_of_what_was_measured(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CORPORA", str(tmp_path))
    rounds, tables, contenders = bench("rounds"), bench("tables"), bench("contenders")
    runner = rounds.Runner(rounds.Size(mixed=(0.1,), rounds=2))
    one, two = contenders.Ours("one", workers=1), contenders.Ours("two", workers=2)

    def put(name: str, what: str, wall_s: float, peak_mb: float) -> None:
        taken = bench("measuring").Taken(wall_s, 2 * wall_s, peak_mb, "")
        runner.cells[name, what] = rounds.Cell(100_000, [taken, taken], taken)

    scripts = {contenders.FLOOR.name: 0.1, contenders.BY_HAND.name: 4.0, contenders.BY_HAND_USUAL.name: 6.0}
    for name, wall_s in {**scripts, "one": 2.0, "two": 1.25}.items():
        put(name, "start", 0.5, 100)
        put(name, "mixed 0.1", wall_s, 150 if name == "one" else 170)
    text = tables.Tables(runner, [one, two], [], {}).text(1.0)
    assert "| **one** | 12 of 12 | 0.05 | 0.03 | 2.00 | 2.00 | 3.00 | 3.00 |" in text
    assert "| **one** | 100 | 150 | 50 |" in text
    assert "| one: times by hand, fastest libraries, speed, 0.1 MB | 1.5 | 2.00 | reached |" in text
    assert "| one: times by hand, usual libraries, speed, 0.1 MB | shown only | 3.00 |  |" in text
    assert "| two: MB above the start, 0.1 MB | at most 60 | 70 | **not reached** |" in text
    assert "| 2 workers | 0.1 | 0.0 | 1.60 | 3.20 | 4.80 |" in text


def test_the_page_can_be_renewed_and_the_peers_are_pinned(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tables = bench("tables")
    copy = tmp_path / "page.md"
    copy.write_text(tables.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):
        tables.page.write(copy, "documents", "NEW FIGURES")
    assert copy.read_text(encoding="utf-8").count("NEW FIGURES") == 1
    contenders = bench("contenders")
    usual = contenders.BY_HAND_USUAL
    assert usual.title() == usual.name
    for peer in (usual, *contenders.PEERS):
        pins = (ROOT / "benchmarks" / "peers" / f"{peer.environment}.txt").read_text().splitlines()
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), peer.environment
        assert (peer.title() != peer.name) == peer.others


def test_the_script_with_the_usual_libraries_finds_the_words_of_what_it_reads_in_its_own_way(
    bench: Any, small: Any
) -> None:
    words_of = bench("prose").words_of
    by_hand, usual = bench("by_hand").READERS, bench("by_hand_usual").READERS
    assert usual.keys() == by_hand.keys()
    other = {name for name in usual if usual[name] is not by_hand[name]}
    assert other == {"html", "xlsx", "pdf", "json", "jsonl"}
    for file in small.of(frozenset(other - {"pdf"})):  # pypdf is in its environment only
        found = Counter(words_of("".join(usual[file.draft.format](small.root / file.draft.path))))
        wanted = file.draft.expected()
        assert (wanted & found).total() >= 0.95 * wanted.total(), file.draft.path


def test_sizes_and_peers_can_be_chosen_and_how_long_it_takes_is_told_before(bench: Any) -> None:
    tables = bench("tables")
    size, peers, formats = tables.chosen(["--mb=100,10", "--rounds=1", "--limit=90", "--only=Kreuz,langchain"])
    assert (size.mixed, size.rounds, size.limit_s, formats) == ((10, 100), 1, 90, True)
    assert [peer.name for peer in peers] == ["LangChain", "kreuzberg"]
    all_peers = tables.chosen(["--no-formats"])[1]
    assert len(all_peers) == len(tables.PEERS)
    scripts = tables.SCRIPTS
    assert size.about_s(scripts, peers) < size.about_s(scripts, all_peers) < size.about_s(scripts, all_peers, scripts)
    more, _, _ = tables.chosen(["--mb=10,100", "--limit=300"])
    assert size.about_s(scripts, all_peers) < more.about_s(scripts, all_peers)
    with pytest.raises(SystemExit, match="take numbers"):
        tables.chosen(["--mb=ten"])
