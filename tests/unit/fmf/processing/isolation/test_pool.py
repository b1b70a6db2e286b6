"""The process that starts reading processes may halt, or not begin at all; neither holds up the program."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fmf.processing.isolation import messages, pool
from fmf_core.errors import Code

pytestmark = pytest.mark.skipif(not pool.AVAILABLE, reason="this system has no forks")


def test_a_nursery_that_was_halted_is_ended_with_what_it_started(hostile, work, monkeypatch):
    monkeypatch.setattr(pool, "_FAREWELL_S", 0.2)
    worker = int(work({"a.own": "x"})["a.own"][-1].text)
    process = pool.nursery._process
    os.kill(process.pid, signal.SIGSTOP)
    os.kill(worker, signal.SIGSTOP)
    pool.nursery.close()
    assert process.returncode == -signal.SIGKILL
    until = time.monotonic() + 10
    while _state(worker) not in "ZX":
        assert time.monotonic() < until
        time.sleep(0.02)


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_a_nursery_that_cannot_begin_is_not_tried_for_every_file(monkeypatch):
    monkeypatch.setattr(pool, "_MODULE", "fmf.processing.isolation.of_nobody")
    begun = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: begun.append(1) or popen(*args, **more))
    nursery = pool.Nursery()
    for _ in range(4):
        with pytest.raises(messages.BrokenOffError):
            nursery.take()
    assert len(begun) == 2
    monkeypatch.setattr(pool, "_MODULE", "fmf.processing.isolation.nursery")
    nursery._fruitless_until = 0.0  # as time goes by
    nursery.give_back(nursery.take())
    nursery.close()


def test_a_file_that_no_process_could_be_started_for_says_so(hostile, work, monkeypatch):
    monkeypatch.setattr(pool, "_MODULE", "fmf.processing.isolation.of_nobody")
    document = work({"a.txt": "x"})["a.txt"][-1]
    assert document.status == "failed"
    assert "no process to read it could be started, most likely for want of memory" in document.reason
    assert document.error.code is Code.UNAVAILABLE
    assert "ulimit" in document.error.hint
