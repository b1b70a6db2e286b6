from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from acceptance.kills import (
    ASKS,
    CONCURRENCY,
    Bench,
    Kills,
    Plan,
    answer,
    assert_like,
    assert_paid_once,
    document,
    environment_number,
    settings,
)
from acceptance.outside import Project, chain_yaml, settled
from fmf.ledger.view import LedgerView
from peers.scripted_server import Reply, Request, ScriptedServer

DOCUMENTS = 10
# With these in the environment, far more is tried than in every suite: 200 kills of runs over 500 items; faults in the
# answers about 5,000 items.
MANY_KILLS = environment_number("FMF_KILLS")
# The capabilities that let root write everything: without them root is refused what any other user is.
ORDINARY = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2): ctypes.CDLL(None).prctl(24, capability)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)
MANY_ITEMS = environment_number("FMF_FAULTY_ITEMS")

POINTS = (
    Plan("begin"),
    Plan("begin", after=True),
    Plan("commit"),
    Plan("commit", after=True),
    Plan("request", 9),
    Plan("take_over"),
    Plan("take_over", after=True),
    Plan("commit", 7),
    Plan("confirm", 4),
    Plan("fsync", 3),
    Plan("commit", 9, after=True),
    Plan("request", 13),
    Plan("replace", 1),
    Plan("replace", 1, after=True),
    Plan("replace", 2),
)


@pytest.mark.behaviour(42)
def test_a_run_that_is_killed_again_and_again_is_the_run_that_was_not(project):
    """Behaviour 42: kill -9 before and after what is written for good; resumed, all is there once and paid once."""
    with Bench(project, DOCUMENTS) as bench:
        whole = bench.undisturbed()
        assert whole.billed == len(whole.prompts) == DOCUMENTS * 4 * 2 + DOCUMENTS + 1
        killed = bench.killed(iter(POINTS))
        assert killed.kills == len(POINTS)
        assert_paid_once(killed, whole)
        assert_like(killed.run, whole.run)
        ids = {entry["run_id"]: entry["status"] for entry in project.fmf("runs", "ls", "--json").well().json["runs"]}
        assert ids[killed.run.path.name] == "completed"


@pytest.mark.timeout(0 if MANY_KILLS else 60)
def test_kills_at_any_moment_lose_nothing_and_pay_for_nothing_twice(project, capsys):
    """The same at random moments, and at each kind of moment, of runs that take up one kill after the other."""
    kills, documents = (MANY_KILLS, 125) if MANY_KILLS else (3, 2)
    done = runs = lost = again = in_flight = 0
    with Bench(project, documents, latency_s=0.01) as bench:
        whole = bench.undisturbed()
        plans = plans_at_random(kills, whole.billed)
        while done < kills:
            killed = bench.killed(plans)
            runs += 1
            done += killed.kills
            lost += len(set(whole.prompts) - set(killed.prompts))
            again += killed.billed - whole.billed
            in_flight += killed.in_flight
            with capsys.disabled():
                if MANY_KILLS:
                    print(
                        f"{done} kills, {runs} runs of {whole.billed} requests: {lost} lost, {again} asked again, "
                        f"{in_flight} under way at kills"
                    )
            assert_paid_once(killed, whole)
            assert_like(killed.run, whole.run)


