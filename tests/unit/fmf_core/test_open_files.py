from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmf_core.open_files import OUT_OF_FILES, can_open


@pytest.fixture
def room_for_two() -> Iterator[None]:
    """A limit that leaves two descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    while held[-1] < max(int(each.name) for each in Path("/dev/fd").iterdir() if each.exists()):
        held.append(os.open(os.devnull, os.O_RDONLY))  # until none is free below the last one, and none taken above it
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 3, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for number in held:
        os.close(number)


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_there_is_room_for_as_many_as_the_limit_leaves_and_all_are_given_back(room_for_two: None) -> None:
    before = open_descriptors()
    assert [can_open(count) for count in (0, 1, 2, 3, 2)] == [True, True, True, False, True]
    assert open_descriptors() == before


def test_the_error_of_the_system_is_known(room_for_two: None) -> None:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    with pytest.raises(OSError, match="open files") as caught:
        os.open(os.devnull, os.O_RDONLY)
    assert caught.value.errno in OUT_OF_FILES
    assert not can_open()
    for number in held:
        os.close(number)


def test_another_error_does_not_mean_that_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "devnull", "/nowhere/null")
    assert can_open()
