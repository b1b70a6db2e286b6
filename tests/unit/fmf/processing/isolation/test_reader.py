from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from chunked import chunked
from fmf.config.processing import ProcessingConfig
from fmf.connectors.local import LocalConnector
from fmf.errors import ConfigError
from fmf.processing.isolation import pool, reader
from fmf.processing.isolation.reader import IsolatedReader
from fmf.processing.loaders.base import Loaded, loaders
from fmf.processing.ocr.base import OcrResult, engines
from fmf.processing.reader import Reader
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.redact import add_secret
from fmf_core.secret_shapes import MASK

TEXT = "# A\n\nOne. Two.\n\n" + "word " * 3000
pytestmark = pytest.mark.skipif(not pool.AVAILABLE, reason="this system has no forks")


def test_what_is_read_is_what_is_read_in_this_process(tmp_path):
    (tmp_path / "a.md").write_text(TEXT)
    (tmp_path / "b.csv").write_text("x;y\n1;2\n")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfea\0\n\0")
    (tmp_path / "d.none").write_text("x")
    (tmp_path / "e.txt").write_text("")
    source = LocalConnector("docs", tmp_path)
    apart, here = IsolatedReader(source, ProcessingConfig()), Reader(source, ProcessingConfig())
    for ref in source.list():
        assert list(chunked(apart.lines(ref))) == list(here.read(ref))
    whole = ResourceRef("a.md", "file:///a.md", "a.md")
    *_, document = chunked(apart.lines(whole, want_text=True, chunked=False))
    assert document == here.read_whole(whole)


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("crash", Code.INVALID, "ended by SIGSEGV"),
        ("leave", Code.INVALID, "ended without a word"),
        ("hang", Code.TIMEOUT, "took more than 1 s"),
        ("spawn", Code.TIMEOUT, "took more than 1 s"),
        ("eat", Code.INVALID, "takes more memory"),
        ("deep", Code.INVALID, "nested too deeply"),
    ],
)
def test_what_does_harm_fails_alone(hostile, work, name, code, says):
    read = work({"a.txt": "before", f"b.{name}": "x", "c.txt": "after"}, max_seconds_per_file=1, max_memory_mb=300)
    assert [events[-1].status for events in read.values()] == ["ok", "failed", "ok"]
    failed = read[f"b.{name}"][-1]
    assert says in failed.reason
    assert "\n" not in failed.reason
    assert failed.error.code is code
    assert failed.error.hint


def test_what_a_loader_prints_goes_nowhere(hostile, work, capfd):
    assert work({"a.shout": "x"})["a.shout"][-1].text == "said"
    assert capfd.readouterr() == ("", "")


def test_where_a_loader_fell_in_another_process_is_logged_in_this_one(hostile, work, caplog):
    caplog.set_level("DEBUG", "fmf.processing")
    document = work({"a.fall": "x"})["a.fall"][-1]
    assert "ZeroDivisionError" in document.reason
    assert "Traceback" in caplog.text
    assert "in fall" in caplog.text


