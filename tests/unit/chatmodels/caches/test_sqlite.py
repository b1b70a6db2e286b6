from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from chatmodels import ChatResponse, SqliteCache, TokenUsage, ToolCall
from chatmodels.caches import sqlite as sqlite_cache
from fmf_core.errors import FrameworkError
from fmf_core.portal import in_thread

USAGE = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p")


def answer(text, **more):
    return ChatResponse(content=text, model="m", usage=USAGE, **more)


def run(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def get(cache, key):
    return run(cache.get(key))


def put(cache, key, response):
    run(cache.put(key, response))


def test_answers_outlive_the_object(tmp_path):
    first = SqliteCache(tmp_path / "deep" / "cache")
    calls = (ToolCall(id="1", name="t", arguments={"a": [1, "ü"]}),)
    put(first, "k", answer("ü", finish_reason="tool_calls", tool_calls=calls))
    put(first, "k", answer("newer"))
    run(first.close())
    second = SqliteCache(tmp_path / "deep" / "cache")
    assert get(second, "k") == answer("newer")
    assert get(second, "other") is None
    assert get(first, "k") == answer("newer")  # a closed one opens again
    assert second.path == tmp_path / "deep" / "cache" / "answers.sqlite"


@pytest.mark.parametrize("name", ["a.sqlite", "a.db", "a.sqlite3"])
def test_a_path_may_be_a_file(tmp_path, name):
    cache = SqliteCache(str(tmp_path / name))
    put(cache, "k", answer("x"))
    assert (tmp_path / name).is_file()


def test_only_the_owner_may_read_it(tmp_path):
    before = os.umask(0)
    try:
        cache = SqliteCache(tmp_path)
        put(cache, "k", answer("x"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}, modes


def test_a_file_that_was_there_before_becomes_its_owners_alone(tmp_path):
    before = os.umask(0o022)
    try:
        (tmp_path / "empty.db").touch()
        put(SqliteCache(tmp_path / "used.db"), "k", answer("x"))
        (tmp_path / "used.db").chmod(0o644)
        foreign = sqlite3.connect(tmp_path / "foreign.db")
        foreign.execute("CREATE TABLE t (x)")
        foreign.close()
        caches = [SqliteCache(tmp_path / name) for name in ("empty.db", "used.db")]
        for cache in caches:
            put(cache, "k", answer("x"))
        refused(SqliteCache(tmp_path / "foreign.db"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes.pop("foreign.db") == 0o644
    assert set(modes.values()) == {0o600}, modes


def test_old_answers_are_not_given_and_a_use_is_noted(tmp_path):
    now = [1000.0]
    cache = SqliteCache(tmp_path, max_age_s=10_000, clock=lambda: now[0])
    put(cache, "k", answer("x"))
    now[0] = 6000
    assert get(cache, "k") == answer("x")
    assert rows(cache, "used") == [6000]
    now[0] = 11_001
    assert get(cache, "k") is None
    assert rows(cache, "key") == []


def test_it_does_not_grow_for_ever(tmp_path):
    now = [0.0]

    def clock():
        now[0] += 1
        return now[0]

    cache = SqliteCache(tmp_path, max_entries=20, clock=clock)
    for number in range(100):
        put(cache, f"k{number}", answer("x"))
    kept = rows(cache, "key")
    assert len(kept) <= 22
    assert "k99" in kept
    assert "k0" not in kept


def test_its_size_has_a_bound(tmp_path):
    cache = SqliteCache(tmp_path, max_entries=100, max_bytes=10_000)
    for number in range(40):
        put(cache, f"k{number}", answer("x" * 1000))
    assert sum(rows(cache, "bytes")) <= 10_000 + 10 * 1200


def test_pruning_throws_out_what_is_too_old(tmp_path):
    now = [0.0]
    cache = SqliteCache(tmp_path, max_entries=10, max_age_s=5, clock=lambda: now[0])
    put(cache, "old", answer("x"))
    now[0] = 6
    put(cache, "new", answer("x"))
    assert rows(cache, "key") == ["new"]


def rows(cache, column):
    connection = sqlite3.connect(cache.path)
    try:
        return [row[0] for row in connection.execute(f"SELECT {column} FROM answers")]
    finally:
        connection.close()


def test_a_damaged_answer_is_none(tmp_path):
    cache = SqliteCache(tmp_path)
    put(cache, "k", answer("x"))
    connection = sqlite3.connect(cache.path)
    with connection:
        connection.execute("UPDATE answers SET answer = '{\"content\": 1'")
    connection.close()
    assert get(cache, "k") is None


def test_half_a_character_is_not_kept(tmp_path):
    cache = SqliteCache(tmp_path)
    put(cache, "k", answer("\ud800"))
    assert get(cache, "k") is None


def refused(cache):
    with pytest.raises(FrameworkError) as caught:
        get(cache, "k")
    assert str(cache.path) in caught.value.message
    return caught.value


def test_what_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"this is a letter, and no database" * 100)
    error = refused(SqliteCache(tmp_path))
    assert "no SQLite database" in error.message
    assert "delete it" in error.hint
    assert path.read_bytes().startswith(b"this is a letter")


def test_somebody_elses_database_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    with connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    assert "the tables of another program" in refused(SqliteCache(tmp_path / "other.db")).message


def test_a_newer_format_is_left_alone(tmp_path):
    cache = SqliteCache(tmp_path)
    put(cache, "k", answer("x"))
    connection = sqlite3.connect(cache.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "format is 99" in refused(SqliteCache(tmp_path)).message


def test_a_locked_file_is_an_error_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_cache, "BUSY_S", 0.05)
    monkeypatch.setattr(sqlite_cache, "LOCKED_S", 0.0)
    cache = SqliteCache(tmp_path)
    put(cache, "k", answer("x"))
    run(cache.close())
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert "locked" in refused(cache).message
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert get(cache, "k") == answer("x")


def test_whoever_stands_in_line_for_a_locked_file_does_not_wait_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_cache, "BUSY_S", 0.2)
    monkeypatch.setattr(sqlite_cache, "LOCKED_S", 3600.0)
    cache = SqliteCache(tmp_path)
    put(cache, "k", answer("x"))
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async def put_many():
        puts = asyncio.gather(*(cache.put(str(number), answer("x")) for number in range(1000)), return_exceptions=True)
        unrelated = await in_thread(lambda: "a shared thread is free")
        return unrelated, puts.done(), await puts

    try:
        # Waiting in turn would take 200 s.
        unrelated, put_before, errors = run(asyncio.wait_for(put_many(), 60))
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (unrelated, put_before) == ("a shared thread is free", False)
    assert {type(error) for error in errors} == {FrameworkError}


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    refused(SqliteCache(tmp_path / "file" / "cache"))


WRITER = """
import asyncio, os, sys
from chatmodels import ChatResponse, SqliteCache, TokenUsage

path, name, forks = sys.argv[1:]
usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model="m", provider="p")


def put_all(cache, name):
    with asyncio.Runner() as runner:
        for number in range(30):
            runner.run(cache.put(f"{name}-{number}", ChatResponse(content=name, model="m", usage=usage)))


cache = SqliteCache(path)
put_all(cache, name)
if forks == "forks":
    child = os.fork()
    put_all(cache, f"{name}-{'child' if child == 0 else 'parent'}")
    if child == 0:
        sys.exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def written(path, *names, forks=""):
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name, forks]) for name in names]
    return [writer.wait(60) for writer in writers]


def test_several_processes_may_use_it_at_once(tmp_path):
    assert written(tmp_path, "a", "b", "c") == [0, 0, 0]
    assert len(rows(SqliteCache(tmp_path), "key")) == 90


def test_a_forked_child_has_a_connection_of_its_own(tmp_path):
    assert written(tmp_path, "a", forks="forks") == [0]
    assert len(rows(SqliteCache(tmp_path), "key")) == 90
