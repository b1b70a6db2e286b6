"""The commands as a user calls them: real processes, and a real server on the loopback interface."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fmf_core.yaml_text import load_yaml_file
from peers.scripted_server import Reply, ScriptedServer

pytestmark = pytest.mark.peer

FMF = """
connectors: [{name: docs, type: local, root: data}]
inference:
  provider: openai
  openai: {model: m, temperature: 0.3, max_tokens: 77}
  cancel_grace_s: 5
  retry: {max_attempts: 3, first_wait_s: 0.01}
"""
ONE = """
  - id: one
    prompt: 'inline: say {{ t }}'
    inputs: {t: 'from ${chunk.source_uri} in ${run_id}: ${chunk.text}'}
    params: {temperature: 0.0}
"""
REPORT = """
  - {id: report, prompt: 'inline: all {{ t }}', inputs: {t: '${join(all.one, ", ", max_items=5)}'}}
"""


class Project:
    def __init__(self, root, server):
        self.root, self.server = root, server
        (root / "fmf.yaml").write_text(FMF)
        (root / "data").mkdir()

    def documents(self, count):
        for number in range(count):
            (self.root / "data" / f"d{number:03}.md").write_text(f"text {number:03}")

    def chain(self, *steps, head=""):
        (self.root / "c.yaml").write_text(f"name: c\ninputs: {{connector: docs}}\n{head}\nsteps:{''.join(steps)}")

    def start(self, *args):
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("FMF_", "OPENAI_"))}
        environ |= {"OPENAI_BASE_URL": self.server.base_url, "OPENAI_API_KEY": "sk-not-a-real-key-0123456789"}
        command = [sys.executable, "-m", "fmf", *args]
        return subprocess.Popen(
            command, cwd=self.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *args):
        process = self.start(*args)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out, err


def rows(run_dir, name):
    return [json.loads(line) for line in (Path(run_dir) / name).read_text().splitlines()]


@pytest.fixture
def project(tmp_path):
    def make(script=None):
        server = ScriptedServer(script).start()
        servers.append(server)
        return Project(tmp_path, server)

    servers = []
    yield make
    for server in servers:
        server.stop()


def test_input_order_whatever_the_order_of_the_answers(project):
    work = project(lambda request: Reply(text=request.prompt[-8:], latency_s=random.random() * 0.05))
    work.documents(20)
    work.chain(ONE, REPORT)
    status, out, _ = work.run("run", "--chain", "c.yaml")
    told = dict(line.split("=", 1) for line in out.splitlines())
    assert (status, told["status"]) == (0, "completed")
    assert work.server.count == 21
    records = rows(told["run_dir"], "outputs.jsonl")
    assert [row["output"] for row in records[:-1]] == [f"text {number:03}" for number in range(20)]
    assert all(row["source_uri"] and row["chunk_id"] and row["prompt_hash"] for row in records[:-1])
    body = next(body for body in work.server.bodies if "text 007" in str(body))
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 77, "m")
    assert body["messages"][-1]["content"] == (f"say from {records[7]['source_uri']} in {told['run_id']}: text 007")
    last = work.server.bodies[-1]["messages"][-1]["content"]
    assert last == "all text 000, text 001, text 002, text 003, text 004, … [15 more]"
    assert all(b"sk-not-a-real-key" not in path.read_bytes() for path in Path(told["run_dir"]).iterdir())


def test_one_bad_item_of_ten(project):
    work = project(lambda request: Reply(status=400) if "text 004" in request.prompt else Reply(text="fine"))
    work.documents(10)
    work.chain(ONE, REPORT)
    status, out, _ = work.run("run", "--chain", "c.yaml", "--json")
    told = json.loads(out)
    assert (status, told["status"]) == (10, "partial")
    assert told["counts"]["items"] == {"total": 10, "ok": 9, "failed": 1, "skipped": 0}
    assert [row["status"] for row in rows(told["run_dir"], "outputs.jsonl")].count("ok") == 10
    errors = rows(told["run_dir"], "errors.jsonl")
    assert len(errors) == 1
    assert (errors[0]["code"], errors[0]["attempts"]) == ("invalid", 1)


def test_retries_are_counted(project):
    busy = Reply(status=429, headers={"Retry-After": "0"})
    work = project([busy, busy])
    work.documents(1)
    work.chain(ONE)
    status, out, _ = work.run("run", "--chain", "c.yaml", "--json")
    told = json.loads(out)
    assert status == 0
    assert work.server.count == 3
    assert told["metrics"]["retries"] == 2
    assert rows(told["run_dir"], "outputs.jsonl")[0]["attempts"] == 3


def test_a_failure_may_end_the_run(project):
    work = project(lambda request: Reply(status=400, latency_s=0.05))
    work.documents(40)
    work.chain(ONE, head="concurrency: 4\ncontinue_on_error: false")
    status, out, _ = work.run("run", "--chain", "c.yaml")
    assert status == 6
    assert "status=failed" in out
    assert work.server.count <= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_answered(project, number):
    work = project(lambda request: Reply(text="fine", latency_s=0.1))
    work.documents(100)
    work.chain(ONE, REPORT)
    process = work.start("run", "--chain", "c.yaml", "--json")
    work.server.wait_for(lambda server: server.count >= 10, 30)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    told = json.loads(out)
    assert (process.returncode, told["status"]) == (130, "interrupted")
    assert told["counts"]["items"]["ok"] == work.server.count < 100
    records = rows(told["run_dir"], "outputs.jsonl")
    assert [row["status"] for row in records] == ["ok"] * work.server.count
    assert "Traceback" not in err


def test_two_runs_in_the_same_second(project):
    work = project(lambda request: Reply(text="fine", latency_s=0.02))
    work.documents(5)
    work.chain(ONE)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: work.run("run", "--chain", "c.yaml", "--json"), range(2)))
    told = [json.loads(out) for _, out, _ in results]
    assert [status for status, _, _ in results] == [0, 0]
    assert told[0]["run_dir"] != told[1]["run_dir"]
    for each in told:
        assert len(rows(each["run_dir"], "outputs.jsonl")) == 5
    _, out, _ = work.run("runs", "ls", "--json")
    assert {entry["run_id"] for entry in json.loads(out)["runs"]} == {each["run_id"] for each in told}


def test_an_answer_streams(project):
    work = project([Reply(deltas=("one ", "two"))])
    status, out, err = work.run("infer", "--prompt", "inline: count", "--stream")
    assert (status, out) == (0, "one two\n")
    assert "tokens=11+7" in err
    assert work.server.bodies[0]["stream"] is True


def test_a_second_interrupt_counts_what_was_under_way(project):
    work = project(lambda request: Reply(text="late", latency_s=30))
    work.documents(20)
    work.chain(ONE, head="concurrency: 4")
    process = work.start("run", "--chain", "c.yaml")
    work.server.wait_for(lambda server: server.count == 4)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    folder = next(path for path in work.root.joinpath("artefacts").iterdir() if path.is_dir())
    record = load_yaml_file(folder / "run.yaml").data
    items = record["counts"]["items"]
    assert (items["ok"], items["failed"]) == (0, 4)
    assert items["total"] == 4 < 4 + record["counts"]["deferred"] <= 20
    assert record["counts"]["steps"]["one"]["calls"] == 4
    assert record["metrics"]["cost_estimate_usd"] is None
    assert "4 items were under way" in rows(folder, "errors.jsonl")[0]["message"]


def test_an_answer_that_came_before_the_stop_is_counted(project):
    work = project(lambda request: Reply(text="no JSON", latency_s=0.8))
    work.documents(2)
    work.chain(ONE + "    output: {name: one, expects: json}\n", head="concurrency: 2")
    process = work.start("run", "--chain", "c.yaml", "--json")
    work.server.wait_for(lambda server: server.count == 2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    told = json.loads(out)
    assert process.returncode == 130
    assert told["counts"]["steps"]["one"]["calls"] == 2
    assert told["metrics"]["tokens_prompt"] == 22
    assert told["counts"]["items"] == {"total": 2, "ok": 0, "failed": 2, "skipped": 0}


def test_an_answer_that_was_cut_is_told(project):
    work = project([Reply(text="to be continued", finish_reason="length"), Reply(text="whole")])
    work.documents(2)
    work.chain(ONE)
    status, out, err = work.run("run", "--chain", "c.yaml")
    assert status == 0
    assert "cut      1 answer by max_tokens" in err
    told = dict(line.split("=", 1) for line in out.splitlines())
    assert load_yaml_file(Path(told["run_dir"]) / "run.yaml").data["metrics"]["answers_cut"] == 1
