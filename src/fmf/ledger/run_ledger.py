"""The ledger of a run that is going on: what leaves, what comes back and what it cost, on the disk before it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fmf.artefacts.files import LEDGER
from fmf.errors import ConfigError
from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.damage import cannot_open, closed, damaged
from fmf.ledger.disks import MOUNT_TABLE, refuse_network
from fmf.ledger.hold import Confirmed, Hold
from fmf.ledger.tables import SETTLED, UNKNOWN, Answer, Outcome, Sums
from fmf.ledger.view import LedgerView, bytes_of
from fmf.ledger.writer import Change, Request, Writer
from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.group_commit import GroupCommit
from fmf_core.sqlite_file import SqliteFileError

MOST_UNITS: Final = 10**18
"""The most that one request may cost, in whole units of money."""


class RunLedger:
    """Keeps what a run asks, gets and pays, in `ledger.sqlite` in its folder; made by `begin` or `resume`.

    One process runs a run at a time, and one event loop uses the ledger. What tasks keep at the same time waits for
    the disk together. Amounts are whole units of money (`chatmodels.ledger.UNITS_PER_USD`).

    Args:
        view: the same ledger to look at.
        hold: the right to run the run.
        writer: of a file that is open.
        sums: what is in it.
    """

    def __init__(self, view: LedgerView, hold: Hold, writer: Writer, sums: Sums) -> None:
        self.folder = view.folder
        self.view = view
        """The same ledger to look at: its unknown requests, its answers."""
        self.facts: Mapping[str, Any] = view.facts
        """What the run was begun with."""
        self.checkpoint: Checkpoint | None = view.checkpoint
        """The last one that was kept."""
        self._hold = hold
        self._writer = writer
        self._spent, self._assumed = sums.spent, sums.assumed
        self._unknown, self._unpriced = sums.unknown, sums.unpriced
        self._commits: GroupCommit[Change] = GroupCommit(writer.commit, "fmf-ledger")
        self._is_closed = False
        in_forked_child(self._leave_to_the_parent)

    @classmethod
    def begin(cls, folder: Path, facts: Mapping[str, Any], *, mount_table: Path = MOUNT_TABLE) -> RunLedger:
        """Make the ledger of a new run; blocks.

        Args:
            folder: the run's folder, which is there.
            facts: what is to be known of the run when it is resumed, as plain JSON values.
            mount_table: where Linux tells which disks are on a network.

        Raises:
            ConfigError: there is a ledger already, the folder cannot be used, or it is on a network file system.
            TypeError: the facts are no JSON.
        """
        import orjson

        text = orjson.dumps(dict(facts))
        folder = folder.absolute()
        with _taken(folder, mount_table) as (hold, writer):
            if (folder / LEDGER).exists():
                raise ConfigError(
                    f"run {folder.name!r} has a ledger already",
                    op="ledger.open",
                    code=Code.CONFLICT,
                    hint="resume that run, or begin another one",
                )
            writer.begin(text)
            return cls(LedgerView(folder), hold, writer, Sums())

    @classmethod
    def resume(cls, folder: Path, *, mount_table: Path = MOUNT_TABLE) -> RunLedger:
        """Take up the ledger of a run that has ended somehow; blocks.

        Requests that were under way are unknown from now on, and what was reserved for them is assumed to be spent.

        Raises:
            ConfigError: another process is running the run; or the ledger is not there, is damaged, or has lost
                something that was confirmed; or the folder is on a network file system.
        """
        folder = folder.absolute()
        bytes_of(folder)  # where there is none, no lock is made either
        with _taken(folder, mount_table) as (hold, writer):
            # Looked at before it is opened to write, which would take a log that cannot be read away.
            view = LedgerView(folder)
            sums = view.sums()
            last = Confirmed(sums.requests, sums.answers)
            _refuse_loss(folder, last, hold.confirmed)
            for request in writer.take_over(last):
                sums = sums._replace(assumed=sums.assumed + (request.reserved or 0), unknown=sums.unknown + 1)
            return cls(view, hold, writer, sums)

    @classmethod
    def read(cls, folder: Path) -> LedgerView:
        """The ledger in `folder`, only to look at; raises as `LedgerView`."""
        return LedgerView(folder)

    @property
    def sums(self) -> Sums:
        """What all requests and answers come to; one that was settled counts at once."""
        return Sums(
            requests=self._writer.last.requests,
            answers=self._writer.last.answers,
            spent=self._spent,
            assumed=self._assumed,
            under_way=len(self._writer.under_way),
            unknown=self._unknown,
            unpriced=self._unpriced,
        )

    async def request(self, ask_id: str, reserved: int | None) -> int:
        """Note that a request is about to leave; its number, to settle it by, when that is on the disk.

        When the awaiting task is cancelled, the request must not leave, and costs nothing.

        Args:
            ask_id: the question.
            reserved: the most that it can cost; `None` where the price is unknown.

        Raises:
            FrameworkError: it could not be kept; the request must not leave.
        """
        request = Request(_checked(ask_id), _amount(reserved))
        try:
            await self._add(request)
        except BaseException:
            if not self._commits.drop(request):
                self._writer.give_up(request)
            raise
        return request.number

    def settle(self, request: int, *, spent: int | None, assumed: int = 0, unknown: bool = False) -> None:
        """Say what a request cost; kept with whatever is kept next.

        Args:
            request: its number.
            spent: what it cost; `None` where that is not known.
            assumed: what it may have cost besides.
            unknown: nobody knows what became of it.

        Raises:
            FrameworkError: there is no such request, or it is settled.
        """
        outcome = Outcome(_amount(spent), _amount(assumed) or 0, UNKNOWN if unknown else SETTLED)
        if not self._writer.settle(request, outcome):
            raise FrameworkError(
                f"request {request} is not under way",
                op="ledger.settle",
                code=Code.INVALID,
                hint="settle each request once, by the number that it got",
            )
        self._spent += spent or 0
        self._assumed += assumed
        self._unknown += unknown
        self._unpriced += spent is None and not unknown

    async def answer(self, ask_id: str, content_key: bytes, answer: bytes, *, cost: int | None) -> None:
        """Keep an answer; when this returns it is on the disk, with all that was settled before.

        It is kept also when the awaiting task is cancelled, for it is paid.

        Args:
            ask_id: the question.
            content_key: a hash of all that decides what is answered.
            answer: the response as JSON.
            cost: what it cost; `None` where the price is unknown.

        Raises:
            FrameworkError: it could not be kept.
        """
        await self._add(Answer(_checked(ask_id), content_key, _amount(cost), answer))

    async def find(self, ask_id: str) -> bytes | None:
        """The answer that an earlier process of this run got to the question `ask_id`.

        Raises:
            ConfigError: the ledger cannot be read, or is damaged.
        """
        found = await self.view.find_ask(ask_id)
        return found and found.answer

    async def keep(self, checkpoint: Checkpoint) -> None:
        """Keep `checkpoint` in place of the one before.

        Raises:
            FrameworkError: it could not be kept.
            TypeError: its tally is no JSON.
        """
        await self._add(checkpoint.dump())
        self.checkpoint = checkpoint

    async def close(self) -> None:
        """Keep what is settled, and let others run the run; a closed ledger may be closed again.

        Raises:
            FrameworkError: what was settled could not be kept; those requests will be unknown.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._commits.finish(self._close)
        finally:
            self._hold.release()

    def abandon(self) -> None:
        """Close it at once, from any thread, where there is no time to wait: what was settled last will be unknown."""
        self._is_closed = True
        self.view.close()
        self._writer.abandon()
        self._hold.release()

    async def _add(self, change: Change) -> None:
        if self._is_closed:
            raise closed(self.folder)
        await self._commits.add(change)

    def _close(self) -> None:
        try:
            self.view.close()
        finally:
            self._writer.close()

    def _leave_to_the_parent(self) -> None:
        self._is_closed = True


