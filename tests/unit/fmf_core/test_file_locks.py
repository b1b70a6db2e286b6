from __future__ import annotations

import os
import stat

import pytest

from fmf_core import file_locks as locks

forks = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def file(tmp_path):
    found = locks.shared(tmp_path / "x-lock")
    yield found
    locks.done_with(found)


def in_a_child(check):
    """What `check` says in a forked process."""
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def taken_elsewhere(path, number):
    def check():
        return locks.shared(path).is_taken(number)

    return in_a_child(check)


@forks
def test_a_lock_is_taken_once_until_it_is_freed(file, tmp_path):
    assert file.take(7)
    assert not file.take(7)
    assert file.take(8)
    assert file.is_taken(7)
    assert taken_elsewhere(tmp_path / "x-lock", 7)
    file.free(7)
    file.free(7)
    assert not file.is_taken(7)
    assert not taken_elsewhere(tmp_path / "x-lock", 7)
    assert taken_elsewhere(tmp_path / "x-lock", 8)


@forks
def test_looking_at_a_lock_leaves_it_as_it_was(file, tmp_path):
    assert not file.is_taken(1)
    assert file.take(1)
    assert file.is_taken(1)
    assert taken_elsewhere(tmp_path / "x-lock", 1)


@forks
def test_a_second_user_of_the_file_takes_no_locks_away_when_it_is_done(file, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "x-lock")
    assert file.take(3)
    second = locks.shared(tmp_path / "link")
    assert not second.take(3)
    locks.done_with(second)
    assert taken_elsewhere(tmp_path / "x-lock", 3)


@forks
def test_a_child_has_no_lock_of_its_parent_and_can_take_its_own(file, tmp_path):
    assert file.take(3)

    def check():
        own = locks.shared(tmp_path / "x-lock")
        return own.is_taken(3) and not own.take(3) and own.take(4)

    assert in_a_child(check)
    assert taken_elsewhere(tmp_path / "x-lock", 3)
    assert not file.is_taken(4)


def test_the_file_is_empty_and_its_owners_alone(file, tmp_path):
    file.take(2**40)
    found = (tmp_path / "x-lock").stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (0, 0o600)


def test_a_file_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        locks.shared(tmp_path / "not" / "there")


@forks
def test_what_stands_in_the_file_is_read_by_others_and_takes_no_lock_away(file, tmp_path):
    assert file.take(2**30)
    file.write(b"0001 by me", anew=True)
    file.write(b"0002")
    assert in_a_child(lambda: locks.shared(tmp_path / "x-lock").text(100) == b"0002 by me")
    assert taken_elsewhere(tmp_path / "x-lock", 2**30)
    file.write(b"new", anew=True)
    assert file.text(100) == b"new"