def test_a_reading_process_knows_no_secret(hostile, work, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
    add_secret("sk-not-to-be-seen")
    read = work({"a.tell": "x", "b.txt": "it is sk-not-to-be-seen, is it?"})
    assert "OPENAI" not in read["a.tell"][-1].text
    assert "PATH" in read["a.tell"][-1].text
    assert read["b.txt"][-1].text == f"it is {MASK}, is it?"
    assert read["b.txt"][1].text == read["b.txt"][-1].text


def test_nothing_of_a_file_is_left_open(hostile, work):
    read = work({f"{number}.tell": "x" for number in range(5)})
    counts = {events[-1].text.split()[-1] for events in read.values()}
    assert len(counts) == 1


def test_a_process_is_replaced_after_some_files(hostile, work, monkeypatch):
    monkeypatch.setattr(pool, "MOST_JOBS", 3)
    read = work({f"{number}.own": "x" for number in range(7)})
    pids = [events[-1].text for events in read.values()]
    assert len(set(pids)) == 3
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_reading_that_is_given_up_ends_its_process(hostile, work, tmp_path):
    work({"a.txt": "x"})
    (tmp_path / "root" / "big.md").write_text(TEXT * 200)
    source = LocalConnector("docs", tmp_path / "root")
    ref = next(ref for ref in source.list() if ref.id == "big.md")
    with closing(IsolatedReader(source, ProcessingConfig()).lines(ref)) as events:
        next(events)
        next(events)
    assert work({"a.txt": "x"})["a.txt"][-1].status == "ok"


def test_a_nursery_that_was_killed_is_started_again(hostile, work):
    work({"a.own": "x"})
    pool.nursery._process.kill()
    pool.nursery._process.wait()
    for worker in pool.nursery._idle:
        worker.kill()
        worker.close()
    pool.nursery._idle.clear()
    assert work({"b.own": "x"})["b.own"][-1].status == "ok"


def test_an_idle_process_that_was_killed_fails_one_file_at_most(hostile, work):
    first = work({"a.own": "x"})["a.own"][-1].text
    os.kill(int(first), 9)
    read = work({"b.own": "x", "c.own": "x"})
    assert [events[-1].status for events in read.values()].count("ok") >= 2


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("size", [10, 6_000_000])
def test_what_is_no_file_is_read_all_the_same(size, seekable):
    class Stream(BytesIO):
        def seekable(self):
            return seekable

    class Source:
        def open(self, ref):
            return Stream(b"word " * (size // 5))

    ref = ResourceRef("a.txt", "x://a.txt", "a.txt")
    *_, document = IsolatedReader(Source(), ProcessingConfig()).lines(ref, want_text=True, chunked=False)
    assert (document.status, document.bytes, document.text.split()) == ("ok", size, ["word"] * (size // 5))


def test_an_overlap_that_is_halved_is_told_of_once_for_all_files(tmp_path, caplog):
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(TEXT)
    settings = ProcessingConfig.model_validate({"text": {"chunking": {"max_tokens": 64, "overlap": 64}}})
    source = LocalConnector("docs", tmp_path)
    isolated = IsolatedReader(source, settings, is_small=True)
    assert [list(isolated.lines(ref))[-1].status for ref in source.list()] == ["ok"] * 3
    assert caplog.text.count("overlap_halved") == 1


def test_too_large_a_file_is_not_even_opened():
    class Source:
        def open(self, ref):
            raise AssertionError

    settings = ProcessingConfig.model_validate({"limits": {"max_file_mb": 1}})
    ref = ResourceRef("a.txt", "x://a.txt", "a.txt", size=2_000_000)
    (document,) = IsolatedReader(Source(), settings).lines(ref)
    assert (document.status, "1 MB are allowed" in document.reason) == ("failed", True)


def test_a_loader_of_this_process_reads_in_it(tmp_path):
    (tmp_path / "a.ours").write_text("x")
    source = LocalConnector("docs", tmp_path)
    loaders.add("ours", lambda source, settings: Loaded(iter([str(os.getpid())])))
    try:
        *_, document = IsolatedReader(source, ProcessingConfig()).lines(next(source.list()))
    finally:
        loaders.remove("ours")
    assert document.text == str(os.getpid())


def test_little_text_is_read_in_this_process(tmp_path, monkeypatch):
    class Unused:
        def take(self, warm=()):
            raise AssertionError

    monkeypatch.setattr(reader, "nursery", Unused())
    (tmp_path / "a.md").write_text(TEXT)
    source = LocalConnector("docs", tmp_path)
    *_, document = IsolatedReader(source, ProcessingConfig(), is_small=True).lines(next(source.list()))
    assert document.status == "ok"


def test_nothing_is_left_when_the_program_ends(tmp_path):
    (tmp_path / "a.md").write_text(TEXT)
    lines = (
        "import sys",
        "from fmf.config.processing import ProcessingConfig",
        "from fmf.connectors.local import LocalConnector",
        "from fmf.processing.isolation.pool import nursery",
        "from fmf.processing.isolation.reader import IsolatedReader",
        "source = LocalConnector('d', sys.argv[1])",
        "list(IsolatedReader(source, ProcessingConfig()).lines(next(source.list())))",
        "print(nursery._process.pid, nursery._idle[0].pid)",
    )
    code = "\n".join(lines)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == ""
    until = time.monotonic() + 10
    while any(Path("/proc", pid).exists() and _is_alive(pid) for pid in ran.stdout.split()):
        assert time.monotonic() < until
        time.sleep(0.05)


def _is_alive(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_ocr_engine_of_this_process_reads_in_it(tmp_path):
    class Engine:
        def read(self, image):
            return OcrResult(f"read in {os.getpid()}", confidence=99.0)

    Image.new("RGB", (60, 20), "white").save(tmp_path / "a.png")
    source = LocalConnector("docs", tmp_path)
    settings = ProcessingConfig.model_validate({"images": {"ocr": {"enabled": True, "engine": "ours"}}})
    with pytest.raises(ConfigError, match="there is no OCR engine 'ours'"):
        IsolatedReader(source, settings)
    engines.add("ours", lambda settings: Engine())
    try:
        *_, document = IsolatedReader(source, settings).lines(next(source.list()))
    finally:
        engines.remove("ours")
    assert document.text == f"read in {os.getpid()}"
