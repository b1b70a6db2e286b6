from __future__ import annotations

import gc
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fmf_core import sqlite_file
from fmf_core.errors import Code
from fmf_core.sqlite_file import SAFE, Layout, MovedFileError, SqliteFile, SqliteFileError

LAYOUT = Layout(0x1234, 1, ("CREATE TABLE IF NOT EXISTS t (x)",), (*SAFE, "secure_delete = ON"))


def opened(path, layout=LAYOUT, busy_s=5.0):
    return SqliteFile(Path(path), layout, busy_s)


def add(file, value):
    with file.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", (value,))


def add_and(file, value, work):
    with file.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        work(connection)


def values(file):
    with file.transaction() as connection:
        return [value for (value,) in connection.execute("SELECT x FROM t ORDER BY rowid")]


def test_what_has_committed_is_there_and_what_failed_is_not(tmp_path):
    file = opened(tmp_path / "x.db")
    add(file, 1)
    with pytest.raises(ZeroDivisionError):
        add_and(file, 2, lambda _: 1 / 0)
    with pytest.raises(SqliteFileError, match="no such table"):
        add_and(file, 3, lambda connection: connection.execute("INSERT INTO u VALUES (3)"))
    add(file, 4)
    assert values(file) == [1, 4]
    file.close()
    file.close()
    assert values(file) == values(opened(tmp_path / "x.db")) == [1, 4]


def test_it_waits_for_the_disk_and_takes_out_what_was_deleted(tmp_path):
    file = opened(tmp_path / "x.db")
    with file.transaction() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1)):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    add(file, "a marker")
    with file.transaction() as connection:
        connection.execute("DELETE FROM t")
    file.tidy()
    assert (tmp_path / "x.db-wal").stat().st_size == 0
    assert b"a marker" not in (tmp_path / "x.db").read_bytes()
    file.close()
    file.tidy()


def test_a_file_that_is_being_made_by_many_at_once_is_made_once(tmp_path):
    begin, failures = threading.Barrier(8), []

    def make(number):
        file = opened(tmp_path / "x.db")
        begin.wait()
        try:
            add(file, number)
        except BaseException as error:
            failures.append(error)
        file.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(values(opened(tmp_path / "x.db"))) == list(range(8))


@pytest.mark.parametrize("layout", [LAYOUT._replace(application_id=0x4321), LAYOUT._replace(version=2)])
def test_a_file_of_another_program_or_version_is_left_alone(tmp_path, layout):
    file = opened(tmp_path / "x.db")
    add(file, 1)
    file.close()
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(SqliteFileError) as caught:
        add(opened(tmp_path / "x.db", layout), 2)
    assert caught.value.code in (Code.INVALID, Code.UNSUPPORTED)
    assert (tmp_path / "x.db").read_bytes() == before


