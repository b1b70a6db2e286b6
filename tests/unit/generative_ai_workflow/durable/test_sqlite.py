from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import signal
import sqlite3
import stat
import struct
import tempfile
import threading
import weakref
from contextlib import closing
from functools import partial
from pathlib import Path
from time import sleep

import pytest

from fmf_core.redact import add_secret
from generative_ai_workflow import (
    ConfigurationError,
    RunIdentity,
    SQLiteRunStore,
    WorkflowError,
    WorkflowStatus,
)
from generative_ai_workflow.durable import listing, sqlite
from unit.generative_ai_workflow.durable.children import Child, ended, identity, listed, step, unfinished, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DONE = WorkflowStatus.COMPLETED
NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture
def store(path):
    store = SQLiteRunStore(path)
    yield store
    wait_for(store.close())


@pytest.fixture
def child(path):
    made = []

    def make(before=None):
        made.append(Child(path, before))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.gone()


def refused(work, code):
    with pytest.raises(WorkflowError) as caught:
        wait_for(work)
    assert caught.value.code == code
    assert caught.value.hint
    return str(caught.value)


def names_kept(kept):
    return list(kept.steps)


class TestRuns:
    def test_what_was_kept_is_there_when_the_run_is_taken_up_again(self, store, path):
        one, two = step("b", x=[1, 2.0, None]), step("a", y={"z": "ü"})

        async def first():
            assert (await store.begin(identity("r", input_data={"q": 1}))).steps == {}
            await store.keep("r", "b", one)
            await store.keep("r", "a", two)
            await store.close()

        wait_for(first())
        kept = wait_for(SQLiteRunStore(path).begin(identity("r", input_data={"q": 1})))
        assert (list(kept.steps.items()), kept.result) == ([("b", one), ("a", two)], None)

    def test_a_run_that_completed_is_given_as_it_ended_and_needs_no_end(self, store):
        async def work():
            await store.begin(identity("r"))
            await store.keep("r", "a", step("a", x=1))
            result = ended("r", DONE, {"a": step("a", x=1)}, x=1)
            await store.end("r", result)
            first, second = await store.begin(identity("r")), await store.begin(identity("r"))
            assert first.result == second.result
            assert first.result.output == {"x": 1}
            assert first.result.steps == {"a": step("a", x=1)}
            with pytest.raises(WorkflowError, match="not begun"):
                await store.keep("r", "b", step("b"))

        wait_for(work())

    def test_records_are_written_and_read_in_other_threads_than_that_of_the_event_loop(self, store, monkeypatch):
        threads = {}
        for name in ("text_of", "dump_step", "dump_result", "load_step", "load_result", "stored_runs"):

            def watched(name, real, *args, **more):
                threads[name] = threading.get_ident()
                return real(*args, **more)

            monkeypatch.setattr(sqlite, name, partial(watched, name, getattr(sqlite, name)))

        async def work():
            await store.begin(identity("other"))
            await store.begin(identity("r"))
            await store.keep("r", "a", step("a", x=1))
            await store.end("r", ended("r", DONE, {"a": step("a", x=1)}, x=1))
            await store.begin(identity("r"))
            await unfinished(store)
            return threading.get_ident()

        assert wait_for(work()) not in threads.values()
        assert len(threads) == 6

    @pytest.mark.parametrize("status", ["failed", "cancelled", "timeout"])
    def test_a_run_that_ended_otherwise_goes_on_with_what_was_kept(self, store, status):
        async def work():
            await store.begin(identity("r"))
            await store.keep("r", "a", step("a", x=1))
            await store.end("r", ended("r", WorkflowStatus(status), {"a": step("a", x=1), "b": step("b")}))
            assert await unfinished(store) == []
            kept = await store.begin(identity("r"))
            assert names_kept(kept) == ["a"]
            assert (kept.result.status, list(kept.result.steps)) == (status, ["a", "b"])
            assert [run.run_id for run in await unfinished(store)] == ["r"]
            await store.keep("r", "b", step("b", y=2))
            await store.end("r", ended("r", DONE, y=2))
            assert (await store.begin(identity("r"))).result.output == {"y": 2}

        wait_for(work())

    def test_a_later_record_of_the_same_step_takes_the_place_of_the_earlier_one(self, store):
        async def work():
            await store.begin(identity("r"))
            for name, value in (("a", 1), ("b", 2), ("a", 3)):
                await store.keep("r", name, step(name, x=value))
            await store.leave("r")
            kept = await store.begin(identity("r"))
            assert list(kept.steps.items()) == [("b", step("b", x=2)), ("a", step("a", x=3))]

        wait_for(work())

    @pytest.mark.parametrize(
        ("other", "told"),
        [
            ({"workflow": "v"}, "was begun by workflow 'w', not by 'v'"),
            ({"fingerprint": "g"}, "had other steps"),
            ({"input_data": {"a": True, "b": 2, "d": 4}}, "another input; not the same: 'a', 'c', 'd'"),
            ({"input_data": {"a": 1, "b": 2, "c": {"x": [1, 2]}}}, "not the same: 'c'"),
        ],
    )
    def test_the_id_of_another_run_is_refused_and_says_what_differs(self, store, other, told):
        given = {"a": 1, "b": 2, "c": {"x": [1]}}
        wait_for(store.begin(identity("r", input_data=given)))
        wait_for(store.leave("r"))
        assert told in refused(store.begin(identity("r", input_data=given).model_copy(update=other)), "conflict")
        wait_for(store.begin(identity("r", input_data={"c": {"x": [1]}, "b": 2, "a": 1})))

    def test_nothing_is_kept_of_a_run_that_is_not_begun(self, store):
        refused(store.keep("r", "a", step("a")), "conflict")
        refused(store.end("r", ended("r", DONE)), "conflict")
        wait_for(store.leave("r"))
        wait_for(store.begin(identity("r")))
        refused(store.end("r", ended("r", WorkflowStatus.RUNNING)), "invalid")
        wait_for(store.leave("r"))
        refused(store.keep("r", "a", step("a")), "conflict")

    def test_values_that_would_not_come_back_are_refused_and_the_run_goes_on(self, store):
        refused(store.begin(identity("r", input_data={"a": (1,)})), "invalid")
        wait_for(store.begin(identity("r")))
        assert "'a'.x is a tuple" in refused(store.keep("r", "a", step("a", x=())), "invalid")
        refused(store.end("r", ended("r", DONE, x=())), "invalid")
        wait_for(store.keep("r", "a", step("a", x=[])))
        wait_for(store.end("r", ended("r", DONE)))

    def test_secrets_never_reach_the_file(self, store, path):
        add_secret("hunter2hunter2")
        for odd in ({"input_data": {"k": "hunter2hunter2"}}, {"workflow": "hunter2hunter2"}):
            assert "hunter2" not in refused(store.begin(identity("r", **odd)), "invalid")
        wait_for(store.begin(identity("r")))
        refused(store.keep("r", "a", step("a", x="hunter2hunter2")), "invalid")
        refused(store.end("r", ended("r", DONE, x="hunter2hunter2")), "invalid")
        wait_for(store.leave("r"))
        assert b"hunter2" not in b"".join(file.read_bytes() for file in path.parent.iterdir())

    def test_a_record_that_cannot_be_read_leaves_the_run_free(self, store, path):
        wait_for(store.begin(identity("r")))
        wait_for(store.keep("r", "a", step("a")))
        wait_for(store.leave("r"))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("""UPDATE steps SET record = '{"output":null,"record":{"new":1}}'""")
        for _ in range(2):
            assert "another version" in refused(store.begin(identity("r")), "unsupported")
        assert wait_for(store.forget("r"))


