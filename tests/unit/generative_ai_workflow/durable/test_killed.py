"""A store whose processes are killed at any moment, against a plain model of what must be there."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from generative_ai_workflow import WorkflowError, WorkflowStatus
from unit.generative_ai_workflow.durable.children import Child, ended, identity, step

RUNS = st.sampled_from(["r1", "r2", "r3"])
STEPS = st.sampled_from(["a", "b", "c"])
WORKERS = st.sampled_from([0, 1])
STATUSES = st.sampled_from([WorkflowStatus.COMPLETED, WorkflowStatus.FAILED])
DELAYS = st.floats(0, 0.004)


class Killed(RuleBasedStateMachine):
    """Two processes and three runs; `kept` and `status` are what must be in the file, `owner` who runs what."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.workers = [self.child(), self.child()]
        self.kept = {}
        self.status = {}
        self.owner = {}
        self.count = 0

    def child(self):
        return Child(self.folder / "runs.db")

    def refused(self, worker, *call):
        with pytest.raises(WorkflowError):
            self.workers[worker](*call)

    def completed(self, run):
        return self.status.get(run) == WorkflowStatus.COMPLETED

    @rule(run=RUNS, worker=WORKERS)
    def begin(self, run, worker):
        if run in self.owner:
            self.refused(worker, "begin", identity(run))
            return
        found = self.workers[worker]("begin", identity(run))
        assert [(name, record.output["n"]) for name, record in found.steps.items()] == self.kept.setdefault(run, [])
        assert (found.result and found.result.status) == self.status.get(run)
        if not self.completed(run):
            self.owner[run] = worker
            self.status[run] = None

    @rule(run=RUNS, name=STEPS, worker=WORKERS)
    def keep(self, run, name, worker):
        self.count += 1
        call = ("keep", run, name, step(name, n=self.count))
        if self.owner.get(run) != worker:
            self.refused(worker, *call)
            return
        self.workers[worker](*call)
        self.kept[run] = self.with_step(run, name)

    def with_step(self, run, name):
        return [pair for pair in self.kept[run] if pair[0] != name] + [(name, self.count)]

    @rule(run=RUNS, worker=WORKERS, status=STATUSES)
    def end(self, run, worker, status):
        call = ("end", run, ended(run, status))
        if self.owner.get(run) != worker:
            self.refused(worker, *call)
            return
        self.workers[worker](*call)
        self.status[run] = status
        del self.owner[run]

    @rule(run=RUNS, worker=WORKERS)
    def leave(self, run, worker):
        self.workers[worker]("leave", run)
        if self.owner.get(run) == worker:
            del self.owner[run]

    @rule(run=RUNS, worker=WORKERS)
    def forget(self, run, worker):
        if run in self.owner:
            self.refused(worker, "forget", run)
            return
        assert self.workers[worker]("forget", run) == (run in self.kept)
        self.kept.pop(run, None)
        self.status.pop(run, None)

    @rule(worker=WORKERS)
    def kill(self, worker):
        self.workers[worker].kill()
        self.workers[worker] = self.child()
        self.owner = {run: owner for run, owner in self.owner.items() if owner != worker}

    @rule(run=RUNS, name=STEPS, worker=WORKERS, delay=DELAYS)
    def kill_while_it_keeps(self, run, name, worker, delay):
        if self.owner.get(run) != worker:
            return
        self.count += 1
        self.workers[worker].tell("keep", run, name, step(name, n=self.count))
        sleep(delay)
        self.kill(worker)
        with_it = self.with_step(run, name)
        found = self.look(run)
        assert found in (self.kept[run], with_it)
        self.kept[run] = found

    @rule(run=RUNS, worker=WORKERS, delay=DELAYS, status=STATUSES)
    def kill_while_it_ends(self, run, worker, delay, status):
        if self.owner.get(run) != worker:
            return
        self.workers[worker].tell("end", run, ended(run, status))
        sleep(delay)
        self.kill(worker)
        found = self.workers[worker]("begin", identity(run))
        if found.result is not None:
            assert found.result.status == status
            self.status[run] = status
        if not self.completed(run):
            self.owner[run] = worker
            self.status[run] = None

    @rule(run=RUNS, worker=WORKERS, delay=DELAYS)
    def kill_while_it_begins(self, run, worker, delay):
        self.workers[worker].tell("begin", identity(run))
        sleep(delay)
        begun_before = run in self.owner or self.completed(run)
        self.kill(worker)
        if begun_before:
            return
        found = self.workers[worker]("begin", identity(run))
        assert [(name, record.output["n"]) for name, record in found.steps.items()] == self.kept.setdefault(run, [])
        self.owner[run] = worker
        self.status[run] = None

    def look(self, run):
        found = self.workers[0]("begin", identity(run))
        self.workers[0]("leave", run)
        return [(name, record.output["n"]) for name, record in found.steps.items()]

    @invariant()
    def the_list_of_unfinished_runs_is_right(self):
        found = {run.run_id: (run.steps_kept, run.pid) for run in self.workers[0]("unfinished")}
        assert found == {
            run: (len(self.kept[run]), self.workers[self.owner[run]].pid if run in self.owner else None)
            for run, status in self.status.items()
            if status is None
        }

    def teardown(self):
        for worker in self.workers:
            worker.kill()
        with closing(sqlite3.connect(self.folder / "runs.db")) as look:
            assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            orphans = "SELECT count(*) FROM steps WHERE run NOT IN (SELECT number FROM runs)"
            assert look.execute(orphans).fetchone() == (0,)
        shutil.rmtree(self.folder)


TestKilled = Killed.TestCase
TestKilled.settings = settings(max_examples=8, stateful_step_count=30)
