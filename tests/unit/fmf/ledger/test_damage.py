"""Ways to break the ledger of a run that was killed: a clear error or a repair, never an answer lost in silence."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from fmf.errors import ConfigError
from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.hold import LOCK_NAME
from fmf.ledger.run_ledger import RunLedger
from fmf_core.errors import Code
from unit.fmf.ledger.asked import (
    answer,
    ask_id,
    content_key,
    found,
    in_a_child,
    new_folder,
    pay_all,
    resumed,
    run,
    status_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
OLD, NEW = range(60), range(60, 90)
NOBODY = 65534
PAGE = 4096


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """Runs: one as it is when its process is killed, an earlier copy of it, and another one that has ended."""
    parent = tmp_path_factory.mktemp("runs")

    async def main():
        (parent / "killed").mkdir()
        ledger = RunLedger.begin(new_folder(parent / "killed"), {})
        await pay_all(ledger, OLD)
        await ledger.close()
        shutil.copytree(ledger.folder, parent / "earlier")
        ledger = RunLedger.resume(ledger.folder)
        await pay_all(ledger, NEW)
        await ledger.request("under way", 5)
        await ledger.keep(Checkpoint({"outputs.jsonl": 3}))
        shutil.copytree(ledger.folder, parent / "copy")
        await ledger.close()
        other = RunLedger.begin(new_folder(parent, "other"), {})
        await pay_all(other, range(200))
        await other.close()

    run(main())
    return parent


@pytest.fixture
def folder(parent, tmp_path):
    """A copy of the killed run, under its name."""
    folder = tmp_path / next((parent / "killed").iterdir()).name
    shutil.copytree(parent / "copy", folder)
    assert (folder / "ledger.sqlite-wal").stat().st_size > 10 * PAGE
    return folder


def ledger_of(folder):
    return folder / "ledger.sqlite"


def log_of(folder):
    return folder / "ledger.sqlite-wal"


def overwrite(path, at, text):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(text)


def change(folder, statement):
    """Let somebody change the tables with another program."""
    with closing(sqlite3.connect(ledger_of(folder), isolation_level=None)) as other:
        other.execute(statement)


def into_the_file(folder):
    """Let all of it be in the main file, without a log."""
    change(folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    log_of(folder).unlink(missing_ok=True)


def another_program(folder):
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    change(folder, "CREATE TABLE notes (x)")


def half(path):
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def page_of(folder, table):
    with closing(sqlite3.connect(ledger_of(folder))) as other:
        return other.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]


def zero_page(folder, table):
    into_the_file(folder)
    overwrite(ledger_of(folder), (page_of(folder, table) - 1) * PAGE, bytes(PAGE))


def replaced(folder, parent, name, *, log=False):
    for path in folder.glob("ledger.sqlite*"):
        if path.name == "ledger.sqlite" or not log:
            path.unlink()
    shutil.copy(parent / name / "ledger.sqlite", folder)


REFUSED = {
    "the file is cut in half": lambda folder, _: (into_the_file(folder), half(ledger_of(folder))),
    "the file is cut to nothing": lambda folder, _: os.truncate(ledger_of(folder), 0),
    "the file is cut to half a page": lambda folder, _: (into_the_file(folder), os.truncate(ledger_of(folder), 2048)),
    "the header is zero": lambda folder, _: (into_the_file(folder), overwrite(ledger_of(folder), 0, bytes(100))),
    "the header is noise": lambda folder, _: (into_the_file(folder), overwrite(ledger_of(folder), 0, os.urandom(100))),
    "the file is noise": lambda folder, _: (into_the_file(folder), ledger_of(folder).write_bytes(os.urandom(99_999))),
    "the requests are zero": lambda folder, _: zero_page(folder, "requests"),
    "the answers are zero": lambda folder, _: zero_page(folder, "answers"),
    "the texts are zero": lambda folder, _: zero_page(folder, "texts"),
    "the notes are zero": lambda folder, _: zero_page(folder, "notes"),
    "another program's tables": lambda folder, _: another_program(folder),
    "another version": lambda folder, _: change(folder, "PRAGMA user_version = 2"),
    "another run's ledger": lambda folder, parent: replaced(folder, parent, "other"),
    "an earlier copy": lambda folder, parent: replaced(folder, parent, "earlier"),
    "the log is missing": lambda folder, _: log_of(folder).unlink(),
    "the log is empty": lambda folder, _: os.truncate(log_of(folder), 0),
    "the log is cut in half": lambda folder, _: half(log_of(folder)),
    "the log is noise": lambda folder, _: log_of(folder).write_bytes(os.urandom(100_000)),
    "the log's header is zero": lambda folder, _: overwrite(log_of(folder), 0, bytes(32)),
    "a byte in the log": lambda folder, _: overwrite(log_of(folder), 2 * PAGE, b"\xff\x00\xff"),
    "the file is missing": lambda folder, _: ledger_of(folder).unlink(),
    "the file is a folder": lambda folder, _: (ledger_of(folder).unlink(), ledger_of(folder).mkdir()),
    "a row is deleted": lambda folder, _: change(folder, "DELETE FROM answers WHERE number = 7"),
    "a request is deleted": lambda folder, _: change(folder, "DELETE FROM requests WHERE number = 7"),
    "an amount is changed": lambda folder, _: change(folder, "UPDATE requests SET spent = 0 WHERE number = 7"),
    "the facts are changed": lambda folder, _: change(
        folder, "UPDATE notes SET value = x'7b7d20' WHERE name = 'facts'"
    ),
    "the checkpoint is changed": lambda folder, _: change(
        folder, "UPDATE notes SET value = x'7b7d' WHERE name = 'checkpoint'"
    ),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_trusted_is_refused_with_words(folder, parent, way):
    REFUSED[way](folder, parent)
    for _ in range(2):
        with pytest.raises(ConfigError) as told:
            RunLedger.resume(folder)
        assert repr(folder.name) in told.value.message
        assert told.value.hint
        assert told.value.op == "ledger.open"


REPAIRED = {
    "nothing": lambda _: None,
    "the end of the log is torn": lambda folder: log_of(folder).open("ab").write(os.urandom(7000)),
    "the index of the log is missing": lambda folder: folder.joinpath("ledger.sqlite-shm").unlink(),
    "the index of the log is noise": lambda folder: folder.joinpath("ledger.sqlite-shm").write_bytes(os.urandom(32768)),
    "the lock is missing": lambda folder: (folder / LOCK_NAME).unlink(),
    "the lock is noise": lambda folder: (folder / LOCK_NAME).write_bytes(os.urandom(99)),
    "all is in the file": into_the_file,
}


@pytest.mark.parametrize("way", REPAIRED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_can_be_repaired_is_and_nothing_is_lost(folder, way):
    REPAIRED[way](folder)

    async def look(ledger):
        assert (ledger.sums.requests, ledger.sums.unknown, ledger.sums.assumed) == (91, 1, 5)
        assert ledger.checkpoint == Checkpoint({"outputs.jsonl": 3})
        return await found(ledger, [*OLD, *NEW])

    assert resumed(folder, look) == [answer(number) for number in (*OLD, *NEW)]


def test_whichever_page_is_damaged_no_answer_is_lost_in_silence(folder, tmp_path):
    into_the_file(folder)
    whole = ledger_of(folder).read_bytes()
    chance = random.Random(3)
    noticed = 0
    for page in range(len(whole) // PAGE):
        at = page * PAGE
        start = at + chance.randrange(PAGE - 64)
        for text, place in ((bytes(PAGE), at), (chance.randbytes(64), start)):
            for path in folder.glob("ledger.sqlite-*"):
                path.unlink()
            ledger_of(folder).write_bytes(whole[:place] + text + whole[place + len(text) :])
            noticed += run(noticed_or_whole(folder))
    assert noticed > len(whole) // PAGE


async def noticed_or_whole(folder):
    """Whether an error was raised; without one, all answers are there."""
    try:
        ledger = RunLedger.resume(folder)
    except ConfigError:
        return True
    try:
        sums = ledger.sums
        assert (sums.answers, sums.requests, sums.spent) == (90, 91, 90 * 7)
        by_ask = await found(ledger, [*OLD, *NEW])
        by_content = await asyncio.gather(*(ledger.view.find_content(content_key(n)) for n in (*OLD, *NEW)))
    except ConfigError:
        return True
    finally:
        await ledger.close()
    assert by_ask == [one and one.answer for one in by_content] == [answer(number) for number in (*OLD, *NEW)]
    return False


def test_a_text_that_was_changed_is_not_given_as_an_answer(folder):
    change(folder, "UPDATE texts SET answer = x'00' WHERE number = 3")
    ledger = RunLedger.resume(folder)

    async def look():
        with pytest.raises(ConfigError, match="its answer 3 was changed"):
            await found(ledger, OLD)
        await ledger.close()

    run(look())
    with pytest.raises(ConfigError, match="its answer 3 was changed"):
        RunLedger.read(folder).check()


def test_a_ledger_that_may_only_be_read_is_not_resumed_and_can_be_looked_at(folder):
    def as_nobody():
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with pytest.raises(ConfigError) as told:
            RunLedger.resume(folder)
        assert told.value.code is Code.INVALID
        assert "let this user" in told.value.hint
        view = RunLedger.read(folder)
        assert view.sums().answers == 90
        assert run(view.find_ask(ask_id(80))).answer == answer(80)
        view.close()

    into_the_file(folder)
    (folder / "ledger.sqlite-shm").unlink(missing_ok=True)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    shared = Path(tempfile.gettempdir())
    for above in (path for path in folder.parents if path != shared and path.is_relative_to(shared)):
        above.chmod(above.stat().st_mode | 0o555)
    try:
        assert status_of(in_a_child(as_nobody)) == 0
    finally:
        folder.chmod(0o755)