class TestLists:
    def test_unfinished_runs_are_listed_with_what_is_needed_to_resume_them(self, store, child):
        other = child()
        other("begin", identity("elsewhere", workflow="v"))

        async def work():
            for name in ("left", "here", "over"):
                await store.begin(identity(name, input_data={"n": name}))
            await store.keep("left", "a", step("a"))
            await store.leave("left")
            await store.end("over", ended("over", DONE))
            return await unfinished(store), await unfinished(store, "v"), await unfinished(store, "none")

        every, of_v, none = wait_for(work())
        assert [(run.run_id, run.steps_kept, run.pid) for run in every] == [
            ("elsewhere", 0, other.pid),
            ("left", 1, None),
            ("here", 0, os.getpid()),
        ]
        assert every[1].input_data == {"n": "left"}
        assert every[1].fingerprint == "f"
        assert every[1].begun_at <= every[1].changed_at
        assert ([run.run_id for run in of_v], none) == (["elsewhere"], [])

    def test_runs_are_listed_by_workflow_and_status_with_why_they_ended(self, store):
        async def work():
            for name, workflow, status in (
                ("b", "w", "failed"),
                ("a", "w", "failed"),
                ("c", "v", "failed"),
                ("d", "w", "timeout"),
                ("e", "w", "cancelled"),
                ("f", "w", "completed"),
                ("g", "w", None),
            ):
                await store.begin(identity(name, workflow=workflow, input_data={"n": name}))
                await store.keep(name, "s", step("s"))
                if status is None:
                    await store.leave(name)
                    continue
                error = None if status == "completed" else f"why {name}"
                await store.end(name, ended(name, status).model_copy(update={"error": error}))
            every = await listed(store)
            assert [run.run_id for run in every] == ["g", "c", "b", "a", "d", "e", "f"]
            failed = await listed(store, "w", "failed")
            assert [(run.run_id, run.status, run.reason, run.steps_kept) for run in failed] == [
                ("b", WorkflowStatus.FAILED, "why b", 1),
                ("a", WorkflowStatus.FAILED, "why a", 1),
            ]
            assert failed[0].begun_at <= failed[0].ended_at == failed[0].changed_at
            assert (failed[0].input_data, failed[0].pid) == ({"n": "b"}, None)
            some = await listed(store, None, ["timeout", WorkflowStatus.COMPLETED])
            assert [(run.run_id, run.reason) for run in some] == [("d", "why d"), ("f", None)]
            await store.begin(identity("b", input_data={"n": "b"}))
            (again,) = [run for run in await listed(store, "w", "running") if run.run_id == "b"]
            assert (again.reason, again.ended_at, again.pid) == (None, None, os.getpid())
            with pytest.raises(ConfigurationError, match=r"status must be one of running, failed.*got 'broken'"):
                await listed(store, None, "broken")

        wait_for(work())

    @pytest.mark.parametrize("workflow", [None, "w"])
    def test_a_listing_goes_through_all_pages_and_each_run_is_in_it_once(self, store, monkeypatch, workflow):
        monkeypatch.setattr(listing, "PAGE", 3)

        async def work():
            for number in range(10):
                await store.begin(identity(f"{number}"))
                await store.end(f"{number}", ended(f"{number}", "failed" if number < 6 else "completed"))
            assert [run.run_id for run in await listed(store, workflow)] == list("0123456789")
            seen = []
            async for run in store.runs(workflow, "failed"):
                seen.append(run.run_id)
                # Runs that get another status meanwhile move no others.
                await store.begin(identity(run.run_id))
            assert seen == list("012345")

        wait_for(work())

    def test_a_run_can_be_forgotten_unless_somebody_runs_it(self, store, path, child):
        marker = "a confidential sentence"
        other = child()
        other("begin", identity("r", input_data={"text": marker}))
        other("keep", "r", "a", step("a", x=marker))
        assert str(other.pid) in refused(store.forget("r"), "conflict")
        other("leave", "r")
        assert wait_for(store.forget("r"))
        assert not wait_for(store.forget("r"))
        other("close")
        wait_for(store.close())
        assert marker.encode() not in b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert wait_for(store.begin(identity("r"))).steps == {}
        assert "this very one" in refused(store.forget("r"), "conflict")

    def test_ended_runs_are_forgotten_by_their_age(self, store):
        async def work():
            for name, status in (("a", DONE), ("b", WorkflowStatus.FAILED), ("c", None)):
                await store.begin(identity(name))
                await store.keep(name, "s", step("s"))
                if status is not None:
                    await store.end(name, ended(name, status))
            assert await store.forget_ended(3600) == 0
            assert await store.forget_ended() == 2
            assert [run.run_id for run in await unfinished(store)] == ["c"]
            assert (await store.begin(identity("a"))).steps == {}

        wait_for(work())


