from __future__ import annotations

import asyncio
import os
import threading

import pytest

from fmf_core.group_commit import MOST_TOGETHER, GroupCommit
from fmf_core.portal import in_thread, run_sync


class Disk:
    """A commit that takes as long as the test wants."""

    def __init__(self):
        self.groups = []
        self.free = threading.Event()
        self.busy = threading.Event()
        self.error = None

    def commit(self, changes):
        self.groups.append(changes)
        self.busy.set()
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def group(disk):
    return GroupCommit(disk.commit, "test-group")


async def while_busy(disk, group):
    """A task whose change keeps the disk busy."""
    first = asyncio.create_task(group.add(0))
    await in_thread(disk.busy.wait, 10)
    return first


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def test_changes_that_come_while_the_disk_is_busy_are_made_together_in_their_order(disk, group):
    async def check():
        tasks = [await while_busy(disk, group)]
        tasks += [asyncio.create_task(group.add(number)) for number in range(1, 100)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        disk.free.set()
        await asyncio.gather(*tasks)

    run(check())
    assert disk.groups == [[0], list(range(1, 100))]


def test_one_group_has_its_limit_and_a_call_waits_for_one_group_only(disk, group):
    async def check():
        tasks = [await while_busy(disk, group)]
        tasks += [asyncio.create_task(group.add(number)) for number in range(1, 2 * MOST_TOGETHER)]
        await asyncio.sleep(0)
        call = asyncio.ensure_future(group.call(lambda: len(disk.groups)))
        await asyncio.sleep(0)
        disk.free.set()
        assert await call == 1
        await asyncio.gather(*tasks)

    run(check())
    assert [len(changes) for changes in disk.groups] == [1, MOST_TOGETHER, MOST_TOGETHER - 1]


def test_what_a_group_raises_is_raised_to_all_of_it_and_the_next_one_begins_anew(disk, group):
    async def check():
        disk.error = OSError("no room")
        first = await while_busy(disk, group)
        others = [asyncio.create_task(group.add(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        disk.free.set()
        told = await asyncio.gather(first, *others, return_exceptions=True)
        assert told == [disk.error] * 3
        disk.error = None
        await group.add(3)

    run(check())
    assert disk.groups == [[0], [1, 2], [3]]


def test_a_change_can_be_dropped_until_it_begins(disk, group):
    async def check():
        first = await while_busy(disk, group)
        waiting = asyncio.create_task(group.add(1))
        kept = asyncio.create_task(group.add(2))
        await asyncio.sleep(0)
        waiting.cancel()
        kept.cancel()
        assert not group.drop(0)
        assert group.drop(1)
        assert not group.drop(1)
        disk.free.set()
        await first
        await group.add(3)

    run(check())
    assert [number for changes in disk.groups for number in changes] == [0, 2, 3]


def test_threads_and_loops_share_a_group_and_a_closed_loop_holds_nobody_up(disk, group):
    async def leave():
        task = asyncio.create_task(group.add("left"))
        await asyncio.sleep(0)
        task.cancel()

    async def check():
        first = await while_busy(disk, group)
        await in_thread(run, leave())
        other = asyncio.create_task(in_thread(run_sync, group.add("portal")))
        await asyncio.sleep(0)
        disk.free.set()
        await asyncio.gather(first, other)

    run(check())
    assert sorted(change for changes in disk.groups[1:] for change in changes) == ["left", "portal"]


def test_a_commit_may_itself_wait_for_threads(disk):
    def commit(changes):
        seen.append(run_sync(in_thread(len, changes)))

    seen = []
    group = GroupCommit(commit, "test-group")
    run(group.add("x"))
    run_sync(group.add("y"))
    assert seen == [1, 1]


def test_changes_that_cannot_begin_fail_at_once(disk, group, monkeypatch):
    async def check():
        with pytest.raises(RuntimeError, match="can't start"):
            await group.add(1)
        monkeypatch.undo()
        disk.free.set()
        await group.add(2)

    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    run(check())
    assert disk.groups == [[2]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_none_of_its_parents_changes_and_a_thread_of_its_own(disk, group):
    async def check():
        first = await while_busy(disk, group)
        waiting = asyncio.create_task(group.add(1))
        await asyncio.sleep(0)
        child = os.fork()
        if child == 0:
            disk.groups.clear()
            disk.free.set()
            run_sync(group.add("own"))
            os._exit(0 if disk.groups == [["own"]] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        disk.free.set()
        await asyncio.gather(first, waiting)

    run(check())
    assert disk.groups == [[0], [1]]


def test_what_waits_is_made_before_the_end(disk, group):
    async def check():
        tasks = [await while_busy(disk, group)]
        tasks += [asyncio.create_task(group.add(number)) for number in range(1, 5)]
        await asyncio.sleep(0)
        end = asyncio.create_task(group.finish(lambda: list(disk.groups)))
        await asyncio.sleep(0)
        disk.free.set()
        assert await end == [[0], [1, 2, 3, 4]]
        await asyncio.gather(*tasks)

    run(check())
