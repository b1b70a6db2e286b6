"""A thousand workflows at once: none is mixed up, nothing is left over, and with few open files work waits."""

from __future__ import annotations

import collections
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance.outside import Project, clean_environment
from peers.scripted_server import Reply, Request, ScriptedServer

CROWD = Path(__file__).with_name("crowd.py")
RUNS = 1000
LONGEST_S = 0.15
SETTLED_S = 110


class Vendor:
    """Does with each request what its prompt says: `token|first act,second act,...`."""

    def __init__(self) -> None:
        self._asked: collections.Counter[str] = collections.Counter()

    def __call__(self, request: Request) -> Reply:
        token, _, plan = request.prompt.partition("|")
        acts = plan.split(",")
        act = acts[min(self._asked[token], len(acts) - 1)]
        self._asked[token] += 1
        pause = random.Random(token).random() * LONGEST_S
        if act == "drop":
            return Reply(drop=True, latency_s=pause / 10)
        if act in ("400", "429", "500"):
            return Reply(status=int(act), headers={"Retry-After": "0"}, body={"error": {"message": act}})
        return Reply(
            text=f"re {token}",
            usage={"prompt_tokens": len(token), "completion_tokens": 3},
            latency_s=pause + (LONGEST_S if act == "late" else 0),
            cut_after=20 if act == "cut" else None,
            drip=act == "slow",
            pace_s=0.0005,
        )


def crowd(mode: str, files: int) -> tuple[dict[str, Any], ScriptedServer]:
    """What the program says of its thousand runs, and the server that they asked."""
    with ScriptedServer(Vendor()) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(CROWD), mode, server.base_url, str(files)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=SETTLED_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:] + done.stdout[-3000:]
    return json.loads(done.stdout), server


@pytest.mark.requirement("SC-008", "edge: exhausted resources", "edge: thread safety")
@pytest.mark.timeout(SETTLED_S + 10)
@pytest.mark.parametrize("files", [0, 64], ids=["plenty", "64 files"])
@pytest.mark.parametrize("mode", ["threads", "loop", "loops"])
def test_of_a_thousand_at_once_none_is_mixed_up_or_lost_and_nothing_is_left(mode: str, files: int) -> None:
    told, server = crowd(mode, files)
    assert told["wrong"] == []
    assert told["runs"] == [RUNS, RUNS], "each has its result"
    for statuses in told["statuses"]:
        assert sum(statuses.values()) == RUNS
        assert {"completed", "failed"} <= set(statuses) <= {"completed", "failed", "cancelled"}
    assert told["tasks"] == [[], []]
    assert told["ready"] == told["cleaned"], "steps that got ready were cleaned up"
    assert told["ready"] > 0
    assert_threads_are_those_of_the_pools(told["threads"])
    assert told["objects"][1] < told["objects"][0] + 4000, "less than four objects a run, so no run is kept"
    assert told["left_open"] <= 0, "all connections were closed"
    if files:
        assert server.most_in_flight > 2, "with few files some are asked at a time all the same"
    else:
        assert max(told["sockets"]) <= RUNS // 2 + 8, "no more connections than calls"


def assert_threads_are_those_of_the_pools(rounds: list[list[str]]) -> None:
    for names in rounds:
        counted = collections.Counter(names)
        assert set(counted) <= {"MainThread", "fmf-portal", "fmf-thread-0-", "fmf-lookup-"}, counted
        assert counted["MainThread"] == 1
        assert counted["fmf-portal"] <= 1
        assert counted["fmf-thread-0-"] <= 128


NO_FILES = """
import json, os, resource, time
from generative_ai_workflow import TransformStep, Workflow

async def stuck(names):
    time.sleep(1.5)  # keeps the event loop itself busy

workflow = Workflow([TransformStep("first", lambda names: {"kept": 1}), TransformStep("stuck", stuck)])
Workflow([TransformStep("warm", lambda names: 1)]).execute({})
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
began = time.monotonic()
late = workflow.execute({}, timeout=0.2)
took = time.monotonic() - began
for number in held:
    os.close(number)
print(json.dumps([str(late.status), late.output, took < 1.2, "stuck" in late.error]))
"""


def test_a_time_limit_is_kept_on_a_stuck_loop_even_without_a_file_descriptor(project: Project) -> None:
    status, output, on_time, named = project.python(NO_FILES)
    assert (status, output["kept"], on_time, named) == ("timeout", 1, True, True)