class TestOneAtATime:
    def test_a_run_is_run_once_at_a_time_in_one_process(self, store, path):
        wait_for(store.begin(identity("r")))
        assert f"process {os.getpid()}, this very one" in refused(store.begin(identity("r")), "conflict")
        second = SQLiteRunStore(path)
        refused(second.begin(identity("r")), "conflict")
        refused(second.keep("r", "a", step("a")), "conflict")
        wait_for(store.leave("r"))
        wait_for(second.begin(identity("r")))
        wait_for(second.close())

    def test_a_second_store_on_the_file_that_closes_gives_nothing_free(self, store, path, child):
        wait_for(store.begin(identity("r")))
        second = SQLiteRunStore(path)
        wait_for(second.begin(identity("s")))
        wait_for(second.close())
        other = child()
        with pytest.raises(WorkflowError, match=f"run by process {os.getpid()}"):
            other("begin", identity("r"))
        other("begin", identity("s"))

    def test_a_run_is_free_at_once_when_its_process_is_killed(self, store, child):
        other = child()
        other("begin", identity("r"))
        other("keep", "r", "a", step("a", x=1))
        told = refused(store.begin(identity("r")), "conflict")
        assert f"process {other.pid}" in told
        other.kill()
        assert names_kept(wait_for(store.begin(identity("r")))) == ["a"]

    def test_children_of_a_killed_process_do_not_hold_its_runs(self, store, path):
        ready, told = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                own = SQLiteRunStore(path)
                wait_for(own.begin(identity("r")))
                grandchild = os.fork()
                if grandchild:
                    os.write(told, struct.pack("i", grandchild))
                sleep(60)
            finally:
                os._exit(1)
        (grandchild,) = struct.unpack("i", os.read(ready, 4))
        try:
            refused(store.begin(identity("r")), "conflict")
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            wait_for(store.begin(identity("r")))
        finally:
            os.kill(grandchild, signal.SIGKILL)
            os.close(ready)
            os.close(told)

    def test_a_forked_child_has_a_store_without_the_runs_of_its_parent(self, store, child):
        wait_for(store.begin(identity("r")))
        wait_for(store.keep("r", "a", step("a")))

        def check():
            assert "not begun here" in refused(store.keep("r", "b", step("b")), "conflict")
            assert f"process {os.getppid()}" in refused(store.begin(identity("r")), "conflict")
            wait_for(store.begin(identity("own")))
            wait_for(store.keep("own", "a", step("a")))
            wait_for(store.close())
            gc.collect()

        process = os.fork()
        if process == 0:
            try:
                check()
            except BaseException as error:
                os.write(2, repr(error).encode())
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        wait_for(store.keep("r", "b", step("b")))
        with pytest.raises(WorkflowError, match=f"process {os.getpid()}"):
            child()("begin", identity("r"))
        assert {run.run_id: run.steps_kept for run in wait_for(unfinished(store))} == {"r": 2, "own": 1}

    def test_whoever_takes_up_a_run_that_was_left_sees_all_that_is_kept_of_it(self, store, path):
        """A record that was on its way when the run was left is either there before, or refused."""
        second = SQLiteRunStore(path)

        async def work():
            for number in range(30):
                await store.begin(identity(f"r{number}"))
                keeping = asyncio.create_task(store.keep(f"r{number}", "a", step("a")))
                await asyncio.sleep(0.0005 * (number % 4))
                await store.leave(f"r{number}")
                seen = names_kept(await second.begin(identity(f"r{number}")))
                kept = (await asyncio.gather(keeping, return_exceptions=True))[0] is None
                await second.leave(f"r{number}")
                assert names_kept(await store.begin(identity(f"r{number}"))) == seen
                assert not kept or seen == ["a"]

        wait_for(work())
        wait_for(second.close())

    def test_a_begin_that_was_cancelled_leaves_the_run_free(self, store, path):
        wait_for(store.begin(identity("before")))

        async def work():
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                tasks = [asyncio.create_task(store.begin(identity(f"r{number}"))) for number in range(2)]
                await asyncio.sleep(0.05)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                other.execute("ROLLBACK")
            assert all(task.cancelled() for task in tasks)
            for number in range(2):
                await store.begin(identity(f"r{number}"))

        wait_for(work())

    def test_a_store_that_nobody_has_any_more_gives_its_runs_free(self, path):
        first = SQLiteRunStore(path)
        wait_for(first.begin(identity("r")))
        gone = threading.Event()
        weakref.finalize(first, gone.set)
        del first
        while not gone.wait(0.01):
            gc.collect()
        second = SQLiteRunStore(path)
        wait_for(second.begin(identity("r")))
        wait_for(second.close())