def plans_at_random(kills: int, requests: int) -> Iterator[Plan]:
    """Moments of processes that run a run of so many requests together."""
    chance = random.Random(kills)
    most = {"begin": 1, "take_over": 1, "fsync": 12, "replace": 4}
    most |= {"commit": requests // 14, "confirm": requests // 14, "request": requests // 7}
    while True:
        event = chance.choice([*most, "commit", "commit", "time", "time", "time"])
        number, after = chance.randint(1, most.get(event, 1)), chance.random() < 0.5
        yield Plan(
            event,
            number,
            after=after,
            seconds=chance.uniform(0.01, 0.3 + requests / 1000),
            every_s=chance.choice((0.02, 0.2, 1.0)),
        )


# ------------------------------------------------------------------------------------------------- injected faults

ATTEMPTS = 3
FAULTS = {
    "busy": Reply(status=429, headers={"Retry-After": "0"}),
    "broken": Reply(status=500),
    "away": Reply(status=503),
    "dropped": Reply(drop=True),
    "cut": Reply(cut_after=60),
    "garbage": Reply(body=b"<html>\x00\xff no answer", content_type="text/html"),
    "truncated": Reply(body=b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "mess'),
}
CODES = {"busy": "rate_limit", "garbage": "bad_reply", "truncated": "bad_reply"}
FINAL = {"garbage", "truncated"}


class Faulty:
    """Spoils nearly one answer in three, each prompt by dice of its own: what happens does not depend on the order."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.well: set[str] = set()
        self.twice: list[str] = []
        """What was asked again after it was answered."""
        self.healed = False
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        prompt = request.prompt
        with self._lock:
            self.asked[prompt] += 1
            fault = None if self.healed else self.fault(prompt, self.asked[prompt])
            if fault is not None:
                return FAULTS[fault]
            self.twice += [prompt] * (prompt in self.well)
            self.well.add(prompt)
        return Reply(text=answer(prompt))

    def fault(self, prompt: str, attempt: int) -> str | None:
        """What happens to an attempt."""
        dice = random.Random(f"{prompt} {attempt}")
        return dice.choice([*FAULTS]) if dice.random() < 0.3 else None

    def course(self, prompt: str) -> tuple[int, str | None]:
        """How many attempts the policy makes, and the fault that is left after them."""
        for attempt in range(1, ATTEMPTS + 1):
            fault = self.fault(prompt, attempt)
            if fault is None or fault in FINAL:
                break
        return attempt, fault


@pytest.mark.timeout(0 if MANY_ITEMS else 60)
@pytest.mark.behaviour(40)
def test_with_faults_in_nearly_one_answer_in_three_every_item_is_there_once(project, capsys):
    """429, 5xx, closed connections, cut, garbled, truncated answers; what failed says why, and can be asked again."""
    documents = (MANY_ITEMS or 300) // 4
    project.write({f"data/{n:04}.md": document(n) for n in range(documents)})
    step = {"id": "ask", "prompt": "inline: ask ${chunk.text}"}
    project.write({"chain.yaml": chain_yaml(step, concurrency=16)})
    script = Faulty()
    with ScriptedServer(script) as server:
        retry = {"max_attempts": ATTEMPTS, "first_wait_s": 0.002}
        project.write({"fmf.yaml": settings(server, retry=retry, retry_budget=None)})
        said = project.fmf("run", "--chain", "chain.yaml", timeout_s=3000)
        said.refused(10)
        run, asked = said.run, dict(script.asked)
        prompts = {chunk["chunk_id"]: f"ask {chunk['text']}" for chunk in run.chunks}
        assert len(run.chunks) == len(set(prompts.values())) == documents * 4
        errors = {error["chunk_id"]: error for error in run.errors}
        assert len(run.errors) == len(errors)
        courses = {chunk_id: script.course(prompt) for chunk_id, prompt in prompts.items()}
        assert {prompts[chunk_id]: attempts for chunk_id, (attempts, _) in courses.items()} == asked
        failed = {chunk_id: fault for chunk_id, (_, fault) in courses.items() if fault is not None}
        assert [row["chunk_id"] for row in run.outputs] == [*prompts]
        for row in run.outputs:
            attempts, fault = courses[row["chunk_id"]]
            assert (row["status"], row["attempts"]) == ("failed" if fault else "ok", attempts)
            assert row["output"] == (None if fault else answer(prompts[row["chunk_id"]]))
        assert {chunk_id: error["code"] for chunk_id, error in errors.items()} == {
            chunk_id: CODES.get(fault, "unavailable") for chunk_id, fault in failed.items()
        }
        for chunk_id, error in errors.items():
            assert error["attempts"] == courses[chunk_id][0]
            assert error["message"]
            assert error["hint"]
        items = run.record["counts"]["items"]
        assert (items["total"], items["failed"]) == (len(prompts), len(failed))
        assert run.record["metrics"]["retries"] == sum(attempts - 1 for attempts, _ in courses.values())

        script.healed = True
        healed = project.fmf("run", "--resume", "last", timeout_s=3000).well().run
        assert [row["output"] for row in healed.outputs] == [answer(prompt) for prompt in prompts.values()]
        assert not healed.errors
        assert script.asked.total() == sum(asked.values()) + len(failed)
        assert not script.twice
    if MANY_ITEMS:
        with capsys.disabled():
            told = Counter(error["code"] for error in errors.values())
            print(
                f"{len(prompts)} items, {sum(asked.values())} requests, {len(failed)} failed {dict(told)}; "
                f"resumed: {len(healed.outputs)} answers, none lost, none doubled"
            )


# ------------------------------------------------------------------------------------------------- other ends


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Kills]]:
    """A project and its undisturbed run, for several tests."""
    with Bench(Project(tmp_path_factory.mktemp("shared")), 4) as bench:
        yield bench, bench.undisturbed()


@pytest.fixture
def bench(shared: tuple[Bench, Kills]) -> Bench:
    bench, _ = shared
    bench.reset()
    return bench


@pytest.fixture
def whole(shared: tuple[Bench, Kills]) -> Kills:
    """What an undisturbed run comes to."""
    return shared[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_run_that_was_asked_to_end_goes_on_without_paying_again(bench, whole, number):
    """Ctrl-C and SIGTERM: calls in flight are waited for, so that nothing is asked twice."""
    process = bench.project.start(*ASKS)
    bench.server.wait_for(lambda server: server.count >= 7, timeout_s=30)
    process.send_signal(number)
    said = settled(process)
    said.refused(130)
    assert said.run.record["status"] == "interrupted"
    assert bench.server.count < whole.billed
    resumed = bench.fmf("run", "--resume", "last").well().run
    assert resumed.path == said.run.path == bench.begun
    assert bench.prompts() == whole.prompts
    assert_like(resumed, whole.run)


def test_a_run_whose_credentials_expired_goes_on_with_new_ones(bench, whole):
    """401 from some moment on: what was answered is kept, what failed is asked again."""
    answered: list[str] = []

    def expired(request: Request) -> Reply | None:
        if len(answered) >= 9:
            return Reply(status=401)
        answered.append(request.prompt)
        return None

    bench.script = expired
    said = bench.fmf(*ASKS)
    said.refused(10)
    assert {error["code"] for error in said.run.errors} == {"auth"}
    refused = bench.server.count - len(answered)
    bench.script = lambda request: None
    resumed = bench.fmf("run", "--resume", said.run.path.name).well().run
    assert all(bench.prompts()[prompt] == 1 for prompt in answered)
    assert bench.server.count == whole.billed + refused
    assert_like(resumed, whole.run)


def test_a_run_for_which_the_disk_has_no_room_asks_nothing_and_leaves_nothing(bench):
    said = bench.fmf(*ASKS, plan=Plan(file_bytes=20_000))
    error = said.refused(2)
    assert "see whether its disk is there and has room" in error
    assert bench.server.count == 0
    assert not bench.runs() - bench.before


@pytest.mark.parametrize("file_bytes", [70_000, 130_000])
def test_a_run_on_a_disk_that_fills_up_stops_asking_and_goes_on_when_there_is_room(bench, whole, file_bytes):
    """What could not be kept is asked again, and that is no more than was under way."""
    said = bench.fmf(*ASKS, plan=Plan(file_bytes=file_bytes))
    assert "could not be written" in said.refused(6)
    assert said.run.record["status"] == "failed"
    assert bench.server.count < whole.billed
    resumed = bench.fmf("run", "--resume", bench.begun.name).well().run
    assert_like(resumed, whole.run)
    assert set(bench.prompts()) == set(whole.prompts)
    assert bench.server.count <= whole.billed + 2 * CONCURRENCY


def test_a_run_in_a_folder_that_may_not_be_written_says_so(bench, whole):
    """Anew it asks nothing; one that goes on keeps what it asks, and can go on again."""
    before = (sys.executable, "-c", ORDINARY) if os.geteuid() == 0 and sys.platform == "linux" else ()
    assert bench.fmf(*ASKS, plan=Plan("commit", 9)).exit_code == -signal.SIGKILL
    for path, command, exit_code in (
        (bench.begun.parent, ASKS, 2),
        (bench.begun, ("run", "--resume", bench.begun.name), 1),
    ):
        path.chmod(0o555)
        asked = bench.server.count
        try:
            error = bench.project.fmf(*command, before=before).refused(exit_code)
        finally:
            path.chmod(0o755)
        assert f"{str(path)!r} cannot be created: Permission denied" in error or (
            "could not be written: Permission denied" in error
        )
        assert exit_code == 1 or bench.server.count == asked
    assert_like(bench.fmf("run", "--resume", bench.begun.name).well().run, whole.run)
    assert bench.server.count <= whole.billed + 2 * CONCURRENCY


@pytest.mark.parametrize("clock_s", [-40_000_000.0, 40_000_000.0], ids=["back", "ahead"])
def test_a_clock_that_was_set_changes_nothing(bench, whole, clock_s):
    """Whatever the processes of a run take for the time of day, it is the run that it would be."""
    killed = bench.killed(iter([Plan("commit", 9), Plan("commit", 5, clock_s=clock_s), Plan(clock_s=-clock_s)]))
    assert killed.kills == 2
    assert_paid_once(killed, whole)
    assert_like(killed.run, whole.run)
    record = killed.run.record
    assert (record["ended_at"] < record["started_at"]) == (clock_s > 0), "the last process was off the other way"
    assert record["metrics"]["duration_ms"] >= 0


@pytest.mark.parametrize(("number", "every_s"), [(20, 1000.0), (10, 0.001), (33, 0.001)])
def test_what_a_power_failure_takes_out_of_files_that_were_not_on_the_disk_is_written_again(
    bench, whole, number, every_s
):
    """Only what a checkpoint says is certain: behind it a file may end, or go on with zeros."""
    assert bench.fmf(*ASKS, plan=Plan("request", number, every_s=every_s)).exit_code == -signal.SIGKILL
    view = LedgerView(bench.begun)
    kept = view.checkpoint
    view.close()
    assert (kept is None) == (every_s > 1)
    for path in bench.begun.glob("*.jsonl"):
        size = kept.bytes_of[path.name] if kept else 0
        with path.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(bytes(100))
    assert_like(bench.fmf("run", "--resume", bench.begun.name).well().run, whole.run)
    assert bench.server.count <= whole.billed + 2 * CONCURRENCY


def test_of_two_processes_that_resume_a_run_at_once_one_is_refused(bench, whole):
    assert bench.fmf(*ASKS, plan=Plan("commit", 9)).exit_code == -signal.SIGKILL
    unhurried, bench.latency_s = bench.latency_s, 0.1
    both = [bench.project.start("run", "--resume", bench.begun.name) for _ in range(2)]
    one, other = sorted((settled(process) for process in both), key=lambda said: said.exit_code)
    bench.latency_s = unhurried
    assert "is being run by process" in other.refused(2)
    assert_like(one.well().run, whole.run)
    assert bench.server.count <= whole.billed + 2 * CONCURRENCY
