"""Loaders that do harm, published as any plugin is, and a nursery of the test's own that knows them."""

from __future__ import annotations

import sys

import pytest

from chunked import chunked
from fmf.config.processing import ProcessingConfig
from fmf.connectors.local import LocalConnector
from fmf.processing.isolation import pool, reader
from fmf.processing.isolation.reader import IsolatedReader
from fmf.processing.loaders.base import loaders

HOSTILE = """
import ctypes, os, sys, time
from fmf.processing.loaders.base import Loaded, Mark

def crash(source, settings):
    def pieces():
        yield "the beginning"
        ctypes.string_at(0)
    return Loaded(pieces())

def leave(source, settings):
    os._exit(7)

def hang(source, settings):
    time.sleep(600)

def eat(source, settings):
    eaten = []
    while True:
        eaten.append(bytearray(b"x") * 10_000_000)

def shout(source, settings):
    print("to standard output", flush=True)
    os.write(2, b"to standard error")
    return Loaded(iter(["said"]))

def spawn(source, settings):
    if not os.fork():
        time.sleep(600)
    time.sleep(600)

def tell(source, settings):
    return Loaded(iter([repr(sorted(os.environ)), " ", repr(len(os.listdir("/proc/self/fd")))]))

def deep(source, settings):
    def down(n):
        return down(n + 1)
    down(0)

def fall(source, settings):
    return Loaded(iter([1 / 0]))

def own(source, settings):
    return Loaded(iter([str(os.getpid())]))
"""
NAMES = ("crash", "leave", "hang", "eat", "shout", "spawn", "tell", "deep", "fall", "own")


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Loaders for files that end in `.crash`, `.hang` and so on."""
    site = tmp_path / "site"
    facts = site / "hostile-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "hostile_loaders.py").write_text(HOSTILE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    lines = "".join(f"{name} = hostile_loaders:{name}\n" for name in NAMES)
    (facts / "entry_points.txt").write_text(f"[fmf.loaders]\n{lines}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    monkeypatch.setattr(loaders, "_found", None, raising=False)
    nursery = pool.Nursery()
    monkeypatch.setattr(pool, "nursery", nursery)
    monkeypatch.setattr(reader, "nursery", nursery)
    yield
    nursery.close()


@pytest.fixture
def work(tmp_path):
    """Writes files and reads them: `work({"a.txt": "x"})` gives the final documents by name."""
    root = tmp_path / "root"
    root.mkdir()

    def read(files, **limits):
        for name, content in files.items():
            (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        settings = ProcessingConfig.model_validate({"limits": limits})
        source = LocalConnector("docs", root)
        isolated = IsolatedReader(source, settings)
        return {ref.id: list(chunked(isolated.lines(ref))) for ref in source.list()}

    return read