def commits_in(log):
    """How many transactions stand in a write-ahead log: each ends with a frame that tells the size of the database."""
    data = log.read_bytes()
    page = int.from_bytes(data[8:12])
    count = 0
    for place in range(32, len(data), 24 + page):
        size, salts = data[place + 4 : place + 8], data[place + 8 : place + 16]
        count += salts == data[16:24] and size != b"\0\0\0\0"
    return count


class TestTogether:
    def test_what_is_kept_at_the_same_time_shares_a_transaction(self, store, path):
        log = Path(f"{path}-wal")

        async def work():
            await asyncio.gather(*(store.begin(identity(f"r{number}")) for number in range(200)))
            before = commits_in(log)
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                tasks = [asyncio.create_task(store.keep(f"r{number}", "a", step("a"))) for number in range(200)]
                await asyncio.sleep(0.1)
                other.execute("ROLLBACK")
            await asyncio.gather(*tasks)
            return commits_in(log) - before

        assert 1 <= wait_for(work()) <= 2
        assert all(run.steps_kept == 1 for run in wait_for(unfinished(store)))

    def test_one_that_is_refused_takes_no_other_along(self, store):
        async def work():
            await store.begin(identity("taken"))
            names = ["a", "taken", "b", "taken", "c"]
            results = await asyncio.gather(*(store.begin(identity(name)) for name in names), return_exceptions=True)
            assert [isinstance(result, WorkflowError) for result in results] == [False, True, False, True, False]
            assert [run.run_id for run in await unfinished(store)] == ["taken", "a", "b", "c"]

        wait_for(work())

    def test_threads_loops_and_processes_share_a_file(self, store, path, child):
        others = [child(before=None) for _ in range(3)]
        failures = []

        async def one(name):
            await store.begin(identity(name))
            for number in range(5):
                await store.keep(name, f"s{number}", step(f"s{number}", n=number))
            await store.end(name, ended(name, DONE))

        async def several(thread):
            await asyncio.gather(*(one(f"t{thread}-{number}") for number in range(10)))

        def run(thread):
            try:
                wait_for(several(thread))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for other in others:
            other("begin", identity(f"p{other.pid}"))
        for number in range(20):
            for other in others:
                other.tell("keep", f"p{other.pid}", f"s{number}", step(f"s{number}"))
            for other in others:
                other.answer()
        for thread in threads:
            thread.join()
        assert not failures
        assert {run.steps_kept for run in wait_for(unfinished(store))} == {20}
        with closing(sqlite3.connect(path)) as look:
            assert look.execute("SELECT count(*) FROM runs WHERE status = 'completed'").fetchone() == (80,)
            assert look.execute("SELECT count(*) FROM steps").fetchone() == (80 * 5 + 60,)
            assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_a_file_that_is_held_for_too_long_is_an_error_and_the_store_goes_on_later(self, path):
        store = SQLiteRunStore(path, busy_s=0.05)
        wait_for(store.begin(identity("r")))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            told = refused(store.keep("r", "a", step("a")), "unavailable")
            assert "another process has been writing" in told
            other.execute("ROLLBACK")
        wait_for(store.keep("r", "a", step("a")))
        wait_for(store.close())


