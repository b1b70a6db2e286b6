from __future__ import annotations

import os
import socket
import stat

import pytest

from fmf.errors import ConfigError
from fmf.ledger.hold import LOCK_NAME, Confirmed, Hold, is_alive
from fmf_core.errors import Code
from unit.fmf.ledger.asked import in_a_child, status_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_run_is_held_by_one_and_the_other_is_told_by_whom(tmp_path):
    hold = Hold.take(tmp_path)
    hold.sign(Confirmed(1, 2))

    def refused():
        with pytest.raises(ConfigError) as told:
            Hold.take(tmp_path)
        message = told.value.message
        assert f"being run by process {os.getppid()} on {socket.gethostname()} since 20" in message
        assert told.value.code is Code.CONFLICT
        assert "end that process" in told.value.hint
        assert is_alive(tmp_path)

    assert status_of(in_a_child(refused)) == 0
    with pytest.raises(ConfigError, match="this very one"):
        Hold.take(tmp_path)
    assert is_alive(tmp_path)
    hold.release()
    hold.release()
    assert not is_alive(tmp_path)


def test_what_was_confirmed_is_known_to_the_next_one(tmp_path):
    hold = Hold.take(tmp_path)
    assert hold.confirmed is None
    hold.sign(Confirmed())
    hold.confirm(Confirmed(10**15, 3))
    hold.release()
    hold = Hold.take(tmp_path)
    assert hold.confirmed == (10**15, 3)
    hold.release()


@pytest.mark.parametrize("text", [b"", b"\0" * 60, b"nonsense\n", b"1 2 00000000\n", os.urandom(200)])
def test_a_file_in_which_nothing_sensible_stands_says_nothing(tmp_path, text):
    (tmp_path / LOCK_NAME).write_bytes(text)
    hold = Hold.take(tmp_path)
    assert hold.confirmed is None
    with pytest.raises(ConfigError, match="is being run by process"):
        Hold.take(tmp_path)
    hold.release()


def test_it_ends_with_its_process_however_that_ends(tmp_path):
    def held():
        Hold.take(tmp_path)
        os._exit(0)

    assert status_of(in_a_child(held)) == 0
    assert not is_alive(tmp_path)
    Hold.take(tmp_path).release()


def test_it_is_let_go_when_it_is_forgotten(tmp_path):
    Hold.take(tmp_path)
    Hold.take(tmp_path).release()


def test_a_run_without_a_lock_is_not_alive_and_looking_makes_none(tmp_path):
    assert not is_alive(tmp_path)
    assert not is_alive(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / LOCK_NAME).mkdir()
    assert not is_alive(tmp_path)


def test_a_folder_that_is_not_there_or_may_not_be_written_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be used: it is not there"):
        Hold.take(tmp_path / "nothing")
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be used: Is a directory"):
        Hold.take(tmp_path)


def test_the_file_is_its_owners_alone(tmp_path):
    hold = Hold.take(tmp_path)
    assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o600
    hold.release()
