from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest

from fmf_core import forks
from fmf_core.forks import Lock, in_forked_child


class Thing:
    __hash__ = None

    def __init__(self):
        self.renewed = 0

    def renew(self):
        self.renewed += 1


def status_of_a_child(check):
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_begins_anew_and_its_parent_does_not():
    thing, seen = Thing(), []

    def note():
        seen.append(1)

    in_forked_child(thing.renew)
    in_forked_child(note)
    try:
        assert status_of_a_child(lambda: (thing.renewed, seen) == (1, [1])) == 0
        assert (thing.renewed, seen) == (0, [])
    finally:
        forks._functions.remove(note)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_object_may_have_several_methods_renewed():
    class Both(Thing):
        also_renewed = 0

        def renew_also(self):
            self.also_renewed += 1

    thing = Both()
    in_forked_child(thing.renew)
    in_forked_child(thing.renew_also)
    in_forked_child(thing.renew)
    assert status_of_a_child(lambda: (thing.renewed, thing.also_renewed) == (1, 1)) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("reentrant", [False, True])
class TestLock:
    def test_it_lets_one_thread_in(self, reentrant):
        lock, seen = Lock(reentrant=reentrant), []

        def other():
            with lock():
                seen.append("other")

        thread = threading.Thread(target=other)
        with lock():
            thread.start()
            thread.join(0.05)
            seen.append("first")
        thread.join()
        assert seen == ["first", "other"]

    def test_it_is_free_in_a_child_although_another_thread_of_the_parent_holds_it(self, reentrant):
        lock, held, done = Lock(reentrant=reentrant), threading.Event(), threading.Event()

        def hold():
            with lock():
                held.set()
                done.wait(30)

        def take():
            with lock():
                return True

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        try:
            assert status_of_a_child(take) == 0
        finally:
            done.set()
            thread.join()
        assert take()

    def test_who_forks_while_holding_it_may_leave_it_in_the_child(self, reentrant):
        lock = Lock(reentrant=reentrant)

        def leave_and_take_again():
            held.__exit__(None, None, None)
            with lock():
                return True

        held = lock()
        held.__enter__()
        try:
            assert status_of_a_child(leave_and_take_again) == 0
        finally:
            held.__exit__(None, None, None)
        with lock():
            pass


def test_a_lock_may_be_taken_again_where_it_is_reentrant():
    lock = Lock(reentrant=True)
    with lock(), lock():
        pass
    with lock():
        pass


def test_nothing_is_kept_alive():
    thing = Thing()
    in_forked_child(thing.renew)
    alive = weakref.ref(thing)
    gc.collect()
    before = len(forks._methods)
    del thing
    assert alive() is None
    assert len(forks._methods) == before - 1


def test_one_that_fails_keeps_no_other_from_being_renewed():
    class Failing:
        failed = False

        def renew(self):
            if not self.failed:  # a traceback may keep this object until other tests renew everything
                self.failed = True
                raise ValueError("not now")

    failing, lock = Failing(), Lock()
    in_forked_child(failing.renew)
    lock().acquire()
    with pytest.raises(ValueError, match="not now"):
        forks._renew_all()
    assert lock().acquire(blocking=False)


def test_objects_that_go_in_the_middle_are_no_fault():
    gone = []

    class Going:
        def renew(self):
            gone.clear()  # others that have a hook go while hooks are called

    first = Going()
    in_forked_child(first.renew)
    gone.extend(Lock() for _ in range(50))
    forks._renew_all()
    assert gone == []
