"""The exam that every connector sits: what it lists, what it opens, what it refuses, and how it fails."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import unittest
from collections.abc import Mapping, Sequence
from typing import ClassVar

from fmf.connectors.base import DataConnector, retries_of
from fmf.connectors.selection import EVERYTHING, is_path
from fmf.errors import ConfigError, ConnectorError
from fmf.testing.checks import expect, failure_of
from fmf.types import ResourceRef
from fmf_core.errors import Code

BLOCK = bytes(range(256)) * 4096
"""One MiB in which every byte occurs."""
FILES: Mapping[str, bytes] = {
    "Z.md": b"# Z\n",
    "a b.txt": b"blanks",
    "a.md": b"# a\n",
    "all bytes.bin": BLOCK[:1024],
    "empty.txt": b"",
    "sub/a.md": b"# another a\n",
    "sub/deep/c.txt": b"deep",
    "sub/deep/d.csv": b"x,y\r\n1,2\r\n",
    "sub.md": b"sorts before the folder\n",
}
HIDDEN: Mapping[str, bytes] = {".env": b"SECRET=1\n", ".git/config": b"[core]\n", "sub/.notes.md": b"# notes\n"}
ODD_NAMES = ("100%.md", "a%20b.md", "a+b&c=d.md", "a#b;c.md", "[x] {y} ~.md", "Ünï/日本語 é.md", "quote'\"s.md")
HEARD_S = 30.0
"""Within so many seconds an interrupt must be heard, on the busiest machine."""
LEAVING = ("", ".", "..", "../a.md", "sub/../../a.md", "/a.md", "sub//a.md", "sub/./a.md", "a\n.md", "a\0.md")
PATTERNS: Sequence[tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]] = (
    # include, exclude, select, what is listed
    (("**/*.md",), (), (), ("Z.md", "a.md", "sub.md", "sub/a.md")),
    (("*.md",), (), (), ("Z.md", "a.md", "sub.md")),
    (("sub/**",), (), (), ("sub/a.md", "sub/deep/c.txt", "sub/deep/d.csv")),
    (("sub/",), ("**/*.{md,csv}",), (), ("sub/deep/c.txt",)),
    (EVERYTHING, ("sub/deep/**", "*.bin"), ("**/?.{md,txt}",), ("Z.md", "a.md", "sub/a.md")),
    (("**/*.md",), (), ("[ab].md", "sub/**"), ("a.md", "sub/a.md")),
    (EVERYTHING, (), (".*", "**/.*/*"), (".env", ".git/config")),
    (("**/*", "sub/.*"), ("**/*.txt",), ("sub/**",), ("sub/.notes.md", "sub/a.md", "sub/deep/d.csv")),
    (EVERYTHING, (), ("nothing/here/*",), ()),
)


class ConnectorExam:
    """What every connector must do; a test class that subclasses it and gives `make_connector` sits it under pytest.

        class TestMyConnector(ConnectorExam):
            def make_connector(self, files, *, include=("**/*",), exclude=()):
                place = fill_a_place_with(files)
                return MyConnector("docs", place, include=include, exclude=exclude)

    What some places cannot do (odd names, files that change) is asked of those that say so.
    """

    odd_names: ClassVar[Sequence[str]] = ODD_NAMES
    """File names that the place can hold though their characters mean something elsewhere."""
    many: ClassVar[int] = 120
    """How many files the largest folder of the exam has; more than one page of the place's listings is best."""
    large_mib: ClassVar[int] = 5
    """The size of the largest file of the exam, in MiB."""
    threads: ClassVar[int] = 8
    """How many threads read at once."""
    secrets: ClassVar[Sequence[str]] = ()
    """The keys that the connectors of this exam are made with; they must appear in no text."""
    tells_sizes: ClassVar[bool] = True
    """Whether the place knows the size of a file without reading it."""

    def make_connector(
        self, files: Mapping[str, bytes], *, include: Sequence[str] = EVERYTHING, exclude: Sequence[str] = ()
    ) -> DataConnector:
        """A connector over a place that holds exactly `files`, by their ids; called once or more for every test."""
        del files, include, exclude
        raise AssertionError(f"{type(self).__name__} must define make_connector(files, *, include, exclude)")

    def make_unreachable(self) -> DataConnector | None:
        """A connector of the same kind over a place that is not there; `None` skips that test."""
        return None

    def change(self, resource_id: str, content: bytes | None) -> bool:
        """Put other content into the place of the last connector, or remove the file where it is `None`.

        Returns False where the place cannot do that, which skips those tests.
        """
        del resource_id, content
        return False

    def test_every_file_is_listed_once_and_in_order(self) -> None:
        """All but hidden files, sorted by id, the same again, and each id is one plain path."""
        connector = self.make_connector({**FILES, **HIDDEN})
        found = _ids(connector)
        expect(found == sorted(FILES), f"listed {found}, expected {sorted(FILES)}")
        expect(_ids(connector) == found, "a second listing differs from the first")
        expect(all(map(is_path, found)), f"an id is no plain path: {found}")

    def test_a_reference_says_what_is_known(self) -> None:
        """Name, address, size and time are those of the file, and `info` says the same."""
        connector = self.make_connector(FILES)
        uris = set()
        for ref in connector.list():
            expect(ref.name == ref.id.rpartition("/")[2], f"the name of {ref.id!r} is {ref.name!r}")
            expect("://" in ref.uri, f"{ref.uri!r} is no full address")
            if self.tells_sizes or ref.size is not None:
                expect(ref.size == len(FILES[ref.id]), f"{ref.id!r} has another size: {ref.size}")
            expect(ref.modified_at is None or ref.modified_at.tzinfo is not None, f"{ref.id!r}: a time without zone")
            told = connector.info(ref)
            expect((told.id, told.uri, told.name) == (ref.id, ref.uri, ref.name), f"list says {ref}, info says {told}")
            for known, again in ((ref.size, told.size), (ref.etag, told.etag)):
                expect(known in {None, again}, f"list says {ref}, info says {told}")
            uris.add(ref.uri)
        expect(len(uris) == len(FILES), "two files have one address")

    def test_patterns_choose(self) -> None:
        """`include`, `exclude` and `select`, with `**`, `?`, `[ab]`, braces and hidden files."""
        for include, exclude, select, expected in PATTERNS:
            connector = self.make_connector({**FILES, **HIDDEN}, include=include, exclude=exclude)
            found = _ids(connector, select)
            expect(
                found == list(expected),
                f"include={include} exclude={exclude} select={select} listed {found}, expected {expected}",
            )

    def test_patterns_that_leave_the_root_are_refused_at_once(self) -> None:
        """`../*` and `/etc/*` are refused by the call of `list` itself."""
        connector = self.make_connector(FILES)
        for pattern in ("../*", "sub/../../*", "/etc/*", ""):
            error = failure_of(ConfigError, lambda pattern=pattern: connector.list((pattern,)))  # type: ignore[misc]
            expect(repr(pattern) in error.message, f"the error does not name the pattern: {error}")

    def test_an_empty_place_lists_nothing(self) -> None:
        """A place without files is no error."""
        expect(_ids(self.make_connector({})) == [], "something was listed in an empty place")

    def test_a_large_folder_is_listed_in_full(self) -> None:
        """All files of a large folder, over as many pages as it takes, in order."""
        names = [f"many/{number:05}.txt" for number in range(self.many)]
        found = _ids(self.make_connector(dict.fromkeys(names, b"x")))
        expect(found == names, f"{len(names)} files, {len(found)} listed")

    def test_the_bytes_are_those_of_the_file(self) -> None:
        """Whole, in pieces, in pieces of odd sizes; an empty file is empty."""
        connector = self.make_connector(FILES)
        for ref in connector.list():
            with connector.open(ref) as stream:
                expect(stream.readable(), f"the stream of {ref.id!r} is not readable")
                expect(stream.read() == FILES[ref.id], f"{ref.id!r} has other bytes")
                expect(stream.read(10) == b"", f"{ref.id!r} goes on after its end")
            with connector.open(ref) as stream:
                pieces = list(iter(lambda stream=stream: stream.read(7), b""))  # type: ignore[misc]
            expect(b"".join(pieces) == FILES[ref.id], f"{ref.id!r} has other bytes when it is read in pieces")

    def test_a_large_file_is_whole(self) -> None:
        """Several MiB, also for a reader who goes after the first bytes."""
        content = BLOCK * self.large_mib
        connector = self.make_connector({"large.bin": content, "small.txt": b"small"})
        large, small = connector.list()
        with connector.open(large) as stream:
            expect(stream.read(3) == content[:3], "the first bytes differ")
        with connector.open(large) as stream, connector.open(small) as other:
            start = stream.read(100_000)
            expect(other.read() == b"small", "a second stream gives other bytes")
            expect(start + stream.read() == content, "the file is not whole")

    def test_many_threads_may_read_at_once(self) -> None:
        """Each thread gets the bytes that it asked for."""
        files = {f"{number}.bin": bytes([number]) * 100_000 for number in range(self.threads * 3)}
        connector = self.make_connector(files)
        waiting, wrong = list(connector.list()), []

        def read() -> None:
            while waiting:
                try:
                    ref = waiting.pop()
                except IndexError:
                    return
                try:
                    with connector.open(ref) as stream:
                        if stream.read() != files[ref.id]:
                            wrong.append(f"{ref.id} has other bytes")
                except Exception as error:  # noqa: BLE001 - told by the thread that waits
                    wrong.append(repr(error))

        threads = [threading.Thread(target=read) for _ in range(self.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(not wrong, f"{wrong}")

    def test_odd_names_are_read(self) -> None:
        """Percent signs, blanks, quotes and other scripts in a name are nothing but characters."""
        files = {name: name.encode() for name in self.odd_names}
        connector = self.make_connector(files)
        refs = list(connector.list())
        expect([ref.id for ref in refs] == sorted(files), f"listed {[ref.id for ref in refs]}")
        for ref in refs:
            with connector.open(ref) as stream:
                expect(stream.read() == files[ref.id], f"{ref.id!r} has other bytes")

    def test_ids_that_leave_the_root_are_refused(self) -> None:
        """An id with `..`, an absolute one and one that is no path are never opened."""
        connector = self.make_connector({"sub/a.md": b"a"})
        for sly in LEAVING:
            ref = ResourceRef(sly, "x://sly", "sly")
            for call in (connector.open, connector.info):
                error = failure_of(ConnectorError, lambda call=call, ref=ref: call(ref))  # type: ignore[misc]
                expect(not error.retryable, f"{sly!r} is refused as if waiting helped: {error}")
                expect(bool(error.op and error.hint), f"the error says not where, or not what to do: {error!r}")

    def test_a_missing_file_is_one_clear_error(self) -> None:
        """`NOT_FOUND`, with its place, a hint, and without secrets; others can still be read."""
        connector = self.make_connector({"a.md": b"a"})
        (there,) = connector.list()
        missing = ResourceRef("gone.md", there.uri.replace("a.md", "gone.md"), "gone.md")
        for call in (connector.open, connector.info):
            error = failure_of(ConnectorError, lambda call=call: call(missing))  # type: ignore[misc]
            expect(error.code is Code.NOT_FOUND, f"expected not_found, got {error!r}")
            expect("gone.md" in error.message, f"the error does not name the file: {error}")
            expect(bool(error.op and error.hint), f"the error says not where, or not what to do: {error!r}")
            self._check_texts(error)
        with connector.open(there) as stream:
            expect(stream.read() == b"a", "after a failure another file cannot be read")

    def test_a_file_that_changes_is_never_mixed(self) -> None:
        """What was listed before a change is either refused or read whole as it is now, and `info` knows."""
        self._check_change(BLOCK[:70_000], BLOCK[5:90_000])

    def test_a_file_that_changes_and_keeps_its_size_is_never_mixed(self) -> None:
        """What was listed before is either refused or read whole as it is now."""
        self._check_change(BLOCK[:70_000], BLOCK[1:70_001])

    def _check_change(self, before: bytes, after: bytes) -> None:
        connector = self.make_connector({"a.bin": before})
        (ref,) = connector.list()
        if not self.change("a.bin", after):
            raise unittest.SkipTest("the place cannot change a file: change() returns False")
        if len(before) != len(after):
            told = connector.info(ref)
            expect((told.etag, told.size) != (ref.etag, ref.size), f"info does not know of the change: {told}")
        try:
            with connector.open(ref) as stream:
                expect(stream.read() == after, "old and new bytes were mixed")
        except ConnectorError as error:
            expect(error.code is Code.CONFLICT, f"expected conflict, got {error!r}")
        (ref,) = connector.list()
        with connector.open(ref) as stream:
            expect(stream.read() == after, "what was listed anew is not what is there")
        if self.change("a.bin", None):
            gone = failure_of(ConnectorError, lambda: connector.open(ref).read())
            expect(gone.code is Code.NOT_FOUND, f"expected not_found, got {gone!r}")

    def test_an_unreachable_place_is_told_by_the_call(self) -> None:
        """`list` itself fails, not the first step of what it returns."""
        connector = self.make_unreachable()
        if connector is None:
            raise unittest.SkipTest("there is no place out of reach: make_unreachable() returns None")
        error = failure_of(ConnectorError, connector.list)
        expect(bool(error.op and error.hint), f"the error says not where, or not what to do: {error!r}")
        self._check_texts(error)

    def test_it_describes_itself(self) -> None:
        """It has a name, counts what it left out and what it asked again, and shows no secret."""
        connector = self.make_connector(FILES)
        list(connector.list())
        expect(bool(connector.name), "a connector has a name")
        notices = getattr(connector, "notices", {})
        expect(isinstance(notices, Mapping), f"notices are counts by reason, not {notices!r}")
        expect(getattr(connector, "retries", 0) == 0, "requests were made again though nothing failed")
        self._check_texts(repr(connector), str(connector))

    def _check_texts(self, *things: object) -> None:
        for thing in things:
            texts = [str(thing), repr(thing)]
            if isinstance(thing, ConnectorError):
                again = pickle.loads(pickle.dumps(thing))  # noqa: S301 - what was made a line ago
                expect((type(again), again.code) == (type(thing), thing.code), f"{thing!r} changes when it is pickled")
                texts += [repr(thing.fields), repr(thing.__dict__)]
            for secret in self.secrets:
                expect(not any(secret in text for text in texts), "a text shows a key")


class RemoteConnectorExam:
    """What a connector over a network must do besides, where its place is not well; sat as `ConnectorExam` is.

    A class gives `make_connector` and the methods that spoil the place, which hold for the last connector.
    """

    many: ClassVar[int] = 120
    """How many files are listed; more than one page of the place's listings is best."""
    wait_s: ClassVar[int] = 1
    """How long the place asks to wait, in seconds."""

    def make_connector(self, files: Mapping[str, bytes]) -> DataConnector:
        """A connector over a place that holds exactly `files`, by their ids, and is well."""
        del files
        raise AssertionError(f"{type(self).__name__} must define make_connector(files)")

    def spoil_listing(self, after: int) -> None:
        """From now on answer requests for listings, but the first `after` of them, with an error that looks well."""
        del after
        raise AssertionError(f"{type(self).__name__} must define spoil_listing(after)")

    def ask_to_wait(self, seconds: int) -> None:
        """Refuse the next request for bytes, and ask to come again after so many seconds."""
        del seconds
        raise AssertionError(f"{type(self).__name__} must define ask_to_wait(seconds)")

    def drip(self) -> None:
        """From now on let the bytes of every file come one by one, some of them a second, without an end."""
        raise AssertionError(f"{type(self).__name__} must define drip()")

    def test_a_listing_that_cannot_be_had_in_full_is_an_error(self) -> None:
        """Never a shorter listing, and never an empty one: what is not listed is lost without a word."""
        names = [f"{number:05}.txt" for number in range(self.many)]
        for after in (0, 1):
            connector = self.make_connector(dict.fromkeys(names, b"x"))
            self.spoil_listing(after)
            try:
                found = _ids(connector)
            except ConnectorError as error:
                expect(bool(error.op and error.hint), f"the error says not where, or not what to do: {error!r}")
                continue
            expect(found == names, f"{len(names)} files, {len(found)} listed, and no error")

    def test_a_place_that_asks_to_wait_is_asked_no_sooner(self) -> None:
        """The request is made again, after the wait, and counted."""
        connector = self.make_connector({"a.txt": b"text"})
        (ref,) = connector.list()
        self.ask_to_wait(self.wait_s)
        began = time.monotonic()
        with connector.open(ref) as stream:
            expect(stream.read() == b"text", "other bytes came")
        taken = time.monotonic() - began
        expect(taken >= self.wait_s, f"it asked again within {taken:.2f} s, and was to wait {self.wait_s} s")
        expect(retries_of(connector) > 0, "a request that was made again was not counted")

    def test_an_interrupt_is_heard_while_bytes_drip(self) -> None:
        """Ctrl-C ends a read that would take for ever, whatever library waits for the bytes."""
        if threading.current_thread() is not threading.main_thread():
            raise unittest.SkipTest("signals are heard in the main thread only")
        connector = self.make_connector({"a.bin": BLOCK[:100_000]})
        (ref,) = connector.list()
        self.drip()
        timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        began = time.monotonic()
        timer.start()
        try:
            with connector.open(ref) as stream:
                stream.read()
        except KeyboardInterrupt:
            taken = time.monotonic() - began
        except ConnectorError as error:
            raise AssertionError(f"it gave up before it was interrupted: {error}") from error
        else:
            raise AssertionError("the file came whole: drip() must let bytes come for minutes")
        finally:
            timer.cancel()
        expect(taken < HEARD_S, f"the interrupt was heard after {taken:.0f} s")


def _ids(connector: DataConnector, select: Sequence[str] = ()) -> Sequence[str]:
    return [ref.id for ref in connector.list(select)]
