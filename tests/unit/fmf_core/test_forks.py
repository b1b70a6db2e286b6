from __future__ import annotations

import gc
import os
import weakref

import pytest

from fmf_core import forks
from fmf_core.forks import in_forked_child


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


def test_nothing_is_kept_alive():
    thing = Thing()
    in_forked_child(thing.renew)
    alive = weakref.ref(thing)
    gc.collect()
    before = len(forks._methods)
    del thing
    assert alive() is None
    assert len(forks._methods) == before - 1