@contextmanager
def _taken(folder: Path, mount_table: Path) -> Iterator[tuple[Hold, Writer]]:
    """The run in `folder`, let go again when what is done with it fails."""
    refuse_network(folder, mount_table)
    hold = Hold.take(folder)
    writer = Writer(folder, hold)
    try:
        yield hold, writer
    except BaseException as error:
        writer.abandon()
        hold.release()
        if isinstance(error, SqliteFileError | OSError):
            raise cannot_open(folder, error) from error
        raise


def _refuse_loss(folder: Path, last: Confirmed, confirmed: Confirmed | None) -> None:
    """See that all is there that somebody was told is on the disk."""
    if confirmed is None:
        return
    requests, answers = (max(0, was - found) for was, found in zip(confirmed, last, strict=True))
    if requests or answers:
        raise damaged(folder, f"its last {requests} requests and {answers} answers are missing")


def _checked(ask_id: str) -> str:
    try:
        ask_id.encode()
    except UnicodeEncodeError as error:
        raise FrameworkError(
            f"ask_id {ask_id!r} holds half a character", op="ledger.write", code=Code.INVALID
        ) from error
    return ask_id


def _amount(units: int | None) -> int | None:
    if units is not None and not 0 <= units <= MOST_UNITS:
        raise FrameworkError(
            f"{units} is no amount: it must be 0 to {MOST_UNITS} units", op="ledger.write", code=Code.INVALID
        )
    return units