def test_opening_it_a_second_time_gives_up_no_lock_of_the_first(tmp_path):
    """A process loses the locks that it has on a file when it closes the file once, however it had opened it."""
    first, second = opened(tmp_path / "x.db"), opened(tmp_path / "x.db", busy_s=0.05)
    add(first, 1)
    with first.transaction():
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(SqliteFileError, match="another process"):
            add(second, 2)
        second.close()
        script = f"import sqlite3; sqlite3.connect({str(tmp_path / 'x.db')!r}, timeout=0.05).execute('BEGIN IMMEDIATE')"
        assert os.spawnlp(os.P_WAIT, "sh", "sh", "-c", f'python3 -c "{script}" 2>/dev/null') != 0
    add(second, 3)
    assert values(first) == [1, 3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_opens_it_anew(tmp_path):
    file = opened(tmp_path / "x.db")
    add(file, "parent")
    child = os.fork()
    if child == 0:
        try:
            add(file, "child")
            file.close()
            gc.collect()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    add(file, "parent again")
    assert values(file) == ["parent", "child", "parent again"]


def test_a_file_that_is_gone_is_made_anew_for_its_owner_alone(tmp_path):
    file = opened(tmp_path / "x.db")
    add(file, 1)
    file.close()
    (tmp_path / "x.db").unlink()
    assert values(file) == []
    with closing(sqlite3.connect(tmp_path / "x.db")) as look:
        assert look.execute("PRAGMA application_id").fetchone() == (0x1234,)
    assert (tmp_path / "x.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_deleted_while_it_is_open_is_an_error_once(tmp_path):
    file = opened(tmp_path / "x.db")
    add(file, 1)
    for beside in ("", "-wal", "-shm"):
        (tmp_path / f"x.db{beside}").unlink()
    with pytest.raises(MovedFileError):
        add(file, 2)
    add(file, 3)
    assert values(file) == [3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_a_forked_child_writes_stays_when_its_parent_closes_the_file_meanwhile(tmp_path):
    file = opened(tmp_path / "x.db")
    add(file, "parent")
    (written, wrote), (closed, close) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            add(file, "child")
            os.write(wrote, b"x")
            os.read(closed, 1)
            add(file, "child again")
        finally:
            os._exit(0)
    os.read(written, 1)
    file.close()
    os.write(close, b"x")
    os.waitpid(child, 0)
    for end in (written, wrote, closed, close):
        os.close(end)
    assert values(file) == ["parent", "child", "child again"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_the_transactions_of_other_threads(tmp_path):
    file = opened(tmp_path / "x.db")
    begun, go = threading.Event(), threading.Event()

    def write():
        with file.transaction() as connection:
            connection.execute("INSERT INTO t VALUES ('thread')")
            begun.set()
            go.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(60)
    threading.Timer(0.2, go.set).start()
    child = os.fork()
    if child == 0:
        add(file, "child")
        os._exit(0)
    assert go.is_set()
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    assert values(file) == ["thread", "child"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_was_forked_in_the_middle_of_a_transaction_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "_FORK_WAIT_S", 0.05)
    file = opened(tmp_path / "x.db")
    begun, go = threading.Event(), threading.Event()

    def write():
        with file.transaction():
            begun.set()
            go.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(60)
    child = os.fork()
    if child == 0:
        with pytest.raises(SqliteFileError, match="forked while another thread was writing"):
            add(opened(tmp_path / "x.db"), "child")
        add(opened(tmp_path / "y.db"), "child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    go.set()
    thread.join()
    assert values(file) == []


def test_a_file_that_is_only_read_is_seen_while_another_writes_and_never_made_or_changed(tmp_path):
    with pytest.raises(SqliteFileError, match="cannot be opened") as missing:
        values_read(SqliteFile(tmp_path / "x.db", LAYOUT, 1.0, read_only=True))
    assert missing.value.code is Code.INVALID
    assert not (tmp_path / "x.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(SqliteFileError, match="it is empty"):
        values_read(SqliteFile(tmp_path / "empty.db", LAYOUT, 1.0, read_only=True))
    file = opened(tmp_path / "x.db")
    add(file, 1)
    look = SqliteFile(tmp_path / "x.db", LAYOUT, 1.0, read_only=True)
    with file.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        assert values_read(look) == [1]
    assert values_read(look) == [1, 2]
    with pytest.raises(SqliteFileError, match="may only be read"), look.statements() as connection:
        connection.execute("INSERT INTO t VALUES (3)")
    file.close()
    look.close()


def test_a_file_in_a_folder_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    add(file := opened(tmp_path / "x.db"), 1)
    file.close()
    monkeypatch.setattr(sqlite_file.os, "access", lambda *_: False)
    look = SqliteFile(tmp_path / "x.db", LAYOUT, 1.0, read_only=True)
    assert values_read(look) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.db"]
    look.close()


def values_read(file):
    with file.statements() as connection:
        return [value for (value,) in connection.execute("SELECT x FROM t ORDER BY rowid")]