class TestFile:
    def test_only_its_owner_may_read_it(self, path):
        before = os.umask(0)
        try:
            store = SQLiteRunStore(str(path))
            wait_for(store.begin(identity("r")))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == dict.fromkeys(("runs.db", "runs.db-wal", "runs.db-shm", "runs.db-lock"), 0o600)
        wait_for(store.close())

    def test_it_is_not_made_before_it_is_needed(self, path):
        SQLiteRunStore(path)
        assert not path.exists()

    def test_links_to_one_file_share_its_locks(self, path, store):
        wait_for(store.begin(identity("r")))
        (path.parent / "link.db").symlink_to(path)
        linked = SQLiteRunStore(path.parent / "link.db")
        refused(linked.begin(identity("r")), "conflict")
        wait_for(linked.close())

    @pytest.mark.parametrize("busy_s", [0, -1, float("nan")])
    def test_a_wait_that_is_no_wait_is_refused(self, path, busy_s):
        with pytest.raises(ConfigurationError, match="busy_s"):
            SQLiteRunStore(path, busy_s=busy_s)

    def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written(self, path, child):
        room = 400_000

        def little_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        other = child(before=little_room)
        other("begin", identity("r"))
        other("keep", "r", "a", step("a", x="small"))
        with pytest.raises(WorkflowError, match=r"runs\.db cannot be used: .*(full|disk I/O error)") as caught:
            other("keep", "r", "b", step("b", x="x" * room))
        assert caught.value.code == "unavailable"
        other("keep", "r", "c", step("c", x="small"))
        other("end", "r", ended("r", WorkflowStatus.FAILED))
        other.kill()
        store = SQLiteRunStore(path)
        assert names_kept(wait_for(store.begin(identity("r")))) == ["a", "c"]
        wait_for(store.close())

    def test_a_file_that_may_only_be_read_is_one_clear_error(self):
        folder = Path(tempfile.mkdtemp())
        try:
            path = folder / "runs.db"
            store = SQLiteRunStore(path)
            wait_for(store.begin(identity("r")))
            wait_for(store.close())
            for file in folder.iterdir():
                file.chmod(0o444)
            folder.chmod(0o555)

            def as_nobody():
                if os.getuid() == 0:
                    os.setuid(NOBODY)

            other, missing = Child(path, as_nobody), Child(folder / "new.db", as_nobody)
            with pytest.raises(WorkflowError, match=r"runs\.db cannot be used: it (may only be read|cannot be opened)"):
                other("begin", identity("r"))
            with pytest.raises(WorkflowError, match=r"new\.db cannot be used: it may not be made"):
                missing("begin", identity("r"))
            other.kill()
            missing.kill()
        finally:
            folder.chmod(0o700)
            shutil.rmtree(folder)

    @pytest.mark.parametrize(
        ("name", "code", "told"),
        [
            ("folder", "invalid", "it is a folder"),
            ("missing/runs.db", "not_found", "there is no folder"),
            ("text", "invalid", "it is no SQLite database"),
            ("foreign.db", "invalid", "the tables of another program"),
            ("newer.db", "unsupported", "its format is 3, and this version knows 2"),
            ("older.db", "unsupported", "its format is 1, and this version knows 2"),
            ("text/runs.db", "not_found", "there is no folder"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_one_clear_error_and_stays_as_it_is(self, tmp_path, name, code, told):
        (tmp_path / "folder").mkdir()
        (tmp_path / "text").write_text("not a database " * 100)
        with closing(sqlite3.connect(tmp_path / "foreign.db")) as other:
            other.execute("CREATE TABLE t (x)")
        for file, version in (("older.db", 1), ("newer.db", 3)):
            with closing(sqlite3.connect(tmp_path / file)) as other:
                other.execute("CREATE TABLE runs (x)")
                other.execute("PRAGMA application_id = 0x666D6672")
                other.execute(f"PRAGMA user_version = {version}")
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
        store = SQLiteRunStore(tmp_path / name)
        for _ in range(2):
            message = refused(store.begin(identity("r")), code)
            assert told in message
            assert name in message
        wait_for(store.close())
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before

    def test_a_damaged_file_is_one_clear_error(self, path, store):
        wait_for(store.begin(identity("r")))
        wait_for(store.close())
        data = bytearray(path.read_bytes())
        data[4096:] = bytes(len(data) - 4096)
        path.write_bytes(data)
        assert "it is damaged" in refused(store.begin(identity("r")), "invalid")

    def test_an_empty_file_is_taken_and_an_interrupted_making_is_made_up_for(self, path):
        path.touch()
        store = SQLiteRunStore(path)
        wait_for(store.begin(identity("r")))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        wait_for(store.close())

    def test_a_file_that_is_deleted_and_made_anew_is_used_after_closing(self, path, store):
        wait_for(store.begin(identity("r")))
        wait_for(store.close())
        path.unlink()
        assert wait_for(store.begin(RunIdentity(run_id="r", workflow="v", fingerprint="f", input_data={}))).steps == {}

    def test_a_file_that_is_deleted_or_replaced_while_it_is_used_is_an_error_once(self, path, store):
        def replace():
            other = SQLiteRunStore(path.parent / "other.db")
            wait_for(other.begin(identity("stranger")))
            wait_for(other.close())
            (path.parent / "other.db").rename(path)

        for vanish in (path.unlink, replace):
            wait_for(store.begin(identity("r")))
            vanish()
            assert "deleted or replaced while it was open" in refused(store.keep("r", "a", step("a")), "unavailable")
            refused(store.keep("r", "a", step("a")), "conflict")
            assert wait_for(store.begin(identity("r"))).steps == {}
            wait_for(store.leave("r"))
            assert wait_for(store.forget("r"))

    def test_a_file_of_locks_that_is_deleted_while_it_is_used_is_an_error(self, path, store):
        wait_for(store.begin(identity("r")))
        Path(f"{path}-lock").unlink()
        assert "FileNotFoundError" in refused(store.begin(identity("s")), "unavailable")
